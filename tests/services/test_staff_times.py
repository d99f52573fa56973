"""The times of what people say with a clock that is fast: in order, as far apart as they were, none in the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from services.ingest.library_clock import LibraryClock
from services.ingest.normalise import TOO_LATE, Accepted, most_people, normalise
from services.ingest.senders import Sender, Senders
from shared.contracts.configuration import Key, LibraryConfig
from shared.contracts.desk import Person, Tablet
from shared.contracts.readings import READING
from shared.domain.library import ClockKind
from shared.domain.reading import StaffReading
from shared.domain.staff import StaffLog

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
MIN = timedelta(minutes=1)


def library(**more: Any) -> LibraryConfig:
    return LibraryConfig.model_validate(
        {
            "id": "branch",
            "name": "Branch",
            "time_zone": "Europe/Paris",
            "opening_hours": "24/7",
            "capacity": 100,
            "zones": [{"id": "hall", "name": "Hall", "capacity": 60}],
            "gates": [{"id": "front", "name": "Front", "to": "hall"}],
            **more,
        }
    )


def taken(*said: dict[str, Any], runs_by: LibraryClock | None = None, **more: Any) -> list[Accepted]:
    config = library(**more)
    tablet = Tablet(id="desk", name="Desk", sha256="0" * 64, enrolled_at=NOON)
    person = Person(id="ab", name="AB", pin="", since=NOON)
    key = Key(id="desk", sha256="0" * 64, device="desk", role="staff")
    sender = Sender("branch.tablet.desk", config, key, tablet, person, "s")
    readings = [
        (index, READING.validate_python({"library": "branch", "id": f"tap-{99 - index}", **each}))
        for index, each in enumerate(said)
    ]
    accepted, faults = normalise(readings, sender, Senders(), NOON, clock=runs_by)
    assert not faults
    return accepted


def log_of(accepted: list[Accepted]) -> StaffLog:
    log = StaffLog()
    for each in accepted:
        reading = each.reading.to_domain()
        assert isinstance(reading, StaffReading)
        log.add(reading)
    return log


def times(accepted: list[Accepted]) -> list[datetime]:
    return [each.reading.time for each in accepted if each.reading.time is not None]


def door(at: datetime, *, on: bool) -> dict[str, Any]:
    return {"kind": "not_admitting", "time": at, "on": on}


def test_what_a_fast_clock_says_keeps_its_order_and_its_spans() -> None:
    ahead = NOON + 120 * MIN
    accepted = taken(door(ahead, on=True), door(ahead + 10 * MIN, on=False))
    assert times(accepted) == [NOON - 10 * MIN, NOON]
    assert [each.remark.rpartition("; ")[2] for each in accepted] == ["moved back", "taken as of now"]
    assert not log_of(accepted).is_not_admitting(NOON, None)
    accepted = taken(door(NOON + timedelta(seconds=9), on=True), door(NOON + timedelta(seconds=12), on=False))
    assert times(accepted) == [NOON - timedelta(seconds=3), NOON]
    assert not any(each.remark for each in accepted)


def test_what_is_moved_back_stays_after_what_was_said_before_it() -> None:
    before = NOON - timedelta(seconds=1)
    accepted = taken(door(before, on=True), door(NOON + MIN, on=False), door(NOON + 60 * MIN, on=True))
    one, other, last = times(accepted)
    assert before == one < other < last == NOON
    assert log_of(accepted).is_not_admitting(NOON, None)
    same = taken(door(NOON, on=True), door(NOON + MIN, on=False), door(NOON + MIN, on=True))
    assert times(same)[1] < times(same)[2] == NOON


def test_what_ends_something_at_once_does_so_whatever_the_clock_says() -> None:
    for ahead in (timedelta(seconds=25), 120 * MIN):
        said = NOON + ahead
        accepted = taken({"kind": "closing", "time": said, "until": said - timedelta(milliseconds=1)})
        assert log_of(accepted).closing(NOON) is None
        accepted = taken({"kind": "mute", "time": said, "until": said})
        assert log_of(accepted).muted_until(NOON) is None
    [kept] = taken({"kind": "closing", "time": NOON + 120 * MIN, "until": NOON + 180 * MIN})
    assert getattr(kept.reading, "until", None) == NOON + 180 * MIN  # an hour on the wall, not a span


def test_of_a_day_that_goes_faster_what_is_too_late_is_told_by_its_own_time() -> None:
    faster = LibraryClock(ClockKind.SIMULATED, NOON, NOON, 60.0)
    late, in_time = taken(
        door(NOON - 25 * MIN, on=True), door(NOON - 23 * MIN, on=True), runs_by=faster, clock="simulated"
    )
    assert (late.remark, in_time.remark) == (TOO_LATE, "")


def test_the_largest_count_that_is_taken_is_of_the_day_with_most_seats() -> None:
    periods = [{"when": "Nov", "capacity": 30}]
    reduced = library(capacity_periods=periods)
    assert most_people(reduced) == 200
    assert most_people(reduced, "hall") == 120
    [counted] = taken({"kind": "head_count", "people": 200}, capacity_periods=periods)
    assert not counted.remark
