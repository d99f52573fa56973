"""Every command line of `placelibre` in a page or an alert is one that there is, with options that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from cli.command_line import app
from tests.conftest import ROOT

PAGES: Final = sorted(
    [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")]
)
QUOTED: Final = re.compile(r"`(placelibre [^`]+)`")
LINE: Final = re.compile(r"^\s*(?:\$ |.*(?:exec|run) [^`]*)?(?<!-n )(placelibre [a-z].*)$", re.MULTILINE)
FENCED: Final = re.compile(r"^```.*?^```|(?:^    \S[^\n]*\n)+", re.MULTILINE | re.DOTALL)


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words of each command line of a page, as far as they are meant to be typed."""
    text = path.read_text(encoding="utf-8")
    lines = QUOTED.findall(text.replace("\n            ", " "))
    if path.suffix == ".md":
        lines += [line for block in FENCED.findall(text) for line in LINE.findall(block.replace("\\\n", " "))]
    for line in lines:
        try:
            words = shlex.split(line.partition(" # ")[0].partition(" | ")[0].partition(" > ")[0], comments=True)
        except ValueError:
            continue  # an apostrophe of the sentence around it
        yield words[1:]


@cache
def root() -> Any:
    return typer.main.get_command(app)


def fault(words: list[str]) -> str | None:
    """Return what is wrong with a command line, None if it could be run."""
    command, context = root(), None
    rest = list(words)
    while rest and hasattr(command, "get_command") and not rest[0].startswith("-"):
        context = command.make_context(command.name, [], resilient_parsing=True)
        found = command.get_command(context, rest[0])
        if found is None:
            # A word behind a command that does something by itself may be its own argument.
            return f"there is no command {rest[0]!r} in {' '.join(words)!r}" if rest[0].isalpha() else None
        command = found
        rest.pop(0)
    known = {each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    unknown = [each for each in rest if each.startswith("--") and each.partition("=")[0] not in known]
    return f"{' '.join(words)!r}: there is no {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("path", PAGES, ids=lambda each: each.name)
def test_the_commands_of_a_page_exist_with_their_options(path: Path) -> None:
    assert [found for words in commands(path) if (found := fault(words)) is not None] == []


def test_commands_are_found_where_they_stand_and_wrong_ones_are_seen() -> None:
    runbook = list(commands(ROOT / "docs" / "runbook.md"))
    assert len(runbook) > 60
    assert ["posts", "approve", "3f2a9c71b0de", "--by", "front desk"] in runbook
    assert ["restore", "/mnt/backup/placelibre", "--dry-run"] in runbook
    assert fault(["doctor", "--json"]) is None
    assert fault(["doctor", "--yaml"]) is not None
    assert fault(["physician"]) is not None
    assert fault(["posts", "retry", "--all"]) is not None
    assert fault(["keys", "new", "bpi", "--device", "front"]) is None
