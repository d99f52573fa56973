"""`placelibre explain` as a process: from a file, and from the log of a real bus beside what was published."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from cli.bus_server import BusServer
from cli.explanation.account import Explanation
from cli.explanation.fields import as_fields
from cli.explanation.words import lines_of
from cli.recorded.playback import requests, steps
from cli.sending import Sender
from cli.wire import WireFields
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.runtime.bus import Bus
from tests.conftest import ROOT, free_port
from tests.house import SIMULATION_KEY, House, changes_of, status_of
from tests.simulation.explanation.hall import LIBRARY, at, time_of

pytestmark = pytest.mark.slow


def placelibre_explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "explain", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def files(tmp_path: Path, day: list[WireFields]) -> tuple[str, ...]:
    recorded, libraries = tmp_path / "day.jsonl", tmp_path / "libraries.toml"
    recorded.write_text("\n".join(json.dumps(each) for each in day))
    rows = "\n".join(f"{key} = {json.dumps(LIBRARY[key])}" for key in LIBRARY if key not in {"gates", "markers"})
    tables = "".join(
        f"\n[[libraries.{name}]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in each.items())
        for name in ("gates", "markers")
        for each in LIBRARY[name]
    )
    libraries.write_text(f"[[libraries]]\n{rows}\n{tables}\n")
    return "--from", str(recorded), "--config", str(libraries)


def test_a_recorded_file_is_explained_without_a_bus(files: tuple[str, ...], afternoon: Explanation) -> None:
    told = placelibre_explain("hall", "--at", "2026-11-25T16:30", *files)
    assert told.stdout.splitlines() == lines_of(afternoon)
    fields = placelibre_explain("hall", "--at", "16:30", "--json", *files)
    assert json.loads(fields.stdout) == as_fields(afternoon)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("hull",), "has no library 'hull'"),
        (("hall", "--at", "2026-11-24T16:30"), "--at 2026-11-24T16:30 is not in"),
        (("hall", "--at", "23:59"), "it covers 2026-11-25 11:31:00 to 2026-11-25 22:30:00"),
        (("hall", "--at", "noon"), "--at 'noon' is no time"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_a_remedy(
    files: tuple[str, ...], arguments: tuple[str, ...], sentence: str
) -> None:
    result = placelibre_explain(*arguments, *files)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "what to do:" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_bus_the_remedy_says_so(tmp_path: Path) -> None:
    nowhere = placelibre_explain("hall", "--data", str(tmp_path))
    away = placelibre_explain("hall", "--nats-url", f"nats://127.0.0.1:{free_port()}")
    for result, sentence in ((nowhere, "no `placelibre up` is running"), (away, "does not let the operator in")):
        assert result.returncode == 1
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


async def test_a_bus_without_a_log_is_said_to_be_broken(operator: Bus, bus_server: BusServer) -> None:
    wall = LibraryConfig.model_validate(LIBRARY | {"clock": "wall"})
    await operator.bucket(subjects.LIBRARIES).put("hall", wall.model_dump_json(by_alias=True).encode())
    await operator.jetstream.delete_stream(subjects.READINGS)
    seed = str(bus_server.seed_file("operator"))
    where = ("--nats-url", bus_server.url, "--seed-file", seed)
    result = await asyncio.to_thread(placelibre_explain, "hall", *where)
    assert result.returncode == 1
    assert "the bus stopped answering" in result.stderr
    assert "placelibre doctor" in result.stderr


async def send(house: House, readings: Sequence[WireFields]) -> None:
    sender = Sender(house.url("ingest"), SIMULATION_KEY, lambda _line: None)
    try:
        for body in requests(steps(readings), 300):
            await asyncio.to_thread(sender.send, body)
    finally:
        sender.close()
    await house.caught_up()


async def until_known(bus: Bus, library: str) -> None:
    """Wait until the configuration stands in the log."""
    number = subjects.partition_of(library)
    async with asyncio.timeout(20):
        while True:
            info = await bus.jetstream.stream_info(subjects.READINGS, subjects_filter=subjects.configured(number))
            if info.state.subjects:
                return
            await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_what_was_published_then_is_what_comes_out_now(tmp_path: Path, day: list[WireFields]) -> None:
    house = House(tmp_path)
    where = ("--nats-url", house.server.url, "--seed-file", str(house.server.seed_file("operator")))

    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(placelibre_explain, *arguments, *where)

    try:
        await house.start("ingest", "aggregator")
        await house.apply(LIBRARY)
        async with house.operator() as bus:
            await until_known(bus, "hall")
            nothing_yet = await run("hall")
            told = {}
            begins = at("00:00")
            for time in ("13:45", "16:30", "18:30"):
                await send(house, [each for each in day if begins < time_of(each) <= at(time)])
                told[time] = await status_of(bus, "hall")
                begins = at(time)
            published = await changes_of(bus, "hall")
            for time, status in told.items():
                result = await run("hall", "--at", time, "--json")
                assert result.returncode == 0, result.stderr
                explanation = json.loads(result.stdout)
                assert explanation["status"] == status.model_dump(mode="json", exclude={"sentences"})
                last = max(number for number, change in published.items() if change.at <= at(time))
                publication = explanation["publication"]
                assert (publication["comparison"], publication["revision"]) == ("as_published", last)
            for arguments, sentence in (
                (("hull",), "no library 'hull' is in force on this bus"),
                (("hall", "--at", "23:00"), "--at 23:00 is yet to come"),
                (("hall", "--at", "2026-11-24T10:00"), "is not in the log of hall, which begins at 2026-11-25 11:31"),
            ):
                refused = await run(*arguments)
                assert refused.returncode == 1
                assert sentence in refused.stderr
                assert "what to do:" in refused.stderr
            now = await run("hall")
            assert "As published: change" in now.stdout
            assert nothing_yet.returncode == 1
            assert "nothing of its day has been played yet" in nothing_yet.stderr
    finally:
        await house.stop()


async def test_a_library_of_today_is_explained_as_of_now(tmp_path: Path) -> None:
    house = House(tmp_path)
    secret = "made-up-secret"
    key = {"id": "desk", "sha256": sha256(secret.encode()).hexdigest(), "device": "tablet", "role": "staff"}
    branch = {"id": "branch", "name": "Branch", "time_zone": "Europe/Paris", "opening_hours": "24/7", "capacity": 100}
    count: WireFields = {"kind": "head_count", "library": "branch", "id": "one", "people": 42, "note": "twice over"}
    where = ("--nats-url", house.server.url, "--seed-file", str(house.server.seed_file("operator")))
    try:
        await house.start("ingest", "aggregator")
        await house.apply(branch | {"keys": [key], "gates": [{"id": "front"}]})
        async with house.operator() as bus:
            await until_known(bus, "branch")
        sender = Sender(house.url("ingest"), f"desk.{secret}", lambda _line: None)
        await asyncio.to_thread(sender.send, [count])
        sender.close()
        await house.caught_up()
        result = await asyncio.to_thread(placelibre_explain, "branch", "--json", *where)
        assert result.returncode == 0, result.stderr
        explanation = json.loads(result.stdout)
    finally:
        await house.stop()
    assert explanation["publication"]["comparison"] == "as_published"
    assert explanation["status"]["people"]["value"] == 42
    [correction] = explanation["corrections"]
    assert (correction["who"], correction["why"], correction["said"]) == ("tablet", "twice over", 42)
    assert not explanation["readings"]["reaches_back"]
    assert not explanation["is_expired"]
