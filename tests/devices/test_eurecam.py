"""Eurecam: daily files, their channels, the nights in which the clock is changed, and days that are not over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import PARIS, RECEIVED_AT, FormatSuite, case

XML = "text/xml"
QUARTERS = [f"{hour:02}:{minute:02}:00" for hour in range(24) for minute in (0, 15, 30, 45)]


def group(time: str, *counts: tuple[str, str, object]) -> str:
    inside = "".join(f'<data_chan chan_id="{chan}" type="{way}">{count}</data_chan>' for chan, way, count in counts)
    return f'    <data_group time="{time}">{inside}</data_group>\n'


def day_file(
    groups: Iterable[str], *, date: str = "2026-11-18", resolution: object = 28800, end: str = "18:30:00"
) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xml_1 date="{date} 00:00:00">
  <site>bat9</site><chain>EURECAM</chain><type>EX</type><resolution>{resolution}</resolution>
  <date><begin>{date} 08:30:00</begin><end>{date} {end}</end></date>
  <opening_hour>
    <open id="0">08:30:00</open><close id="0">12:30:00</close><open id="1">14:00:00</open><close id="1">18:30:00</close>
  </opening_hour>
  <channel><name>
    <chan id="1" type="crossing">TinyCountArche</chan><chan id="2" type="access">Entrée</chan>
  </name></channel>
  <data>
{"".join(groups)}  </data>
</xml_1>
"""


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def window(start: datetime, end: datetime, forward: int | None, backward: int | None, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": "2", "label": "Entrée"}
    return Measurement(
        meaning=Meaning.WINDOW, start=start, end=end, forward=forward, backward=backward, **(named | other)
    )


NIGHT, MORNING, EVENING, MIDNIGHT = (utc(2026, 11, day, hour) for day, hour in ((17, 23), (18, 7), (18, 15), (18, 23)))


class TestEurecam(FormatSuite):
    format = "eurecam"
    cases = (
        case(
            "a-day-of-two-channels",
            day_file(
                (
                    group("2026-11-18 00:00:00", ("1", "E", 0), ("1", "X", 0), ("2", "E", 0), ("2", "X", 0)),
                    group("2026-11-18 08:00:00", ("1", "E", 4), ("1", "X", 5), ("2", "E", 79), ("2", "X", 78)),
                    group("2026-11-18 16:00:00", ("2", "E", 27), ("2", "X", 31)),
                )
            ),
            [
                DeviceReport(
                    serial="bat9",
                    measurements=(
                        window(NIGHT, MORNING, 0, 0, line="1", label="TinyCountArche"),
                        window(NIGHT, MORNING, 0, 0),
                        window(MORNING, EVENING, 4, 5, line="1", label="TinyCountArche"),
                        window(MORNING, EVENING, 79, 78),
                        window(EVENING, MIDNIGHT, 27, 31),
                    ),
                )
            ],
            XML,
            topic="20261118.xml",
        ),
        case(
            "entries-alone-by-the-minute",
            day_file((group("2026-11-18 09:00:00", ("2", "E", 3)), group("09:01:00", ("2", "E", 2))), resolution=60),
            [
                DeviceReport(
                    serial="bat9",
                    measurements=tuple(
                        window(
                            utc(2026, 11, 18, 8, minute),
                            utc(2026, 11, 18, 8, minute + 1),
                            count,
                            None,
                        )
                        for minute, count in ((0, 3), (1, 2))
                    ),
                )
            ],
            XML,
        ),
        case(
            "zeros-that-fill-a-day-that-has-not-been",
            day_file(
                (group("2026-11-18 09:00:00", ("2", "E", 3)), group("2026-11-18 10:00:00", ("2", "E", 0))),
                resolution=3600,
                end="10:00:00",
            ),
            [DeviceReport(serial="bat9", measurements=(window(utc(2026, 11, 18, 8), utc(2026, 11, 18, 9), 3, None),))],
            XML,
        ),
    )


def read(text: str, received_at: datetime = RECEIVED_AT) -> DeviceReport:
    [found] = devices.read(document_of(text.encode(), XML), Context(PARIS, received_at)).reports
    return found


def quarters(date: str, walls: Iterable[str]) -> tuple[Measurement, ...]:
    groups = [group(f"{date} {wall}", ("2", "E", 1)) for wall in walls]
    return read(day_file(groups, date=date, resolution=900, end="23:59:59")).measurements


def test_a_day_of_23_hours() -> None:
    walls = [wall for wall in QUARTERS if not wall.startswith("02")]
    found = quarters("2026-03-29", walls)
    begin = utc(2026, 3, 28, 23)
    assert [each.start for each in found] == [begin + timedelta(minutes=15 * step) for step in range(92)]
    assert all(each.end == (each.start or begin) + timedelta(minutes=15) for each in found)


def test_a_day_of_25_hours() -> None:
    twice = [wall for wall in QUARTERS if wall.startswith("02")]
    at = QUARTERS.index("03:00:00")
    found = quarters("2026-10-25", [*QUARTERS[:at], *twice, *QUARTERS[at:]])
    begin = utc(2026, 10, 24, 22)
    assert [each.start for each in found] == [begin + timedelta(minutes=15 * step) for step in range(100)]


def test_windows_of_many_hours_follow_the_clock_on_the_wall() -> None:
    groups = [group(f"2026-10-25 {hour:02}:00:00", ("2", "E", 1)) for hour in (0, 8, 16)]
    found = read(day_file(groups, date="2026-10-25", end="23:00:00")).measurements
    assert [(each.start, each.end) for each in found] == [
        (utc(2026, 10, 24, 22), utc(2026, 10, 25, 7)),
        (utc(2026, 10, 25, 7), utc(2026, 10, 25, 15)),
        (utc(2026, 10, 25, 15), utc(2026, 10, 25, 23)),
    ]


def test_a_window_that_is_not_over_is_left_for_the_next_file() -> None:
    groups = [group(f"2026-11-18 {hour:02}:00:00", ("2", "E", hour)) for hour in (9, 10, 11, 12)]
    body = day_file(groups, resolution=3600)
    early = read(body, utc(2026, 11, 18, 10, 30)).measurements
    assert [each.forward for each in early] == [9, 10]
    assert read(body).measurements[: len(early)] == early


def test_a_bad_window_spoils_no_other() -> None:
    found = read(
        day_file(
            (
                group("yesterday", ("2", "E", 1)),
                group("2026-11-18 09:00:00", ("2", "E", "many"), ("1", "E", 4)),
                group("2026-11-18 10:00:00", ("2", "E", 1), ("2", "E", 2)),
                group("2026-11-18 11:00:00", ("2", "Z", 1)),
            ),
            resolution=3600,
        )
    )
    assert [(each.line, each.forward) for each in found.measurements] == [("1", 4)]
    assert [each.place for each in found.faults] == [
        "data_group/@time",
        "data_chan",
        "data_chan/@type",
        "data_chan/@type",
    ]


@pytest.mark.parametrize("resolution", ["", "0", "a day", "864000"])
def test_a_file_that_says_no_resolution_is_refused(resolution: str) -> None:
    with pytest.raises(Unreadable):
        read(day_file((group("2026-11-18 09:00:00", ("2", "E", 1)),), resolution=resolution))
