"""What `placelibre up` tells systemd, if systemd has started it: that all is ready, that it still looks, that it stops.

The protocol of sd_notify(3): lines in a datagram to the socket that NOTIFY_SOCKET names. Without one nothing is said.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from shared.runtime.clock import monotonic_s


@dataclass(slots=True)
class ServiceManager:
    """The one that has started this process; `socket_name` is empty where there is none."""

    socket_name: str = ""
    beat_every_s: float = 0.0
    """Half of what it waits for a sign of life; 0: it waits for none."""
    _next_beat_s: float = field(default=0.0)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ServiceManager:
        """Return the one that the environment names."""
        try:
            watchdog_us = int(environment.get("WATCHDOG_USEC", "0"))
        except ValueError:
            watchdog_us = 0
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_us / 2e6)

    def ready(self, status: str) -> None:
        """Say that everything has started; `status` is one line for people."""
        self._tell("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1")

    def beat(self) -> None:
        """Give a sign of life, if one is due. Call it from the loop that would hang, never from beside it."""
        now_s = monotonic_s()
        if self.beat_every_s and now_s >= self._next_beat_s:
            self._next_beat_s = now_s + self.beat_every_s
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self.socket_name:
            return
        # An address that begins with @ is in the abstract namespace, which has a null byte there.
        address = f"\0{self.socket_name[1:]}" if self.socket_name.startswith("@") else self.socket_name
        # Nobody is served by a service that ends because nobody listened.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as telling:
            telling.sendto("\n".join(lines).encode(), address)
