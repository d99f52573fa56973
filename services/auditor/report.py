"""What the auditor tells others, in its bucket: its book, the last comparison, and what somebody has accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts import subjects
from shared.runtime.bus import Bus
from shared.runtime.clock import now

BOOK: Final = "book"
RECONCILIATION: Final = "reconciliation"
ACCEPTED: Final = "accepted"
"""Keys of the bucket. The auditor writes the first two, the operator the third."""


class Accepted(BaseModel):
    """Somebody knows of everything noticed up to a time."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime
    by: str
    since: AwareDatetime | None = Field(default=None, description="Only what was noticed from then on; empty for all.")
    is_recount_anew: bool = Field(default=False, description="The counts begin anew from what has been applied.")


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


async def accept(bus: Bus, by: str, *, since: datetime | None = None, is_recount_anew: bool = False) -> None:
    """Tell the auditor that what is gone by now is known of; after a purge, what has gone since that began.

    Raises BusUnavailable.
    """
    note = Accepted(at=now(), by=by, since=since, is_recount_anew=is_recount_anew)
    await bus.bucket(subjects.AUDITOR).put(ACCEPTED, note.model_dump_json().encode())


class Reconciliation(BaseModel):
    """The last comparison."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime
    since: AwareDatetime = Field(description="When the counting began, or began anew.")
    libraries: tuple[Compared, ...]
    devices: tuple[MissingReadings, ...] = ()
