"""A day of a small branch, told several times over: with four people inside, with two, with one and with nobody.

Whatever happens meanwhile, everything that leaves the aggregator is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from services.aggregator.effects import Pending
from services.aggregator.fold import Effects, Fold, Partition
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import READING, Configured, Pack, Tick
from shared.contracts.status import DayHistory, PublicStatus, StatusChanged
from shared.domain.small_numbers import in_bands
from shared.runtime.opening_hours import OsmOpeningHours

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
"""In the library's own time."""
FEW_FROM = 34
"""From this minute after noon on fewer than five are inside."""
BELOW = 5
BRANCH = "branch"
PARTITION = subjects.partition_of(BRANCH)


@dataclass(slots=True)
class Branch:
    """A branch whose gate reports each minute until it falls silent, and everything that is told of it, in order."""

    hours: str
    inside: int
    """How many stay inside once they are few."""
    told: list[str] = field(default_factory=list)
    _fold: Fold = field(default_factory=lambda: Fold([Partition(PARTITION)], OsmOpeningHours))
    _sequence: int = 0
    _minute: int = -125
    _is_heard: bool = True

    def __post_init__(self) -> None:
        """Open in the morning: eight come in, three leave; then so many leave that few stay."""
        fields = {
            "id": BRANCH,
            "name": "Branch",
            "time_zone": "Europe/Paris",
            "opening_hours": self.hours,
            "capacity": 100,
            "gates": [{"id": "front"}],
        }
        config = LibraryConfig.model_validate(fields).model_dump(mode="json", by_alias=True)
        at = NOON + timedelta(minutes=self._minute)
        self._put(subjects.configured(PARTITION), Configured(library=BRANCH, revision=1, at=at, config=config))
        self.pass_to(-35)
        for minute in range(-30, 10, 5):
            self.pass_to(minute, entries=1)
        self.pass_to(30)
        for minute in range(31, 40):
            self.pass_to(minute, exits=int(minute < FEW_FROM + BELOW - self.inside))

    @property
    def day(self) -> DayHistory:
        """The branch's first day as it is told now."""
        kept = self._fold.kept(BRANCH)
        assert kept is not None
        day = kept.state.days["2026-11-23"]
        whole = DayHistory.of(BRANCH, "2026-11-23", day, kept.library.time_zone)
        return whole.in_bands(kept.library.capacity, BELOW, day.balance)

    @property
    def status(self) -> PublicStatus:
        """The branch as it is told now."""
        kept = self._fold.kept(BRANCH)
        assert kept is not None
        assert kept.state.status is not None
        return PublicStatus.of(in_bands(kept.state.status, BELOW), {})

    def fall_silent(self) -> None:
        """Let the gate say nothing any more."""
        self._is_heard = False

    def pass_to(self, minute: int, *, entries: int = 0, exits: int = 0) -> None:
        """Let time pass to a minute after noon, in small steps while it matters."""
        while self._minute < minute:
            self._minute = min(
                self._minute + (1 if 30 <= self._minute < 60 else 5 if self._minute < 30 else 15), minute
            )
            now = self._minute == minute
            start = NOON + timedelta(minutes=self._minute - 1)
            if self._is_heard:
                counts = {"entries": entries if now else 0, "exits": exits if now else 0}
                self.say(kind="gate_count", gate="front", device="front", start=start.isoformat(), **counts)
            self._put(subjects.TICKS, Tick(at=NOON + timedelta(minutes=self._minute)))

    def say(self, **words: object) -> str:
        """Take a reading of now; return its id."""
        at, name = NOON + timedelta(minutes=self._minute), f"r{self._sequence}"
        wire = {"library": BRANCH, "device": "desk", "time": at.isoformat(), "id": name, **words}
        reading = READING.validate_json(json.dumps(wire))
        self._put(subjects.readings(PARTITION), Pack(received_at=at, readings=(reading,)))
        return name

    def _put(self, subject: str, message: Configured | Pack | Tick) -> None:
        self._sequence += 1
        effects = self._fold.apply(subject, message.model_dump_json(exclude_none=True).encode(), self._sequence)
        if self._minute >= FEW_FROM:
            self.told += self._told(effects)

    def _told(self, effects: Effects) -> Iterable[str]:
        kept = self._fold.kept(BRANCH)
        assert kept is not None
        pending = Pending()
        pending.add(effects)
        for change in pending.changes.get(BRANCH, []):
            yield (
                StatusChanged.of(change, {})
                .model_copy(update={"status": PublicStatus.of(in_bands(change.status, BELOW), {})})
                .model_dump_json()
            )
        if pending.statuses:
            yield self.status.model_dump_json()
        for (_, date), day in pending.days.items():
            whole = DayHistory.of(BRANCH, date, day, kept.library.time_zone)
            yield whole.in_bands(kept.library.capacity, BELOW, day.balance).model_dump_json()


def nothing(branch: Branch) -> None:
    branch.pass_to(100)


def gate_falls_silent(branch: Branch) -> None:
    branch.fall_silent()
    branch.pass_to(110)
    assert branch.status.reason is not None


def staff_close_for_two_hours(branch: Branch) -> None:
    branch.say(kind="closing", until=(NOON + timedelta(hours=3)).isoformat(), reason="a burst pipe")
    branch.pass_to(200)


def everybody_is_sent_out(branch: Branch) -> None:
    branch.say(kind="evacuation", on=True)
    branch.pass_to(80)


def a_head_count_between_two_points_and_taken_back(branch: Branch) -> None:
    branch.pass_to(41)
    name = branch.say(kind="head_count", people=branch.inside)
    branch.pass_to(43)
    branch.say(kind="undo", target=name)
    branch.pass_to(100)


def a_head_count_that_stands(branch: Branch) -> None:
    branch.pass_to(42)
    branch.say(kind="head_count", people=branch.inside)
    branch.pass_to(100)


def the_day_ends(branch: Branch) -> None:
    branch.pass_to(8 * 60 + 20)
    branch.pass_to(8 * 60 + 21, entries=1)  # somebody comes to clean
    branch.pass_to(11 * 60 + 59)


def midnight_comes(branch: Branch) -> None:
    branch.pass_to(12 * 60 + 40)


@pytest.mark.parametrize(
    ("hours", "story"),
    [
        ("Mo-Su 10:00-20:00", nothing),
        ("Mo-Su 10:00-20:00", gate_falls_silent),
        ("Mo-Su 10:00-20:00", staff_close_for_two_hours),
        ("Mo-Su 10:00-20:00", everybody_is_sent_out),
        ("Mo-Su 10:00-20:00", a_head_count_between_two_points_and_taken_back),
        ("Mo-Su 10:00-20:00", a_head_count_that_stands),
        ("Mo-Su 10:00-20:00", the_day_ends),
        ("Mo-Su 10:00-13:00,14:00-20:00", nothing),
        ("Mo-Su 10:00-24:00", midnight_comes),
        ("Mo-Su 10:00-26:00", midnight_comes),
        ("24/7", midnight_comes),
    ],
)
def test_nothing_that_is_told_says_how_few_there_are(hours: str, story: Callable[[Branch], None]) -> None:
    told = []
    for inside in (0, 1, 2, 4):
        branch = Branch(hours, inside)
        assert branch.status.people is None or branch.status.people.below == BELOW
        story(branch)
        told.append(branch.told)
    assert len(told[0]) > 5
    for other in told[1:]:
        assert other == told[0]


def test_the_day_s_totals_are_exact_the_day_after() -> None:
    branch = Branch("Mo-Su 10:00-20:00", 3)
    the_day_ends(branch)
    assert (branch.status.entries_today, branch.status.exits_today) == (5, 5)
    assert branch.status.corrected_entries_today == 8
    assert (branch.day.entries, branch.day.exits) == (5, 5)
    branch.pass_to(12 * 60 + 5)
    assert (branch.day.entries, branch.day.exits) == (9, 5)


def test_what_came_in_is_exact_the_day_after_and_who_is_still_in_is_not_told() -> None:
    branch = Branch("Mo-Su 10:00-26:00", 3)
    midnight_comes(branch)
    assert branch.day.entries == 8
    assert branch.day.exits == 8


def test_nobody_is_told_to_have_left_on_a_day_on_which_nobody_did() -> None:
    branch = Branch("Mo-Su 08:00-24:00", 8)
    branch.pass_to(13 * 60)
    assert (branch.status.entries_today, branch.status.exits_today) == (0, 0)
    branch.pass_to(20 * 60 + 10)
    branch.pass_to(20 * 60 + 11, entries=1)
    branch.pass_to(20 * 60 + 20)
    assert branch.status.people is not None
    assert branch.status.people.below == BELOW
    assert (branch.status.entries_today, branch.status.exits_today) == (0, 0)
