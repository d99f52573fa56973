"""A library as the domain sees it: places, gates, capacity by period, hours, bands, and how it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo

from shared.domain.level import DEFAULT_BANDS, Band

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTSIDE: Final = "outside"
"""The place beyond every outer gate."""
MIDNIGHT: Final = time(0)
INSIDE: Final = "inside"
"""The one place of a library that declares no zones."""


class ClockKind(StrEnum):
    """Where a library's time comes from."""

    WALL = "wall"
    """The real clock: receive times and the aggregator's ticks."""
    SIMULATED = "simulated"
    """A running simulation sends its own time, at a known speed."""
    RECORDED = "recorded"
    """A recorded day is played back; time is what its readings say and stands still after them."""


class OpeningHours(Protocol):
    """An engine for opening hours; the domain asks, `shared.runtime.opening_hours` answers.

    Every datetime is aware; answers are in the library's own time zone.
    """

    def is_open(self, at: datetime) -> bool:
        """Tell whether the rule holds at this instant."""
        ...

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first instant after `at` at which the answer changes, or None if it never does."""
        ...

    def open_intervals(self, start: datetime, end: datetime) -> Iterable[tuple[datetime, datetime]]:
        """Yield the open spans that touch [start, end), in order, cut to it."""
        ...


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of a library with its own capacity: a floor, a room."""

    id: str
    name: str
    capacity: int


@dataclass(frozen=True, slots=True)
class Gate:
    """A counted passage between two places; `entries` go from `origin` to `destination`."""

    id: str
    origin: str
    destination: str
    silent_after: timedelta
    is_beam: bool = False
    """Counts crossings without knowing their direction; they stand in `entries`."""
    interval: timedelta | None = None
    """How often it reports; None if nobody said, and then its silence cannot be told from nobody coming."""
    name: str = ""
    """As people call it; empty where nobody said."""

    def __post_init__(self) -> None:
        """Refuse a gate that leads nowhere, may never be silent, or reports without end."""
        if self.origin == self.destination:
            raise ValueError(f"gate {self.id}: leads from {self.origin} to itself")
        if self.silent_after <= timedelta(0):
            raise ValueError(f"gate {self.id}: silent_after must be positive")
        if self.interval is not None and self.interval <= timedelta(0):
            raise ValueError(f"gate {self.id}: interval must be positive")

    @property
    def places(self) -> tuple[str, str]:
        """The two places that this gate joins."""
        return (self.origin, self.destination)

    @property
    def is_outer(self) -> bool:
        """Whether people enter or leave the library here."""
        return OUTSIDE in self.places


@dataclass(frozen=True, slots=True)
class Marker:
    """A place people know, at which the end of the queue can stand, and how many people that means."""

    id: str
    name: str
    people: int


@dataclass(frozen=True, slots=True)
class CapacityPeriod:
    """A capacity that holds while `when` does: a summer arrangement, a half-open evening."""

    when: OpeningHours = field(compare=False)
    rule: str
    capacity: int


class Says(StrEnum):
    """What a channel is for."""

    ANNOUNCEMENTS = "announcements"
    """What patrons act on, when it happens, and one live post that is kept true where the channel can."""
    DIGEST = "digest"
    """One word a day, when the library closes."""


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """How a library speaks on one channel."""

    channel: str
    """The channel's type: `console`, `mastodon`."""
    account: str
    """Which credentials of the publisher to use; empty where a channel needs none."""
    languages: tuple[str, ...]
    min_interval: timedelta
    daily_budget: int
    server: str = ""
    says: Says = Says.ANNOUNCEMENTS
    needs_approval: bool = False
    """Whether staff want to see each post before it goes out."""
    hashtags: tuple[str, ...] = ()
    """Without their #; at the end of what is long enough for them."""
    quiet_from: time = MIDNIGHT
    quiet_until: time = MIDNIGHT
    """At night nothing is announced; equal times are no night. In the library's own time."""
    update_interval: timedelta = timedelta(minutes=5)
    """How far two edits of a live post are apart, unless what it says has become untrue."""
    refresh_after: timedelta = timedelta(minutes=30)
    """After this long a live post whose situation still holds gets its newest figures and time."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What else this type of channel can be told."""

    @property
    def name(self) -> str:
        """The channel's name on the bus: its type, and its account where it has one."""
        return f"{self.channel}-{self.account}" if self.account else self.channel

    def is_night(self, local: time) -> bool:
        """Tell whether a time of the library's day lies in its quiet hours."""
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= local < self.quiet_until
        return local >= self.quiet_from or local < self.quiet_until


@dataclass(frozen=True, slots=True)
class Library:
    """Everything the domain must know of one library to say how full it is."""

    id: str
    name: str
    time_zone: ZoneInfo
    hours: OpeningHours = field(compare=False)
    hours_rule: str
    """The rule behind `hours`, which is what makes two configurations equal."""
    capacity: int
    languages: tuple[str, ...] = ("en",)
    clock: ClockKind = ClockKind.WALL
    zones: tuple[Zone, ...] = ()
    gates: tuple[Gate, ...] = ()
    markers: tuple[Marker, ...] = ()
    capacity_periods: tuple[CapacityPeriod, ...] = ()
    bands: tuple[Band, ...] = DEFAULT_BANDS
    dwell: timedelta = timedelta(minutes=4)
    """Two changes of level are at least this far apart, unless the library becomes full."""
    empty_after: timedelta = timedelta(minutes=10)
    """How long after closing the building is taken to be empty."""
    valid_for: timedelta = timedelta(minutes=10)
    """How long a status may be shown without a newer one."""
    recount_valid_for: timedelta = timedelta(minutes=60)
    """How long a head-count stands alone in a library without gates."""
    queue_valid_for: timedelta = timedelta(minutes=45)
    """How long it is believed that nobody queues, once somebody looked and saw nobody."""
    mean_stay: timedelta = timedelta(minutes=150)
    door_rate_per_min: float = 20.0
    """How many people the door lets in per minute while there is room and a queue."""
    staff_inside: int = 0
    small_numbers_below: int = 0
    """Fewer people than this are told as fewer than this; 0 where every figure is told."""
    """People whom gates and head-counts see all day, and who are not visitors."""
    is_queue_possible: bool = True
    last_entry: timedelta = timedelta(0)
    """How long before closing the door lets in the last."""
    travel_times: tuple[timedelta, ...] = (timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=60))
    """How long people are on their way, for what they find who leave now; each once, rising."""
    url: str = ""
    channels: tuple[ChannelRule, ...] = ()
    wording: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The library's own words, by language and by their name in the catalog."""
    staff_devices: frozenset[str] = frozenset()
    """Devices through which people speak; others may be sensors."""

    def capacity_at(self, at: datetime) -> int:
        """Return the people allowed in at this instant: the first period that holds, else the usual capacity."""
        for period in self.capacity_periods:
            if period.when.is_open(at):
                return period.capacity
        return self.capacity

    @property
    def places(self) -> tuple[str, ...]:
        """The places inside whose people add up to the library's."""
        return tuple(zone.id for zone in self.zones) or (INSIDE,)

    def gate(self, gate_id: str) -> Gate | None:
        """Return the gate with this id, or None."""
        return next((gate for gate in self.gates if gate.id == gate_id), None)

    def marker(self, marker_id: str) -> Marker | None:
        """Return the queue marker with this id, or None."""
        return next((marker for marker in self.markers if marker.id == marker_id), None)
