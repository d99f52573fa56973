"""A bus as `placelibre bus init` makes it, on loopback: one server or three, TLS throughout."""

from __future__ import annotations

import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from cli.bus_folder.certificates import Signed, new_server
from cli.bus_folder.folder import BusFolder
from cli.bus_folder.rendering import Layout, Node, configuration_name
from cli.bus_server import is_listening, nats_server, tail
from shared.runtime.bus import Bus, connected
from shared.runtime.bus_tls import tls_context
from shared.runtime.clock import monotonic_s, now, pause_s
from tests.conftest import free_port
from tests.house import House

HOST: Final = "127.0.0.1"
READY_S: Final = 30.0
STORE: Final = "/data/jetstream"


class TlsBus:
    """One folder of `bus init` and the servers that run on it."""

    def __init__(self, home: Path, *, nodes: int = 1, sync: str = "always") -> None:
        """Choose ports and make the folder; nothing runs yet."""
        self.home = home
        self.folder = BusFolder(home / "bus-folder")
        self.nodes = tuple(
            Node("placelibre" if nodes == 1 else f"nats-{each}", HOST, free_port(), free_port(), free_port())
            for each in range(nodes)
        )
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.layout = Layout(self.nodes, str(self.folder.path), STORE, listen_host=HOST, sync=sync)
        self.folder.make(self.layout, ("localhost", HOST))
        for number in range(nodes):  # all are on one disk here, and each needs a place of its own
            path = self._configuration(number)
            path.write_text(path.read_text().replace(STORE, str(home / f"store-{number}")))

    def _configuration(self, number: int) -> Path:
        return self.folder.path / configuration_name(self.layout, number)

    @property
    def url(self) -> str:
        """The addresses for clients."""
        return ",".join(f"tls://{HOST}:{each.port}" for each in self.nodes)

    @property
    def ca_file(self) -> Path:
        """The authority that clients trust."""
        return self.folder.authority_file

    def seed_file(self, user: str) -> Path:
        """Return the file with a user's nkey seed."""
        return self.folder.seed_file(user)

    def seed(self, user: str) -> SecretStr:
        """Return a user's nkey seed."""
        return SecretStr(self.seed_file(user).read_text().strip())

    def log(self, number: int = 0) -> str:
        """Return what a server has logged."""
        return (self.home / f"nats-{number}.log").read_text()

    def start(self, log_file: Path | None = None, number: int = 0) -> subprocess.Popen[bytes]:
        """Start one server and wait until it takes connections; `log_file` is where its log goes."""
        path = log_file or self.home / f"nats-{number}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                nats_server(self._configuration(number)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.processes[number] = process
        deadline = monotonic_s() + READY_S
        while not is_listening(HOST, self.nodes[number].port):
            assert process.poll() is None, tail(path)
            assert monotonic_s() < deadline, tail(path)
            pause_s(0.02)
        return process

    def reload(self) -> None:
        """Have every server read its configuration, certificates included, anew."""
        for process in self.processes.values():
            process.send_signal(signal.SIGHUP)

    def kill(self, number: int) -> None:
        """Kill one server with SIGKILL and wait until it is gone."""
        process = self.processes.pop(number)
        process.kill()
        process.wait(20)

    def stop(self) -> None:
        """End every server."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(20)
        self.processes.clear()

    def sign(self, hosts: Sequence[str], *, at: datetime | None = None, lasts: timedelta | None = None) -> None:
        """Replace the servers' certificate by one that may be wrong; `reload` takes it up."""
        authority = Signed(self.ca_file.read_bytes(), self.folder.authority_key_file.read_bytes())
        signed = new_server(authority, hosts, at or now(), lasts or timedelta(days=1))
        self.folder.server_key_file.write_bytes(signed.key)
        self.folder.server_file.write_bytes(signed.certificate)

    def tls(self) -> ssl.SSLContext:
        """Return what trusts this bus."""
        context = tls_context(self.ca_file)
        assert context is not None
        return context

    @asynccontextmanager
    async def as_user(self, user: str) -> AsyncIterator[Bus]:
        """Connect as one user."""
        async with connected(self.url.split(","), self.seed(user), user, tls=self.tls()) as bus:
            yield bus


class TlsHouse(House):
    """A house whose bus is such a one."""

    def __init__(self, home: Path, **environment: str) -> None:
        """Choose ports and prepare; nothing runs yet."""
        super().__init__(home, **environment)
        self.tls_bus = TlsBus(home)

    def start_bus(self) -> None:
        """Start nats-server on its data of before."""
        self.processes["bus"] = self.tls_bus.start(self.home / "bus.log")

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Bus]:
        """Connect to the bus as the operator."""
        async with self.tls_bus.as_user("operator") as bus:
            yield bus

    def _to_the_bus(self, name: str) -> dict[str, str]:
        return {
            "PLACELIBRE_NATS_URL": self.tls_bus.url,
            "PLACELIBRE_NATS_SEED_FILE": str(self.tls_bus.seed_file(name)),
            "PLACELIBRE_NATS_CA_FILE": str(self.tls_bus.ca_file),
        }
