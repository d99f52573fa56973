"""One key floods ingest as hard as this machine can; whoever else sends does not notice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from time import monotonic

import httpx
import pytest

from shared.contracts import subjects
from shared.contracts.readings import GateCount, Pack
from shared.runtime.log_reader import LogReader
from tests.faults.figures import note
from tests.house import House

SECRET = "made-up-secret"
OTHERS = 5
QUIET_S = 12
FLOOD_S = 30
CONNECTIONS = 16
LIMITED = 'placelibre_requests_limited_total{limit="requests of a key",service="ingest"}'
LIBRARY = {
    "id": "branch",
    "name": "Branch",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 1000,
    "gates": [{"id": "noisy"}, *({"id": f"quiet-{number}"} for number in range(OTHERS))],
    "keys": [
        {"id": name, "sha256": sha256(SECRET.encode()).hexdigest(), "device": name, "role": "gate", "gates": [name]}
        for name in ("noisy", *(f"quiet-{number}" for number in range(OTHERS)))
    ],
}
FLOOD = """
import asyncio, json, sys, time
from collections import Counter

port, span_s, connections = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
body = json.dumps({"kind": "gate_count", "library": "branch", "gate": "noisy", "entries": 1, "exits": 0}).encode()
head = (
    "POST /v1/readings HTTP/1.1\\r\\nHost: ingest\\r\\nContent-Type: application/json\\r\\n"
    f"Authorization: Bearer noisy.made-up-secret\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
).encode()
answers = Counter()

async def flood(until):
    writer = None
    while time.monotonic() < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + body)
            answer = await reader.readuntil(b"\\r\\n\\r\\n")
            answers[answer.split()[1].decode()] += 1
            lines = answer.lower().split(b"\\r\\n")
            length = next(int(line.split(b":")[1]) for line in lines if b"content-length" in line)
            await reader.readexactly(length)
            if b"connection: close" in answer.lower():
                writer.close()
                writer = None
        except (OSError, asyncio.IncompleteReadError):
            answers["cut"] += 1
            writer = None

async def main():
    until = time.monotonic() + span_s
    await asyncio.gather(*(flood(until) for _ in range(connections)))
    print(json.dumps(answers))

asyncio.run(main())
"""


def resident_kib(process: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


async def send(house: House, span_s: float, sent: Counter[str], statuses: Counter[int]) -> list[float]:
    """Let everybody but the flood send once a second; return how long each answer took."""
    took: list[float] = []

    async def one(name: str) -> None:
        headers = {"Authorization": f"Bearer {name}.{SECRET}"}
        async with httpx.AsyncClient(
            base_url=house.url("ingest"), headers=headers, trust_env=False, timeout=30
        ) as http:
            until = monotonic() + span_s
            while monotonic() < until:
                begun = monotonic()
                reading = {"kind": "gate_count", "library": "branch", "gate": name, "entries": 1, "exits": 0}
                answer = await http.post("/v1/readings", json={**reading, "sequence": sent[name] + 1, "boot": "a"})
                took.append(monotonic() - begun)
                statuses[answer.status_code] += 1
                sent[name] += 1
                await asyncio.sleep(max(begun + 1 - monotonic(), 0))

    await asyncio.gather(*(one(f"quiet-{number}") for number in range(OTHERS)))
    return took


async def counted(house: House) -> Counter[str]:
    """Return the entries in the log by their gate, each reading once."""
    found: dict[tuple[str, str], GateCount] = {}
    async with house.operator() as bus:
        async for batch in LogReader(bus, subjects.READINGS, [subjects.ANY_READINGS]).batches():
            for message in batch.messages:
                for each in Pack.model_validate_json(message.data).readings:
                    if isinstance(each, GateCount):
                        found[each.gate, each.id or ""] = each
            if batch.is_caught_up:
                break
    entries: Counter[str] = Counter()
    for (gate, _), each in found.items():
        entries[gate] += each.entries or 0
    return entries


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_flood_from_one_key_is_not_noticed_by_the_others(tmp_path: Path) -> None:
    # A fifth of the usual, so that also a machine that has much else to do sends far more than it may.
    house = House(tmp_path, PLACELIBRE_REQUESTS_PER_KEY_PER_S="20")
    try:
        await house.start("ingest", "aggregator")
        await house.apply(LIBRARY)
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(20):
            wanted = {"Authorization": f"Bearer quiet-0.{SECRET}"}
            while (await http.post(f"{house.url('ingest')}/v1/readings", headers=wanted, json={})).status_code == 401:
                await asyncio.sleep(0.05)
        sent: Counter[str] = Counter()
        statuses: Counter[int] = Counter()
        alone = await send(house, QUIET_S, sent, statuses)
        before_kib = resident_kib(house.processes["ingest"])
        arguments = [str(house.ports["ingest"]), str(FLOOD_S), str(CONNECTIONS)]
        flood = subprocess.Popen(  # noqa: ASYNC220  it runs beside
            [sys.executable, "-c", FLOOD, *arguments], stdout=subprocess.PIPE
        )
        beside = await send(house, FLOOD_S, sent, statuses)
        printed, _ = await asyncio.to_thread(flood.communicate, timeout=60)
        answers: Counter[str] = Counter(json.loads(printed))
        after_kib = resident_kib(house.processes["ingest"])
        await house.caught_up()
        entries = await counted(house)
        limited = await house.metric("ingest", LIMITED)
        crossings = await house.metric("aggregator", "placelibre_aggregator_crossings", direction="entries")
    finally:
        await house.stop()
    assert set(statuses) == {202}, "nobody else is refused"
    assert {gate: entries[gate] for gate in sent} == dict(sent), "and each of their counts is there, once"
    assert entries["noisy"] == answers["202"], "what the flood was told is stored is, and nothing else"
    assert limited == answers["429"] > 500
    assert answers["202"] + answers["429"] + answers["503"] == answers.total() - answers["cut"]
    assert crossings == sum(entries.values())
    assert max(beside) < 10, "seconds; a machine that does nothing but this needs a hundredth of it"
    assert after_kib < before_kib + 60 * 1024
    p95_alone, p95_beside = quantiles(alone, n=20)[-1], quantiles(beside, n=20)[-1]
    note(
        "flood from one key",
        f"{answers.total() / FLOOD_S:,.0f} requests/s, {answers['429']:,} of {answers.total():,} refused; others:"
        f" {sum(sent.values())} of {sum(sent.values())} stored, median {median(beside) / median(alone):.1f} and p95"
        f" {p95_beside / p95_alone:.1f} times as long as without ({median(beside) * 1000:.0f} and"
        f" {p95_beside * 1000:.0f} ms); memory {(after_kib - before_kib) / 1024:+.1f} MiB",
        "others: all 202, counts exact; memory flat",
    )
