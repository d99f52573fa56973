"""One body of a device on its way in, whatever brought it; what it says; and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self
from zoneinfo import ZoneInfo

from services.ingest import devices
from services.ingest.devices import Read
from services.ingest.devices.documents import Document, document_of
from services.ingest.devices.format import Context
from shared.contracts.devices import AnySource, QuarantinedBody


@dataclass(frozen=True, slots=True)
class Body:
    """What arrived through a source."""

    source: AnySource
    data: bytes
    media_type: str
    received_at: datetime
    topic: str = ""
    """The MQTT topic, the file's name, or what stood in the address behind the token."""
    encoding: str = ""
    """Of its text, where the source says so; found out if empty."""

    @classmethod
    def out_of_quarantine(cls, kept: QuarantinedBody, source: AnySource) -> Self:
        """Return a body as quarantine has kept it."""
        data = bytes.fromhex(kept.body) if kept.is_hex else kept.body.encode()
        return cls(source, data, kept.media_type, kept.received_at, kept.topic, "utf-8")

    def document(self) -> Document:
        """Return the body taken apart."""
        declared = self.source.mapping.encoding if self.source.mapping else ""
        return document_of(self.data, self.media_type, self.topic, self.encoding or declared)

    def read(self, document: Document, time_zone: ZoneInfo) -> Read:
        """Return what the devices in it say; `time_zone` is that of times that come without one.

        A device that does not name itself may be named by a level of the topic. Raises Unreadable.
        """
        source = self.source
        read = devices.read(document, Context(time_zone, self.received_at, source.mapping), source.format)
        level, levels = getattr(source, "serial_level", None), self.topic.split("/")
        if level is None or level > len(levels):
            return read
        serial = levels[level - 1][:120]
        return Read(read.format, tuple(each if each.serial else replace(each, serial=serial) for each in read.reports))


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a body. It is stored: as readings, in quarantine, or both; or it held nothing to count."""

    stored: int
    """Readings."""
    quarantined: int = 0
    """1 if the body is in quarantine, whole or for a part that could not be read."""
    reasons: tuple[str, ...] = ()
    """Why, in sentences that echo nothing."""


class Takes(Protocol):
    """Takes bodies in; every transport has one."""

    async def take(self, body: Body) -> Taken:
        """Store what a body says.

        Raises:
            BusUnavailable: nothing is acknowledged; bring the same body again later.
            BusFull: likewise, and not too soon.
        """
        ...
