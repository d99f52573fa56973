"""`placelibre posts`: what was said and what would be, what waits for approval, and what was given up on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble
from cli.data_folder import DATA, DataFolder, DataOption
from cli.posting.deliveries import Letter, Spoken, dead_letters, decide_on, replayed, spoken
from cli.posting.rehearsal import past_from_bus, past_from_simulation
from cli.posting.year import CHUNK, Tally, play_year
from cli.simulation.scenario import load_scenarios
from cli.speech import Said, speech_of
from cli.terminal import ERR, OUT, JsonValue, Trouble, command_app, examples, say, say_json
from shared.contracts.posts import DeliveryState
from shared.domain.library import Library
from shared.runtime.clock import now
from shared.runtime.opening_hours import OsmOpeningHours

app = command_app()

LibraryOption = Annotated[list[str] | None, typer.Option("--library", help="Only this one; may stand several times.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it for a program.")]
KeyArgument = Annotated[str, typer.Argument(help="The post's key, or its first characters.")]
SHOWN: Final = 12
"""Characters of a key that are shown; enough to tell a day's posts apart."""


@app.callback(
    invoke_without_command=True,
    epilog=examples(
        "placelibre posts",
        "placelibre posts --dry-run --library bpi",
        "placelibre posts --dry-run --since 48",
        "placelibre posts waiting",
        "placelibre posts approve 3f2a9c71b0de --by 'front desk'",
        "placelibre posts dead",
        "placelibre posts replay --all",
    ),
)
def posts(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be said where, and why or why not; nothing goes out.")
    ] = False,
    since: Annotated[
        float | None,
        typer.Option(min=0.1, help="Dry run: over the changes of so many past hours on the bus, not a simulated day."),
    ] = None,
    day: Annotated[str, typer.Option("--date", help="Dry run: the simulated day; left out: the next open one.")] = "",
    seed: Annotated[int, typer.Option(help="Dry run: of the simulated day.")] = 1,
    only_said: Annotated[bool, typer.Option("--only-said", help="Dry run: leave out what is not said.")] = False,
    library: LibraryOption = None,
    config: Annotated[Path, typer.Option(help="The libraries.")] = LIBRARIES_FILE,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was said last on each channel, or, with --dry-run, what would be said."""
    if context.invoked_subcommand is not None:
        return
    if not dry_run:
        address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
        show_spoken(on_bus(address, lambda bus: spoken(bus, library or ())), as_json=as_json)
        return
    libraries = _chosen(config, library)
    if since is not None:
        address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
        begin = now() - timedelta(hours=since)
        pasts = [on_bus(address, partial(past_from_bus, library=each, since=begin)) for each in libraries]
    else:
        first = _date(day)
        pasts = [past_from_simulation(each, first, seed, now()) for each in libraries]
    rehearsed = [(each, speech_of(each, past)) for each, past in zip(libraries, pasts, strict=True)]
    if as_json:
        say_json([_fields(each.id, said) for each, speech in rehearsed for said in _shown(speech, only_said=only_said)])
        return
    for each, speech in rehearsed:
        show_speech(each, _shown(speech, only_said=only_said))


@app.command(epilog=examples("placelibre posts waiting", "placelibre posts waiting --json"))
def waiting(
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the posts that wait for staff's approval."""
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    found = [each for each in on_bus(address, lambda bus: spoken(bus, ())) if each.state is DeliveryState.AWAITING]
    show_spoken(found, as_json=as_json)
    if found and not as_json:
        say("say `placelibre posts approve KEY --by NAME`, or `refuse`; what nobody approves in time is not sent")


@app.command(epilog=examples("placelibre posts approve 3f2a9c71b0de --by 'front desk'"))
def approve(
    key: KeyArgument,
    *,
    by: Annotated[str, typer.Option(help="Who says so.")],
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Let a post go out that waits for approval."""
    _decide(bus_address(DataFolder(data), nats_url, seed_file, ca_file), key, by, is_approved=True)


@app.command(epilog=examples("placelibre posts refuse 3f2a9c71b0de --by 'front desk'"))
def refuse(
    key: KeyArgument,
    *,
    by: Annotated[str, typer.Option(help="Who says so.")],
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Keep a post from going out that waits for approval."""
    _decide(bus_address(DataFolder(data), nats_url, seed_file, ca_file), key, by, is_approved=False)


@app.command(epilog=examples("placelibre posts dead", "placelibre posts dead --json"))
def dead(
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the posts that were given up on, and why."""
    letters = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), dead_letters)
    if as_json:
        say_json([_letter_fields(each) for each in letters])
        return
    if not letters:
        say("no post was given up on")
        return
    table = Table("key", "library", "channel", "until", "why", box=SIMPLE)
    for each in letters:
        table.add_row(
            each.intent.key[:SHOWN],
            each.intent.library,
            each.intent.channel_name,
            f"{each.intent.valid_until.astimezone():%Y-%m-%d %H:%M}",
            each.reason,
        )
    OUT.print(table)
    say("once the cause is mended: `placelibre posts replay KEY`, or `--all`; what is too old is not sent again")


@app.command(epilog=examples("placelibre posts replay 3f2a9c71b0de", "placelibre posts replay --all"))
def replay(
    key: Annotated[str, typer.Argument(help="The post's key, or its first characters.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="Every one that is still of use.")] = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Try posts again that were given up on. What may be out already is looked up first, so nothing is said twice."""
    if not key and not every:
        raise Trouble("nothing is named", "name a key of `placelibre posts dead`, or say --all")
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    outcomes = on_bus(address, lambda bus: replayed(bus, "" if every else key, now()))
    if not outcomes:
        raise Trouble(f"no post that was given up on has the key {key}", "see `placelibre posts dead`")
    for letter, words in outcomes:
        say(f"{letter.intent.key[:SHOWN]} {letter.intent.library} on {letter.intent.channel_name}: {words}")


@app.command(epilog=examples("placelibre posts year", "placelibre posts year --days 28 --library bpi --json"))
def year(
    *,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days of each library.")] = 365,
    first: Annotated[str, typer.Option("--from", help="The first day.")] = "2027-01-01",
    seed: Annotated[int, typer.Option(help="Of the simulated days.")] = 5000,
    library: LibraryOption = None,
    config: Annotated[Path, typer.Option(help="The libraries.")] = LIBRARIES_FILE,
    processes: Annotated[int, typer.Option(min=1, help="How many weeks at once.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure a year of simulated days: how much is said, how long it holds, how late it comes.

    Beside it stands a bot that posts every change of what people act on. One channel with a live post, one language.
    """
    begin = _date(first) or now().date()
    names = [each.id for each in _chosen(config, library) if each.id in load_scenarios()]
    if not names:
        raise Trouble(f"{config} has no simulated library", "take the example libraries.toml")
    tallies: dict[str, tuple[Tally, Tally]] = {}
    weeks = -(-days // CHUNK) * len(names)
    columns = (TextColumn("weeks played"), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task("", total=weeks)
        for name, ours, bots in play_year(config, names, begin, days, seed, processes):
            before = tallies.get(name)
            tallies[name] = (ours, bots) if before is None else (before[0] + ours, before[1] + bots)
            progress.advance(task)
    if as_json:
        say_json({name: {"ours": a.figures(), "bot": b.figures()} for name, (a, b) in tallies.items()})
        return
    table = Table("library", "who", box=SIMPLE)
    for heading in ("posts a day", "most", "edits a day", "held 10 min", "delay min", "p90", "announced"):
        table.add_column(heading, justify="right")
    for name, both in tallies.items():
        for who, tally in zip(("placelibre", "bot"), both, strict=True):
            table.add_row(name, who, *_cells(tally))
    OUT.print(table)
    say("All of it is simulated. Delays and shares are of true changes of level that lasted ten minutes or more.")


def _cells(tally: Tally) -> list[str]:
    figures = tally.figures()
    shares = {"held_share", "announced_share"}
    names = (
        "posts_median",
        "posts_max",
        "edits_median",
        "held_share",
        "delay_median_min",
        "delay_p90_min",
        "announced_share",
    )
    return [
        "-" if (value := figures[name]) is None else f"{value:.0%}" if name in shares else f"{value:g}"
        for name in names
    ]


def show_speech(library: Library, speech: Sequence[Said]) -> None:
    """Print what one library would say, in order of time."""
    if not library.channels:
        say(f"{library.name}: it has no channels")
        return
    table = Table("time", "channel", "", "words, or why not", box=SIMPLE, title=library.name, title_justify="left")
    for each in speech:
        mark = f"{each.verdict} live" if each.is_live else each.verdict
        words = f"[{each.language}] {each.text}" if each.text else each.reason
        is_said = each.verdict in {"post", "edit"}
        table.add_row(f"{each.at:%m-%d %H:%M}", each.channel, mark, _plain(words), style=None if is_said else "dim")
    OUT.print(table)
    posted = sum(1 for each in speech if each.verdict == "post")
    edited = sum(1 for each in speech if each.verdict == "edit")
    say(f"{posted} posts, {edited} edits of live posts; each language counts. Nothing went out: this was a dry run.")


def show_spoken(deliveries: Sequence[Spoken], *, as_json: bool) -> None:
    """Print what became of the statements on the bus, the newest first."""
    if as_json:
        say_json([_spoken_fields(each) for each in deliveries])
        return
    if not deliveries:
        say("nothing")
        return
    table = Table("at", "library", "channel", "slot", "state", "key", "words, or why not", box=SIMPLE)
    for each in deliveries:
        table.add_row(
            f"{each.at.astimezone():%m-%d %H:%M}",
            each.library,
            each.channel,
            each.slot,
            "live" if each.is_live else each.state.value,
            each.key[:SHOWN],
            _plain(each.text or each.reason),
        )
    OUT.print(table)
    say("the newest statement of each channel, library and slot; times are this machine's")


def _decide(address: BusAddress, key: str, by: str, *, is_approved: bool) -> None:
    found = on_bus(address, lambda bus: decide_on(bus, key, by, now(), is_approved=is_approved))
    if found is None:
        raise Trouble(f"no post with the key {key} waits for approval", "see `placelibre posts waiting`")
    say(f"{found.key[:SHOWN]} {found.library} on {found.channel}: {'goes out' if is_approved else 'does not go out'}")


def _chosen(config: Path, wanted: list[str] | None) -> list[Library]:
    known = good_libraries_or_trouble(config).libraries
    unknown = sorted(set(wanted or ()) - {each.id for each in known})
    if unknown:
        names = ", ".join(each.id for each in known)
        raise Trouble(f"{config} has no library {unknown[0]!r}", f"there are {names}")
    return [each.to_domain(OsmOpeningHours) for each in known if not wanted or each.id in wanted]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Trouble(f"--date {text} is no day", "write it like 2026-11-25") from error


def _shown(speech: Sequence[Said], *, only_said: bool) -> list[Said]:
    return [each for each in speech if not only_said or each.verdict in {"post", "edit"}]


def _plain(text: str) -> str:
    """Return a text on one line, with square brackets that rich takes as they are."""
    return " ".join(text.split()).replace("[", "\\[")


def _fields(library: str, said: Said) -> dict[str, JsonValue]:
    return {
        "library": library,
        "at": said.at.isoformat(),
        "channel": said.channel,
        "decision": said.verdict,
        "is_live": said.is_live,
        "language": said.language or None,
        "text": said.text or None,
        "reason": said.reason or None,
        "change": said.change or None,
    }


def _spoken_fields(each: Spoken) -> dict[str, JsonValue]:
    return {
        "key": each.key,
        "at": each.at.astimezone(UTC).isoformat(),
        "library": each.library,
        "channel": each.channel,
        "slot": each.slot,
        "state": each.state.value,
        "is_live": each.is_live,
        "text": each.text or None,
        "url": each.url or None,
        "reason": each.reason or None,
    }


def _letter_fields(each: Letter) -> dict[str, JsonValue]:
    return {
        "key": each.intent.key,
        "at": each.at.astimezone(UTC).isoformat(),
        "library": each.intent.library,
        "channel": each.intent.channel_name,
        "valid_until": each.intent.valid_until.isoformat(),
        "reason": each.reason,
        "text": each.intent.texts.long,
    }
