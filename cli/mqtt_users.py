"""Who may publish by MQTT: the bus's listener, kept as the applied configuration has it while `placelibre up` runs.

No device is let in before the bus has its streams: it would make its own, on the disk. So every start of the bus begins
without any, and they are let in by a reload once the streams are there. What is in memory alone has to be made anew
after each start in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import httpx
from pydantic import ValidationError

from cli.bus_access import BusAddress, operator_bus
from cli.bus_server import BusServer, MqttListener, is_listening
from cli.terminal import Trouble
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import ListenerSource
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import monotonic_s
from shared.runtime.provision import ProvisioningFailed, provision

LOOK_EVERY_S: Final = 2.0
"""How soon a source that was just applied may publish; asking is one small request on this machine."""
ANSWER_S: Final = 1.0
WORK_S: Final = 30.0
"""To make the streams again, on a disk that is busy with the start."""


def listener_users(libraries: Iterable[LibraryConfig]) -> dict[str, str]:
    """Return the bcrypt hash of the password of each source that publishes by MQTT."""
    return {
        source.id: source.password_bcrypt
        for library in libraries
        for source in library.sources
        if isinstance(source, ListenerSource)
    }


@dataclass(frozen=True, slots=True)
class _Sight:
    """What tells whether anything has changed: the start of the bus, and the applied configuration's last revision."""

    starts: int
    revision: int


@dataclass(slots=True)
class MqttUsers:
    """Keeps the bus's configuration, and tells the bus. Single-threaded: everything happens in `look`."""

    bus: BusServer
    operator: BusAddress
    offer: MqttListener
    """Where to listen once a source needs it."""
    say: Callable[[str], None]
    make: Callable[[Bus], Awaitable[object]] = provision
    """Makes the streams that the bus is to have."""
    _seen: _Sight | None = None
    _admitted: dict[str, str] = field(default_factory=dict)
    _trouble: str = ""
    _next_look_s: float = 0.0

    def shut(self) -> None:
        """Write the configuration with which the bus starts, and with which it lets no device in."""
        self._seen = None
        self.bus.prepare()

    def look(self, starts: int, reload: Callable[[], None], restart: Callable[[], None]) -> None:
        """Let in whom the applied configuration names, if anything has changed since the last look.

        `starts` counts the starts of the bus; `reload` has it read its configuration again, `restart` start anew.
        """
        if monotonic_s() < self._next_look_s:
            return
        self._next_look_s = monotonic_s() + LOOK_EVERY_S
        sight = self._sight(starts)
        if sight is None or sight == self._seen:
            return
        is_new_start = self._seen is None or self._seen.starts != starts
        try:
            users = asyncio.run(self._ask(is_new_start=is_new_start))
        except (Trouble, BusUnavailable, ProvisioningFailed, TimeoutError) as error:
            self._complain(f"devices cannot be let in by MQTT yet: {str(error) or 'the bus does not answer'}")
            return
        if users and self.bus.mqtt is None:
            self._open(restart)
            return
        self._seen, self._trouble = sight, ""
        if users != self._admitted or (users and is_new_start):
            self.bus.prepare(users)
            reload()
            self._tell(users)
            self._admitted = users

    def _sight(self, starts: int) -> _Sight | None:
        """Return what the bus's own figures say, None while it does not answer."""
        url = f"http://127.0.0.1:{self.bus.monitor_port}/jsz"
        name = subjects.bucket_stream(subjects.LIBRARIES)
        try:
            accounts = httpx.get(url, params={"streams": "1"}, timeout=ANSWER_S, trust_env=False).json()
            streams = [each for account in accounts["account_details"] for each in account.get("stream_detail", ())]
            revision = next(each["state"]["last_seq"] for each in streams if each["name"] == name)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, StopIteration):
            return None
        return _Sight(starts, int(revision))

    async def _ask(self, *, is_new_start: bool) -> dict[str, str]:
        async with asyncio.timeout(WORK_S), operator_bus(self.operator) as bus:
            if is_new_start:
                await self.make(bus)
            return listener_users(await applied_libraries(bus))

    def _open(self, restart: Callable[[], None]) -> None:
        host, port = self.offer.host, self.offer.port
        if is_listening(host, port):
            self._complain(f"devices cannot be let in by MQTT: port {port} is taken; choose another with --mqtt-port")
            return
        self.say(f"the first source that publishes by MQTT: the bus starts anew, with a listener on port {port}")
        self.bus = replace(self.bus, mqtt=self.offer)
        restart()

    def _tell(self, users: dict[str, str]) -> None:
        if self.bus.mqtt is None or users == self._admitted:
            return
        where = f"{self.bus.mqtt.host}:{self.bus.mqtt.port}"
        self.say(f"may publish by MQTT on {where}: {', '.join(sorted(users)) or 'nobody'}")

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self.say(trouble)


async def applied_libraries(bus: Bus) -> list[LibraryConfig]:
    """Return the applied configuration; what cannot be read is left out. Raises BusUnavailable."""
    bucket = bus.bucket(subjects.LIBRARIES)
    found = []
    for key in await bucket.keys():
        entry = await bucket.get(key)
        if entry is None:
            continue
        try:
            found.append(read_stored(LibraryConfig, entry.value))
        except ValidationError:
            continue  # of another version; the services keep what they have, and say so
    return found
