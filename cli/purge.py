"""`placelibre purge`: taking out what is stored about a library that is gone, a person, a device, or an old time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.operator_audit import note_act
from cli.purging.before import Cut, cut_off, what_is_older
from cli.purging.erasing import AggregatorAway, Found, erase, erase_marks, forget, look
from cli.purging.known import refuse_a_stranger, refuse_no_id
from cli.purging.places import KEPT, Place, accounts_of, of_device, of_library, of_person
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json, sure_or_trouble, warn
from services.auditor.report import taking_out
from services.ingest.device_overview import values_of
from shared.contracts import subjects
from shared.contracts.audit import Act, Outcome
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import PERSON
from shared.contracts.devices import Claim, DeviceState
from shared.contracts.stored import read_stored
from shared.contracts.streams import STREAMS
from shared.runtime.bus import Bus
from shared.runtime.clock import now

app = command_app()

AGAIN = "run the same again: what is done stays done, and it goes on from there"
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the counts for a program.")]
LibraryArgument = Annotated[str, typer.Argument(help="The library's id.")]


@app.callback(
    epilog=examples(
        "placelibre purge library old-branch --dry-run",
        "placelibre purge library old-branch",
        "placelibre purge person bpi ab",
        "placelibre purge device bpi front-door-0003",
        "placelibre purge before 2026-11-01",
    )
)
def purge() -> None:
    """Take out of the bus what is stored about something, for good.

    Counts come first, then a question. It is noted in the audit trail, which itself stays. Exports and backups are not
    touched: newer ones push them out, and a copy put away stays until somebody deletes it.
    """


@app.command(epilog=examples("placelibre purge library old-branch --dry-run", "placelibre purge library old-branch"))
def library(
    library: LibraryArgument,
    *,
    dry_run: DryOption = False,
    yes: YesOption = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take out all that is stored about a library that is gone: `placelibre apply --prune` comes first."""
    refuse_no_id(library, "library")
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)

    async def places(bus: Bus) -> list[Place]:
        if await bus.bucket(subjects.LIBRARIES).get(library) is not None:
            raise Trouble(
                f"{library} is in force; purging it would empty a library that runs",
                "take it out of libraries.toml and run `placelibre apply --prune`, then purge",
            )
        deliveries = await bus.bucket(subjects.DELIVERIES).keys()
        memories = await bus.bucket(subjects.POSTING).keys()
        return of_library(library, accounts_of(library, deliveries, memories))

    async def do(bus: Bus, meant: Sequence[Place]) -> dict[str, int]:
        up_to = await forget(bus, library)
        done = await erase(bus, await look(bus, meant), up_to=up_to)
        await erase_marks(bus, meant)
        return done

    _run(address, places, do, _Asked(library, f"library {library}", dry_run, yes, as_json))


@app.command(epilog=examples("placelibre purge person bpi ab --dry-run", "placelibre purge person bpi ab"))
def person(
    library: LibraryArgument,
    person: Annotated[str, typer.Argument(help="The person's id.")],
    *,
    dry_run: DryOption = False,
    yes: YesOption = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take out a person of the staff: PIN, sessions, and their id from all that they have said.

    What they said goes on to hold, without who said it. The audit trail keeps the id until it ends by its age.
    """
    refuse_no_id(library, "library")
    refuse_no_id(person, PERSON)
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)

    async def places(_: Bus) -> list[Place]:
        return of_person(library, person)

    async def do(bus: Bus, meant: Sequence[Place]) -> dict[str, int]:
        up_to = await forget(bus, library, person)
        await _unname_claims(bus, library, person)
        found = await look(bus, meant)
        keys = {subject for each in found for _, subject, _ in each.whole}
        done = await erase(bus, found, up_to=up_to)
        await erase_marks(bus, meant, keys)
        return done

    async def check(bus: Bus, found: Sequence[Found]) -> None:
        await refuse_a_stranger(bus, library, person, found)

    what = f"{PERSON} {person}"
    _run(address, places, do, _Asked(library, what, dry_run, yes, as_json), check)


@app.command(epilog=examples("placelibre purge device bpi front-door-0003"))
def device(
    library: LibraryArgument,
    device: Annotated[str, typer.Argument(help="The device's id.")],
    *,
    dry_run: DryOption = False,
    yes: YesOption = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take out what is known of a device that counts no more: what it is, how it was, its bodies in quarantine.

    What it has counted stays: it is the library's count, and ends with the log.
    """
    refuse_no_id(library, "library")
    refuse_no_id(device, "device")
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)

    async def places(bus: Bus) -> list[Place]:
        key = subjects.device_key(library, device)
        config = await bus.bucket(subjects.LIBRARIES).get(library)
        own = read_stored(LibraryConfig, config.value).devices if config else ()
        if any(each.id == device for each in own):
            raise Trouble(f"{device} stands in libraries.toml", "take it out there, run `placelibre apply`, then purge")
        if await values_of(bus, subjects.CLAIMS, key, Claim):
            raise Trouble(f"{device} counts", f"release it first: placelibre devices release {key}")
        states = await values_of(bus, subjects.DEVICES, key, DeviceState)
        return of_device(library, device, [(each.source, each.serial) for each in states.values()])

    async def do(bus: Bus, meant: Sequence[Place]) -> dict[str, int]:
        done = await erase(bus, await look(bus, meant))
        await erase_marks(bus, meant)
        return done

    _run(address, places, do, _Asked(library, f"device {device}", dry_run, yes, as_json))


@app.command(
    epilog=examples(
        "placelibre purge before 2026-11-01 --dry-run",
        "placelibre purge before 2026-11-01",
        "placelibre purge before 2020-01-01 --history",
    )
)
def before(
    day: Annotated[str, typer.Argument(help="The first day that stays, YYYY-MM-DD (UTC).")],
    *,
    history: Annotated[
        bool,
        typer.Option("--history", help="The libraries' statistics of those days as well, which are kept for good."),
    ] = False,
    dry_run: DryOption = False,
    yes: YesOption = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take out readings, changes, quarantine and dead letters from before a day.

    What services still need stays: the day has to be over, and nothing goes that is not in a checkpoint yet. Statistics
    stay, the curve and totals of each day, from which annual reports come: only --history takes them out. To keep less
    of the log from now on, see `placelibre retention`.
    """
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    try:
        first = datetime.combine(date.fromisoformat(day), time(0), UTC)
    except ValueError as error:
        raise Trouble(f"{day} is no day", "write it like 2026-11-01") from error
    cuts: list[Cut] = on_bus(
        address, lambda bus: what_is_older(bus, first, now(), is_with_history=history), remedy=AGAIN
    )
    counts = {each.name: each.messages for each in cuts if each.messages}
    asked = _Asked("", f"before {day}", dry_run, yes, as_json)
    if not as_json:
        days = counts.get(subjects.HISTORY, 0)
        warn(
            f"{days:,} days of statistics go for good: their curves, their totals, and what reports say of them"
            if days
            else f"statistics stay, those from before {day} as well",
            style="yellow" if days else None,
        )
    if _is_over(asked, counts):
        return

    async def do(bus: Bus) -> dict[str, int]:
        await note_act(bus, Act.PURGED, subject=asked.what, outcome=Outcome.BEGUN)
        async with taking_out(bus, "purge"):
            await cut_off(bus, cuts)
        await note_act(bus, Act.PURGED, subject=asked.what, details=_told(counts))
        return counts

    _tell(asked, on_bus(address, do, remedy=AGAIN))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is purged, and how the command is to speak."""

    library: str
    what: str
    is_dry: bool
    is_sure: bool
    as_json: bool


def _run(
    address: BusAddress,
    places: Callable[[Bus], Awaitable[list[Place]]],
    do: Callable[[Bus, Sequence[Place]], Awaitable[dict[str, int]]],
    asked: _Asked,
    check: Callable[[Bus, Sequence[Found]], Awaitable[None]] | None = None,
) -> None:
    """Count, ask, and do it; `check` may refuse what was found. Raises Trouble."""

    async def seen(bus: Bus) -> tuple[list[Place], list[Found]]:
        meant = await places(bus)
        found = await look(bus, meant)
        if check is not None:
            await check(bus, found)
        return meant, found

    meant, found = on_bus(address, seen, remedy=AGAIN)
    counts: dict[str, int] = {}
    for each in found:
        if each.values:
            counts[each.place.name] = counts.get(each.place.name, 0) + each.values
    shared = [each for each in found if each.shared]
    if _is_over(asked, counts, shared):
        return

    async def work(bus: Bus) -> dict[str, int]:
        await note_act(bus, Act.PURGED, library=asked.library, subject=asked.what, outcome=Outcome.BEGUN)
        async with taking_out(bus, "purge", partitions=_of_the_log(asked.library, meant)):
            done = await do(bus, meant)
        await note_act(bus, Act.PURGED, library=asked.library, subject=asked.what, details=_told(done))
        return done

    try:
        done = on_bus(address, work, remedy=AGAIN)
    except AggregatorAway as error:
        raise Trouble(
            "the aggregator has not forgotten it yet, so nothing was taken out: its state would bring it back",
            "start the aggregator, see that it is ready, and run the same again",
        ) from error
    _tell(asked, done)


def _is_over(asked: _Asked, counts: dict[str, int], shared: Sequence[Found] = ()) -> bool:
    """Show what would go and ask; tell whether that was all. Raises Trouble."""
    rows = [
        {"what": each.place.name, "messages": each.shared, "until": end.isoformat() if (end := _end(each)) else None}
        for each in shared
    ]
    if asked.as_json:
        if asked.is_dry:
            say_json({"purged": False, "counts": counts, "shared": rows})
            return True
    else:
        table = Table("where", "messages", box=SIMPLE)
        for name, count in counts.items():
            table.add_row(name, f"{count:,}")
        say(f"stored of {asked.what}{f' of {asked.library}' if asked.library not in asked.what else ''}:")
        OUT.print(table) if counts else say("nothing but what is between the lines: marks, checkpoints")
        for each in shared:
            end = _end(each)
            until = f" They end by their age, the last on {end:%Y-%m-%d}." if end else ""
            warn(f"{each.shared} messages of {each.place.name} hold what is of others, too, and stay.{until}")
        for name, why in KEPT:
            say(f"  {name} stays: {why}")
    if asked.is_dry:
        say("nothing was taken out: this was a dry run")
        return True
    sure_or_trouble("Take this out for good?", is_sure=asked.is_sure)
    return False


def _tell(asked: _Asked, done: dict[str, int]) -> None:
    if asked.as_json:
        say_json({"purged": True, "counts": done})
    else:
        say(f"{asked.what}: taken out, {sum(done.values()):,} messages")
        say("exports and backups made before still have it, until newer ones push them out or somebody deletes them")


def _of_the_log(library: str, meant: Sequence[Place]) -> tuple[int, ...]:
    """Return the partitions whose messages go: elsewhere the auditor takes nothing for purged."""
    return (subjects.partition_of(library),) if any(each.stream == subjects.READINGS for each in meant) else ()


def _told(done: dict[str, int]) -> list[str]:
    return [f"{name}: {count}" for name, count in done.items()]


def _end(found: Found) -> datetime | None:
    age = next((each.max_age for each in STREAMS if each.name == found.place.stream), None)
    return None if age is None or found.shared_until is None else found.shared_until + age


async def _unname_claims(bus: Bus, library: str, person: str) -> None:
    """Take a person's id off the claims that they have made; the devices go on counting."""
    for key, claim in (await values_of(bus, subjects.CLAIMS, subjects.device_key(library, "*"), Claim)).items():
        if claim.by == person:
            value = claim.model_copy(update={"by": ""}).model_dump_json(exclude_defaults=True).encode()
            await bus.bucket(subjects.CLAIMS).put(key, value)
