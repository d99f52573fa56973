"""What the auditor tells others, in its bucket: its book, the last comparison, and what somebody has accepted."""

from __future__ import annotations

from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

BOOK: Final = "book"
RECONCILIATION: Final = "reconciliation"
ACCEPTED: Final = "accepted"
"""Keys of the bucket. The auditor writes the first two, the operator the third."""


class Accepted(BaseModel):
    """Somebody knows of everything noticed up to a time."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime
    by: str


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


class Reconciliation(BaseModel):
    """The last comparison."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime
    since: AwareDatetime = Field(description="When the counting began, or began anew.")
    libraries: tuple[Compared, ...]
    devices: tuple[MissingReadings, ...] = ()
