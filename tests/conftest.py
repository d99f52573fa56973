"""What tests share: the real bus, started once per process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cli.bus_server import BusServer
from shared.runtime.bus import Bus, connected
from shared.runtime.provision import ProvisioningFailed, provision
from shared.runtime.settings import ServiceSettings

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
"""Real door counts that stand beside the project; tests that need them say so where they are absent."""

settings.register_profile("suite", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


PROVISIONED: set[str] = set()
"""Buses whose streams are in place for `standing`."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes minutes or needs real servers, unless a make target asks for it."""
    left_out = {
        "servers": ("REAL_SERVERS", "it runs against a real server: make test-channels"),
        "browser": ("BROWSER_TESTS", "it drives a browser: make browser"),
        "slow": ("SLOW_TESTS", "it takes its time: make test-slow"),
        "faults": ("FAULT_TESTS", "it breaks something for real: make faults"),
        "containers": ("CONTAINER_TESTS", "it builds images and runs them: make containers"),
        "tools": ("DEPLOY_TOOLS", "it needs the tools of `make tools`: make deploy-check"),
    }
    for name, (variable, reason) in left_out.items():
        if os.environ.get(variable):
            continue
        for item in items:
            if name in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def bus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A real nats-server of this test process."""
    home = tmp_path_factory.mktemp("bus")
    server = BusServer(home, free_port(), free_port(), sync="2m")  # speed; the durable setting has tests of its own
    process = server.start(home / "nats-server.log")
    yield server
    process.terminate()
    process.wait(10)


def settings_for(server: BusServer, user: str) -> ServiceSettings:
    """Return the bus settings of one user."""
    return ServiceSettings(nats_url=server.url, nats_seed_file=server.seed_file(user))


@pytest.fixture
async def operator(bus_server: BusServer) -> AsyncIterator[Bus]:
    """An operator's connection to a bus with every stream in place and new."""
    seeds = settings_for(bus_server, "operator")
    PROVISIONED.clear()  # by a test that may leave anything behind
    async with connected([bus_server.url], seeds.nats_seed, "operator") as bus:
        # Not purged: that keeps the ids of the duplicate window, and what is stored under one of them would be dropped.
        for stream in await bus.jetstream.streams_info():
            await bus.jetstream.delete_stream(stream.config.name or "")
        async with asyncio.timeout(20):
            while True:
                try:
                    await provision(bus)
                    break
                except ProvisioningFailed as error:
                    # The server removes a deleted stream's files behind its own back, and trips over them meanwhile.
                    if "error creating store" not in str(error):
                        raise
                    await asyncio.sleep(0.1)
        yield bus


@pytest.fixture
async def standing(bus_server: BusServer) -> AsyncIterator[Bus]:
    """An operator's connection to a bus with every stream in place, and with what earlier tests have left in them.

    Far quicker than `operator`, for tests that keep apart by their libraries' ids.
    """
    seeds = settings_for(bus_server, "operator")
    async with connected([bus_server.url], seeds.nats_seed, "operator") as bus:
        if bus_server.url not in PROVISIONED:
            await provision(bus)
            PROVISIONED.add(bus_server.url)
        yield bus
