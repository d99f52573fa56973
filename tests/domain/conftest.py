"""A small library and the means to tell it things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shared.contracts.configuration import LibraryConfig
from shared.domain.advance import advance
from shared.domain.library import Library
from shared.domain.library_state import LibraryState, Outcome
from shared.domain.reading import AnyReading, GateCount, HeadCount
from shared.domain.status import Change, Status
from shared.runtime.opening_hours import OsmOpeningHours

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
"""A Monday; at this time of the year Paris is an hour ahead."""


def make_library(**more: Any) -> Library:
    """Return a library of 100 seats with one gate, open 09:00 to 12:00 and 13:00 to 18:00 in Paris."""
    settings: dict[str, Any] = {
        "id": "branch",
        "name": "Branch",
        "time_zone": "Europe/Paris",
        "country": "FR",
        "opening_hours": "Mo-Fr 09:00-12:00,13:00-18:00; PH off",
        "capacity": 100,
        "gates": [{"id": "front"}],
        **more,
    }
    return LibraryConfig.model_validate(settings).to_domain(OsmOpeningHours)


def at(clock: str, day: int = 0) -> datetime:
    """Return a time of day in Paris on the Monday, or some days after it."""
    hours, minutes = clock.split(":")
    return MONDAY + timedelta(days=day, hours=int(hours) - 1, minutes=int(minutes))


class Told:
    """A library that is told readings and asked for its status, as the aggregator would."""

    def __init__(self, **more: Any) -> None:
        """Make the library and a state that has seen nothing."""
        self.library = make_library(**more)
        self.state = LibraryState()
        self.changes: list[Change] = []
        self._numbers = count()

    def tell(self, when: datetime, *readings: AnyReading) -> Outcome:
        """Give readings at a time; keep the changes."""
        outcome = advance(self.state, self.library, when, readings)
        self.changes += outcome.changes
        return outcome

    def gate(self, when: datetime, entries: int = 0, exits: int = 0, **more: Any) -> Outcome:
        """Report a gate at a time."""
        seen_at = more.pop("at", when)
        gate = more.pop("gate", "front")
        identity = more.pop("id", f"g{next(self._numbers)}")
        count_ = GateCount(
            id=identity, device=gate, at=seen_at, gate=gate, start=seen_at, entries=entries, exits=exits, **more
        )
        return self.tell(when, count_)

    def heads(self, when: datetime, people: int, zone: str | None = None, **more: Any) -> Outcome:
        """Count heads at a time."""
        seen_at = more.pop("at", when)
        identity = more.pop("id", f"h{next(self._numbers)}")
        return self.tell(when, HeadCount(id=identity, device="tablet", at=seen_at, zone=zone, people=people, **more))

    def beat(self, start: datetime, end: datetime, step: timedelta = timedelta(minutes=5)) -> None:
        """Let the gate report zeros from start to end."""
        when = start
        while when <= end:
            self.gate(when)
            when += step

    @property
    def status(self) -> Status:
        """The latest status."""
        assert self.state.status is not None
        return self.state.status

    def situations(self) -> list[tuple[str, str]]:
        """Return every change as its local time and its state or level."""
        return [
            (
                change.at.astimezone(self.library.time_zone).strftime("%H:%M"),
                str(change.status.level or change.status.state),
            )
            for change in self.changes
        ]
