"""One body of a device on its way in, whatever brought it; and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.contracts.devices import AnySource


@dataclass(frozen=True, slots=True)
class Body:
    """What arrived through a source."""

    source: AnySource
    data: bytes
    media_type: str
    received_at: datetime
    topic: str = ""
    """The MQTT topic, the file's name, or what stood in the address behind the token."""


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
