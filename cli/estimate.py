"""`placelibre estimate`: the estimator as a filter of JSON lines, in virtual time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Final

import typer
from pydantic_core import from_json

from cli.estimation.lines import Fields, MalformedLine, shown
from cli.estimation.session import Session
from cli.terminal import Trouble, command_app, examples, warn

app = command_app()

TOLD: Final = 100
"""Lines that are told one by one; whoever does not read standard error must not be kept waiting by a full pipe."""


@app.command(
    epilog=examples(
        "placelibre simulate --scenario quiet-branch --protocol | placelibre estimate",
        "placelibre estimate < recording.jsonl > answers.jsonl",
        "placelibre estimate --faults --strict < recording.jsonl",
    )
)
def estimate(
    *,
    faults: Annotated[bool, typer.Option("--faults", help="Add the gates' faults to every answer.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first line that makes no sense.")] = False,
) -> None:
    """Estimate people and waits from readings on standard input.

    One JSON object a line: a configuration, events in the order of their receipt, snapshot requests. Each request is
    answered at once with a line on standard output. Nothing waits and nothing is asked of a clock: all times are those
    of the lines. A line that makes no sense is told on standard error and skipped; exit 1 if there was one.
    """
    skipped, total = answer_all(sys.stdin.buffer, Session(tells_faults=faults), is_strict=strict)
    if skipped:
        warn(f"{skipped} of {total} lines skipped")
        raise typer.Exit(1)


def answer_all(lines: Iterable[bytes], session: Session, *, is_strict: bool) -> tuple[int, int]:
    """Print the answers to lines as they come; return how many of how many lines were skipped.

    A request that cannot be answered is answered with an error, so that answers stay one to a request. Raises Trouble
    at the first wrong line if `is_strict`.
    """
    skipped = number = 0
    for number, line in enumerate(lines, start=1):
        fields: Fields | None = None
        try:
            fields = _fields(line)
            answer = None if fields is None else session.handle(fields)
        except MalformedLine as error:
            if is_strict:
                raise Trouble(f"line {number}: {error}", "mend it, or leave out --strict to skip it") from error
            skipped += 1
            if skipped <= TOLD:
                warn(f"line {number}: {error}; skipped")
            if skipped == TOLD:
                warn("further lines are skipped without a word")
            answer = {"error": str(error)} if fields and fields.get("op") == "snapshot" else None
        if answer is not None:
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    return skipped, number


def _fields(line: bytes) -> Fields | None:
    if line.isspace():
        return None
    try:
        value = from_json(line)
    except ValueError as error:
        reason = str(error).replace(" at line 1 column", " at character")
        raise MalformedLine(f"no JSON: {reason}") from error
    if not isinstance(value, dict):
        raise MalformedLine(f"no JSON object but {shown(value)}")
    return value
