"""`placelibre audit`: who administered what, and whether the trail is whole."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.explanation.from_bus import batches_of
from cli.reconcile import book_of
from cli.terminal import OUT, JsonValue, Trouble, command_app, examples, say, say_json, warn
from shared.contracts import subjects
from shared.contracts.audit import AuditEntry, Outcome, Stored, breaks, hash_of
from shared.contracts.readings import on_one_line
from shared.contracts.retention import ages
from shared.runtime.bus import Bus
from shared.runtime.clock import now

app = command_app()

HOURS_OF: Final = {"h": 1, "d": 24, "w": 168}
HASH_SHOWN: Final = 16
DETAILS_SHOWN: Final = 4
"""In a line of the table; a first start has made forty things, and --json has all of them."""
CLOCKS_APART: Final = timedelta(days=1)
"""By so much a writer's clock and the bus's may differ without an entry that has reached its age looking stolen."""


@app.command(
    epilog=examples(
        "placelibre audit",
        "placelibre audit --since 7d",
        "placelibre audit --since 2026-11-01 --library bpi",
        "placelibre audit --json",
    )
)
def audit(
    *,
    since: Annotated[str, typer.Option(help="A day (YYYY-MM-DD, UTC), or a span back from now: 12h, 7d, 4w.")] = "",
    library: Annotated[str, typer.Option(help="Only what concerns this library.")] = "",
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
) -> None:
    """Show who did what, when, to which object, and how it ended; the newest last.

    The whole trail is checked each time, whatever is shown of it: a break in it ends the command with an error.
    """
    begin = _begin(since, now())
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    stored, faults = on_bus(address, examined)
    shown = [each for each in stored if each.entry is not None and _is_wanted(each.entry, begin, library)]
    ends = {each.writer: hash_of(each.body) for each in stored}
    if as_json:
        say_json(
            {
                "entries": [_fields(each, each.entry) for each in shown if each.entry],
                "breaks": faults,
                "ends": ends,
            }
        )
    else:
        _show([each.entry for each in shown if each.entry], since, library)
        unread = sum(each.entry is None and each.link is not None for each in stored)
        if unread:
            say(f"{unread} entries are of a newer version and not shown; --json of that version has them")
        for writer, last in sorted(ends.items()):
            say(f"the trail of {writer} ends with {last[:HASH_SHOWN]}")
        for fault in faults:
            warn(f"the trail is broken: {fault}", "bold red")
    if faults:
        raise Trouble(
            f"the audit trail does not hold in places: {len(faults)}",
            "compare it with the services' logs and with a backup; docs/privacy.md says what a break can mean",
        )


async def trail_of(bus: Bus) -> list[Stored]:
    """Return the whole trail in the stream's order. Raises BusUnavailable."""
    found: list[Stored] = []
    if await bus.last_sequence(subjects.AUDIT):
        async for batch in batches_of(bus, subjects.AUDIT, [subjects.ANY_AUDIT]):
            found += [Stored.of(each.subject, each.sequence, each.data) for each in batch.messages]
    return found


async def examined(bus: Bus) -> tuple[list[Stored], list[str]]:
    """Return the trail and a sentence for each place at which it does not hold. Raises BusUnavailable.

    What the chains cannot tell the auditor's book does: how far the stream had come when it was looked at last.
    """
    stored = await trail_of(bus)
    faults = list(breaks(stored, kept_since=now() - ages()[subjects.AUDIT] + CLOCKS_APART))
    try:
        losses = [each for each in (await book_of(bus)).losses if each.stream == subjects.AUDIT]
    except Trouble as trouble:
        warn(f"{trouble.what}: whether the bus has lost entries is not looked at")
        losses = []
    faults += [
        f"{each.messages} entries are gone: {each.detail} (seen {each.at:%Y-%m-%d %H:%M} UTC)" for each in losses
    ]
    return stored, faults


def _begin(since: str, at: datetime) -> datetime | None:
    if not since:
        return None
    if since[:-1].isdigit() and since[-1] in HOURS_OF and len(since) < 6:  # a year of hours has four digits
        return at - timedelta(hours=int(since[:-1]) * HOURS_OF[since[-1]])
    try:
        begin = datetime.combine(date.fromisoformat(since), time(0), UTC)
    except ValueError as error:
        raise Trouble(f"--since {since} is no day and no span", "write it like 2026-11-01, 12h, 7d or 4w") from error
    if begin > at:
        raise Trouble(f"--since {since} is still to come", f"today is {at:%Y-%m-%d} (UTC)")
    return begin


def _is_wanted(entry: AuditEntry, begin: datetime | None, library: str) -> bool:
    return (begin is None or entry.at >= begin) and (not library or entry.library == library)


def _fields(stored: Stored, entry: AuditEntry) -> dict[str, JsonValue]:
    return {"writer": stored.writer, "sequence": stored.sequence, **entry.model_dump(mode="json")}


def _show(entries: list[AuditEntry], since: str, library: str) -> None:
    if not entries:
        of = f" of {library}" if library else ""
        say(f"nothing is on record{of}{f' since {since}' if since else ''}")
        return
    table = Table("when", "as", "who", "what", "library", "object", "", box=SIMPLE)
    for each in entries:
        outcome = "" if each.outcome == Outcome.DONE else each.outcome
        cells = (
            f"{each.at.astimezone():%Y-%m-%d %H:%M:%S}",
            each.role,
            each.who,
            each.act.replace("_", " "),
            each.library,
            each.subject,
            "; ".join(part for part in (outcome, *_in_short(each.details)) if part),
        )
        table.add_row(*(Text(on_one_line(cell)) for cell in cells))
    OUT.print(table)
    say("times are this machine's; --since counts days in UTC")


def _in_short(details: tuple[str, ...]) -> tuple[str, ...]:
    if len(details) <= DETAILS_SHOWN:
        return details
    return (*details[: DETAILS_SHOWN - 1], f"and {len(details) - DETAILS_SHOWN + 1} more (--json)")
