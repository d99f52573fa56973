"""What the auditor tells others, in its bucket: its book, the last comparison, and what somebody has accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.contracts import subjects
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus, BusUnavailable, Conflict, Entry
from shared.runtime.clock import now, wait_s

BOOK: Final = "book"
RECONCILIATION: Final = "reconciliation"
ACCEPTED: Final = "accepted"
"""Keys of the bucket. The auditor writes the first two, the operator the third."""


ACCEPTED_MAX: Final = 50
"""Remembered of what was accepted before: an auditor that was away hears of each, and nobody purges so often."""
AT_WORK: Final = timedelta(minutes=15)
"""A purge that was cut short is not taken for one that goes on for longer."""
RENEW_EVERY: Final = timedelta(minutes=3)
"""One that does go on says so again: of the four times within `AT_WORK` three may fail."""
TRIES: Final = 5
"""To write down that something is accepted, where others do the same at the same moment."""


class Accepted(BaseModel):
    """Somebody knows of everything noticed up to a time."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime
    by: str
    since: AwareDatetime | None = Field(default=None, description="Only what was noticed from then on; empty for all.")
    until: AwareDatetime | None = Field(
        default=None, description="What is noticed up to then: it is being taken out; empty once it has been."
    )
    is_recount_anew: bool = Field(default=False, description="The counts begin anew from what has been applied.")
    partitions: tuple[int, ...] | None = Field(
        default=None,
        description="Of a purge: those of the log that it takes from, none for an empty list; null for all.",
    )
    up_to: int | None = Field(default=None, description="Of a purge: the last sequence of the log as this was written.")
    earlier: tuple[Accepted, ...] = Field(default=(), description="What was accepted before, the newest first.")

    @property
    def all_of_them(self) -> tuple[Accepted, ...]:
        """This and those before it, the newest first."""
        return (self, *self.earlier)

    @property
    def anew_since(self) -> datetime | None:
        """When somebody last asked for the counts to begin anew."""
        return max((each.at for each in self.all_of_them if each.is_recount_anew), default=None)


class Compared(BaseModel):
    """One library: what the log comes to, less what has been applied at the same place of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    library: str
    sequence: int
    readings: int
    entries: int
    exits: int
    in_gaps: int
    log_entries: int = Field(description="What the log comes to since the beginning of the library's state.")
    log_exits: int
    gates: dict[str, tuple[int, int]] = Field(
        default_factory=dict, description="Entries and exits by outer gate, since the counting began."
    )

    @property
    def is_right(self) -> bool:
        """Whether both say the same."""
        return not (self.readings or self.entries or self.exits or self.in_gaps)


class MissingReadings(BaseModel):
    """Readings that a device has numbered within the last day and that never came."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    library: str
    device: str
    missing: int
    numbered: int


async def accept(
    bus: Bus,
    by: str,
    *,
    since: datetime | None = None,
    is_begun: bool = False,
    is_recount_anew: bool = False,
    partitions: tuple[int, ...] | None = None,
) -> None:
    """Tell the auditor that what is gone by now is known of; after a purge, what has gone since that began.

    With `is_begun` what goes from now on is known of as well, until the same is said without, or for `AT_WORK` at the
    longest. `partitions` are those of the log that a purge takes from, None for all. What was accepted before goes on
    to be so, whether the auditor has heard of it or not.

    Raises BusUnavailable.
    """
    bucket = bus.bucket(subjects.AUDITOR)
    up_to = None if since is None else await bus.last_sequence(subjects.READINGS)
    for _ in range(TRIES):
        entry, revision = await bucket.read(ACCEPTED)
        before = read_accepted(entry)
        others = () if before is None else before.all_of_them
        if since is not None:
            others = tuple(each for each in others if (each.by, each.since) != (by, since))
        at = now()
        note = Accepted(
            at=at,
            by=by,
            since=since,
            until=at + AT_WORK if is_begun else None,
            is_recount_anew=is_recount_anew,
            partitions=partitions,
            up_to=up_to,
            earlier=tuple(_alone(each) for each in others[: ACCEPTED_MAX - 1]),
        )
        try:
            await bucket.update(ACCEPTED, note.model_dump_json().encode(), revision=revision)
        except Conflict:
            continue
        return
    raise BusUnavailable("others accept something all the time")


@asynccontextmanager
async def taking_out(bus: Bus, by: str, *, partitions: tuple[int, ...] | None = None) -> AsyncIterator[None]:
    """Take messages out on purpose in the body: the auditor tells of none that go meanwhile, however long it takes.

    `partitions` are those of the log from which they go, None for all. Raises BusUnavailable.
    """
    since = now()
    await accept(bus, by, since=since, is_begun=True, partitions=partitions)
    renewing = asyncio.create_task(_renew(bus, by, since, partitions))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        await accept(bus, by, since=since, partitions=partitions)


async def _renew(bus: Bus, by: str, since: datetime, partitions: tuple[int, ...] | None) -> None:
    while True:
        await wait_s(RENEW_EVERY / timedelta(seconds=1))
        with suppress(BusUnavailable):  # the next time; if the bus stays away, so does what is at work
            await accept(bus, by, since=since, is_begun=True, partitions=partitions)


def read_accepted(entry: Entry | None) -> Accepted | None:
    """Return what somebody has accepted, or None where nobody has, or where it cannot be read."""
    try:
        return None if entry is None else read_stored(Accepted, entry.value)
    except ValidationError:
        return None


def _alone(note: Accepted) -> Accepted:
    return note.model_copy(update={"earlier": ()})


class TakenOver(BaseModel):
    """A partition in which what had been applied was taken for what the log says, because the log no longer tells."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    partition: int
    at: AwareDatetime
    why: str
    is_explained: bool = Field(default=True, description="By a purge, or by the age of what was gone.")
    libraries: tuple[str, ...]


class LeftOut(BaseModel):
    """A partition that could not be compared, and since when."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    partition: int
    since: AwareDatetime
    why: str


class Reconciliation(BaseModel):
    """The last comparison."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime
    since: AwareDatetime = Field(description="When the counting began, or began anew.")
    libraries: tuple[Compared, ...]
    devices: tuple[MissingReadings, ...] = ()
    taken_over: tuple[TakenOver, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
