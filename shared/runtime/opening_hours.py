"""The opening-hours engine: opening-hours-py (OSM syntax, public holidays) behind the domain's protocol.

The engine is asked in local wall-clock time without a zone; the way between that and UTC is ours. (Asked with a zone it
answers "closed" within the hour that a night of DST repeats.)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import opening_hours

MAX_LOOK_AHEAD_DAYS: Final = 400
"""A change further away than this is as good as none; it bounds the search of a rule that never holds."""
MAX_STEPS: Final = 8
"""Changes of the zone's offset looked at for one answer; there are two a year."""
SECOND: Final = timedelta(seconds=1)


class OsmOpeningHours:
    """Opening hours in one time zone. Whether it is open is a matter of the local clock on the wall."""

    def __init__(self, rule: str, zone: ZoneInfo, country: str | None) -> None:
        """Raise ValueError, with the engine's pointer to the fault, if the rule or the country cannot be read."""
        self._zone = zone
        try:
            self._engine = opening_hours.OpeningHours(
                rule,
                country=country,
                auto_country=False,
                auto_timezone=False,
                max_interval_days=MAX_LOOK_AHEAD_DAYS,
            )
        except opening_hours.ParserError as error:  # type: ignore[attr-defined]  # the stub leaves it out
            raise ValueError(f"{rule!r} is no opening_hours rule: {_one_line(error)}") from error
        except opening_hours.UnknownCountryError as error:  # type: ignore[attr-defined]  # likewise
            raise ValueError(f"no public holidays are known for {country!r}") from error

    def is_open(self, at: datetime) -> bool:
        """Tell whether the rule holds at this instant."""
        return self._engine.is_open(self._on_the_wall(at))

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first instant after `at` at which the answer changes, or None."""
        here = at.astimezone(UTC)
        is_open = self.is_open(here)
        for _ in range(MAX_STEPS):
            wall = self._on_the_wall(here)
            change = self._engine.next_change(wall)
            if change is None:
                return None
            # Right unless the wall clock is set between here and there.
            there = here + (change - wall)
            turn = self._clock_is_set(here, there)
            if turn is None:
                return there.astimezone(self._zone)
            if self.is_open(turn) != is_open:
                return turn.astimezone(self._zone)
            here = turn
        return None

    def open_intervals(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the open spans that touch [start, end), in order, cut to it."""
        at = start.astimezone(UTC)
        while at < end:
            change = self.next_change(at)
            until = end.astimezone(UTC) if change is None or change >= end else change.astimezone(UTC)
            if self.is_open(at):
                yield at.astimezone(self._zone), until.astimezone(self._zone)
            at = until

    def _on_the_wall(self, at: datetime) -> datetime:
        return at.astimezone(self._zone).replace(tzinfo=None)

    def _clock_is_set(self, start: datetime, end: datetime) -> datetime | None:
        """Return the first instant in (start, end] from which another offset holds than at `start`, or None.

        Two settings that cancel each other out between the two change nothing in between: the wall shows no time twice
        that the rule tells apart, or the engine would have named it.
        """
        offset = start.astimezone(self._zone).utcoffset()
        if end.astimezone(self._zone).utcoffset() == offset:
            return None
        low, high = start, end
        while high - low > SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            if middle <= low:
                break
            if middle.astimezone(self._zone).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return high.replace(microsecond=0)


def _one_line(error: Exception) -> str:
    """Return where the engine gave up; its own words name the rules of its grammar, which help nobody."""
    place = next((line.split("-->")[1].strip() for line in str(error).splitlines() if "-->" in line), "")
    column = place.partition(":")[2]
    return f"from character {column} on it cannot be read" if column else "it cannot be read"
