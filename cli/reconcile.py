"""`placelibre reconcile`: the log against what has been applied, and what the bus has lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.table import Table

from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.operator_audit import note_act, operator_name
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json, warn
from services.auditor.book import Book
from services.auditor.report import BOOK, RECONCILIATION, Compared, LeftOut, Reconciliation, TakenOver, accept
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.runtime.bus import Bus
from shared.runtime.clock import now

app = command_app()

DIFFERS = 1
"""The exit status where something is different or gone."""
NAMES_TOLD = 5
LEFT_OUT_TOLD = 5
"""Of more the rest stands in what `--json` prints."""


@app.command(
    epilog=examples(
        "placelibre reconcile",
        "placelibre reconcile --library bpi",
        "placelibre reconcile --accept",
        "placelibre reconcile --json",
    )
)
def reconcile(
    *,
    library: Annotated[str, typer.Option(help="Only this one.")] = "",
    accepted: Annotated[
        bool,
        typer.Option("--accept", help="What is gone or different is known of: say no more of it, and count from here."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Compare what the log holds with what has been applied.

    The auditor counts the log a second time, every few minutes, and compares at the same place of the log: each
    difference should be 0. Below stand messages that the bus has lost, and devices of which readings never came.
    Exits with 1 where anything is different or gone.
    """
    address = bus_address(DataFolder(data.absolute()), nats_url, seed_file, ca_file)
    if accepted:
        on_bus(address, _accept)
        say("Noted. The auditor counts on from what has been applied now.")
        return
    report, book = on_bus(address, _read)
    if report is None:
        raise Trouble("nothing has been compared yet", "see that the service `auditor` runs; it takes a few minutes")
    libraries = [each for each in report.libraries if library in {"", each.library}]
    if library and not libraries:
        raise Trouble(f"nothing has been counted of {library}", "`placelibre reconcile` shows all libraries")
    devices = [each for each in report.devices if library in {"", each.library}]
    taken_over = [each for each in report.taken_over if not library or library in each.libraries]
    left_out = [each for each in report.left_out if not library or each.partition == subjects.partition_of(library)]
    if as_json:
        say_json(
            {
                "at": report.at.isoformat(),
                "since": report.since.isoformat(),
                "libraries": [each.model_dump(mode="json") for each in libraries],
                "devices": [each.model_dump(mode="json") for each in devices],
                "taken_over": [each.model_dump(mode="json") for each in taken_over],
                "left_out": [each.model_dump(mode="json") for each in left_out],
                "losses": [each.model_dump(mode="json") for each in book.losses],
            }
        )
    else:
        _show(report, libraries)
        _show_what_is_not_certain(taken_over, left_out)
        for loss in book.losses:
            say(f"{loss.stream}: {loss.messages} messages are gone: {loss.detail} (seen {loss.at:%Y-%m-%d %H:%M} UTC)")
        for each in devices:
            say(
                f"{each.library}: of {each.numbered} readings that {each.device} has numbered {each.missing} never came"
            )
    if book.losses or not all(each.is_right for each in libraries):
        if not as_json:
            say("What to do: see docs/backup.md; once it is understood, `placelibre reconcile --accept`.")
        raise typer.Exit(DIFFERS)


def _show(report: Reconciliation, libraries: list[Compared]) -> None:
    age_min = (now() - report.at).total_seconds() / 60
    when = f"compared {age_min:.0f} min ago; counted since {report.since:%Y-%m-%d %H:%M} UTC."
    if not libraries:
        say(f"No library has been counted yet: it needs the aggregator's first checkpoint of one. Last {when}")
        return
    table = Table(box=SIMPLE)
    for title in ("library", "entries", "exits", "off by: readings", "entries", "exits", ""):
        table.add_column(title, justify="left" if title in {"library", ""} else "right")
    for each in libraries:
        table.add_row(
            each.library,
            *map(str, (each.log_entries, each.log_exits, each.readings, each.entries, each.exits)),
            "right" if each.is_right else "DIFFERS",
        )
        for gate, (entries, exits) in sorted(each.gates.items()):
            table.add_row(f"  {gate}", str(entries), str(exits), "", "", "", "")
    OUT.print(table)
    differing = sum(not each.is_right for each in libraries)
    compared = "1 library" if len(libraries) == 1 else f"{len(libraries)} libraries"
    say(f"{compared} compared, {f'{differing} with a difference' if differing else 'no difference'}: {when}")
    if differing:
        say("Off by: what the log holds, less what has gone into the figures that are shown.")


def _show_what_is_not_certain(taken_over: list[TakenOver], left_out: list[LeftOut]) -> None:
    """Say where what was applied was taken for right, and what could not be compared."""
    alike: dict[tuple[str, str, bool], list[str]] = {}
    for over in taken_over:
        alike.setdefault((f"{over.at:%Y-%m-%d %H:%M}", over.why, over.is_explained), []).extend(over.libraries)
    for (at, why, is_explained), names in alike.items():
        say(f"{at} UTC: {why}. What had been applied until then is taken for right of {_named(names)}.")
        if not is_explained:
            warn("Neither a purge nor their age explains that: docs/runbook.md#placelibrecountstakenover")
    for each in left_out[:LEFT_OUT_TOLD]:
        warn(f"partition {each.partition} has not been compared since {each.since:%Y-%m-%d %H:%M} UTC: {each.why}")
    if len(left_out) > LEFT_OUT_TOLD:
        warn(f"and {len(left_out) - LEFT_OUT_TOLD} more partitions; see --json")


def _named(names: list[str]) -> str:
    more = len(names) - NAMES_TOLD
    return ", ".join(names[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


async def _read(bus: Bus) -> tuple[Reconciliation | None, Book]:
    report = await bus.bucket(subjects.AUDITOR).get(RECONCILIATION)
    book = await book_of(bus)
    with _of_this_version():
        return None if report is None else Reconciliation.model_validate_json(report.value), book


async def book_of(bus: Bus) -> Book:
    """Return the auditor's book of the streams, an empty one before its first look. Raises BusUnavailable, Trouble."""
    book = await bus.bucket(subjects.AUDITOR).get(BOOK)
    with _of_this_version():
        return Book() if book is None else Book.model_validate_json(book.value)


@contextmanager
def _of_this_version() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise Trouble("what the auditor has written is of another version", "let both be of the same one") from error


async def _accept(bus: Bus) -> None:
    """Let the auditor say no more of what it has found; what that was stays in the trail. Raises BusUnavailable."""
    report, book = await _read(bus)
    gone = [f"{name}: {book.lost(name)} messages gone" for name in sorted({each.stream for each in book.losses})]
    differing = [f"{each.library}: differs" for each in (report.libraries if report else ()) if not each.is_right]
    await accept(bus, operator_name(), is_recount_anew=True)
    await note_act(bus, Act.DIFFERENCES_ACCEPTED, details=[*gone, *differing])
