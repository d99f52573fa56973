from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cli.offline import run_offline
from cli.recorded.csv_days import BothColumns, CsvFile, CsvMapping, DirectionColumn, FilePerDirection, read_csv
from cli.recorded.jsonl import read_jsonl
from cli.recorded.playback import requests, steps
from cli.recorded.recording import RecordingRefused
from cli.wire import WireFields
from shared.contracts.configuration import Gate, LibraryConfig
from shared.contracts.readings import READING
from shared.domain.library import ClockKind
from shared.runtime.opening_hours import OsmOpeningHours

CALIT2 = Path(__file__).parents[3] / "shared" / "data" / "calit2" / "CalIt2.data"
PARIS = ZoneInfo("Europe/Paris")
HALF_HOUR = timedelta(minutes=30)

BOTH = CsvMapping(
    library="branch",
    gate="front",
    time_columns=("date", "time"),
    time_format="%d/%m/%Y %H:%M",
    zone=PARIS,
    window=HALF_HOUR,
    counts=BothColumns("in", "out"),
)
CALIT2_DOOR = CsvMapping(
    library="calit2",
    gate="main-door",
    time_columns=(2, 3),
    time_format="%m/%d/%y %H:%M:%S",
    zone=ZoneInfo("America/Los_Angeles"),
    window=HALF_HOUR,
    counts=DirectionColumn(direction=1, entries_value="9", exits_value="7", count=4),
    has_header=False,
)


def counted(readings: tuple[WireFields, ...]) -> list[tuple[str, int, int]]:
    return [(str(each["start"]), int(each["entries"]), int(each["exits"])) for each in readings]


def both(*rows: str, mapping: CsvMapping = BOTH) -> list[tuple[str, int, int]]:
    return counted(read_csv([CsvFile("days.csv", "\n".join(["date,time,in,out", *rows]))], mapping).readings)


def reason(row: str) -> str:
    good = "04/03/2026,10:00,1,2"
    refused = read_csv([CsvFile("days.csv", f"date,time,in,out\n{good}\n{row}\n")], BOTH).refused
    assert len(refused) == 1
    return str(refused[0])


def test_a_row_becomes_the_count_of_the_window_that_begins_at_its_stamp() -> None:
    text = "date,time,in,out\n04/03/2026,10:00,12,3\n"
    recording = read_csv([CsvFile("days.csv", text)], BOTH)
    (reading,) = recording.readings
    assert recording.refused == ()
    assert reading["start"] == "2026-03-04T10:00:00+01:00"
    assert reading["time"] == "2026-03-04T10:30:00+01:00"
    assert (reading["library"], reading["gate"], reading["device"]) == ("branch", "front", "front")
    assert (reading["entries"], reading["exits"], reading["sequence"]) == (12, 3, 1)
    assert READING.validate_json(json.dumps(reading)).time == datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


def test_a_stamp_may_be_the_end_of_its_window() -> None:
    mapping = CsvMapping(
        library="branch",
        gate="front",
        time_columns=("at",),
        time_format="%Y-%m-%dT%H:%M",
        zone=PARIS,
        window=timedelta(minutes=15),
        counts=BothColumns("in", "out"),
        stamp="end",
        delimiter=";",
    )
    text = "\ufeffat;out;in\r\n2026-03-04T10:00;3;12\r\n"
    (reading,) = read_csv([CsvFile("days.csv", text)], mapping).readings
    assert (reading["start"], reading["time"]) == ("2026-03-04T09:45:00+01:00", "2026-03-04T10:00:00+01:00")
    assert (reading["entries"], reading["exits"]) == (12, 3)


def test_rows_of_both_directions_of_a_window_are_joined_and_a_missing_one_counts_nobody() -> None:
    text = "7,03/04/26,10:00:00,3\n9,03/04/26,10:00:00,12\n9,03/04/26,10:30:00,4\n"
    recording = read_csv([CsvFile("days.data", text)], CALIT2_DOOR)
    assert [(each["entries"], each["exits"], each["sequence"]) for each in recording.readings] == [
        (12, 3, 1),
        (4, 0, 2),
    ]


def test_two_files_one_per_direction_are_joined() -> None:
    mapping = CsvMapping(
        library="branch",
        gate="front",
        time_columns=("at",),
        time_format="%Y-%m-%d %H:%M",
        zone=PARIS,
        window=HALF_HOUR,
        counts=FilePerDirection("people"),
    )
    entries = CsvFile("in.csv", "at,people\n2026-03-04 10:00,5\n2026-03-04 10:30,6\n", "entries")
    exits = CsvFile("out.csv", "at,people\n2026-03-04 10:30,2\n", "exits")
    assert [(each["entries"], each["exits"]) for each in read_csv([entries, exits], mapping).readings] == [
        (5, 0),
        (6, 2),
    ]
    with pytest.raises(RecordingRefused, match=r"out\.csv: say whether this file has the entries or the exits"):
        read_csv([entries, CsvFile("out.csv", exits.text)], mapping)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("", "days.csv, line 3: the row is blank"),
        (",,,", "days.csv, line 3: the row is blank"),
        ("04/03/2026,10:30,1", "days.csv, line 3: the row ends before column 'out'"),
        ("04/03/2026,10:30,many,2", "days.csv, line 3: 'many' is no count of people"),
        ("04/03/2026,10:30,-1,2", "days.csv, line 3: '-1' is no count of people"),
        ("04/03/2026,10:30,100001,2", "days.csv, line 3: '100001' is no count of people"),
        ("2026-03-04,10:30,1,2", "days.csv, line 3: time data '2026-03-04 10:30' does not match format"),
        ("04/03/2026,10:00,1,2", "days.csv, line 3: the entries and exits of 2026-03-04 10:00:00 stand there twice"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_by_line_and_reason_and_the_rest_is_read(row: str, expected: str) -> None:
    assert reason(row).startswith(expected)


def test_an_unknown_direction_is_refused() -> None:
    text = "9,03/04/26,10:00:00,3\n8,03/04/26,10:00:00,12\n"
    (refused,) = read_csv([CsvFile("days.data", text)], CALIT2_DOOR).refused
    assert str(refused) == "days.data, line 2: '8' is no direction; entries are '9', exits '7'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("date,time,entries,out\n", r"days\.csv, line 1: there is no column 'in'; there are date, time, entries, out"),
        ("", r"line 1: there is no column 'date'"),
        ("date,time,in,out\n", r"days\.csv: there is no reading in it$"),
        ("date,time,in,out\nx,y,1,2\n", r"there is no reading in it; the first row refused is days\.csv, line 2: time"),
        ('date,time,in,out\n04/03/2026,10:00,1,"2\n', r"days\.csv, line 2: this is not CSV"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_as_a_whole(text: str, expected: str) -> None:
    with pytest.raises(RecordingRefused, match=expected):
        read_csv([CsvFile("days.csv", text)], BOTH)


def test_a_mapping_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="without a header, columns have numbers, not names like 'date'"):
        CsvMapping("branch", "front", ("date",), "%Y", PARIS, HALF_HOUR, BothColumns(1, 2), has_header=False)
    with pytest.raises(ValueError, match="the window must be longer than nothing"):
        CsvMapping("branch", "front", ("date",), "%Y", PARIS, timedelta(0), BothColumns("in", "out"))


def test_an_hour_that_happens_twice_is_the_first_one_until_the_order_shows_the_second() -> None:
    night = both("25/10/2026,01:30,1,0", "25/10/2026,02:00,2,0", "25/10/2026,02:30,3,0", "25/10/2026,03:00,4,0")
    assert [start for start, _, _ in night] == [
        "2026-10-25T01:30:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T03:00:00+01:00",
    ]
    whole = both(
        "25/10/2026,02:00,1,0",
        "25/10/2026,02:30,2,0",
        "25/10/2026,02:00,3,0",
        "25/10/2026,02:30,4,0",
        "25/10/2026,03:00,5,0",
    )
    assert whole == [
        ("2026-10-25T02:00:00+02:00", 1, 0),
        ("2026-10-25T02:30:00+02:00", 2, 0),
        ("2026-10-25T02:00:00+01:00", 3, 0),
        ("2026-10-25T02:30:00+01:00", 4, 0),
        ("2026-10-25T03:00:00+01:00", 5, 0),
    ]


def test_the_second_hour_is_told_for_each_direction_by_itself() -> None:
    rows = [f"{flow},10/25/26,{time}:00,{flow}" for time in ("02:00", "02:30", "02:00", "02:30") for flow in (7, 9)]
    mapping = CsvMapping(
        library="branch",
        gate="front",
        time_columns=(2, 3),
        time_format="%m/%d/%y %H:%M:%S",
        zone=PARIS,
        window=HALF_HOUR,
        counts=DirectionColumn(1, "9", "7", 4),
        has_header=False,
    )
    readings = read_csv([CsvFile("days.data", "\n".join(rows))], mapping).readings
    assert [(each["entries"], each["exits"]) for each in readings] == [(9, 7)] * 4
    starts = [datetime.fromisoformat(str(each["start"])) for each in readings]
    assert {(later - earlier) / HALF_HOUR for earlier, later in pairwise(starts)} == {1.0}


def test_the_hour_that_is_skipped_is_left_out_where_nobody_was_counted_and_refused_where_somebody_was() -> None:
    assert both("29/03/2026,01:30,1,0", "29/03/2026,02:00,0,0", "29/03/2026,03:00,2,0") == [
        ("2026-03-29T01:30:00+01:00", 1, 0),
        ("2026-03-29T03:00:00+02:00", 2, 0),
    ]
    assert "2026-03-29 02:30:00 never was in Europe/Paris" in reason("29/03/2026,02:30,1,0")
    assert "Etc/GMT-1" in reason("29/03/2026,02:30,1,0")


def test_the_same_file_has_the_same_identity_and_another_gate_library_or_content_another() -> None:
    file = CsvFile("days.csv", "date,time,in,out\n04/03/2026,10:00,1,2\n")
    first = read_csv([file], BOTH).readings[0]
    renamed = CsvFile("copy.csv", file.text)
    assert read_csv([renamed], BOTH).readings[0] == first
    others = [
        read_csv([CsvFile("days.csv", file.text.replace("1,2", "1,3"))], BOTH),
        read_csv(
            [file], CsvMapping("branch", "back", ("date", "time"), BOTH.time_format, PARIS, HALF_HOUR, BOTH.counts)
        ),
        read_csv(
            [file], CsvMapping("other", "front", ("date", "time"), BOTH.time_format, PARIS, HALF_HOUR, BOTH.counts)
        ),
    ]
    assert len({first["boot"], *(each.readings[0]["boot"] for each in others)}) == 4


def test_json_lines_are_read_in_order_of_time_and_get_an_identity_where_they_have_none() -> None:
    lines = [
        '{"kind":"gate_count","library":"branch","gate":"front","time":"2026-03-04T10:01:00+01:00","entries":2,"exits":0}',
        '{"kind":"clock","library":"branch","time":"2026-03-04T10:01:00+01:00"}',
        '{"kind":"head_count","library":"branch","people":7,"time":"2026-03-04T09:00:00Z","id":"tap-1"}',
        '{"kind":"gate_count","library":"branch","gate":"front","time":"2026-03-04T08:00Z","entries":1,"exits":0,"sequence":4}',
    ]
    readings = read_jsonl("\n".join(lines), file="day.jsonl").readings
    assert [reading["kind"] for reading in readings] == ["gate_count", "head_count", "gate_count"]
    assert [(reading["device"], reading.get("sequence")) for reading in readings] == [
        ("front", 4),
        ("recorded", None),
        ("front", 1),
    ]
    assert [reading["id"] for reading in readings[:2]] == ["front::4", "tap-1"]
    for reading in readings:
        READING.validate_json(json.dumps(reading)).to_domain()
    assert read_jsonl("\n".join(lines), file="again.jsonl").readings == readings


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "day.jsonl, line 2: Invalid JSON"),
        ("{", "day.jsonl, line 2: Invalid JSON"),
        ('{"kind":"nonsense"}', "day.jsonl, line 2: Input tag 'nonsense'"),
        ('{"kind":"head_count","library":"branch","people":-1}', "day.jsonl, line 2: head_count.people: "),
        ('{"kind":"head_count","library":"branch","people":1}', "day.jsonl, line 2: a recorded reading must say when"),
    ],
)
def test_a_line_that_is_no_reading_is_refused_by_number_and_reason(line: str, expected: str) -> None:
    good = '{"kind":"queue_length","library":"branch","people":0,"time":"2026-03-04T10:00:00+01:00"}'
    recording = read_jsonl(f"{good}\n{line}\n", file="day.jsonl")
    assert len(recording.readings) == 1
    assert [str(refused).startswith(expected) for refused in recording.refused] == [True]
    with pytest.raises(RecordingRefused, match="there is no reading in it"):
        read_jsonl(f"{line}\n", file="day.jsonl")


def test_a_line_ends_at_a_newline_and_at_nothing_else() -> None:
    notice = (
        '{"kind":"notice","library":"branch","text":"upper\u2028floor","time":"2026-03-04T10:00:00Z",'
        '"until":"2026-03-04T12:00:00Z"}'
    )
    (reading,) = read_jsonl(f"{notice}\r\n", file="day.jsonl").readings
    assert reading["text"] == "upper floor"  # one reading; what would break a line of a notice is gone from it


def test_playback_says_the_time_before_each_window_end_and_keeps_the_order_in_requests() -> None:
    text = "date,time,in,out\n04/03/2026,10:30,1,2\n04/03/2026,10:00,3,4\n"
    readings = read_csv([CsvFile("days.csv", text)], BOTH).readings
    feed = list(steps(readings, speed=60.0))
    assert [at for at, _ in feed] == [datetime(2026, 3, 4, 9, 30, tzinfo=UTC), datetime(2026, 3, 4, 10, 0, tzinfo=UTC)]
    assert [[each["kind"] for each in step] for _, step in feed] == [["clock", "gate_count"]] * 2
    assert feed[0][1][0]["speed"] == 60.0
    bodies = list(requests(feed, at_most=3))
    assert [len(body) for body in bodies] == [3, 1]
    assert [reading for body in bodies for reading in body] == [reading for _, step in feed for reading in step]
    with pytest.raises(ValueError, match="1 to 1000 readings, not 1001"):
        next(requests(feed, at_most=1001))


@pytest.fixture(scope="module")
def calit2() -> str:
    if not CALIT2.exists():
        pytest.skip("the CalIt2 recording (UCI Machine Learning Repository) is not beside the project")
    return CALIT2.read_text(encoding="ascii")


def test_the_calit2_recording_is_read_to_the_last_person(calit2: str) -> None:
    recording = read_csv([CsvFile("CalIt2.data", calit2)], CALIT2_DOOR)
    assert len(recording.readings) == 5040
    assert sum(int(each["entries"]) for each in recording.readings) == 19_597
    assert sum(int(each["exits"]) for each in recording.readings) == 18_837
    assert [(refused.line, refused.reason) for refused in recording.refused] == [
        (7987, "the row is blank"),
        (9490, "the row is blank"),
    ]
    assert [each["sequence"] for each in recording.readings] == list(range(1, 5041))
    assert recording.readings[0]["time"] == "2005-07-24T00:30:00-07:00"


@pytest.mark.slow
def test_the_calit2_recording_played_twice_counts_once(calit2: str) -> None:
    config = LibraryConfig(
        id="calit2",
        name="CalIt2 main door (recorded)",
        time_zone="America/Los_Angeles",
        clock=ClockKind.RECORDED,
        opening_hours="Mo-Su 06:00-23:00",
        capacity=500,
        gates=(Gate(id="main-door", silent_after_min=95),),
    )
    library = config.to_domain(OsmOpeningHours)
    readings = read_csv([CsvFile("CalIt2.data", calit2)], CALIT2_DOOR).readings
    # Two weeks; all fifteen are played over the real road, in test_replay and test_killed.
    feed = [reading for _, step in steps(readings[: 14 * 48]) for reading in step]
    once = run_offline(library, feed)
    twice = run_offline(library, feed[:500] + feed)
    assert twice.state.totals.duplicates == sum(each["kind"] == "gate_count" for each in feed[:500])
    assert (twice.state.totals.entries, twice.state.totals.exits) == (
        once.state.totals.entries,
        once.state.totals.exits,
    )
    assert twice.changes == once.changes
    assert sum(day.entries for day in once.days.values()) == once.state.totals.entries > 1000
    assert len(once.days) == 14
