"""Recorded days on the command line: columns named by options, decisions printed, and refusals in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DATA, ROOT

pytestmark = pytest.mark.slow

LIBRARY = """\
[[libraries]]
id = "door"
name = "Door (recorded)"
time_zone = "America/Los_Angeles"
opening_hours = "Mo-Su 07:00-22:00"
capacity = 60
clock = "recorded"
gates = [{ id = "front", silent_after_min = 60 }]
[[libraries.channels]]
type = "console"
languages = ["en", "fr"]
min_interval_min = 0
"""
ROWS = """\
day,hour,in,out
2026-03-02,06:00,0,0
2026-03-02,07:00,10,0
2026-03-02,07:30,45,0
2026-03-02,08:00,0,40
"""
COLUMNS = (
    *("--gate", "front", "--window-min", "30", "--time-columns", "day,hour", "--time-format", "%Y-%m-%d %H:%M"),
    *("--entries", "in", "--exits", "out"),
)


def replay(folder: Path, *arguments: str, library: str = LIBRARY) -> subprocess.CompletedProcess[str]:
    (folder / "libraries.toml").write_text(library)
    return subprocess.run(
        [
            *(sys.executable, "-m", "cli.main", "replay", *arguments),
            *("--config", str(folder / "libraries.toml"), "--library", "door", "--data", str(folder / "data")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def offline(folder: Path, *arguments: str) -> Any:
    result = replay(folder, *arguments, "--offline", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text(ROWS)
    return file


def test_a_recorded_morning_gives_the_statuses_and_posts_of_its_counts(tmp_path: Path, rows: Path) -> None:
    played = offline(tmp_path, str(rows), *COLUMNS)
    seen = [(each["at"][11:16], each["state"], each["level"]) for each in played["changes"]]
    assert seen == [
        ("06:30", "closed", None),
        ("07:00", "open", "many_seats"),
        ("08:00", "open", "few_seats"),
        ("08:30", "open", "many_seats"),
    ]
    posts = [(each["at"][11:16], each["channel"], each["language"]) for each in played["posts"]]
    assert posts == [(at, "console", language) for at in ("07:00", "08:00", "08:30") for language in ("en", "fr")]
    assert played["posts"][0]["text"].startswith("[recorded] Door (recorded), 07:00:")


def test_three_ways_to_write_the_same_counts_are_the_same_day(tmp_path: Path, rows: Path) -> None:
    expected = offline(tmp_path, str(rows), *COLUMNS)
    lines = [line.split(",") for line in ROWS.splitlines()[1:]]
    by_row = tmp_path / "by_row.csv"
    by_row.write_text("".join(f"{d},{h},9,{i}\n{d},{h},7,{o}\n" for d, h, i, o in lines))
    ins, outs = tmp_path / "in.csv", tmp_path / "out.csv"
    ins.write_text("at,people\n" + "".join(f"{d} {h},{i}\n" for d, h, i, _ in lines))
    outs.write_text("at,people\n" + "".join(f"{d} {h},{o}\n" for d, h, _, o in lines))
    common = ("--window-min", "30", "--time-format", "%Y-%m-%d %H:%M")
    values = ("--in-value", "9", "--out-value", "7")
    one = offline(
        tmp_path,
        *(str(by_row), "--no-header", "--time-columns", "1,2", "--direction", "3", *values, "--count", "4", *common),
    )
    two = offline(tmp_path, str(ins), "--out-file", str(outs), "--time-columns", "at", "--count", "people", *common)
    assert one["changes"] == two["changes"] == expected["changes"]


def test_json_lines_are_played_and_those_of_other_libraries_left_out(tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl"
    count = {"kind": "gate_count", "gate": "front", "entries": 5, "exits": 0, "time": "2026-03-02T07:15:00-08:00"}
    file.write_text("\n".join(json.dumps({"library": each, **count}) for each in ("door", "other")))
    result = replay(tmp_path, str(file), "--offline", "--json")
    assert json.loads(result.stdout)["readings"] == 1
    assert "1 readings of other libraries are left out" in result.stderr


def test_a_library_on_the_wall_clock_is_refused(tmp_path: Path, rows: Path) -> None:
    wall = LIBRARY.replace('clock = "recorded"\n', "")
    result = replay(tmp_path, str(rows), *COLUMNS, "--offline", library=wall)
    assert result.returncode == 1
    assert 'recorded days need clock = "recorded"' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--direction", "way"), "--direction needs --count"),
        (("--entries", "in", "--exits", "off"), "line 1: there is no column 'off'; there are day, hour, in, out"),
        (("--gate", "back", "--entries", "in", "--exits", "out"), "door has no gate 'back'"),
        (("--entries", "in", "--exits", "out", "--time-zone", "Paris"), "the columns cannot be read so"),
        (("--entries", "in", "--exits", "out", "--stamp", "middle"), "neither start nor end"),
        (("--entries", "in", "--exits", "out", "--no-header"), "columns have numbers, not names"),
        (("--entries", "in", "--exits", "out", "--time-format", "%d"), "there is no reading in it"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_the_reason(
    tmp_path: Path, rows: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    time = ("--time-columns", "day,hour", "--time-format", "%Y-%m-%d %H:%M")
    result = replay(tmp_path, str(rows), *time, *arguments, "--offline")
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "what to do:" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_running_bus_the_remedy_names_offline(tmp_path: Path, rows: Path) -> None:
    result = replay(tmp_path, str(rows), *COLUMNS)
    assert result.returncode == 1
    assert "--offline" in result.stderr


@pytest.mark.skipif(not (DATA / "calit2" / "CalIt2.data").exists(), reason="the real door counts are not here")
def test_fifteen_weeks_of_a_real_door_are_played(tmp_path: Path) -> None:
    played = offline(
        tmp_path,
        *(str(DATA / "calit2" / "CalIt2.data"), "--no-header", "--time-columns", "2,3", "--window-min", "30"),
        *("--time-format", "%m/%d/%y %H:%M:%S", "--direction", "1", "--in-value", "9", "--out-value", "7"),
        *("--count", "4"),
    )
    assert played["readings"] == 5040
    assert len({each["at"][:10] for each in played["changes"] if each["state"] == "closed"}) == 105
