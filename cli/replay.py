"""`placelibre replay`: recorded days from a file, over the real road or in the pure core alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.check import LIBRARIES_FILE, good_libraries_or_trouble, read
from cli.csv_options import CsvOptions, mapping_of
from cli.data_folder import DATA, DataFolder, DataOption
from cli.offline import OfflineResult, run_offline
from cli.offline_posts import OfflinePost, posts_of
from cli.recorded.csv_days import CsvFile, FilePerDirection, read_csv
from cli.recorded.jsonl import read_jsonl
from cli.recorded.playback import requests, steps
from cli.recorded.recording import Recording, RecordingRefused
from cli.sending import Sender
from cli.simulation.live import Pace
from cli.terminal import ERR, JsonValue, Trouble, command_app, examples, say, say_json, warn
from cli.wire import WireFields
from shared.domain.library import ClockKind, Library
from shared.domain.status import Change, Status
from shared.runtime.opening_hours import OsmOpeningHours
from shared.runtime.wording import sentences_for

app = command_app()

JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
REFUSED_SHOWN: Final = 10
MAPPING: Final = "Columns of a CSV file, by name or by number from 1"


@app.command(
    epilog=examples(
        "placelibre replay day.jsonl --library central",
        "placelibre replay counts.csv --library central --gate front --time-columns date,time \\",
        "    --time-format '%Y-%m-%d %H:%M' --entries in --exits out --window-min 15 --speed 600",
        "placelibre replay CalIt2.data --library central --offline --no-header --gate front --time-columns 2,3 \\",
        "    --time-format '%m/%d/%y %H:%M:%S' --direction 1 --in-value 9 --out-value 7 --count 4 --window-min 30",
        "placelibre replay in.csv --out-file out.csv --count people --library central --gate front",
    )
)
def replay(
    file: Annotated[Path, typer.Argument(help="Recorded readings: .jsonl (as POST /v1/readings takes them) or CSV.")],
    *,
    library: Annotated[str, typer.Option(help='The library, with clock = "recorded".')],
    speed: Annotated[float, typer.Option(min=0, help="Recorded seconds per second; 0: as fast as it can.")] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Without a bus: print statuses and posts.")] = False,
    config: Annotated[Path, typer.Option(help="The libraries.")] = LIBRARIES_FILE,
    data: DataOption = DATA,
    to: Annotated[str, typer.Option(help="The ingest to send to, instead of that of --data.")] = "",
    key_file: Annotated[Path | None, typer.Option(help="The simulation's key, instead of that of --data.")] = None,
    gate: Annotated[str, typer.Option(help="CSV: the gate; the library's first if left out.")] = "",
    time_columns: Annotated[str, typer.Option(help=f"{MAPPING}; joined with a space: date,time.")] = "time",
    time_format: Annotated[str, typer.Option(help="CSV: as strptime has it.")] = "%Y-%m-%d %H:%M:%S",
    entries: Annotated[str, typer.Option(help="CSV: the column of entries.")] = "in",
    exits: Annotated[str, typer.Option(help="CSV: the column of exits.")] = "out",
    direction: Annotated[str, typer.Option(help="CSV: the column that says which way, instead of the two.")] = "",
    in_value: Annotated[str, typer.Option(help="CSV: its value for entries.")] = "in",
    out_value: Annotated[str, typer.Option(help="CSV: its value for exits.")] = "out",
    count: Annotated[str, typer.Option(help="CSV: the column of people, with --direction or --out-file.")] = "",
    out_file: Annotated[Path | None, typer.Option(help="CSV: the exits, where FILE has the entries.")] = None,
    window_min: Annotated[float, typer.Option(min=0.1, help="CSV: the length of a row's window, in minutes.")] = 15,
    stamp: Annotated[str, typer.Option(help="CSV: whether a row's time is the start or the end.")] = "start",
    delimiter: Annotated[str, typer.Option(help="CSV: between the columns.")] = ",",
    time_zone: Annotated[str, typer.Option(help="CSV: of the times; the library's if left out.")] = "",
    no_header: Annotated[bool, typer.Option("--no-header", help="CSV: the first row is data.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome for a program.")] = False,
) -> None:
    """Play recorded days of a library.

    They take the same road as live readings, or with --offline the same decisions without any process.
    """
    played = _library(config, library)
    options = CsvOptions(
        time_columns, time_format, entries, exits, direction, in_value, out_value, count, window_min, gate, stamp,
        delimiter, time_zone, not no_header, out_file,
    )  # fmt: skip
    try:
        recording = _read(file, played, options)
    except RecordingRefused as error:
        remedy = "see `placelibre replay --help` for how to name the columns"
        raise Trouble(str(error), remedy) from error
    if not as_json:
        _show_refused(recording)
    if offline:
        _play_offline(played, recording, as_json=as_json)
    else:
        _play(DataFolder(data.absolute()), to, key_file, recording, speed, as_json=as_json)


def _library(config: Path, library: str) -> Library:
    checked = good_libraries_or_trouble(config)
    found = next((each for each in checked.libraries if each.id == library), None)
    if found is None:
        names = ", ".join(each.id for each in checked.libraries)
        raise Trouble(f"{config} has no library {library!r}", f"there are {names}")
    if found.clock is ClockKind.WALL:
        raise Trouble(
            f'{library} lives by the wall clock, and recorded days need clock = "recorded"',
            'give a copy of the library that line and an id of its own (or "simulated"), and run `placelibre apply`',
        )
    return found.to_domain(OsmOpeningHours)


def _read(file: Path, library: Library, options: CsvOptions) -> Recording:
    if file.suffix in JSON_LINES:
        whole = read_jsonl(read(file), file=str(file))
        own = tuple(each for each in whole.readings if each["library"] == library.id)
        if len(own) < len(whole.readings):
            warn(f"{len(whole.readings) - len(own)} readings of other libraries are left out")
        if not own:
            raise Trouble(f"{file} has no reading of {library.id}", "see --library")
        return Recording(own, whole.refused)
    mapping = mapping_of(library, options)
    is_single = not isinstance(mapping.counts, FilePerDirection)
    files = [CsvFile(str(file), read(file), None if is_single else "entries")]
    if options.out_file is not None:
        files.append(CsvFile(str(options.out_file), read(options.out_file), "exits"))
    return read_csv(files, mapping)


def _show_refused(recording: Recording) -> None:
    for row in recording.refused[:REFUSED_SHOWN]:
        warn(f"left out: {row}")
    more = len(recording.refused) - REFUSED_SHOWN
    if more > 0:
        warn(f"left out: {more} rows more")


def _play(
    folder: DataFolder, to: str, key_file: Path | None, recording: Recording, speed: float, *, as_json: bool
) -> None:
    addresses = folder.addresses()
    if not to and addresses is None:
        raise Trouble(
            f"no `placelibre up` is running on {folder.path}",
            "start it, give --to and --key-file, or play without a bus with --offline",
        )
    url = to or (addresses.ingest if addresses else "")
    file = key_file or folder.simulation_key_file
    try:
        key = file.read_text().strip()
    except OSError as error:
        raise Trouble(f"the key {file} cannot be read: {error.strerror}", "give --key-file") from error
    total = len(recording.readings)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = addresses.ingest_certificate if addresses is not None and not to else ""
    sender = Sender(url, key, tell=warn, certificate=Path(shown) if shown else None)
    with closing(sender), Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as progress:
        task = progress.add_task("sending", total=total)
        for body in _paced(recording, speed):
            sender.send(body)
            progress.update(task, advance=sum(each["kind"] != "clock" for each in body))
    sent = sender.sent
    if as_json:
        counts: dict[str, JsonValue] = {
            "readings": total,
            "requests": sent.requests,
            "stored": sent.stored,
            "left_out": len(recording.refused),
            "remarks": dict(sent.remarks),
        }
        say_json(counts)
        return
    first, last = (_time(recording.readings[place]) for place in (0, -1))
    say(f"sent {total} readings of {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} in {sent.requests} requests")
    say(f"stored {sent.stored}, the settings of the clock included; {len(recording.refused)} rows were left out")
    for remark, times in sent.remarks.items():
        say(f"  {times} times: {remark}")


def _paced(recording: Recording, speed: float) -> Iterator[list[WireFields]]:
    """Yield bodies, full ones as fast as can be, or one per recorded time when that time has come."""
    if not speed:
        yield from requests(steps(recording.readings))
        return
    pace = Pace(speed)
    last: datetime | None = None
    for at, readings in steps(recording.readings, speed=speed):
        pace.wait(at - last if last else timedelta(0))
        last = at
        yield readings


def _time(reading: WireFields) -> datetime:
    return datetime.fromisoformat(str(reading["time"]))


def _play_offline(library: Library, recording: Recording, *, as_json: bool) -> None:
    feed = chain.from_iterable(readings for _, readings in steps(recording.readings))
    result = run_offline(library, feed)
    posts = posts_of(library, result.changes, result.state.now or _time(recording.readings[-1]))
    if as_json:
        say_json(_as_fields(library, result, posts, recording))
        return
    lines = [(change.at.astimezone(library.time_zone), f"status  {_words(change.status)}") for change in result.changes]
    lines += [(post.at, f"post    {post.channel} · {post.language}  {post.text}") for post in posts]
    for at, line in sorted(lines, key=lambda each: each[0]):
        say(f"{at:%Y-%m-%d %H:%M}  {line}")
    totals = result.state.totals
    say(f"{len(recording.readings)} readings, {len(recording.refused)} rows left out;", None)
    say(f"applied {totals.applied}, twice {totals.duplicates}, too late {totals.too_late}, ignored {totals.ignored};")
    say(f"{len(result.changes)} changes of status, {len(posts)} posts")


def _words(status: Status) -> str:
    return sentences_for(status)[status.languages[0]].long


def _as_fields(
    library: Library, result: OfflineResult, posts: list[OfflinePost], recording: Recording
) -> dict[str, JsonValue]:
    def change_fields(change: Change) -> dict[str, JsonValue]:
        status = change.status
        return {
            "at": change.at.astimezone(library.time_zone).isoformat(),
            "state": status.state.value,
            "level": status.level.value if status.level else None,
            "people": status.people.value if status.people else None,
            "wait_min": status.wait.bucket if status.wait else None,
            "text": _words(status),
        }

    return {
        "library": library.id,
        "readings": len(recording.readings),
        "left_out": [str(row) for row in recording.refused],
        "changes": [change_fields(each) for each in result.changes],
        "posts": [
            {"at": each.at.isoformat(), "channel": each.channel, "language": each.language, "text": each.text}
            for each in posts
        ],
    }
