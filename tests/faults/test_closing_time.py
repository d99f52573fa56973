"""Restarts exactly at closing time: the closing has its own minute, is one change, and is said once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import pytest

from shared.contracts.status import StatusChanged
from shared.domain.status import State
from shared.runtime.bus import Bus
from tests.fakes.mastodon import FakeMastodon
from tests.faults.figures import note
from tests.faults.promise import SECRET, account, at_rest, library, ready_again, said_once
from tests.house import House, changes_of

ZONES: Final = ("Europe/Paris", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Auckland")


@dataclass(frozen=True, slots=True)
class Blow:
    """Who is killed when a library closes, and how long before that (after it, where that is negative)."""

    library: str
    before_s: float
    victims: tuple[str, ...]
    away_s: float


BLOWS: Final = (
    Blow("maples", 0.4, ("aggregator",), 1.5),
    Blow("poplars", 0.4, ("aggregator", "publisher"), 0.0),
    Blow("quinces", 0.4, ("aggregator", "bus", "ingest"), 3.0),
    Blow("rowans", -0.1, ("publisher",), 0.0),
    Blow("spruces", -0.1, ("aggregator", "publisher", "bus"), 0.0),
)
EVERY: Final = timedelta(minutes=1)
PREPARED: Final = timedelta(seconds=45)
"""For everything to run, to be heard of once and to have been said before the first closing."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def daytime(now: datetime) -> ZoneInfo:
    """Return a zone in which it is day: no closing of this test may fall on midnight."""
    return next(zone for zone in map(ZoneInfo, ZONES) if 7 <= now.astimezone(zone).hour < 20)


def closing(name: str, at: datetime, zone: ZoneInfo, server: str) -> dict[str, Any]:
    """Return a library that closes at an instant, on whichever day it is there."""
    hours = f"00:00-{at.astimezone(zone):%H:%M}"
    return {**library(name, server), "time_zone": zone.key, "opening_hours": hours}


async def count_heads(house: House, name: str) -> None:
    """Let staff say how many are inside, so that there is something to say of the library, and to end."""
    reading = {"kind": "head_count", "library": name, "people": 300, "boot": "b", "sequence": 1}
    headers = {"Authorization": f"Bearer {name}-desk.{SECRET}"}
    async with httpx.AsyncClient(trust_env=False, timeout=15) as http, asyncio.timeout(30):
        while (await http.post(f"{house.url('ingest')}/v1/readings", json=reading, headers=headers)).status_code != 202:
            await asyncio.sleep(0.1)  # until ingest has heard of the key


async def until(at: datetime) -> None:
    """Wait for an instant."""
    await asyncio.sleep(max((at - datetime.now(UTC)).total_seconds(), 0))


async def strike(house: House, blow: Blow, closes_at: datetime) -> None:
    """Kill at the moment, and bring everything back."""
    await until(closes_at - timedelta(seconds=blow.before_s))
    await asyncio.gather(*(house.kill(name) for name in blow.victims))
    await asyncio.sleep(blow.away_s)
    if "bus" in blow.victims:
        await asyncio.to_thread(house.start_bus)
    await house.start(*(name for name in blow.victims if name != "bus"))
    await ready_again(house)


async def closed(bus: Bus, name: str) -> list[StatusChanged]:
    """Return the changes by which a library closed."""
    return [each for _, each in sorted((await changes_of(bus, name)).items()) if each.status.state is State.CLOSED]


def posts_of_closing(server: FakeMastodon, name: str) -> list[str]:
    """Return what was posted of a library's closing: the day's live post says so, too, but did not begin with it."""
    begun = [post.versions[0] for post in server.posts]
    return [text for text in begun if name.capitalize() in text and "losed" in text]


async def test_a_restart_exactly_at_closing_time_makes_one_change_and_one_post(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    zone = daytime(now)
    first = (now + PREPARED + EVERY).replace(second=0, microsecond=0)
    closings = {blow.library: first + number * EVERY for number, blow in enumerate(BLOWS)}
    async with account(tmp_path) as server:
        house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
        try:
            await house.start("ingest", "aggregator", "publisher", "api")
            await house.apply(*(closing(name, at, zone, server.base) for name, at in closings.items()))
            for name in closings:
                await count_heads(house, name)
            async with house.operator() as bus:
                await at_rest(house, bus)
            assert datetime.now(UTC) < first, "this machine is too busy to be ready for the first closing"
            for blow in BLOWS:
                await strike(house, blow, closings[blow.library])
            async with house.operator() as bus:
                await at_rest(house, bus)
                found = {name: await closed(bus, name) for name in closings}
                await said_once(bus, server)
        finally:
            await house.stop()
    for name in closings:
        print(name, [each.at for each in found[name]], posts_of_closing(server, name))
    assert {name: [each.at for each in changes] for name, changes in found.items()} == {
        name: [at] for name, at in closings.items()
    }, "one change each, at the very minute"
    assert {name: len(posts_of_closing(server, name)) for name in closings} == dict.fromkeys(closings, 1)
    note(
        "restarts exactly at closing time",
        f"{len(BLOWS)} closings, {sum(len(each.victims) for each in BLOWS)} kills within 0.4 s of them:"
        f" {sum(map(len, found.values()))} changes, each at its minute, {len(BLOWS)} posts",
        "one change and one post each",
    )
