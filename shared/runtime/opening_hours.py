"""The opening-hours engine: opening-hours-py (OSM syntax, public holidays) behind the domain's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import opening_hours

MAX_LOOK_AHEAD_DAYS = 400
"""A change further away than this is as good as none; it bounds the search of a rule that never holds."""


class OsmOpeningHours:
    """Opening hours in one time zone. Every answer is computed from UTC, so both nights of DST come out right."""

    def __init__(self, rule: str, zone: ZoneInfo, country: str | None) -> None:
        """Raise ValueError, with the engine's pointer to the fault, if the rule or the country cannot be read."""
        self._zone = zone
        try:
            self._engine = opening_hours.OpeningHours(
                rule,
                timezone=zone,
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
        return self._engine.is_open(at.astimezone(self._zone))

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first instant after `at` at which the answer changes, or None."""
        return self._engine.next_change(at.astimezone(self._zone))

    def open_intervals(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the open spans that touch [start, end), in order, cut to it."""
        at = start
        while at < end:
            change = self.next_change(at)
            until = end if change is None or change > end else change
            if self.is_open(at):
                yield at.astimezone(self._zone), until.astimezone(self._zone)
            at = until


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines()
    expected = next((line.strip(" =") for line in lines if "expected" in line), lines[0] if lines else "unreadable")
    place = next((line.split("-->")[1].strip() for line in lines if "-->" in line), "")
    column = place.partition(":")[2]
    return f"at character {column}: {expected}" if column else expected
