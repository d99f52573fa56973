"""What every format of devices is: a pure reader from a body to what its devices say.

A format knows nothing of transports, gates or libraries. It says what the device said, in the device's own words for
lines and directions; `services/ingest/normal_form.py` makes readings of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.ingest.devices.documents import Document
from shared.contracts.devices import Mapping
from shared.domain.meaning import Meaning

MAX_MEASUREMENTS: Final = 20_000
"""Of one body: a day file of a hundred channels by the minute has more, and is sent in parts."""


class Unreadable(Exception):  # noqa: N818  named for what is wrong with the body
    """A body that a format recognised cannot be read at all; the message says where and why, and echoes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One figure of one line, as the device has it.

    Passages (`crossing`, `window`, `total`, `day_total`) are in `forward` and `backward`: the device's in and out, or
    its first and second direction; None where it counts that way not at all. The other meanings are in `value`.
    """

    line: str
    """The device's most stable name of its line, zone or register."""
    meaning: Meaning
    forward: int | None = None
    backward: int | None = None
    value: float | None = None
    """People inside or queuing; minutes of a queueing time."""
    start: datetime | None = None
    """Of a window, aware; None where the device does not say."""
    end: datetime | None = None
    """When it was so: a window's end, a crossing's or register's time; None for now."""
    key: str = ""
    """What makes this figure itself beside line, window and content: a UUID, a sequence number."""
    label: str = ""
    """The line's name for people."""
    wraps_at: int | None = None
    """The largest value of a register."""
    is_complete: bool = True
    """Whether the window was seen whole."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a body that could not be read: its place, and why. Nothing of its content is echoed."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """What one body says of one device."""

    serial: str = ""
    """The device's own number; empty where the body does not say."""
    model: str = ""
    measurements: tuple[Measurement, ...] = ()
    faults: tuple[Fault, ...] = ()
    """Parts that could not be read; the others count, and the body goes to quarantine as well."""
    sent_at: datetime | None = None
    """What the device's clock said when it sent this, where it says so."""
    battery_percent: float | None = None
    flags: tuple[str, ...] = ()
    """What the device says is wrong with itself, in the words of `FLAGS`; empty also where it says nothing of it."""
    says_flags: bool = False
    """Whether this body would name what is wrong: then no flags means that all is well."""
    sequence: int | None = None
    """The running number of this report, where the device has one."""
    sequence_modulus: int = 0
    """At which it begins again at 0; 0 for never."""


FLAGS: Final = {
    "anomaly": "it says that its counts are not to be trusted",
    "obstructed": "it says that something blocks its view",
    "misaligned": "it says that its two halves do not face each other",
    "tampered": "it says that somebody has opened or moved it",
    "no-video": "it says that it has no picture",
    "node-silent": "it says that a part of it does not answer",
    "low-battery": "it says that its battery is low",
    "low-light": "it says that it is too dark to count",
    "error": "it says that it has a fault",
}
"""What devices say of themselves, in words that follow the device's name."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a format may have to know beside the body."""

    time_zone: ZoneInfo
    """Of times that come without one."""
    received_at: datetime
    mapping: Mapping | None = None
    """Of a source whose bodies no format knows."""
    read_inner: Callable[[Document], Sequence[DeviceReport]] | None = None
    """For envelopes: reads what is inside by whichever format recognises it. Raises Unreadable if none does."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format of bodies.

    `recognises` looks at the shape alone, is never wrong about another format's body, and never raises. `read` raises
    Unreadable, and nothing else whatever the body is.
    """

    name: str
    """As in `format = "…"`: small letters, digits and hyphens."""
    title: str
    """Maker and models, for people."""
    recognises: Callable[[Document], bool]
    read: Callable[[Document, Context], Sequence[DeviceReport]]
    meanings: tuple[Meaning, ...]
    """What its figures may mean, for the reference."""
    notes: str = ""
    """How the device is set up, and what it cannot do; a sentence or three for the reference."""
    is_envelope: bool = False
    """Whether other formats are inside; envelopes are asked first."""
    examples: tuple[str, ...] = field(default=())
    """What its bodies come as: "JSON by HTTP POST"."""
