"""Readings on the wire: what senders post to ingest, and the packs that ingest puts on the bus.

Strict and bounded: a field too many, a naive time or a number out of range is refused by name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self, TypedDict

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    model_validator,
)

from shared.domain import reading as domain
from shared.domain.reading import LONGEST_WAIT

MAX_READINGS_PER_REQUEST: Final = 1000
"""What one request may hold; it is also the limit of an atomic batch on the bus."""
ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}$"
SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""Ids of libraries, gates, zones, markers and devices: one token of a bus subject and of a URL."""
MAX_TEXT: Final = 280
UNPRINTABLE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]+")
"""Controls, line ends and marks of direction: in a list of notes they would disturb the neighbours."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def _in_bounds(moment: datetime) -> datetime:
    """Refuse a time with which a calendar cannot reckon; a broken clock says such things."""
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"a time between {EARLIEST.year} and {LATEST.year - 1} is wanted")
    return moment


def on_one_line(text: str) -> str:
    """Return a text without controls, line ends and marks of direction."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


Moment = Annotated[AwareDatetime, AfterValidator(_in_bounds)]
Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]
People = Annotated[int, Field(ge=0, le=100_000)]
Register = Annotated[int, Field(ge=0, le=2**53)]


class DomainFields(TypedDict):
    """The fields with which every domain reading begins."""

    id: str
    device: str
    at: Moment
    boot: str | None
    sequence: int | None


class RemarkFields(DomainFields):
    """The same, with the reason that a reading may give."""

    note: str
    by: str


class WireReading(BaseModel):
    """What every reading has. `id`, `device` and `time` may be left out by a sender; on the bus they are there."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    library: Slug = Field(description="The library that this is about.")
    id: Annotated[str, Field(pattern=ID_PATTERN)] | None = Field(
        default=None, description="The sender's own id; the same id twice counts once."
    )
    device: Slug | None = Field(
        default=None, description="Who saw it; for a count the gate, else the key's own device, if left out."
    )
    time: Moment | None = Field(default=None, description="When it was seen, for a window its end; now if left out.")
    boot: Annotated[str, Field(pattern=ID_PATTERN, max_length=40)] | None = Field(
        default=None, description="Changes whenever the device starts its sequence anew."
    )
    sequence: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None,
        description="The device's running number; with device and boot it says which reading this is.",
    )

    def fields_for_domain(self) -> DomainFields:
        """Return the common fields in the domain's names; only for a reading that ingest has completed."""
        assert self.id is not None
        assert self.device is not None
        assert self.time is not None
        return DomainFields(id=self.id, device=self.device, at=self.time, boot=self.boot, sequence=self.sequence)


class GateCount(WireReading):
    """People counted at a gate in a window; zeros are a welcome sign of life.

    A gate that tells directions gives `entries` and `exits`, a beam that does not `count` alone.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["entries", "exits"], "properties": {"count": {"type": "null"}}},
                {
                    "required": ["count"],
                    "properties": {"count": {"type": "integer"}, "entries": {"const": 0}, "exits": {"const": 0}},
                },
            ]
        }
    )

    kind: Literal["gate_count"]
    gate: Slug
    entries: People = Field(default=0, description="How many went from the gate's `from` to its `to`.")
    exits: People = Field(default=0, description="How many went the other way.")
    count: People | None = Field(
        default=None, description='How many went either way, in place of both, at a gate of `kind = "beam"`.'
    )
    start: Moment | None = Field(
        default=None, description="The window's beginning; its end is `time`. Left out: a single moment."
    )

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if self.count is None:
            is_right = {"entries", "exits"} <= self.model_fields_set
        else:  # the zeros are how a count that was written out again reads
            is_right = self.entries == self.exits == 0
        if not is_right:
            raise ValueError("give entries and exits, or count alone where the gate is a beam")
        return self

    def to_domain(self) -> domain.GateCount:
        """Return the domain's reading; a beam's crossings stand in its `entries`."""
        common = self.fields_for_domain()
        start = min(self.start or common["at"], common["at"])
        entries = self.entries if self.count is None else self.count
        return domain.GateCount(**common, gate=self.gate, start=start, entries=entries, exits=self.exits)


class GateTotal(WireReading):
    """What the registers of a gate show, of which the difference to the one before counts.

    The first one counts nobody. A register that falls has been reset, or has wrapped where `wraps_at` says so.
    """

    kind: Literal["gate_total"]
    gate: Slug
    entries: Register | None = Field(default=None, description="The register from the gate's `from` to its `to`.")
    exits: Register | None = Field(default=None, description="That of the other way.")
    wraps_at: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        default=None, description="The largest value of the registers, after which they go on at 0."
    )
    daily: bool = Field(default=False, description="They begin anew at the library's midnight.")

    @model_validator(mode="after")
    def _fits_its_registers(self) -> Self:
        registers = [each for each in (self.entries, self.exits) if each is not None]
        if not registers:
            raise ValueError("give entries, exits, or both")
        if self.wraps_at is not None and max(registers) > self.wraps_at:
            raise ValueError("wraps_at: a register is larger than this")
        return self

    def to_domain(self) -> domain.GateTotal:
        """Return the domain's reading."""
        return domain.GateTotal(
            **self.fields_for_domain(),
            gate=self.gate,
            entries=self.entries,
            exits=self.exits,
            wraps_at=self.wraps_at,
            is_daily=self.daily,
        )


class Occupancy(WireReading):
    """How many people a device sees in a zone, or in the whole library; what staff count is a `head_count`."""

    kind: Literal["occupancy"]
    zone: Slug | None = None
    people: People

    def to_domain(self) -> domain.Occupancy:
        """Return the domain's reading."""
        return domain.Occupancy(**self.fields_for_domain(), zone=self.zone, people=self.people)


class RemarkReading(WireReading):
    """A reading that may say why it was made."""

    note: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(on_one_line)] = Field(
        default="", description="Why, in plain words for colleagues; never public."
    )
    by: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,62})?$")] = Field(
        default="",
        description="The person of the staff who made it; ingest fills it in from who is signed in, nobody else may.",
        json_schema_extra={"readOnly": True},
    )

    def fields_for_domain(self) -> RemarkFields:
        """Return the common fields in the domain's names; only for a reading that ingest has completed."""
        return RemarkFields(**super().fields_for_domain(), note=self.note, by=self.by)


class HeadCount(RemarkReading):
    """People counted by staff, in a zone or in the whole library."""

    kind: Literal["head_count"]
    zone: Slug | None = None
    people: People

    def to_domain(self) -> domain.HeadCount:
        """Return the domain's reading."""
        return domain.HeadCount(**self.fields_for_domain(), zone=self.zone, people=self.people)


class QueueAtMarker(RemarkReading):
    """The end of the queue stands at a marker of the configuration."""

    kind: Literal["queue_at_marker"]
    marker: Slug

    def to_domain(self) -> domain.QueueAtMarker:
        """Return the domain's reading."""
        return domain.QueueAtMarker(**self.fields_for_domain(), marker=self.marker)


class QueueLength(RemarkReading):
    """People in the queue; 0 says that there is none."""

    kind: Literal["queue_length"]
    people: People

    def to_domain(self) -> domain.QueueLength:
        """Return the domain's reading."""
        return domain.QueueLength(**self.fields_for_domain(), people=self.people)


class QueueingTime(RemarkReading):
    """How long somebody who joins the queue now will wait, as a sensor says or staff were told."""

    kind: Literal["queueing_time"]
    minutes: Annotated[float, Field(ge=0, le=LONGEST_WAIT / timedelta(minutes=1))]

    def to_domain(self) -> domain.QueueingTime:
        """Return the domain's reading."""
        return domain.QueueingTime(**self.fields_for_domain(), minutes=self.minutes)


class Ticket(RemarkReading):
    """Somebody who joined the queue at `joined` has got in, at the reading's time."""

    kind: Literal["ticket"]
    joined: Moment = Field(description="Not after `time`, and at most twelve hours before it.")

    @model_validator(mode="after")
    def _is_one_wait(self) -> Self:
        if self.time is not None:
            fault = self.fault_at(self.time)
            if fault:
                raise ValueError(fault)
        return self

    def fault_at(self, time: datetime) -> str:
        """Return why nobody who joined at `joined` can have got in at `time`, or nothing."""
        if self.joined > time:
            return "joined: lies after time"
        if time - self.joined > LONGEST_WAIT:
            return f"joined: lies more than {LONGEST_WAIT // timedelta(hours=1)} h before time"
        return ""

    def to_domain(self) -> domain.Ticket:
        """Return the domain's reading."""
        return domain.Ticket(**self.fields_for_domain(), joined=self.joined)


class HeldSeats(RemarkReading):
    """Seats held by bags, in a zone or in the whole library."""

    kind: Literal["held_seats"]
    zone: Slug | None = None
    seats: People

    def to_domain(self) -> domain.HeldSeats:
        """Return the domain's reading."""
        return domain.HeldSeats(**self.fields_for_domain(), zone=self.zone, seats=self.seats)


class Notice(RemarkReading):
    """Words to the public until a time; an empty text takes the notice back."""

    kind: Literal["notice"]
    text: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(on_one_line)]
    until: Moment

    def to_domain(self) -> domain.Notice:
        """Return the domain's reading."""
        return domain.Notice(**self.fields_for_domain(), text=self.text.strip(), until=self.until)


class Closing(RemarkReading):
    """Closed now, against the hours, until a time."""

    kind: Literal["closing"]
    until: Moment
    reason: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(on_one_line)] = ""

    def to_domain(self) -> domain.ExceptionalClosing:
        """Return the domain's reading."""
        return domain.ExceptionalClosing(**self.fields_for_domain(), until=self.until, reason=self.reason)


class NotAdmitting(RemarkReading):
    """The door lets nobody in; with `on` false it does again."""

    kind: Literal["not_admitting"]
    on: bool

    def to_domain(self) -> domain.NotAdmitting:
        """Return the domain's reading."""
        return domain.NotAdmitting(**self.fields_for_domain(), on=self.on)


class Throttle(RemarkReading):
    """The door lets one in for one out, because the house is full; with `on` false everybody again."""

    kind: Literal["throttle"]
    on: bool

    def to_domain(self) -> domain.Throttle:
        """Return the domain's reading."""
        return domain.Throttle(**self.fields_for_domain(), on=self.on)


class Evacuation(RemarkReading):
    """Everybody is sent out, for an alarm or a drill; with `on` false people may come back."""

    kind: Literal["evacuation"]
    on: bool

    def to_domain(self) -> domain.Evacuation:
        """Return the domain's reading."""
        return domain.Evacuation(**self.fields_for_domain(), on=self.on)


class Mute(RemarkReading):
    """No posts until a time; a time already past ends the silence."""

    kind: Literal["mute"]
    until: Moment

    def to_domain(self) -> domain.Mute:
        """Return the domain's reading."""
        return domain.Mute(**self.fields_for_domain(), until=self.until)


class Undo(RemarkReading):
    """Take back an earlier reading of staff by its id."""

    kind: Literal["undo"]
    target: Annotated[str, Field(pattern=ID_PATTERN)]

    def to_domain(self) -> domain.Undo:
        """Return the domain's reading."""
        return domain.Undo(**self.fields_for_domain(), target=self.target)


class ClockSet(WireReading):
    """What time it is in a simulated or recorded library; only a simulation's key may say so."""

    kind: Literal["clock"]
    speed: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=0.0, description="Library seconds per real second; 0 for a playback as fast as it can."
    )

    def to_domain(self) -> domain.ClockSet:
        """Return the domain's reading."""
        return domain.ClockSet(**self.fields_for_domain(), speed=self.speed)


AnyWireReading = Annotated[
    GateCount
    | GateTotal
    | Occupancy
    | HeadCount
    | QueueAtMarker
    | QueueLength
    | QueueingTime
    | Ticket
    | HeldSeats
    | Notice
    | Closing
    | NotAdmitting
    | Throttle
    | Evacuation
    | Mute
    | Undo
    | ClockSet,
    Field(discriminator="kind"),
]
READING: Final[TypeAdapter[AnyWireReading]] = TypeAdapter(AnyWireReading)

STAFF_KINDS: Final = frozenset(
    {
        "head_count",
        "queue_at_marker",
        "queue_length",
        "queueing_time",
        "ticket",
        "held_seats",
        "notice",
        "closing",
        "not_admitting",
        "throttle",
        "evacuation",
        "mute",
        "undo",
    }
)
QUEUE_SENSOR_KINDS: Final = frozenset({"queue_length", "queueing_time"})
"""What a sensor of the queue may say as well as staff."""
GATE_KINDS: Final = frozenset({"gate_count", "gate_total", "occupancy"}) | QUEUE_SENSOR_KINDS
"""What a device may say: a counter at a gate, a sensor of the queue."""


class Forget(BaseModel):
    """What whoever keeps states of libraries is to forget: all of one that is gone, or the name of one of its staff."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    library: Slug
    person: Slug | None = None


class Pack(BaseModel):
    """All readings of one request that fall in one partition, in the order in which they came.

    `forget` is the operator's alone, of `placelibre purge`, in a pack without readings; it stands in the log because
    states follow from the log and from nothing else.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # a newer ingest may say more

    received_at: Moment
    readings: tuple[AnyWireReading, ...]
    forget: Forget | None = None

    def without_name(self, person: str) -> Self:
        """Return it with a person's id taken off what they said."""
        readings = tuple(
            each.model_copy(update={"by": ""}) if isinstance(each, RemarkReading) and each.by == person else each
            for each in self.readings
        )
        return self.model_copy(update={"readings": readings})


class Tick(BaseModel):
    """Time has passed: an input like any other, so that a replay sees it too."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: Moment


class Configured(BaseModel):
    """A library's configuration takes effect at this place of the log; `config` is null for a removed library."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    library: Slug
    revision: int = Field(description="The revision of the key in the LIBRARIES bucket.")
    at: Moment
    config: dict[str, JsonValue] | None
