"""How the command line speaks: plain lines, JSON for programs, and errors that say what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import typer
from rich.console import Console

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]

OUT: Final = Console(highlight=False, emoji=False)
"""Standard output; rich leaves colours out where NO_COLOR is set or nobody looks."""
ERR: Final = Console(stderr=True, highlight=False, emoji=False)


def command_app() -> typer.Typer:
    """Return the application of one command; its help is plain text, so that it reads the same everywhere."""
    return typer.Typer(
        rich_markup_mode=None,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )


def examples(*lines: str) -> str:
    """Return the end of a command's help; the backspace keeps the lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Trouble(Exception):  # noqa: N818  an expected end of a command, told without a traceback
    """Something is not as the command needs it. `remedy` says what to do next."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def say(text: str, style: str | None = None) -> None:
    """Print lines as they are; square brackets mean nothing, and long lines are the terminal's business."""
    OUT.print(text, style=style, markup=False, soft_wrap=True)


def warn(text: str, style: str | None = "yellow") -> None:
    """Print lines to standard error."""
    ERR.print(text, style=style, markup=False, soft_wrap=True)


def sure_or_trouble(question: str, *, is_sure: bool) -> None:
    """Ask before something is taken out for good, unless `--yes` was said. Raises Trouble where the answer is no."""
    if not is_sure and not typer.confirm(question, err=True):
        raise Trouble("nothing was taken out", "say --yes where nobody can be asked")


def say_json(value: JsonValue) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def tell(trouble: Trouble) -> None:
    """Print what stopped a command and what to do next."""
    ERR.print(f"error: {trouble.what}", style="bold red", markup=False, soft_wrap=True)
    if trouble.remedy:
        ERR.print(f"  what to do: {trouble.remedy}", markup=False, soft_wrap=True)
