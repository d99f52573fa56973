"""Doubles, late and early readings, reboots, poison, a broken configuration: what a real house makes of them.

And everything dead but the api: what it shows then.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import pytest

from services.auditor.applied import applied
from shared.contracts import subjects
from shared.contracts.streams import DUPLICATE_WINDOW
from shared.domain.library_state import Totals
from shared.runtime.bus import Bus
from tests.faults.figures import note
from tests.faults.promise import SECRET, account, end, library, ready_again
from tests.house import SIMULATION_KEY, House, status_of

SEED: Final = 5
DUPLICATES_S: Final = DUPLICATE_WINDOW.total_seconds() + 5
"""After which the bus no longer knows a double; the state does."""
NORTH: Final = "north"
PLAYED: Final = "played"
POISONED: Final = (
    subjects.dead_letter("aggregator", "reading"),
    subjects.dead_letter("publisher", "change"),
    subjects.dead_letter("publisher", "post"),
)
EXPIRES_S: Final = 100.0
"""For a status that holds for a minute to expire, and the page to say so."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


class Box:
    """The device at the door: it numbers what it counts, and may say it again in whatever company."""

    def __init__(self, house: House) -> None:
        """Begin with the first boot."""
        self.house = house
        self.boot = "b1"
        self.next = 0
        self.remarks: list[str] = []

    def counted(self, at: datetime, entries: int = 1) -> dict[str, Any]:
        """Count people at a time, whatever clock that is of."""
        fields = {"kind": "gate_count", "library": NORTH, "gate": "door", "boot": self.boot, "sequence": self.next}
        self.next += 1
        return {**fields, "time": at.isoformat(), "entries": entries, "exits": 0}

    async def send(self, readings: list[dict[str, Any]], key: str = f"{NORTH}-box.{SECRET}") -> None:
        """Send readings in one request; it must be stored."""
        async with httpx.AsyncClient(trust_env=False, timeout=15) as http, asyncio.timeout(30):
            while True:
                url, headers = f"{self.house.url('ingest')}/v1/readings", {"Authorization": f"Bearer {key}"}
                answer = await http.post(url, json=readings, headers=headers)
                if answer.status_code != 401:  # until ingest has heard of the key
                    break
                await asyncio.sleep(0.1)
        assert answer.status_code == 202, answer.text
        self.remarks += [each["remark"] for each in answer.json()["readings"] if "remark" in each]


async def totals(house: House, bus: Bus, name: str) -> Totals:
    """Return what the aggregator has taken into account, by its last checkpoint; it is started anew for that."""
    await house.caught_up()
    await end(house, "aggregator")
    found = await applied(bus, subjects.partition_of(name))
    await house.start("aggregator")
    assert found is not None
    return found.libraries[name][2].totals


async def put_aside(bus: Bus) -> dict[str, int]:
    """Return how many dead letters are kept, by their subject; the bus's own advisories lie beside them."""
    info = await bus.jetstream.stream_info(subjects.DEAD, subjects_filter="dead.>")
    return info.state.subjects or {}


async def says(box: Box, text: str, number: int) -> None:
    """Put up a notice."""
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    said = {"kind": "notice", "library": NORTH, "text": text, "until": until, "boot": "d", "sequence": number}
    await box.send([said], f"{NORTH}-desk.{SECRET}")


async def tell_oddly(box: Box, rng: Random) -> tuple[list[dict[str, Any]], int]:
    """Send counts in every odd way; return those of before, as they were sent, and the entries there are now."""
    now = datetime.now(UTC)
    counts = [box.counted(now - timedelta(minutes=80 - 2 * number)) for number in range(40)]
    shuffled = rng.sample(counts, len(counts))
    await by_eights(box, shuffled)  # out of order, and late by up to 80 minutes
    await box.send(shuffled[:8])  # a double at once, of which the bus knows
    await box.send([*counts[:20], box.counted(now)])  # and some in other company, of which it cannot know
    box.boot, box.next = "b2", 0
    await box.send([box.counted(now, entries=2) for _ in range(10)])  # the same numbers of another boot
    await box.send([box.counted(now + timedelta(hours=1))])  # its clock is an hour fast: taken as now
    await box.send([box.counted(now - timedelta(hours=1))])  # or slow: counted where it says
    await box.send([box.counted(datetime(1970, 1, 1, tzinfo=UTC), entries=1000)])  # or was never set
    return shuffled, len(counts) + 1 + 10 * 2 + 2


async def by_eights(box: Box, readings: list[dict[str, Any]]) -> None:
    """Send readings in requests of eight, which are the same whenever this is done again."""
    for start in range(0, len(readings), 8):
        await box.send(readings[start : start + 8])


async def poison(bus: Bus, lane: str) -> None:
    """Put what nobody can read on the log and on both queues, and in the place of the configuration."""
    await bus.publish(subjects.readings(subjects.partition_of(NORTH)), b"not a pack")
    await bus.publish(subjects.change(NORTH), b'{"id": 7}')
    await bus.publish(subjects.post(lane, NORTH), b"[]")
    await bus.bucket(subjects.LIBRARIES).put(NORTH, b"not a configuration")


async def test_doubles_reboots_and_wrong_clocks_count_right_and_poison_holds_up_nobody(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    async with account(tmp_path) as server:
        house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
        box = Box(house)
        try:
            await house.start("ingest", "aggregator", "publisher", "api", "auditor")
            await house.apply(library(NORTH, server.base))
            heads = {"kind": "head_count", "library": NORTH, "people": 100, "boot": "d", "sequence": 0}
            await box.send([heads], f"{NORTH}-desk.{SECRET}")
            told, entries = await tell_oddly(box, Random(SEED))
            await says(box, "Before the poison", 1)
            async with house.operator() as bus:
                await poison(bus, subjects.lane_of("mastodon", server.base, "bib"))
                await says(box, "Behind the poison", 2)
                async with asyncio.timeout(60):
                    while not any("Behind the poison" in post.text for post in server.posts):
                        await asyncio.sleep(0.1)
                    while len(await put_aside(bus)) < len(POISONED):
                        await asyncio.sleep(0.1)
                await asyncio.sleep(DUPLICATES_S)
                last = await bus.last_sequence(subjects.READINGS)
                await by_eights(box, told)  # as before: the bus has forgotten that it knows them
                stored_again = await bus.last_sequence(subjects.READINGS) - last
                counted = await totals(house, bus, NORTH)
                public = await status_of(bus, NORTH)
                await ready_again(house)
                dead = await put_aside(bus)
        finally:
            await house.stop()
    assert stored_again >= 5, "the bus has taken them once more"
    assert sorted("future" in each for each in box.remarks) == [False, True], box.remarks
    assert (counted.entries, counted.exits) == (entries, 0)
    assert counted.too_late == 1, "the one of 1970"
    assert counted.duplicates >= 20 + len(told)
    assert public.notice is not None
    assert public.notice.text == "Behind the poison"
    assert dead == dict.fromkeys(POISONED, 1), "one of each queue, kept once"
    assert server.made == len({each.headers["idempotency-key"] for each in server.asked("POST", "/api/v1/statuses")})
    note(
        "doubles, reboots, wrong clocks, poison, broken configuration",
        f"{counted.duplicates} doubles at once and after {DUPLICATES_S:.0f} s, {counted.entries} of {entries} entries,"
        f" {counted.too_late} of 1970 stored and not counted; {len(dead)} poisoned messages put aside, the next of"
        " each queue handled; the configuration before the broken one went on",
        "exact, nobody held up",
    )


async def test_what_comes_again_after_an_hour_counts_once(tmp_path: Path) -> None:
    """An hour of a simulated library's own time passes with its clock; what is remembered ages by that."""
    house = House(tmp_path)
    box = Box(house)
    played = {**library(PLAYED), "clock": "simulated", "keys": []}
    at = datetime(2026, 3, 4, 10, tzinfo=UTC)
    counts = [
        {
            "kind": "gate_count",
            "library": PLAYED,
            "gate": "door",
            "device": "door",
            "boot": "b",
            "sequence": number,
            "time": (at + timedelta(minutes=number)).isoformat(),
            "entries": 1,
            "exits": 0,
        }
        for number in range(30)
    ]

    async def clock(now: datetime, *readings: dict[str, Any]) -> None:
        told = {"kind": "clock", "library": PLAYED, "time": now.isoformat()}
        await box.send([told, *readings], SIMULATION_KEY)

    try:
        await house.start("ingest", "aggregator")
        await house.apply(played)
        async with house.operator() as bus:
            async with asyncio.timeout(30):
                while await bus.bucket(subjects.STATUS).get(PLAYED) is None:
                    await clock(at)
                    await asyncio.sleep(0.2)
            await clock(at + timedelta(minutes=30), *counts)
            await clock(at + timedelta(minutes=90), *counts)
            after_an_hour = await totals(house, bus, PLAYED)  # and from its checkpoint, too
            await clock(at + timedelta(hours=30), *counts)
            after_a_day = await totals(house, bus, PLAYED)
    finally:
        await house.stop()
    assert (after_an_hour.entries, after_an_hour.duplicates) == (30, 30)
    assert (after_a_day.entries, after_a_day.duplicates + after_a_day.too_late) == (30, 60)
    note(
        "doubles after an hour and after a day",
        f"30 counts, told three times: {after_a_day.entries} entries, {after_a_day.duplicates} doubles,"
        f" {after_a_day.too_late} too late",
        "30 entries",
    )


async def test_with_everything_dead_but_the_api_the_page_shows_its_age(tmp_path: Path) -> None:
    house = House(tmp_path)
    box = Box(house)
    try:
        await house.start("ingest", "aggregator", "publisher", "api")
        await house.apply({**library(NORTH), "valid_for_min": 1})
        heads = {"kind": "head_count", "library": NORTH, "people": 417, "boot": "d", "sequence": 0}
        await box.send([heads], f"{NORTH}-desk.{SECRET}")
        url = house.url("api")
        async with httpx.AsyncClient(trust_env=False, timeout=15, headers={"Accept-Language": "en"}) as http:
            async with asyncio.timeout(60):
                while (shown := (await http.get(f"{url}/v1/libraries/{NORTH}")).json()).get("people") is None:
                    await asyncio.sleep(0.1)
            assert "417" in (await http.get(f"{url}/l/{NORTH}")).text
            for name in ("aggregator", "ingest", "publisher", "bus"):
                await house.kill(name)
            async with asyncio.timeout(EXPIRES_S):
                while not (shown := (await http.get(f"{url}/v1/libraries/{NORTH}")).json())["expired"]:
                    assert datetime.now(UTC) < datetime.fromisoformat(shown["valid_until"]) + timedelta(seconds=2)
                    await asyncio.sleep(0.2)
            late_s = (datetime.now(UTC) - datetime.fromisoformat(shown["valid_until"])).total_seconds()
            page = (await http.get(f"{url}/l/{NORTH}")).text
            ready = (await http.get(f"{url}/readyz")).status_code
    finally:
        await house.stop()
    assert (shown["people"], shown["state"]) == (None, "unknown")
    assert shown["as_of"], "from when the last is"
    assert "417" not in page
    assert shown["sentences"]["en"]["long"] in unescape(page), "what is left of it is said in words"
    assert ready == 200, "what it has, it goes on telling"
    note(
        "everything dead but the api",
        f"figure gone {late_s:.1f} s after its validity, age told, page served",
        "no figure past its validity",
    )
