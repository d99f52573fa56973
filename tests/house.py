"""A whole house for a test: the real bus and the real services as processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx

from cli.bus_server import BusServer
from cli.probe import UNVERIFIED
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import PublicStatus, StatusChanged
from shared.runtime.bus import Bus, connected
from shared.runtime.log_reader import LogReader
from shared.runtime.provision import provision
from tests.conftest import free_port, settings_for

SIMULATION_KEY: Final = "simulation.made-up-secret"
READY_S: Final = 90.0
"""Four Pythons that start at once on a machine that is busy with other tests take most of a minute."""
SERVICES: Final = ("ingest", "aggregator", "publisher", "api", "auditor")


class House:
    """One bus and the services on it; every process is this test's own."""

    def __init__(self, home: Path, **environment: str) -> None:
        """Choose ports and prepare; nothing runs yet."""
        self.home = home
        self.server = BusServer(home / "bus", free_port(), free_port(), sync="always")
        self.ports = {name: free_port() for name in SERVICES}
        self.schemes = dict.fromkeys(SERVICES, "http")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = environment
        self.trees: dict[str, Path] = {}
        """From which tree of the code a service runs, where that is another version's."""

    async def start(self, *services: str) -> None:
        """Start the bus if need be, and services; wait until they are ready."""
        if "bus" not in self.processes:
            self.start_bus()
            async with self.operator() as bus:
                await provision(bus)
        for name in services:
            self.processes[name] = self._spawn(name)
        for name in services:
            await self.ready(name)

    def start_bus(self) -> None:
        """Start nats-server on its data of before."""
        (self.home / "bus").mkdir(parents=True, exist_ok=True)
        self.processes["bus"] = self.server.start(self.home / "bus.log")

    async def kill(self, name: str) -> None:
        """Kill one process with SIGKILL and wait until it is gone."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        """End everything in good order: services by SIGTERM, the bus last."""
        for name in sorted(self.processes, key=lambda each: each == "bus"):
            process = self.processes.pop(name)
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    async def ready(self, name: str) -> None:
        """Wait until a service says that it is ready."""
        async with httpx.AsyncClient(trust_env=False, verify=UNVERIFIED) as client, asyncio.timeout(READY_S):
            while not await self._is_ready(client, name):
                process = self.processes.get(name)
                assert process is None or process.poll() is None, f"{name} ended: {self.log(name)}"
                await asyncio.sleep(0.05)

    async def _is_ready(self, client: httpx.AsyncClient, name: str) -> bool:
        try:
            return (await client.get(f"{self.url(name)}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    def url(self, name: str) -> str:
        """Return a service's address."""
        return f"{self.schemes[name]}://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> str:
        """Return what a service has logged."""
        return (self.home / f"{name}.log").read_text()

    def printed(self, name: str) -> list[str]:
        """Return the lines a service has printed."""
        path = self.home / f"{name}.out"
        return path.read_text().splitlines() if path.exists() else []

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Bus]:
        """Connect to the bus as the operator."""
        seed = settings_for(self.server, "operator").nats_seed
        async with connected([self.server.url], seed, "operator") as bus:
            yield bus

    async def apply(self, *libraries: dict[str, Any]) -> None:
        """Put libraries into force and wait until the aggregator has a state of each."""
        async with self.operator() as bus:
            for library in libraries:
                config = LibraryConfig.model_validate(library)
                body = config.model_dump_json(by_alias=True).encode()
                await bus.bucket(subjects.LIBRARIES).put(config.id, body)

    async def caught_up(self) -> None:
        """Wait until the aggregator has applied the whole log, by its own metrics."""
        async with self.operator() as bus:
            last = await bus.last_sequence(subjects.READINGS)
        async with asyncio.timeout(READY_S):
            while await self.metric("aggregator", "placelibre_aggregator_applied_sequence") < last:
                await asyncio.sleep(0.05)

    async def metric(self, service: str, name: str, **labels: str) -> float:
        """Return a metric of a service; 0 if it has none yet."""
        async with httpx.AsyncClient(trust_env=False, verify=UNVERIFIED) as client:
            try:
                text = (await client.get(f"{self.url(service)}/metrics")).text
            except httpx.TransportError:
                return 0.0
        wanted = name + (
            "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}" if labels else ""
        )
        for line in text.splitlines():
            if line.startswith(wanted + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def _to_the_bus(self, name: str) -> dict[str, str]:
        """Return the settings with which a service reaches the bus; tests.tls_bus has others."""
        return {
            "PLACELIBRE_NATS_URL": self.server.url,
            "PLACELIBRE_NATS_SEED_FILE": str(self.server.seed_file(name)),
        }

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **self._to_the_bus(name),
            "PLACELIBRE_PORT": str(self.ports[name]),
            "PLACELIBRE_SIMULATION_KEY_SHA256": sha256(SIMULATION_KEY.partition(".")[2].encode()).hexdigest(),
            "PLACELIBRE_CHECKPOINT_EVERY_S": "0.5",
            "PLACELIBRE_TICK_EVERY_S": "1",
            "PLACELIBRE_EXPORT_DIR": str(self.home / "exports"),
            **self._environment,
        }
        with (self.home / f"{name}.log").open("ab") as log, (self.home / f"{name}.out").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", f"services.{name}.main"],
                env=environment,
                cwd=self.trees.get(name),
                stdout=out,
                stderr=log,
            )


async def changes_of(bus: Bus, library: str) -> dict[int, StatusChanged]:
    """Return every change of a library by its number; one number never names two changes."""
    found: dict[int, StatusChanged] = {}
    reader = LogReader(bus, subjects.CHANGES, [subjects.change(library)])
    async for batch in reader.batches():
        for message in batch.messages:
            change = StatusChanged.model_validate_json(message.data)
            assert found.setdefault(change.status.revision, change) == change
        if batch.is_caught_up:
            break
    return found


async def status_of(bus: Bus, library: str) -> PublicStatus:
    """Return the latest public status of a library."""
    entry = await bus.bucket(subjects.STATUS).get(library)
    assert entry is not None
    return PublicStatus.model_validate_json(entry.value)
