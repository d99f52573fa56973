"""`placelibre simulate`: simulated days to read, to estimate from, or without end through the front door."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich.box import SIMPLE
from rich.table import Table

from cli.accuracy.days import simulate_run
from cli.accuracy.scenario import AccuracyScenario, load_accuracy_scenarios
from cli.accuracy.telling import print_protocol, run_fields, show_run
from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, bus_address
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble
from cli.children import this_command
from cli.data_folder import DATA, DataFolder, DataOption
from cli.sending import FIRST_WAIT_S, MAX_WAIT_S, Sender
from cli.simulated_past import DAYS_MAX, fill_past
from cli.simulation.day import SimulatedDay, first_common_day, simulate_day
from cli.simulation.live import Pace, day_random, play_days, play_live
from cli.simulation.scenario import Scenario, load_scenarios
from cli.terminal import OUT, JsonValue, Trouble, command_app, examples, say, say_json, warn
from shared.domain.library import ClockKind, Library
from shared.runtime.clock import now, pause_s
from shared.runtime.opening_hours import OsmOpeningHours

app = command_app()

ROW_EVERY: Final = timedelta(minutes=30)
ASK_TIMEOUT_S: Final = 5.0
SEED: Final = 2026
ScenarioOption = Annotated[
    str, typer.Option(help="A library whose usual day it is, or a run of --list. With --to, all the libraries.")
]


@app.command(
    epilog=examples(
        "placelibre simulate",
        "placelibre simulate --scenario campus --date 2026-11-25 --seed 7",
        "placelibre simulate --json > day.json",
        "placelibre simulate --list",
        "placelibre simulate --scenario large-sunday --seed 7 --protocol",
        "placelibre simulate --to http://127.0.0.1:8001 --key-file .placelibre/keys/simulation.key",
        "placelibre simulate --past 365",
    )
)
def simulate(
    *,
    scenario: ScenarioOption = "",
    day: Annotated[str, typer.Option("--date", help="YYYY-MM-DD; the next open day if left out.")] = "",
    seed: Annotated[int, typer.Option(help="Another seed, another day; the same one, the same day.")] = SEED,
    config: Annotated[Path, typer.Option(help="The libraries.")] = LIBRARIES_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the readings and the truth for a program.")] = False,
    protocol: Annotated[
        bool, typer.Option("--protocol", help="Print a run's lines as an estimator reads them.")
    ] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios, a line each.")] = False,
    to: Annotated[str, typer.Option(help="Send it to this ingest instead, day after day.")] = "",
    key_file: Annotated[Path | None, typer.Option(help="The simulation's key, for --to.")] = None,
    to_certificate: Annotated[
        Path | None, typer.Option(help="The certificate that this ingest shows, if no public authority has signed it.")
    ] = None,
    api: Annotated[str, typer.Option(help="Where to ask which day came last, for --to.")] = "http://127.0.0.1:8000",
    speed: Annotated[float, typer.Option(min=1, max=3600, help="Simulated seconds per second, for --to.")] = 60,
    past: Annotated[
        int,
        typer.Option(
            min=0,
            max=DAYS_MAX,
            help="Store so many days before today, for the simulated libraries; with --to beside it.",
        ),
    ] = 0,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Play a simulated day.

    Printed with its ground truth: who came, who queued, what gates and staff saw of it. Or, with --to, sent to ingest
    as live readings, day after day. The runs of --list are some days of a made-up library each, with devices, networks
    and people that fail in their own ways; `placelibre accuracy` measures estimates on them.

    With --past the history of simulated libraries gets days of before, for statistics and the usual day; what is there
    already stays. A year of a library takes some minutes of one processor.
    """
    scenarios, runs = load_scenarios(), load_accuracy_scenarios()
    if list_all:
        list_scenarios(scenarios, runs)
        return
    if past and not to:
        _fill(bus_address(DataFolder(data.absolute()), nats_url, seed_file, ca_file), past, seed, _date(day))
        return
    if scenario in runs:
        if day or to:
            raise Trouble(f"{scenario} is a run with days of its own", "leave out --date and --to")
        _tell_run(runs[scenario], seed, as_json=as_json, protocol=protocol)
        return
    if protocol:
        raise Trouble("--protocol needs a run", "name one with --scenario; placelibre simulate --list shows them")
    chosen = [scenario] if scenario else list(scenarios) if to else list(scenarios)[:1]
    libraries = _libraries(config, scenarios, chosen, is_live=bool(to))
    first = _date(day)
    try:
        if to:
            sender = _sender(to, key_file, to_certificate)
            begin = first_common_day(libraries, first or _next_day(api, libraries))
            if past:
                _fill_beside(past, seed, begin, data, _bus_options(nats_url, seed_file, ca_file))
            play_live(play_days(libraries, scenarios, seed, begin), libraries[0], Pace(speed), sender.send, _note)
        else:
            library = libraries[0]
            # A date that was asked for is played or refused; without one the next open day is meant.
            day_played = first or first_common_day(libraries, now().astimezone(library.time_zone).date())
            played = simulate_day(scenarios[library.id], library, day_played, day_random(seed, library.id, day_played))
            if as_json:
                say_json(as_fields(played, seed))
            else:
                show(played, library, seed)
    except ValueError as error:
        raise Trouble(str(error), "choose another --date, or take the example libraries.toml") from error


def list_scenarios(scenarios: dict[str, Scenario], runs: dict[str, AccuracyScenario]) -> None:
    """Print each scenario's name, what it is, and what it is for."""
    rows = [(name, "day", scenario.purpose) for name, scenario in scenarios.items()]
    rows += [(name, run.set, run.purpose) for name, run in runs.items()]
    width = max(len(name) for name, *_ in rows)
    for name, what, purpose in rows:
        say(f"{name:<{width}}  {what:<9}  {purpose}")


def _tell_run(scenario: AccuracyScenario, seed: int, *, as_json: bool, protocol: bool) -> None:
    run = simulate_run(scenario, seed)
    if protocol:
        print_protocol(run)
    elif as_json:
        say_json(run_fields(run))
    else:
        show_run(run, scenario)


def _libraries(config: Path, scenarios: dict[str, Scenario], chosen: Sequence[str], *, is_live: bool) -> list[Library]:
    for each in chosen:
        if each not in scenarios:
            raise Trouble(f"there is no scenario {each!r}", f"choose one of {', '.join(scenarios)}, or a run of --list")
    checked = good_libraries_or_trouble(config)
    known = {library.id: library.to_domain(OsmOpeningHours) for library in checked.libraries}
    found = [
        known[each] for each in chosen if each in known and (known[each].clock is ClockKind.SIMULATED or not is_live)
    ]
    if not found:
        raise Trouble(
            f"{config} has no simulated library {' or '.join(chosen)}",
            'take the example libraries.toml, or give the library clock = "simulated"',
        )
    return found


def _fill(address: BusAddress, past: int, seed: int, before: date | None) -> None:
    processes = max((os.cpu_count() or 1) // 2, 1)  # the other half is for whoever looks at it meanwhile
    stored = asyncio.run(fill_past(address, past, seed, before or now(), processes, _note))
    say(f"{stored} simulated days stored")


def _bus_options(nats_url: str | None, seed_file: Path | None, ca_file: Path | None) -> list[str]:
    given = {"--nats-url": nats_url, "--seed-file": seed_file, "--ca-file": ca_file}
    return [part for option, value in given.items() if value is not None for part in (option, str(value))]


def _fill_beside(past: int, seed: int, before: date, data: Path, bus: list[str]) -> None:
    """Fill the past in a process of its own, which ends with this one's session; live days do not wait for it."""
    days = ("--past", str(past), "--date", before.isoformat(), "--seed", str(seed))
    subprocess.Popen(this_command("simulate", *days, "--data", str(data), *bus), stdin=subprocess.DEVNULL)


def _sender(to: str, key_file: Path | None, certificate: Path | None) -> Sender:
    if key_file is None:
        raise Trouble("--to needs a key", "give --key-file .placelibre/keys/simulation.key")
    try:
        key = key_file.read_text().strip()
    except OSError as error:
        raise Trouble(f"the key {key_file} cannot be read: {error.strerror}", "give another --key-file") from error
    return Sender(to, key, tell=_note, certificate=certificate)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Trouble(f"{text!r} is no date: {error}", "write it like 2026-11-25") from error


def _next_day(api: str, libraries: Sequence[Library]) -> date:
    """Return the day after all that there is; today, by the first library's clock on the wall, if there is nothing."""
    last = [each for each in (_last_day(api, library) for library in libraries) if each is not None]
    return max(last) + timedelta(days=1) if last else now().astimezone(libraries[0].time_zone).date()


def _last_day(api: str, library: Library) -> date | None:
    """Return the local day up to which a library has data, None for none. Waits for an API that is not ready yet."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            response = httpx.get(f"{api}/v1/libraries/{library.id}", timeout=ASK_TIMEOUT_S, trust_env=False)
        except httpx.TransportError as error:
            reason = type(error).__name__
        else:
            if response.is_success:
                as_of = datetime.fromisoformat(response.json()["as_of"])
                return as_of.astimezone(library.time_zone).date()
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            reason = f"HTTP {response.status_code}"
        _note(f"{api} does not say yet which day {library.id} has reached ({reason})")
        pause_s(wait_s)
        wait_s = min(wait_s * 2, MAX_WAIT_S)


def _note(text: str) -> None:
    warn(f"{now().astimezone(UTC).isoformat(timespec='seconds')} {text}", style=None)


def show(day: SimulatedDay, library: Library, seed: int) -> None:
    """Print a day for people: what really was, and beside it what was seen."""
    zone = library.time_zone
    table = Table(
        "time", "", box=SIMPLE, title=f"{library.name}, {day.date.isoformat()}, seed {seed}", title_justify="left"
    )
    for heading in ("inside", "queue", "wait min", "in", "out"):
        table.add_column(heading, justify="right")
    table.add_column("staff")
    last = day.begin - ROW_EVERY
    for minute in day.truth.minutes:
        if (minute.at - day.begin) % ROW_EVERY:
            continue
        seen = [each for each in day.readings if last < datetime.fromisoformat(str(each["time"])) <= minute.at]
        last = minute.at
        table.add_row(
            minute.at.astimezone(zone).strftime("%H:%M"),
            "open" if minute.is_open else "closed",
            str(minute.inside),
            str(minute.queue) if minute.queue else "",
            f"{minute.wait_min:.0f}" if minute.wait_min is not None and minute.queue else "",
            str(_crossings(seen, library, is_inward=True)),
            str(_crossings(seen, library, is_inward=False)),
            ", ".join(sorted({str(each["kind"]).replace("_", " ") for each in seen if each["kind"] != "gate_count"})),
        )
    OUT.print(table)
    fates = day.truth.fates
    say(f"came in {fates.admitted}, were put off by the queue {fates.put_off}, gave up {fates.gave_up},")
    say(
        f"were still waiting at the last entry {fates.sent_away}; {len(day.readings)} readings. All of it is simulated."
    )


def _crossings(seen: Sequence[dict[str, str | int | float]], library: Library, *, is_inward: bool) -> int:
    """Return the people whom the outer gates have counted one way."""
    total = 0
    for reading in seen:
        gate = library.gate(str(reading.get("gate", "")))
        if gate is not None and gate.is_outer:
            is_along = (gate.destination in library.places) == is_inward
            total += int(reading["entries" if is_along else "exits"])
    return total


def as_fields(day: SimulatedDay, seed: int) -> dict[str, JsonValue]:
    """Return a day for a program: its readings as ingest takes them, and the truth minute by minute."""
    truth: list[JsonValue] = [
        {
            "at": minute.at.isoformat(),
            "is_open": minute.is_open,
            "inside": minute.inside,
            "zones": minute.zones,
            "queue": minute.queue,
            "wait_min": minute.wait_min,
        }
        for minute in day.truth.minutes
    ]
    fates = day.truth.fates
    return {
        "simulated": True,
        "library": day.library,
        "date": day.date.isoformat(),
        "seed": seed,
        "readings": list(day.readings),
        "truth": truth,
        "crossings": {gate: {"entries": ins, "exits": outs} for gate, (ins, outs) in day.truth.crossings.items()},
        "fates": {
            "admitted": fates.admitted,
            "put_off": fates.put_off,
            "gave_up": fates.gave_up,
            "sent_away": fates.sent_away,
        },
    }
