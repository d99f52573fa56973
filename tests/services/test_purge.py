"""Purging on a real house: nothing of what was purged is found, nothing of the others is different, and it stays so."""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.applying import carry_out, plan
from cli.audit import trail_of
from cli.explanation.from_bus import batches_of
from cli.staffing.people import add_person, invite
from services.aggregator.checkpoint import dump
from services.aggregator.fold import Fold, Partition
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import DeskRecord
from shared.contracts.readings import READING, Pack
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from shared.runtime.log_reader import LogMessage
from shared.runtime.opening_hours import OsmOpeningHours
from tests.house import House, status_of

pytestmark = pytest.mark.slow

GONE = "closed-branch"
PARTITION = subjects.partition_of(GONE)
STAYS = next(name for n in range(10_000) if subjects.partition_of(name := f"neighbour-{n}") == PARTITION)
"""In the same partition: its readings lie among those of the other, and in one checkpoint with them."""
SECRET = "made-up-secret"


def library(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": name.title(),
        "time_zone": "Europe/Paris",
        "opening_hours": "24/7",
        "capacity": 100,
        "gates": [{"id": "front"}],
        "keys": [
            {"id": f"gate-{name}", "sha256": sha256(SECRET.encode()).hexdigest(), "device": "front", "role": "gate"}
        ],
    }


async def purge(house: House, *arguments: str) -> tuple[int, dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "purge", *arguments, "--json"),
        *("--nats-url", house.server.url, "--seed-file", str(house.server.seed_file("operator"))),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out) if out else {}, err.decode()


async def messages(bus: Bus) -> AsyncIterator[tuple[str, LogMessage]]:
    for info in await bus.jetstream.streams_info():
        name = info.config.name or ""
        if info.state.messages:
            async for batch in batches_of(bus, name, [">"]):
                for message in batch.messages:
                    yield name, message


async def named(bus: Bus, word: str) -> Counter[str]:
    """Count the messages that hold a word, by their stream; checkpoints are read as what they are."""
    found: Counter[str] = Counter()
    async for stream, message in messages(bus):
        whole = message.subject.encode() + json.dumps(message.headers).encode() + message.data
        if stream == subjects.bucket_stream(subjects.CHECKPOINTS) and message.subject.count(".") == 4:
            whole += zlib.decompress(message.data)
        found[stream] += word.encode() in whole
    return +found


def on_disk(house: House, word: str) -> Counter[str]:
    """Count the files of the bus in which a word stands, by their stream."""
    found: Counter[str] = Counter()
    for path in (house.home / "bus" / "jetstream").rglob("*.blk"):
        found[path.parent.parent.name] += path.read_bytes().count(word.encode())
    return +found


async def state_from_the_log(bus: Bus, name: str) -> bytes:
    """Return a library's state as the whole log gives it."""
    fold = Fold([Partition(PARTITION)], OsmOpeningHours)
    async for batch in batches_of(
        bus, subjects.READINGS, [subjects.readings(PARTITION), subjects.configured(PARTITION)]
    ):
        for message in batch.messages:
            fold.apply(message.subject, message.data, message.sequence)
    kept = fold.kept(name)
    assert kept is not None
    return zlib.decompress(dump(Partition(PARTITION, libraries={name: kept})))


async def states_of(bus: Bus, name: str) -> list[dict[str, Any]]:
    """Return a library's state in every slot of its partition's checkpoints."""
    bucket = bus.bucket(subjects.CHECKPOINTS)
    entries = [await bucket.get(key) for key in await bucket.keys(f"p{PARTITION}.")]
    contents = [json.loads(zlib.decompress(entry.value)) for entry in entries if entry is not None]
    found = [each["state"] for content in contents for each in content["libraries"] if each["config"]["id"] == name]
    assert len(found) == 2
    return found


async def filled(house: House) -> None:
    """Bring readings, staff, a claim, a wish, feeds, posts' records and quarantine of two libraries into a house."""
    await house.apply(library(GONE), library(STAYS))
    async with house.operator() as bus, httpx.AsyncClient(base_url=house.url("ingest"), trust_env=False) as client:
        for name in (GONE, STAYS):
            async with asyncio.timeout(30):
                while await bus.bucket(subjects.STATUS).get(name) is None:
                    await asyncio.sleep(0.05)
        at = datetime.now(UTC) - timedelta(minutes=3)
        for number in range(20):
            for name in (GONE, STAYS):
                count = {
                    "kind": "gate_count",
                    "library": name,
                    "gate": "front",
                    "start": (at + timedelta(seconds=number)).isoformat(),
                    "time": (at + timedelta(seconds=number + 1)).isoformat(),
                    "entries": 1 + number % 3,
                    "exits": 0,
                    "id": f"c{number}",
                }
                if number == 7:
                    count["entries"] = -4  # into quarantine
                headers = {"Authorization": f"Bearer gate-{name}.{SECRET}", "Prefer": "handling=lenient"}
                answer = await client.post("/v1/readings", json=[count], headers=headers)
                assert answer.status_code == (422 if number == 7 else 202), answer.text
        for name in (GONE, STAYS):
            await add_person(bus, name, "AB", "ab", "2580", now())
            invited = await invite(bus, name, "Front desk", now(), replaces=False)
            enrolled = await client.post("/v1/staff/enrolments", json={"code": invited.code})
            key = {"Authorization": f"Bearer {enrolled.json()['key']}"}
            answer = await client.post("/v1/staff/sessions", json={"person": "ab", "pin": "2580"}, headers=key)
            session = {"Authorization": f"Bearer {answer.json()['session']}"}
            head = {"kind": "head_count", "library": name, "id": "h", "people": 17, "note": f"seen at {name}"}
            assert (await client.post("/v1/readings", json=head, headers=session)).status_code == 202
            for bucket, each in (
                (subjects.CLAIMS, f"{name}.door"),
                (subjects.DEVICES, f"{name}.door"),
                (subjects.FEEDS, f"{name}.en"),
                (subjects.SUBSCRIPTIONS, f"wish.{name}.{'0' * 32}.{'0' * 16}"),
                (subjects.DELIVERIES, f"activitypub-{name}.{name}.en"),
                (subjects.POSTING, f"{name}.activitypub-{name}"),
                (subjects.ACTORS, f"actor.{name}"),
                (subjects.ACTORS, f"follower.{name}.0011"),
            ):
                await bus.bucket(bucket).put(each, json.dumps({"library": name, "made": "up"}).encode())
            await bus.publish(subjects.dead_letter("publisher", "post"), json.dumps({"library": name}).encode())
            quarantined = subjects.quarantined_body(name, "ceiling", "none")
            await bus.publish(quarantined, json.dumps({"library": name}).encode())
    await house.caught_up()


async def taken_out(house: House) -> None:
    async with house.operator() as bus:
        await carry_out(bus, await plan(bus, [LibraryConfig.model_validate(library(STAYS))], is_pruned=True))
        async with asyncio.timeout(30):
            while await bus.bucket(subjects.STATUS).get(GONE) is not None:
                await asyncio.sleep(0.05)
    await house.caught_up()


async def test_a_library_that_is_gone_leaves_no_trace_and_the_others_as_they_were(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        await house.start("ingest", "aggregator")
        await filled(house)
        code, _, words = await purge(house, "library", GONE, "--yes")
        assert code == 1
        assert "is in force" in words
        await taken_out(house)
        async with house.operator() as bus:
            before = await status_of(bus, STAYS)
            state = await state_from_the_log(bus, STAYS)
            held = await named(bus, GONE)
            kept = await named(bus, STAYS)
            assert set(held) >= {"READINGS", "CHANGES", "QUARANTINE", "DEAD", "KV_STAFF", "KV_ACTORS", "KV_CHECKPOINTS"}
            assert on_disk(house, GONE)["READINGS"] > 0

            code, counted, _ = await purge(house, "library", GONE, "--dry-run")
            assert code == 0
            assert not counted["purged"]
            assert counted["counts"]["READINGS"] >= 20
            assert await named(bus, GONE) == held

            code, done, words = await purge(house, "library", GONE, "--yes")
            assert code == 0, words
            assert done["counts"].keys() == counted["counts"].keys()
            assert set(await named(bus, GONE)) == {subjects.AUDIT}
            assert on_disk(house, GONE)["READINGS"] == 0
            print("files that still hold it:", on_disk(house, GONE))

            left = await named(bus, STAYS)
            for name in set(kept) - {subjects.AUDIT, "KV_CHECKPOINTS"}:
                assert left[name] >= kept[name], name
            after = await status_of(bus, STAYS)
            assert (after.people, after.entries_today, after.exits_today) == (
                before.people,
                before.entries_today,
                before.exits_today,
            )
            assert await state_from_the_log(bus, STAYS) == state

            code, again, _ = await purge(house, "library", GONE, "--yes")
            assert code == 0
            assert again["counts"] == {}

            await house.kill("aggregator")  # it comes back from its checkpoint
            await house.start("aggregator")
            await house.caught_up()
            assert set(await named(bus, GONE)) == {subjects.AUDIT}
            assert (await status_of(bus, STAYS)).entries_today == before.entries_today
            acts = [each.entry for each in await trail_of(bus) if each.entry and each.entry.act == "purged"]
            assert [each.outcome for each in acts] == ["begun", "done", "begun", "done"]
    finally:
        await house.stop()
    print("files that still hold it, after the bus was stopped:", on_disk(house, GONE))


async def test_nothing_is_taken_out_while_the_aggregator_could_bring_it_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        await house.start("ingest", "aggregator")
        await filled(house)
        await taken_out(house)
        await house.kill("aggregator")
        async with house.operator() as bus:
            held = await named(bus, GONE)
            code, _, words = await purge(house, "library", GONE, "--yes")
            assert code == 1
            assert "start the aggregator" in words
            after = await named(bus, GONE)
            assert all(after[name] >= count for name, count in held.items())
            await house.start("aggregator")
            code, _, words = await purge(house, "library", GONE, "--yes")
            assert code == 0, words
            assert set(await named(bus, GONE)) == {subjects.AUDIT}
    finally:
        await house.stop()


async def test_a_person_s_id_goes_and_what_they_said_goes_on_to_hold(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        await house.start("ingest", "aggregator")
        await filled(house)
        async with house.operator() as bus:
            before = await status_of(bus, STAYS)
            assert before.people is not None
            pack = {"readings": [{"kind": "of-a-later-version", "library": STAYS, "by": "ab", "note": "by the stairs"}]}
            await bus.publish(subjects.dead_letter("aggregator", "reading"), json.dumps(pack).encode())
            for wrong, word in (("A B", "no id"), ("xy", "its people are ab")):
                code, _, words = await purge(house, "person", STAYS, wrong, "--yes")
                assert code == 1
                assert word in words
                assert "Traceback" not in words
            assert not [each for each in await trail_of(bus) if each.entry and each.entry.act == "purged"]
            code, done, words = await purge(house, "person", STAYS, "ab", "--yes")
            assert code == 0, words
            assert done["counts"]["STAFF"] >= 2
            assert done["counts"]["READINGS"] == 1
            assert done["counts"]["DEAD"] == 1
            entry = await bus.bucket(subjects.DESK).get(STAYS)
            assert entry is not None
            acts = DeskRecord.model_validate_json(entry.value).acts
            assert [(each.kind, each.by) for each in acts] == [("head_count", "")]
            after = await status_of(bus, STAYS)
            assert (after.people, after.entries_today) == (before.people, before.entries_today)
            async for stream, message in messages(bus):
                if stream != subjects.AUDIT and STAYS in message.subject + message.data.decode(errors="ignore"):
                    assert f"{STAYS}.person.ab" not in message.subject, stream
                    assert b'"by":"ab"' not in message.data, stream
                    assert b'"person":"ab"' not in message.data, stream
            for state in await states_of(bus, STAYS):
                assert "by/ab" not in state["seen"]["devices"], "the ids of what they said stood under their name"
                assert '"ab"' not in json.dumps(state)
            code, _, words = await purge(house, "person", STAYS, "ab", "--yes")
            assert (code, "nothing is stored" in words) == (1, True)
            assert (await bus.bucket(subjects.STAFF).get(subjects.staff_key(GONE, "person", "ab"))) is not None
    finally:
        await house.stop()


async def test_a_pack_that_others_share_stays_and_is_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        await house.start("ingest", "aggregator")
        await filled(house)
        async with house.operator() as bus:
            both = [
                READING.validate_python(
                    {"kind": "head_count", "library": name, "people": 9, "id": "both", "device": "x", "time": now()}
                )
                for name in (GONE, STAYS)
            ]
            body = Pack(received_at=now(), readings=tuple(both)).model_dump_json(exclude_none=True).encode()
            await bus.publish(subjects.readings(PARTITION), body)
            await taken_out(house)
            code, counted, _ = await purge(house, "library", GONE, "--dry-run")
            assert code == 0
            assert [(each["what"], each["messages"]) for each in counted["shared"]] == [("READINGS", 1)]
            assert counted["shared"][0]["until"] > (now() + timedelta(days=29)).isoformat()
            code, _, words = await purge(house, "library", GONE, "--yes")
            assert code == 0, words
            assert (await named(bus, GONE))[subjects.READINGS] == 1
    finally:
        await house.stop()


async def test_what_is_too_young_or_not_in_a_checkpoint_is_not_cut_off(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        await house.start("ingest", "aggregator")
        await filled(house)
        async with house.operator() as bus:
            await bus.bucket(subjects.HISTORY).put(f"{STAYS}.2026-01-01", b"{}")
            held = await bus.jetstream.stream_info(subjects.READINGS)
            code, _, words = await purge(house, "before", f"{now() + timedelta(days=1):%Y-%m-%d}", "--yes")
            assert code == 1
            assert "too young" in words
            past = f"{now() - timedelta(days=2):%Y-%m-%d}"
            code, done, words = await purge(house, "before", past, "--yes")
            assert code == 0, words
            assert done["counts"] == {}, "statistics stay, unless somebody says that they should go"
            assert await bus.bucket(subjects.HISTORY).get(f"{STAYS}.2026-01-01") is not None
            code, done, words = await purge(house, "before", past, "--history", "--yes")
            assert code == 0, words
            assert done["counts"] == {"HISTORY": 1}
            assert f"{STAYS}.2026-01-01" not in await bus.bucket(subjects.HISTORY).keys(), "nor a mark of it"
            left = await bus.jetstream.stream_info(subjects.READINGS)
            assert left.state.messages >= held.state.messages
    finally:
        await house.stop()
