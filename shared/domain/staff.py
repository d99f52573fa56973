"""What staff have said and not taken back: the log of their readings, and what follows from it now.

Nothing is stored as a switch. What holds is derived from the log by the readings' own times, so that an undo, or a
tablet that was offline for an hour, needs no special case.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from shared.domain.reading import (
    HORIZON,
    Evacuation,
    ExceptionalClosing,
    HeadCount,
    HeldSeats,
    Mute,
    NotAdmitting,
    Notice,
    QueueAtMarker,
    QueueLength,
    StaffReading,
    Undo,
)

MAX_OF_A_KIND: Final = 64
"""Readings of staff remembered per library, kind and day: people tap, and a sensor's older looks are past use."""
MAX_UNDONE: Final = 1024
"""Names of what was taken back, kept for when it arrives or is said again; the oldest go first."""

R = TypeVar("R", bound=StaffReading)


@dataclass(slots=True)
class StaffLog:
    """The readings of staff of one library over the horizon, in the order of their own times."""

    entries: list[StaffReading] = field(default_factory=list)
    undone: dict[str, datetime] = field(default_factory=dict)

    def add(self, reading: StaffReading) -> StaffReading | None:
        """Add a reading; return the one that had to make room for another, perhaps this one, or None.

        A reading that was taken back before it arrived makes room at once.
        """
        if f"{reading.device}/{reading.id}" in self.undone or reading.identity in self.undone:
            return reading
        self.entries.append(reading)
        self.entries.sort(key=lambda each: (each.at, each.identity))
        of_kind = [each for each in self.entries if each.kind == reading.kind]
        if len(of_kind) > MAX_OF_A_KIND:
            # A sensor of the queue streams where people tap: it must not push out what they could still take back.
            told = Counter(each.device for each in of_kind)
            most = max(told.values())
            loudest = [each for each in of_kind if told[each.device] == most]
            # Of zones each has a figure that holds; what a newer one of the same zone has replaced goes first.
            newest = {_place(each): each for each in loudest}
            oldest = next((each for each in loudest if newest[_place(each)] is not each), loudest[0])
            self.entries.remove(oldest)
            return oldest
        return None

    def undo(self, undo: Undo) -> list[StaffReading]:
        """Take a reading back, now or when it arrives, and return it if it was there.

        The target is the id of a reading of the same device, or `<device>/<id>` of another's.
        """
        names = {f"{undo.device}/{undo.target}", undo.target}
        self.undone |= dict.fromkeys(names, undo.at)
        for name in sorted(self.undone, key=lambda each: (self.undone[each], each))[:-MAX_UNDONE]:
            del self.undone[name]
        found = [each for each in self.entries if names & {f"{each.device}/{each.id}", each.identity}]
        self.entries = [each for each in self.entries if each not in found]
        return found

    def forget_before_horizon(self, now: datetime) -> None:
        """Drop what is past the horizon and no longer holds."""
        limit = now - HORIZON
        self.undone = {target: at for target, at in self.undone.items() if at >= limit}
        self.entries = [entry for entry in self.entries if entry.at >= limit or self._holds_until(entry) > now]

    def notice(self, now: datetime) -> Notice | None:
        """Return the notice that holds now."""
        latest = self._latest(Notice, now)
        return latest if latest and latest.text and latest.until > now else None

    def closing(self, now: datetime) -> ExceptionalClosing | None:
        """Return the exceptional closing that holds now."""
        latest = self._latest(ExceptionalClosing, now)
        return latest if latest and latest.until > now else None

    def muted_until(self, now: datetime) -> datetime | None:
        """Return until when posts are muted, or None."""
        latest = self._latest(Mute, now)
        return latest.until if latest and latest.until > now else None

    def is_not_admitting(self, now: datetime, since: datetime | None) -> bool:
        """Tell whether the door is held shut; what was said before the library last opened does not count."""
        latest = self._latest(NotAdmitting, now)
        return latest is not None and latest.on and (since is None or latest.at >= since)

    def evacuation(self, now: datetime, since: datetime | None) -> Evacuation | None:
        """Return the evacuation that holds now; one from before the library last opened is over."""
        latest = self._latest(Evacuation, now)
        return latest if latest and latest.on and (since is None or latest.at >= since) else None

    def last_head_count(self, now: datetime) -> datetime | None:
        """Return when heads were last counted."""
        latest = self._latest(HeadCount, now)
        return latest.at if latest else None

    def queue_seen_gone(self, now: datetime) -> datetime | None:
        """Return when somebody looked and found nobody queuing, if nobody has looked since."""
        looks = (each for each in reversed(self.entries) if isinstance(each, QueueLength | QueueAtMarker))
        latest = next((each for each in looks if each.at <= now), None)
        return latest.at if isinstance(latest, QueueLength) and latest.people == 0 else None

    def held_seats(self, now: datetime, since: datetime | None) -> int | None:
        """Return the seats held by bags, added up over zones; None if nobody counted since the library opened."""
        by_zone: dict[str | None, int] = {}
        for entry in self.entries:
            if isinstance(entry, HeldSeats) and entry.at <= now and (since is None or entry.at >= since):
                if entry.zone is None:
                    by_zone.clear()
                by_zone[entry.zone] = entry.seats
        return sum(by_zone.values()) if by_zone else None

    def expiries(self, now: datetime) -> list[datetime]:
        """Return the instants at which something said ends by itself, or begins: a clock may be a little fast."""
        holding = (self.notice(now), self.closing(now), self._latest(Mute, now))
        ends = [each.until for each in holding if each is not None and each.until > now]
        return [*ends, *(each.at for each in self.entries if each.at > now)]

    def _latest(self, kind: type[R], now: datetime) -> R | None:
        return next((e for e in reversed(self.entries) if isinstance(e, kind) and e.at <= now), None)

    @staticmethod
    def _holds_until(entry: StaffReading) -> datetime:
        return entry.until if isinstance(entry, Notice | ExceptionalClosing | Mute) else entry.at


def _place(entry: StaffReading) -> str | None:
    return entry.zone if isinstance(entry, HeadCount | HeldSeats) else None
