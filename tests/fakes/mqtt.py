"""A strict stand-in for an MQTT 5 broker that takes and retains: for tests where no Mosquitto is installed.

Sections in comments are those of the OASIS standard "MQTT Version 5.0". It runs in threads of its own, so that it can
be started and killed as a real broker is.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Final

CONNECT, PUBLISH, PINGREQ, DISCONNECT = 1, 3, 12, 14
NOT_AUTHORIZED: Final = 0x87
BAD_USER: Final = 0x86
TAKEN_OVER: Final = 0x8E


class Malformed(Exception):  # noqa: N818  what the client's packet is
    """A packet that a broker closes the connection for (section 4.13)."""


@dataclass
class Packet:
    """What is left to read of one packet."""

    kind: int
    flags: int
    rest: bytes

    def take(self, count: int) -> bytes:
        taken, self.rest = self.rest[:count], self.rest[count:]
        if len(taken) < count:
            raise Malformed("a packet that ends too soon")
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def data(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        # 1.5.4: UTF-8 without the null character.
        try:
            text = self.data().decode()
        except UnicodeDecodeError as error:
            raise Malformed("no UTF-8") from error
        if "\0" in text:
            raise Malformed("a null character")
        return text

    def properties(self) -> bytes:
        length = shift = 0
        while True:
            byte = self.number(1)
            length |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return self.take(length)
            shift += 7


@dataclass
class FakeBroker:
    """One broker on a port of loopback; `denied` are beginnings of topics that nobody may write to."""

    port: int
    users: dict[str, str] = field(default_factory=dict)
    denied: tuple[str, ...] = ()
    retained: dict[str, str] = field(default_factory=dict)
    malformed: list[str] = field(default_factory=list)
    """What clients have done wrong."""
    clients: dict[str, socket.socket] = field(default_factory=dict)
    listener: socket.socket | None = None

    @property
    def server(self) -> str:
        """The address as the configuration of a channel names it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, with nothing retained."""
        self.retained.clear()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def kill(self) -> None:
        """End without a word."""
        listener, self.listener = self.listener, None
        if listener is not None:
            for each in (listener, *self.clients.values()):
                _end(each)
            listener.close()
            self.clients.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the end of `kill`
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            try:
                packet = _read(stream)
                if packet is None or not self._let_in(packet, connection):
                    return
                while (packet := _read(stream)) is not None and packet.kind != DISCONNECT:
                    connection.sendall(self._answer(packet))
            except Malformed as fault:
                self.malformed.append(str(fault))

    def _let_in(self, packet: Packet, connection: socket.socket) -> bool:
        # 3.1: the first packet is CONNECT, with this name and version, and a reserved flag that is 0.
        if (packet.kind, packet.flags, packet.text(), packet.number(1)) != (CONNECT, 0, "MQTT", 5):
            raise Malformed("no CONNECT of MQTT 5")
        flags = packet.number(1)
        packet.number(2)
        packet.properties()
        client_id = packet.text()
        if flags & 0x01 or not client_id:
            raise Malformed("a reserved flag, or no client identifier")
        if flags & 0x04:
            packet.properties()
            _check_topic(packet.text())
            packet.data()
        elif flags & 0x38:
            raise Malformed("3.1.2.6: a will's flags without a will")
        user = packet.text() if flags & 0x80 else ""
        password = packet.data().decode() if flags & 0x40 else ""
        if packet.rest:
            raise Malformed("more than a CONNECT holds")
        is_known = not self.users or self.users.get(user) == password
        connection.sendall(bytes([0x20, 3, 0, 0 if is_known else BAD_USER, 0]))
        before = self.clients.pop(client_id, None)
        if is_known:
            if before is not None:  # 3.1.4: one connection per client identifier
                with suppress(OSError):
                    before.sendall(bytes([DISCONNECT << 4, 2, TAKEN_OVER, 0]))
                _end(before)
            self.clients[client_id] = connection
        return is_known

    def _answer(self, packet: Packet) -> bytes:
        if packet.kind == PINGREQ:
            return bytes([0xD0, 0])
        if packet.kind != PUBLISH or packet.flags & 0x06 != 0x02:
            raise Malformed("neither PINGREQ nor PUBLISH at QoS 1")
        topic, packet_id = packet.text(), packet.number(2)
        packet.properties()
        _check_topic(topic)
        if packet_id == 0:
            raise Malformed("2.2.1: a packet identifier of 0")
        is_denied = topic.startswith(self.denied) if self.denied else False
        if packet.flags & 0x01 and not is_denied:
            # 3.3.1.3: an empty payload takes away what is retained.
            value = packet.rest.decode()
            self.retained[topic] = value
            if not value:
                del self.retained[topic]
        return bytes([0x40, 4, *packet_id.to_bytes(2, "big"), NOT_AUTHORIZED if is_denied else 0, 0])


def _check_topic(topic: str) -> None:
    if not topic or "#" in topic or "+" in topic:
        raise Malformed("3.3.2.1: a topic that is empty or has a wildcard")


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _read(stream: BinaryIO) -> Packet | None:
    first = stream.read(1)
    if not first:
        return None
    length = shift = 0
    while True:
        byte = stream.read(1)[0]
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
        shift += 7
    return Packet(first[0] >> 4, first[0] & 0x0F, stream.read(length))
