from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from cli.simulation.day import SimulatedDay
from cli.simulation.feed import steps

NAMES = ["bpi", "campus", "quartier"]


def test_each_minute_says_the_time_in_every_library_and_then_what_was_seen(days: dict[str, SimulatedDay]) -> None:
    feed = list(steps(list(days.values()), speed=60.0))
    assert all(later - earlier == timedelta(minutes=1) for (earlier, _), (later, _) in pairwise(feed))
    for at, readings in feed:
        clocks, seen = readings[: len(NAMES)], readings[len(NAMES) :]
        assert [(clock["kind"], clock["library"], clock["speed"]) for clock in clocks] == [
            ("clock", name, 60.0) for name in NAMES
        ]
        assert {datetime.fromisoformat(str(clock["time"])) for clock in clocks} == {at}
        assert all(reading["kind"] != "clock" for reading in seen)
        assert all(at - timedelta(minutes=1) < datetime.fromisoformat(str(reading["time"])) <= at for reading in seen)


def test_the_feed_holds_every_reading_of_every_library_once_and_in_its_order(days: dict[str, SimulatedDay]) -> None:
    fed = [reading for _, readings in steps(list(days.values())) for reading in readings if reading["kind"] != "clock"]
    for day in days.values():
        assert tuple(reading for reading in fed if reading["library"] == day.library) == day.readings
    assert len(fed) == sum(len(day.readings) for day in days.values())


def test_clock_readings_have_ids_of_their_own(days: dict[str, SimulatedDay]) -> None:
    ids = [reading["id"] for _, readings in steps(list(days.values())) for reading in readings]
    assert len(set(ids)) == len(ids)


def test_a_feed_begun_in_the_middle_has_not_seen_the_morning(days: dict[str, SimulatedDay]) -> None:
    day = days["bpi"]
    start = day.begin + timedelta(hours=3)
    feed = list(steps([day], start, start + timedelta(hours=1), speed=0.0))
    assert (feed[0][0], feed[-1][0], len(feed)) == (start, start + timedelta(hours=1), 61)
    times = [datetime.fromisoformat(str(reading["time"])) for _, readings in feed for reading in readings]
    assert min(times) == start
    assert max(times) == start + timedelta(hours=1)
