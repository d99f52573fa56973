"""Three hours of a branch whose line is cut, with real processes on both sides, and kills of all of them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from cli.bus_server import BusServer, is_listening, nats_server
from cli.leaf_bus import LeafGate, LeafKey, LeafListener, LeafRemote, Register, new_seed
from shared.contracts import subjects
from shared.contracts.leaf import Leaf, Leaves
from shared.contracts.readings import Pack
from shared.contracts.status import DayHistory
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogReader
from shared.runtime.provision_leaf import provision_leaf
from tests.conftest import free_port
from tests.fakes.cut_line import Line, line_to
from tests.house import House, changes_of, status_of

KEYS: Final = {"gate": "box-1.made-up-secret", "staff": "tablet-1.made-up-secret"}
LIBRARY: Final[dict[str, Any]] = {
    "id": "east",
    "name": "East",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 500,
    "gates": [{"id": "front", "silent_after_min": 0.4}, {"id": "back", "silent_after_min": 0.4}],
    "keys": [
        {
            "id": key.partition(".")[0],
            "sha256": sha256(key.partition(".")[2].encode()).hexdigest(),
            "device": "box",
            "role": role,
        }
        for role, key in KEYS.items()
    ],
    "channels": [{"type": "console", "min_interval_min": 0, "daily_budget": 100}],
}
MINUTES: Final = 180
INSIDE_FIRST: Final = 40


class Centre(House):
    """The whole of it, with a gate for branches and the carrier."""

    def __init__(self, home: Path) -> None:
        """Choose ports and prepare; nothing runs yet."""
        register = Register(home / "bus")
        self.gate = LeafGate(register, LeafListener(free_port(), "127.0.0.1"), free_port())
        super().__init__(
            home,
            PLACELIBRE_LEAVES_FILE=str(register.file),
            PLACELIBRE_GATE_URL=self.gate.url,
            PLACELIBRE_GATE_SEED_FILE=str(self.gate.seed_file),
        )
        self.ports["carrier"] = free_port()

    async def start_gate(self) -> None:
        """Start the nats-server to which branches connect."""
        self.gate.prepare()
        self.processes["gate"] = await asyncio.to_thread(self._spawn_gate)
        while not is_listening("127.0.0.1", self.gate.port):
            await asyncio.sleep(0.02)

    def _spawn_gate(self) -> subprocess.Popen[bytes]:
        with (self.home / "gate.log").open("ab") as log:
            return subprocess.Popen(nats_server(self.gate.configuration), stderr=log)


class Branch(House):
    """A bus and ingest."""

    def __init__(self, home: Path, centre: LeafRemote) -> None:
        """Choose ports and prepare; nothing runs yet."""
        super().__init__(home, PLACELIBRE_LEAF=centre.key.leaf)
        self.server = BusServer(home / "bus", free_port(), free_port(), sync="always", centre=centre)

    async def start_all(self) -> None:
        """Start the bus with its streams, and ingest."""
        self.start_bus()
        async with self.operator() as bus:
            await provision_leaf(bus)
        await self.start("ingest")

    async def send(self, role: str, *readings: dict[str, Any]) -> None:
        """Send readings until they are acknowledged, as a device does."""
        headers = {"Authorization": f"Bearer {KEYS[role]}"}
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while True:
                try:
                    answer = await client.post(f"{self.url('ingest')}/v1/readings", json=readings, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code == 202:
                    return
                assert answer.status_code in {401, 503}, answer.text  # 401: the configuration is on its way
                await asyncio.sleep(0.1)


@asynccontextmanager
async def both(home: Path) -> AsyncIterator[tuple[Centre, Branch, Line]]:
    (home / "centre").mkdir()
    (home / "branch").mkdir()
    centre = Centre(home / "centre")
    seed, nkey = new_seed()
    register = centre.gate.register
    register.write(Leaves(leaves=(Leaf(name="east", nkey=nkey, libraries=("east",), made_at=datetime.now(UTC)),)))
    register.certificate("127.0.0.1")
    async with line_to(centre.gate.listener.port) as line:
        address = f"127.0.0.1:{line.port}"
        key = LeafKey(leaf="east", address=address, seed=seed, authority=register.authority())
        branch = Branch(home / "branch", LeafRemote(key, address))
        try:
            await asyncio.gather(centre.start("aggregator", "publisher"), centre.start_gate(), branch.start_all())
            await centre.start("carrier")
            await centre.apply(LIBRARY)
            yield centre, branch, line
        finally:
            await branch.stop()
            await centre.stop()


def swings(number: int) -> list[dict[str, Any]]:
    """Return what both gates report now, a crowd in and a crowd out in turn: each on its own would be news."""
    at = datetime.now(UTC).isoformat()
    crowd = (200, 0) if number % 2 == 0 else (0, 200)
    return [
        {"kind": "gate_count", "library": "east", "gate": gate, "device": gate, "boot": "b1", "time": at}
        | {"sequence": 1000 + number, "entries": crowd[0], "exits": crowd[1]}
        for gate in ("front", "back")
    ]


def counts_of(minute: int, begin: datetime) -> list[dict[str, Any]]:
    """Return what both gates report of one minute; more come than go in the first hour, and so back in the last."""
    drift = 1 if minute < 60 else -1 if minute >= 120 else 0
    at = begin + timedelta(minutes=minute)
    return [
        {
            "kind": "gate_count",
            "library": "east",
            "gate": gate,
            "device": gate,
            "sequence": minute,
            "boot": "b1",
            "time": at.isoformat(),
            "start": (at - timedelta(minutes=1)).isoformat(),
            "entries": 3 + max(drift, 0) + number,
            "exits": 3 - min(drift, 0) + number,
        }
        for number, gate in enumerate(("front", "back"))
    ]


async def log_of(bus: Bus) -> list[tuple[str, int | None]]:
    """Return gate and sequence of every count in the log, in its order."""
    found: list[tuple[str, int | None]] = []
    async for batch in LogReader(bus, subjects.READINGS, [subjects.ANY_READINGS]).batches():
        for message in batch.messages:
            readings = Pack.model_validate_json(message.data).readings
            found += [(str(each.device), each.sequence) for each in readings if each.kind == "gate_count"]
        if batch.is_caught_up:
            return found
    raise AssertionError


async def packs_of(bus: Bus) -> int:
    info = await bus.jetstream.stream_info(subjects.READINGS, subjects_filter=subjects.ANY_READINGS)
    return sum((info.state.subjects or {}).values())


async def totals_of(bus: Bus) -> tuple[float, float]:
    """Return the entries and exits in the books, of whichever days the hours fell on."""
    history = bus.bucket(subjects.HISTORY)
    days = []
    for key in await history.keys("east."):
        entry = await history.get(key)
        assert entry is not None
        days.append(DayHistory.model_validate_json(entry.value))
    return sum(day.entries for day in days), sum(day.exits for day in days)


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.parametrize("is_wild", [False, True], ids=["calm", "with kills"])
async def test_three_hours_of_a_cut_line_are_counted_exactly_and_nothing_old_is_news(
    tmp_path: Path, *, is_wild: bool
) -> None:
    async with both(tmp_path) as (centre, branch, line):
        begin = datetime.now(UTC) - timedelta(minutes=MINUTES)
        first = {"kind": "head_count", "library": "east", "people": INSIDE_FIRST, "time": begin.isoformat()}
        await branch.send("staff", first)
        await branch.send("gate", *counts_of(0, begin))
        await until_log(centre, 2)

        line.cut()
        await an_afternoon(centre, branch, begin, is_wild=is_wild)
        async with centre.operator() as bus, asyncio.timeout(60):
            while (cut_off := await status_of(bus, "east")).state != "unknown":
                await asyncio.sleep(0.2)
            before = await changes_of(bus, "east")
        assert cut_off.reason is not None
        assert cut_off.reason.code == "gate_silent", "cut off, a library is not frozen at what was last true"
        assert cut_off.people is None
        sent = [each for minute in range(MINUTES + 1) for each in counts_of(minute, begin)]
        for number in range(6):
            last = swings(number)
            await branch.send("gate", *last)
            sent += last

        async with centre.operator() as bus:
            packs_before = await packs_of(bus)
        said_before = len(centre.printed("publisher"))
        healed_at = datetime.now(UTC)
        line.heal()
        if is_wild:
            for victim in ("carrier", "gate", "bus", "aggregator"):
                await asyncio.sleep(0.3)
                await centre.kill(victim)
                await restart(centre, victim)
            await branch.kill("bus")
            branch.start_bus()
        expected = [(each["gate"], each["sequence"]) for each in sent]
        await until_log(centre, len(expected))
        async with centre.operator() as bus:
            assert await log_of(bus) == expected, "each once, in the order in which the branch took it"
            packs = await packs_of(bus) - packs_before
        assert packs == 1 or is_wild, "what has waited is one pack: a status of each hour would be old news"
        await until_current(centre, healed_at)

        async with centre.operator() as bus:
            assert await totals_of(bus) == (sum(each["entries"] for each in sent), sum(each["exits"] for each in sent))
            status = await status_of(bus, "east")
            after = {number: each for number, each in (await changes_of(bus, "east")).items() if number not in before}
        assert status.as_of >= healed_at
        assert all(each.at >= healed_at for each in after.values())
        situations = [each.status.state for each in after.values()]
        assert len(situations) <= 2, "one change to what is true now, not the afternoon once more"
        said = centre.printed("publisher")[said_before:]
        assert len(said) <= len(after)
        oldest = (healed_at - timedelta(minutes=1)).astimezone(status.as_of.tzinfo).strftime("%Y-%m-%d %H:%M")
        assert all(line_said[:16] >= oldest for line_said in said if line_said[:2] == "20"), said


async def an_afternoon(centre: Centre, branch: Branch, begin: datetime, *, is_wild: bool) -> None:
    """Send three hours at the branch, and kill what is on either side of the cut if it is to be a wild one."""
    for minute in range(1, MINUTES + 1):
        await branch.send("gate", *counts_of(minute, begin))
        if is_wild and minute in {40, 120}:
            await branch.kill("bus")
            branch.start_bus()
        if is_wild and minute == 80:
            await branch.kill("ingest")
            await branch.start("ingest")
        if is_wild and minute == 100:
            await centre.kill("bus")
            centre.start_bus()


async def restart(centre: Centre, name: str) -> None:
    if name == "bus":
        centre.start_bus()
    elif name == "gate":
        await centre.start_gate()
    else:
        await centre.start(name)


async def until_log(centre: Centre, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            async with centre.operator() as bus:
                if len(await log_of(bus)) >= count:
                    return
            await asyncio.sleep(0.2)


async def until_current(centre: Centre, since: datetime) -> None:
    """Wait until everything in the log is applied and the status is of now."""
    await centre.ready("aggregator")
    async with asyncio.timeout(60), centre.operator() as bus:
        while (await status_of(bus, "east")).as_of < since:
            await asyncio.sleep(0.1)
    await asyncio.sleep(3)  # what would be said wrongly is said within seconds
