"""Local times of a file as instants, on the two odd nights of the year as well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class SkippedTimeError(ValueError):
    """A local time that the clocks skipped in spring."""


@dataclass(slots=True)
class LocalTimes:
    """Reads one series of local times of one zone, each later than the one before it in the file.

    A time that happens twice in autumn is its first occurrence, unless the series has already reached that instant:
    then it is the second.
    """

    zone: ZoneInfo
    last: datetime | None = None

    def instant(self, local: datetime) -> datetime:
        """Return the instant, in UTC, of a naive local time. Raises SkippedTimeError if there was none."""
        first, second = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first.astimezone(self.zone).replace(tzinfo=None) != local:
            raise SkippedTimeError(
                f"{local} never was in {self.zone.key}: the clocks went forward over it; a counter that keeps winter"
                f" time all year needs a time zone without summer time, such as Etc/GMT-1"
            )
        is_second = self.last is not None and first <= self.last < second
        instant = second if is_second else first
        self.last = instant
        return instant
