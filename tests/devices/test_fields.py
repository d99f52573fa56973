"""Single fields: strict about what is a count, lenient about how it is written, and right about time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.devices import fields
from services.ingest.devices.fields import MAX_PEOPLE, MAX_REGISTER, Malformed, WallClock

PARIS = ZoneInfo("Europe/Paris")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("value", "count"),
    [(0, 0), (7, 7), (7.0, 7), ("7", 7), (" 7 ", 7), ("7.0", 7), ("007", 7), (MAX_PEOPLE, MAX_PEOPLE)],
)
def test_a_number_of_people(value: Any, count: int) -> None:
    found = fields.people(value, "in")
    assert found == count
    assert type(found) is int


@pytest.mark.parametrize(
    "value",
    [
        *(-1, 7.5, MAX_PEOPLE + 1, float("inf"), float("nan"), True, False, None, [], {}, [7]),
        *("", "-7", "7.5", "7e3", "1,000", "0x7", "7 people", "9" * 400),
    ],
)
def test_no_number_of_people(value: Any) -> None:
    with pytest.raises(Malformed) as raised:
        fields.people(value, "here")
    assert raised.value.fault.place == "here"


def test_a_register_is_larger() -> None:
    assert fields.register(MAX_REGISTER, "total") == MAX_REGISTER
    with pytest.raises(Malformed):
        fields.register(MAX_REGISTER + 1, "total")


def test_what_may_be_missing() -> None:
    assert fields.optional_people(None, "in") is None
    assert fields.optional_people("3", "in") == 3
    with pytest.raises(Malformed):
        fields.optional_people("", "in")


@pytest.mark.parametrize(("value", "found"), [(3, 3.0), ("3.25", 3.25), ("-1", -1.0), (0.5, 0.5)])
def test_a_number(value: Any, found: float) -> None:
    assert fields.number(value, "x", low=-5) == found


@pytest.mark.parametrize("value", [True, None, "nan", "inf", "1e9", "", "3,5", 10**400, -6, float("nan")])
def test_no_number(value: Any) -> None:
    with pytest.raises(Malformed):
        fields.number(value, "x", low=-5)


def test_texts() -> None:
    assert fields.text("  Door 1 ", "name") == "Door 1"
    assert fields.text(17, "name") == "17"
    wrong: list[Any] = ["", "  ", "a\nb", "\ud800", "x" * 121, None, True, [], {}]
    for each in wrong:
        with pytest.raises(Malformed):
            fields.text(each, "name")
    assert fields.optional_text("a\nb\ud800c") == "abc"
    assert fields.optional_text({"a": 1}) == ""
    assert len(fields.optional_text("x" * 500)) == 120


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-11-20T12:07:07+08:00", utc(2026, 11, 20, 4, 7, 7)),
        ("2026-11-20T11:50:47-5:00", utc(2026, 11, 20, 16, 50, 47)),
        ("2026-11-20T11:50:47+0530", utc(2026, 11, 20, 6, 20, 47)),
        ("2026-11-20T11:50:47-5", utc(2026, 11, 20, 16, 50, 47)),
        ("2026-11-20T23:11:00-00:00", utc(2026, 11, 20, 23, 11)),
        ("2026-11-20T12:00:00Z", utc(2026, 11, 20, 12)),
        ("2026-11-20 12:00:00 UTC", utc(2026, 11, 20, 12)),
        ("2026-11-20T12:00:00.123456789Z", utc(2026, 11, 20, 12, 0, 0, 123456)),
        ("2026/11/20 12:00:00", utc(2026, 11, 20, 11)),
        ("20261120120000", utc(2026, 11, 20, 11)),
        ("2026-11-20 12:00", utc(2026, 11, 20, 11)),
        ("2026-07-20 12:00", utc(2026, 7, 20, 10)),
        ("2026-11-20 24:00:00", utc(2026, 11, 20, 23)),
        ("2026/3/9 8:15:52", utc(2026, 3, 9, 7, 15, 52)),
        ("2026-3-29T8:15:52+01:00", utc(2026, 3, 29, 7, 15, 52)),
        ("2026-11-09T8:15:52.5-5:00", utc(2026, 11, 9, 13, 15, 52, 500000)),
        ("2026-12-31T23:59:60Z", utc(2026, 12, 31, 23, 59, 59)),
    ],
)
def test_times_as_devices_write_them(value: str, found: datetime) -> None:
    assert fields.moment(value, "time", PARIS) == found


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "2026-02-30 12:00", "2026-11-20 25:00", "2026-11-20 24:01", "2026-11-20 12:61", "12:00"),
        *(
            "2026/0/9 8:15:52",
            "2026-3-9",
            "2026-3-9 8",
            "2026-3 8:15",
            "26/3/9 8:15:52",
            "2026-3/ 9 8:15",
            "2026//9 8:15",
        ),
        *("2026-11-20 12:00:61", "0000-01-01 00:00", "9999-12-31 23:59:59", "1969-12-31T23:59:59Z"),
        *("2026-11-20T12:00:00+99:99", "2026-11-20T12:00:00+19:00", 20261120120000, None, True, [], {}),
    ],
)
def test_no_times(value: Any) -> None:
    with pytest.raises(Malformed):
        fields.moment(value, "time", PARIS)


def test_the_hour_that_spring_leaves_out_follows_the_one_before() -> None:
    assert fields.moment("2026-03-29 01:59:59", "t", PARIS) == utc(2026, 3, 29, 0, 59, 59)
    assert fields.moment("2026-03-29 02:30", "t", PARIS) == utc(2026, 3, 29, 1, 30)
    assert fields.moment("2026-03-29 03:00", "t", PARIS) == utc(2026, 3, 29, 1)


def test_of_the_hour_that_autumn_has_twice_the_first_is_meant() -> None:
    assert fields.moment("2026-10-25 02:30", "t", PARIS) == utc(2026, 10, 25, 0, 30)
    assert fields.moment("2026-10-25 02:30", "t", PARIS, fold=1) == utc(2026, 10, 25, 1, 30)


def test_a_clock_that_is_read_in_order_tells_both_apart() -> None:
    walls = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    clock = WallClock(PARIS)
    found = [clock.moment(f"2026-10-25 {wall}", "t") for wall in walls]
    assert found == [utc(2026, 10, 24, 23, 30) + timedelta(minutes=30 * step) for step in range(6)]


def test_so_does_one_of_whole_hours_written_otherwise() -> None:
    clock = WallClock(PARIS)
    found = [clock.written_as(f"25.10.2026 {hour}h", "%d.%m.%Y %Hh", "t") for hour in (1, 2, 2, 3)]
    assert found == [utc(2026, 10, 24, 23) + timedelta(hours=step) for step in range(4)]


def test_a_clock_read_backwards_keeps_to_what_is_written() -> None:
    clock = WallClock(PARIS)
    found = [clock.moment(f"2026-11-20 {wall}", "t") for wall in ("12:30", "12:15", "12:15", "12:00")]
    assert [each.minute for each in found] == [30, 15, 15, 0]


def test_seconds_and_milliseconds_since_1970() -> None:
    assert fields.epoch_s("1753266991", "t") == datetime.fromtimestamp(1753266991, UTC)
    assert fields.epoch_ms(1645792860000, "t") == datetime.fromtimestamp(1645792860, UTC)
    for wrong in (-1, 1e18, "x", None, 7_258_118_400):
        with pytest.raises(Malformed):
            fields.epoch_s(wrong, "t")


def test_times_by_a_pattern() -> None:
    assert fields.written_as("20.11.2026 12:00", "%d.%m.%Y %H:%M", "t", PARIS) == utc(2026, 11, 20, 11)
    assert fields.written_as("20.11.2026 12:00 +0000", "%d.%m.%Y %H:%M %z", "t", PARIS) == utc(2026, 11, 20, 12)
    for value, pattern in (
        ("20.11.2026", "%Y-%m-%d"),
        (None, "%Y"),
        ("2026 2026", "%Y %Y"),
        ("2026", "%Q"),
        ("12:00", "%H:%M"),
    ):
        with pytest.raises(Malformed):
            fields.written_as(value, pattern, "t", PARIS)


@given(ANYTHING)
def test_nothing_else_is_ever_raised(value: Any) -> None:
    for read in (
        lambda: fields.people(value, "x"),
        lambda: fields.register(value, "x"),
        lambda: fields.number(value, "x"),
        lambda: fields.text(value, "x"),
        lambda: fields.items(value, "x"),
        lambda: fields.table(value, "x"),
        lambda: fields.epoch_s(value, "x"),
        lambda: fields.epoch_ms(value, "x"),
        lambda: fields.moment(value, "x", PARIS),
        lambda: fields.written_as(value, "%Y-%m-%d", "x", PARIS),
    ):
        try:
            read()
        except Malformed as error:
            assert len(error.fault.reason) < 100  # noqa: PT017  either is good


@given(st.from_regex(fields.ISO, fullmatch=True))
def test_whatever_looks_like_a_time_is_one_or_is_refused(value: str) -> None:
    try:
        found = fields.moment(value, "x", PARIS)
    except Malformed:
        return
    assert found.tzinfo is UTC
    assert 1970 <= found.year < 2200
