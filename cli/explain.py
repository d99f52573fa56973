"""`placelibre explain`: why a library's status was what it was, worked out again from the log, in words and numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, bus_address, operator_bus
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble, read
from cli.data_folder import DATA, DataFolder, DataOption
from cli.explanation import from_bus, from_file
from cli.explanation.account import Explanation
from cli.explanation.account import explain as explained
from cli.explanation.fields import as_fields
from cli.explanation.local_moment import NOW, instant, midnight_before
from cli.explanation.publication import compare
from cli.explanation.words import lines_of
from cli.recorded.jsonl import read_jsonl
from cli.recorded.recording import RecordingRefused
from cli.terminal import ERR, Trouble, command_app, examples, say, say_json, warn
from shared.domain.library import Library
from shared.runtime.clock import now
from shared.runtime.opening_hours import OsmOpeningHours

app = command_app()

REFUSED_SHOWN: Final = 10


@app.command(
    epilog=examples(
        "placelibre explain central",
        "placelibre explain central --at 14:30",
        "placelibre explain central --at 2026-11-22T14:30 --json",
        "placelibre explain central --at 2026-03-02T17:00 --from day.jsonl --config libraries.toml",
        "placelibre explain central --nats-url nats://bus:4222 --seed-file operator.nk",
    )
)
def explain(
    library: Annotated[str, typer.Argument(help="The library.")],
    *,
    at: Annotated[
        str, typer.Option(help="In the library's own time: 14:30 (today), 2026-11-22T14:30, with an offset, or now.")
    ] = NOW,
    from_: Annotated[
        Path | None, typer.Option("--from", help="Recorded readings (.jsonl, as POST /v1/readings takes them).")
    ] = None,
    config: Annotated[Path, typer.Option(help="The libraries, with --from.")] = LIBRARIES_FILE,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation for a program.")] = False,
) -> None:
    """Say why a library's status was what it was.

    What the public was told, what was counted, corrected and put in, on whose word, how the wait follows, and why this
    level: worked out again from the log of readings, which goes back thirty days, and held against what was published.
    With --from it is worked out from a file, without a bus.
    """
    if from_ is not None:
        explanation = _from_file(config, library, from_, at)
    else:
        address = bus_address(DataFolder(data.absolute()), nats_url, seed_file, ca_file)
        explanation = asyncio.run(_from_bus(address, library, at))
    if as_json:
        say_json(as_fields(explanation))
    else:
        say("\n".join(lines_of(explanation)))


async def _from_bus(address: BusAddress, library: str, at: str) -> Explanation:
    async with operator_bus(address) as bus:
        config = await from_bus.configuration_of(bus, library)
        asked = await from_bus.time_asked_for(bus, config, at, now())
        with _progress() as told:
            past = await from_bus.past_of(bus, config, asked, told)
        # The aggregator has published nothing that is later than what was read here.
        published = await from_bus.published_by(bus, library, past.state.now or asked)
    return explained(past, asked, compare(past, published))


def _from_file(config: Path, library: str, file: Path, at: str) -> Explanation:
    place = _library(config, library)
    try:
        whole = read_jsonl(read(file), file=str(file))
    except RecordingRefused as error:
        raise Trouble(str(error), "give a file of readings as POST /v1/readings takes them, one per line") from error
    for row in whole.refused[:REFUSED_SHOWN]:
        warn(f"left out: {row}")
    if len(whole.refused) > REFUSED_SHOWN:
        warn(f"left out: {len(whole.refused) - REFUSED_SHOWN} rows more")
    readings = [each for each in whole.readings if each["library"] == place.id]
    if not readings:
        raise Trouble(f"{file} has no reading of {place.id}", "name the library that the file is about")
    first, last = (datetime.fromisoformat(str(readings[number]["time"])) for number in (0, -1))
    zone = place.time_zone
    asked = instant(at, zone, last)
    if not first <= asked <= last:
        covered = " to ".join(f"{each.astimezone(zone):%Y-%m-%d %H:%M:%S}" for each in (first, last))
        raise Trouble(f"--at {at} is not in {file}", f"it covers {covered}")
    past = from_file.past_of(place, readings, asked, midnight_before(asked, zone))
    return explained(past, asked, None)


def _library(config: Path, library: str) -> Library:
    checked = good_libraries_or_trouble(config)
    found = next((each for each in checked.libraries if each.id == library), None)
    if found is None:
        names = ", ".join(each.id for each in checked.libraries)
        raise Trouble(f"{config} has no library {library!r}", f"there are {names}")
    return found.to_domain(OsmOpeningHours)


@contextmanager
def _progress() -> Iterator[Callable[[int, int, datetime], None]]:
    """Show on a terminal how far the log has been read."""
    columns = (TextColumn("reading the log, {task.fields[at]}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as progress:
        task = progress.add_task("reading", total=None, at="")

        def tell(done: int, total: int, at: datetime) -> None:
            progress.update(task, completed=done, total=total, at=f"{at:%Y-%m-%d %H:%M}")

        yield tell
