"""The log read again up to a time: messages of one library, folded by the aggregator's own function.

Time is the library's own. For one on the wall clock it is when things were received and the ticks; for a simulated or
recorded one it is what the clock readings among the others say, so a pack may have to be cut.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from cli.explanation.past import Notes, Past
from services.aggregator.fold import Fold, Kept, MalformedMessage, Partition
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import AnyWireReading, ClockSet, Configured, Pack, Tick
from shared.contracts.stored import read_stored
from shared.domain.library import ClockKind
from shared.domain.library_state import LibraryState
from shared.runtime.opening_hours import OsmOpeningHours


class Rereading:
    """One library on its way to a time. Give it the log's messages in order until `take` says that it is there."""

    def __init__(self, applied: LibraryConfig, until: datetime, midnight: datetime, *, is_whole: bool) -> None:
        """Begin with nothing. `applied` is the configuration in force today, `midnight` begins the day of `until`."""
        self._applied = applied
        self._until = until
        self._is_whole = is_whole
        self._partition = Partition(subjects.partition_of(applied.id))
        self._fold = Fold([self._partition], OsmOpeningHours)
        self._notes = Notes(midnight)
        self._unreadable = 0
        self._is_lent = False
        self.first: datetime | None = None
        """The library's time in the first message that says one, whether or not it is past the end."""

    def take(self, subject: str, data: bytes, sequence: int) -> bool:
        """Take the next message; return False if it, or a part of it, lies behind the time to come to."""
        try:
            part, is_over = self._part(subject, data)
        except ValidationError:
            self._unreadable += 1
            return True
        if part is not None:
            self._apply(subject, part, sequence)
        return not is_over

    def past(self) -> Past | None:
        """Return the library as of now; None if the log holds nothing of it up to then."""
        kept = self._partition.libraries.get(self._applied.id)
        if kept is None or kept.state.status is None:
            return None
        return Past(kept.library, kept.state, self._notes, self._is_whole, self._unreadable, self._is_lent)

    def _part(self, subject: str, data: bytes) -> tuple[bytes | None, bool]:
        """Return the part of a message that is of this library and not after the end, and whether the end is here."""
        if subject == subjects.TICKS:
            return self._by_wall_clock(data, Tick.model_validate_json(data).at)
        if f'"{self._applied.id}"'.encode() not in data:
            return None, False
        if subject.startswith("configured."):
            configured = read_stored(Configured, data)
            if configured.library != self._applied.id:
                return None, False
            return self._by_wall_clock(data, configured.at) if self._is_on_wall_clock() else (data, False)
        return self._of_pack(data)

    def _of_pack(self, data: bytes) -> tuple[bytes | None, bool]:
        pack = read_stored(Pack, data)
        own = [each for each in pack.readings if each.library == self._applied.id]
        if not own:
            return None, False
        if self._partition.libraries.get(self._applied.id) is None and not self._is_whole:
            self._lend()
        is_over = False
        if self._is_on_wall_clock():
            own, is_over = ([], True) if self._is_after(pack.received_at) else (own, False)
        else:
            place = self._end_among(own)
            own, is_over = own[:place], place < len(own)
        if not own:
            return None, is_over
        if len(own) == len(pack.readings):
            return data, is_over
        part = Pack(received_at=pack.received_at, readings=tuple(own))
        return part.model_dump_json(exclude_none=True).encode(), is_over

    def _end_among(self, own: list[AnyWireReading]) -> int:
        """Return how many of a pack's readings come before the clock is set to a time behind the end."""
        for place, each in enumerate(own):
            if isinstance(each, ClockSet) and each.time is not None and self._is_after(each.time):
                return place
        return len(own)

    def _by_wall_clock(self, data: bytes, at: datetime) -> tuple[bytes | None, bool]:
        if not self._is_on_wall_clock():
            return None, False
        return (None, True) if self._is_after(at) else (data, False)

    def _is_after(self, at: datetime) -> bool:
        self.first = self.first or at
        return at > self._until

    def _is_on_wall_clock(self) -> bool:
        kept = self._partition.libraries.get(self._applied.id)
        return (kept.config if kept else self._applied).clock is ClockKind.WALL

    def _lend(self) -> None:
        """Let today's configuration stand in for the one that the log has forgotten; the next in the log takes over."""
        library = self._applied.to_domain(OsmOpeningHours)
        self._partition.libraries[self._applied.id] = Kept(0, self._applied, library, LibraryState())
        self._is_lent = True

    def _apply(self, subject: str, data: bytes, sequence: int) -> None:
        before = self._partition.libraries.get(self._applied.id)
        if before is not None:
            self._notes.before(before.state)
        try:
            effects = self._fold.apply(subject, data, sequence)
        except MalformedMessage:
            self._unreadable += 1
            return
        kept = self._partition.libraries.get(self._applied.id)
        if kept is not None:
            self._notes.after(kept.state, [outcome for _, outcome in effects.outcomes])
