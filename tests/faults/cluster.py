"""A bus of three real nodes for the fault suite, and the ways to harm it.

Where this machine allows it each node lives in a network namespace of its own, on one bridge: then a node can be
isolated, one pair be parted, and one direction be taken away, as a switch would. Without that right (not root) the
nodes sit on loopback and reach each other through lines that can be cut; clients then stay connected to a node that
its peers have lost, which is another fault than a pulled plug, and a single direction cannot be taken away.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import re
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from secrets import token_hex
from typing import Final

import httpx
import nats.errors

from cli.bus_server import BusServer, nats_server
from cli.lifeline import end_with_parent
from shared.contracts import subjects
from shared.contracts.streams import BUCKETS, STREAMS
from shared.runtime.bus import Bus, connected
from shared.runtime.provision import ProvisioningFailed, provision
from tests.conftest import free_port, settings_for
from tests.fakes.cut_line import Line, line_to
from tests.house import House

NODES: Final = (1, 2, 3)
CLIENTS, ROUTES, MONITOR = 4222, 6222, 8222
WHOLE_S: Final = 180.0
"""For all streams to stand on three nodes again, with whoever was away brought up to date."""
MARK: Final = "plf"
"""Begins the names of bridges and namespaces, of which the kernel takes fifteen letters."""
ELECTED_S: Final = 60.0
"""For a stream, or the whole, to have a leader again: an election takes up to ten seconds, a busy machine some more."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where one node listens: for clients, for its peers, for whoever looks at it."""

    host: str
    clients: int
    routes: int
    monitor: int


class Network(ABC):
    """What lies between three nodes."""

    name: str
    can_part_one_way: bool

    @abstractmethod
    def at(self, node: int) -> Endpoints:
        """Return where a node listens."""

    @abstractmethod
    def route(self, node: int, peer: int) -> str:
        """Return the address by which a node reaches a peer."""

    @abstractmethod
    def inside(self, node: int) -> list[str]:
        """Return what to put before a command so that it runs where a node is."""

    @abstractmethod
    def part(self, node: int, peer: int, *, both_ways: bool = True) -> None:
        """Let nothing from a node to a peer through, nor back if both ways."""

    @abstractmethod
    def isolate(self, node: int) -> None:
        """Take a node off the network."""

    @abstractmethod
    def heal(self) -> None:
        """Mend everything."""

    @abstractmethod
    def remove(self) -> None:
        """Leave nothing behind."""


class Namespaces(Network):
    """One network namespace per node, on one bridge of an address range of its own."""

    name = "network namespaces"
    can_part_one_way = True

    def __init__(self) -> None:
        """Make them under names of this process, after removing those of processes that were killed meanwhile."""
        _remove_left_over()
        self._id = f"{MARK}{os.getpid()}"
        self._subnet = f"10.213.{int(token_hex(1), 16)}"
        self._parted: set[tuple[int, int]] = set()
        self._down: set[int] = set()
        atexit.register(self.remove)
        _run("ip", "link", "add", self._id, "type", "bridge")
        _run("ip", "address", "add", f"{self._subnet}.1/24", "dev", self._id)
        _run("ip", "link", "set", self._id, "up")
        for node in NODES:
            space, outer, inner = self._space(node), f"{self._id}o{node}", f"{self._id}i{node}"
            _run("ip", "netns", "add", space)
            _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
            _run("ip", "link", "set", inner, "netns", space)
            _run("ip", "link", "set", outer, "master", self._id, "up")
            within = ("ip", "-n", space)
            _run(*within, "address", "add", f"{self._subnet}.{10 + node}/24", "dev", inner)
            _run(*within, "link", "set", inner, "up")
            _run(*within, "link", "set", "lo", "up")

    @staticmethod
    def are_allowed() -> bool:
        """Tell whether this process may make them."""
        if os.geteuid() != 0 or shutil.which("ip") is None:
            return False
        name = f"try{token_hex(3)}"
        if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode != 0:
            return False
        return subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True).returncode == 0

    def at(self, node: int) -> Endpoints:
        return Endpoints(f"{self._subnet}.{10 + node}", CLIENTS, ROUTES, MONITOR)

    def route(self, node: int, peer: int) -> str:
        del node
        return f"nats://{self._subnet}.{10 + peer}:{ROUTES}"

    def inside(self, node: int) -> list[str]:
        return ["ip", "netns", "exec", self._space(node)]

    def part(self, node: int, peer: int, *, both_ways: bool = True) -> None:
        for one, other in ((node, peer), (peer, node)) if both_ways else ((node, peer),):
            _run("ip", "-n", self._space(one), "route", "add", "blackhole", f"{self._subnet}.{10 + other}/32")
            self._parted.add((one, other))

    def isolate(self, node: int) -> None:
        _run("ip", "link", "set", f"{self._id}o{node}", "down")
        self._down.add(node)

    def heal(self) -> None:
        for one, other in self._parted:
            _run("ip", "-n", self._space(one), "route", "delete", "blackhole", f"{self._subnet}.{10 + other}/32")
        self._parted.clear()
        for node in self._down:
            _run("ip", "link", "set", f"{self._id}o{node}", "up")
        self._down.clear()

    def remove(self) -> None:
        atexit.unregister(self.remove)
        _remove(self._id)

    def _space(self, node: int) -> str:
        return f"{self._id}n{node}"


def _remove(mark: str) -> None:
    """Remove the bridge, links and namespaces of one process, whichever of them there are."""
    for node in NODES:
        subprocess.run(["ip", "link", "delete", f"{mark}o{node}"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", f"{mark}n{node}"], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", mark], check=False, capture_output=True)


def _remove_left_over() -> None:
    """Remove what a run has left that was killed itself: the number in the name is its process."""
    links = subprocess.run(["ip", "-o", "link", "show", "type", "bridge"], check=False, capture_output=True, text=True)
    for number in re.findall(rf"\b{MARK}(\d+):", links.stdout):
        if not Path(f"/proc/{number}").exists():
            _remove(f"{MARK}{number}")


class Lines(Network):
    """Loopback, with a line that can be cut for each direction in which one node may call another."""

    name = "loopback, lines between the nodes"
    can_part_one_way = False

    def __init__(self, lines: dict[tuple[int, int], Line], endpoints: dict[int, Endpoints]) -> None:
        """Take lines that stand already."""
        self._lines = lines
        self._endpoints = endpoints

    def at(self, node: int) -> Endpoints:
        return self._endpoints[node]

    def route(self, node: int, peer: int) -> str:
        return f"nats://127.0.0.1:{self._lines[node, peer].port}"

    def inside(self, node: int) -> list[str]:
        del node
        return []

    def part(self, node: int, peer: int, *, both_ways: bool = True) -> None:
        assert both_ways, "a line has no directions"
        self._lines[node, peer].cut()
        self._lines[peer, node].cut()

    def isolate(self, node: int) -> None:
        for peer in NODES:
            if peer != node:
                self.part(node, peer)

    def heal(self) -> None:
        for line in self._lines.values():
            line.heal()

    def remove(self) -> None:
        """The lines end with their context."""


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """Make the best network that this machine allows."""
    if Namespaces.are_allowed():
        spaces = Namespaces()
        try:
            yield spaces
        finally:
            spaces.remove()
        return
    endpoints = {node: Endpoints("127.0.0.1", free_port(), free_port(), free_port()) for node in NODES}
    async with AsyncExitStack() as stack:
        lines = {
            (node, peer): await stack.enter_async_context(line_to(endpoints[peer].routes))
            for node, peer in permutations(NODES, 2)
        }
        yield Lines(lines, endpoints)


@dataclass(frozen=True, slots=True)
class ManyServers(BusServer):
    """What services are told of the bus: all its addresses; the seeds are one set for all nodes."""

    addresses: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Every node's address."""
        return ",".join(self.addresses)


class Cluster(House):
    """A house whose bus is three nodes, every stream on all of them. Nodes are processes `bus-1` to `bus-3`."""

    def __init__(self, home: Path, network: Network, **environment: str) -> None:
        """Prepare; nothing runs yet."""
        super().__init__(home, **environment)
        self.network = network
        addresses = tuple(f"nats://{network.at(node).host}:{network.at(node).clients}" for node in NODES)
        self.server = ManyServers(home / "bus", 0, 0, addresses=addresses)
        self.server.prepare()

    async def start(self, *services: str) -> None:
        """Start all nodes if need be, and services; wait until they are ready."""
        if not any(name.startswith("bus-") for name in self.processes):
            for node in NODES:
                self.start_node(node)
            await self.has_leader()
            await self.provisioned()
        for name in services:  # not as the house does it: that would provision for one node, and take two copies away
            self.processes[name] = self._spawn(name)
        for name in services:
            await self.ready(name)

    async def provisioned(self) -> None:
        """Make every stream on three nodes, as often as it takes while leaders change."""
        async with asyncio.timeout(ELECTED_S * 2):
            while True:
                try:
                    async with self.operator() as bus:
                        await provision(bus, replicas=len(NODES))
                except ProvisioningFailed:
                    await asyncio.sleep(0.5)
                else:
                    return

    def start_bus(self) -> None:
        """Nothing: the nodes are started by their numbers."""

    def start_node(self, node: int) -> None:
        """Start one node on its data of before."""
        configuration = self._configure(node)
        command = [*self.network.inside(node), *nats_server(configuration)]
        with (self.home / f"bus-{node}.log").open("ab") as log:
            # `ip netns exec` becomes the server: the process that is killed is nats-server itself.
            self.processes[f"bus-{node}"] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509  it calls prctl alone
            )

    def signal_node(self, node: int, what: signal.Signals) -> None:
        """Send a signal to one node."""
        self.processes[f"bus-{node}"].send_signal(what)

    async def retire_node(self, node: int) -> None:
        """Let one node go in good order: it hands its leaderships over and sends its clients elsewhere (lame duck)."""
        process = self.processes.pop(f"bus-{node}")
        process.send_signal(signal.SIGUSR2)
        await asyncio.to_thread(process.wait, 60)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Bus]:
        """Connect to whichever node answers, as the operator."""
        seed = settings_for(self.server, "operator").nats_seed
        async with connected(list(self.server.addresses), seed, "operator") as bus:  # type: ignore[attr-defined]
            yield bus

    @asynccontextmanager
    async def operator_at(self, node: int) -> AsyncIterator[Bus]:
        """Connect to one node, as the operator."""
        seed = settings_for(self.server, "operator").nats_seed
        async with connected([self.server.addresses[node - 1]], seed, "operator") as bus:  # type: ignore[attr-defined]
            yield bus

    async def leader(self, stream: str = subjects.READINGS) -> int:
        """Return the node that leads a stream, waiting for an election to end."""
        async with self.operator() as bus, asyncio.timeout(ELECTED_S):
            while True:
                try:
                    info = await bus.jetstream.stream_info(stream)
                except (nats.errors.Error, TimeoutError, OSError):
                    info = None
                if info is not None and info.cluster is not None and info.cluster.leader:
                    return int(info.cluster.leader.removeprefix("node-"))
                await asyncio.sleep(0.2)

    async def has_leader(self) -> int:
        """Wait until the three have one leader for all, and return it."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client, asyncio.timeout(ELECTED_S):
            while True:
                for node in NODES:
                    leader = await self._meta_leader(client, node)
                    if leader:
                        return leader
                await asyncio.sleep(0.2)

    async def _meta_leader(self, client: httpx.AsyncClient, node: int) -> int:
        at = self.network.at(node)
        try:
            answer = await client.get(f"http://{at.host}:{at.monitor}/jsz")
        except httpx.TransportError:
            return 0
        name = str(answer.json().get("meta_cluster", {}).get("leader", ""))
        return int(name.removeprefix("node-")) if name.startswith("node-") else 0

    async def whole(self) -> None:
        """Wait until every stream has a leader and two followers that have everything."""
        missing = "nothing was asked yet"
        try:
            async with self.operator() as bus, asyncio.timeout(WHOLE_S):
                for name in replicated():
                    while missing := await _what_is_missing(bus, name):
                        await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise AssertionError(f"the cluster does not become whole: {missing}") from error

    def _configure(self, node: int) -> Path:
        at = self.network.at(node)
        home = self.home / f"node-{node}"
        (home / "jetstream").mkdir(parents=True, exist_ok=True)
        text = (self.server.home / "nats-server.conf").read_text()  # rights and limits as we ship them
        for pattern, line in (
            (r"(?m)^server_name: .*$", f"server_name: node-{node}"),
            (r"(?m)^listen: .*$", f"listen: {json.dumps(f'{at.host}:{at.clients}')}"),
            (r"(?m)^http: .*$", f"http: {json.dumps(f'{at.host}:{at.monitor}')}"),
            (r"(?m)^( *)store_dir: .*$", f"  store_dir: {json.dumps(str(home / 'jetstream'))}"),
        ):
            text, found = re.subn(pattern, lambda _, line=line: line, text, count=1)  # type: ignore[misc]
            assert found == 1, pattern
        routes = ", ".join(json.dumps(self.network.route(node, peer)) for peer in NODES if peer != node)
        text += f"""
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
cluster {{
  name: placelibre
  listen: {json.dumps(f"{at.host}:{at.routes}")}
  # Peers are named below; what they tell each other would lead around a line that is cut.
  no_advertise: true
  routes: [{routes}]
}}
"""
        path = home / "nats-server.conf"
        path.touch(mode=0o600)
        path.write_text(text)
        return path


def replicated() -> list[str]:
    """Return the streams that stand on a disk of every node."""
    return [each.name for each in STREAMS if not each.is_in_memory] + [
        subjects.bucket_stream(each.name) for each in BUCKETS
    ]


async def _what_is_missing(bus: Bus, name: str) -> str:
    """Return what keeps a stream from being whole, nothing where it is."""
    try:
        info = await bus.jetstream.stream_info(name)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        return f"{name}: {error!r}"
    if info.cluster is None or not info.cluster.leader:
        return f"{name}: no leader"
    followers = info.cluster.replicas or []
    if len(followers) == len(NODES) - 1 and all(each.current for each in followers):
        return ""
    return f"{name}, led by {info.cluster.leader}: {followers}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)
