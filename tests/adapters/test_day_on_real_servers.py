"""A simulated day of the large library on a real PDS and a real Synapse, through the real services, one of them killed.

It is watched as a follower watches: what stands in the timelines, again and again, and what is left in the evening.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from cli.sending import Sender
from cli.simulation.day import simulate_day
from cli.simulation.feed import steps
from cli.simulation.live import day_random
from cli.simulation.scenario import load_scenarios
from shared.contracts.configuration import LibraryConfig
from shared.contracts.posts import live_slot
from shared.contracts.subjects import DELIVERIES, delivery_key
from shared.runtime.opening_hours import OsmOpeningHours
from tests.conftest import ROOT
from tests.house import SIMULATION_KEY, House
from tests.servers import pds, synapse

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(pds.missing() or synapse.missing()), reason=str(pds.missing() or synapse.missing())),
]

PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 11, 25)
SPEED = 120.0
"""Library seconds per second: ten minutes of validity are five seconds, enough for servers on this machine."""
BUDGET = 14
LIBRARY = "bpi"
TIME = re.compile(r"\b([0-2]\d:[0-5]\d)\b")


@dataclass
class Timeline:
    """What followers of one account have seen: each post's texts, and the library's time of the first."""

    now: dict[str, str] = field(default_factory=dict)
    """What stands there at the last look, by id, the oldest first."""
    first_seen: dict[str, datetime] = field(default_factory=dict)
    texts: dict[str, list[tuple[datetime, str]]] = field(default_factory=dict)

    def look(self, posts: dict[str, str], at: datetime) -> None:
        self.now = posts
        for key, text in posts.items():
            self.first_seen.setdefault(key, at)
            seen = self.texts.setdefault(key, [])
            if not seen or seen[-1][1] != text:
                seen.append((at, text))


@dataclass
class Stage:
    house: House
    bluesky: pds.Pds
    account: pds.Account
    matrix: synapse.Synapse
    token: str
    room: str
    zero: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    started: float = 0.0

    def time(self) -> datetime:
        """Return the library's time."""
        return self.zero + timedelta(seconds=(asyncio.get_running_loop().time() - self.started) * SPEED)

    async def on_bluesky(self, client: httpx.AsyncClient) -> dict[str, str]:
        query = {"repo": self.account.did, "collection": "app.bsky.feed.post", "limit": "100"}
        headers = {"x-ratelimit-bypass": pds.UNLIMITED}
        address = f"{self.bluesky.url}/xrpc/com.atproto.repo.listRecords"
        records = (await client.get(address, params=query, headers=headers)).json()["records"]
        ordered = sorted(records, key=lambda each: each["value"]["createdAt"])
        return {each["uri"].rpartition("/")[2]: each["value"]["text"] for each in ordered}

    async def on_matrix(self, client: httpx.AsyncClient) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"{self.matrix.base}/_matrix/client/v3/rooms/{self.room}/messages"
        events = (await client.get(address, params={"dir": "f", "limit": "500"}, headers=headers)).json()["chunk"]
        posts: dict[str, str] = {}
        for event in events:
            content: dict[str, Any] = event["content"]
            if event["type"] != "m.room.message" or not content:
                continue
            relation = content.get("m.relates_to", {})
            if relation.get("rel_type") == "m.replace":
                if relation["event_id"] in posts:
                    posts[relation["event_id"]] = content["m.new_content"]["body"]
            else:
                posts[event["event_id"]] = content["body"]
        return posts


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    for name in ("pds", "synapse", "house"):
        (tmp_path / name).mkdir()
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with pds.running(tmp_path / "pds") as bluesky, synapse.running(tmp_path / "synapse") as matrix:
        account = bluesky.new_account("made-up-password")
        (secrets / "bluesky-bib").write_text(f'identifier = "{account.handle}"\npassword = "made-up-password"\n')
        _, token = matrix.register("bib", "made-up-password")
        (secrets / "matrix-bib").write_text(f'access_token = "{token}"\n')
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {token}"}
            made = await client.post(f"{matrix.base}/_matrix/client/v3/createRoom", json={}, headers=headers)
        house = House(
            tmp_path / "house",
            PLACELIBRE_SECRETS_DIR=str(secrets),
            PLACELIBRE_LEASE_S="3",
            PLACELIBRE_SEND_TIMEOUT_S="1.2",
            PLACELIBRE_UNKNOWN_WAIT_S="0.1",
            PLACELIBRE_RETRY_MIN_S="0.2",
            PLACELIBRE_RETRY_MAX_S="1",
        )
        try:
            yield Stage(house, bluesky, account, matrix, token, made.json()["room_id"])
        finally:
            await house.stop()


def library(stage: Stage) -> dict[str, Any]:
    file = tomllib.loads((ROOT / "libraries.toml").read_text())
    found: dict[str, Any] = next(each for each in file["libraries"] if each["id"] == LIBRARY)
    common = {"account": "bib", "languages": ["fr"], "min_interval_min": 15, "daily_budget": BUDGET}
    found["channels"] = [
        {"type": "bluesky", "server": stage.bluesky.url, **common},
        {"type": "matrix", "server": stage.matrix.base, "room": stage.room, **common},
    ]
    return found


async def play(stage: Stage, config: LibraryConfig) -> None:
    """Send the day's readings at its pace; kill the publisher twice on the way."""
    domain = config.to_domain(OsmOpeningHours)
    day = simulate_day(load_scenarios()[LIBRARY], domain, DAY, day_random(1, LIBRARY, DAY))
    sender = Sender(stage.house.url("ingest"), SIMULATION_KEY, tell=print)
    loop = asyncio.get_running_loop()
    stage.zero, stage.started = day.begin.astimezone(UTC), loop.time()
    kills = [stage.zero + timedelta(hours=2, minutes=5), stage.zero + timedelta(hours=6)]
    for at, readings in steps([day], speed=SPEED):
        await asyncio.sleep(max(stage.started + (at - stage.zero).total_seconds() / SPEED - loop.time(), 0))
        await asyncio.to_thread(sender.send, readings)
        if kills and at >= kills[0]:
            kills.pop(0)
            await stage.house.kill("publisher")
            await stage.house.start("publisher")
    sender.close()


async def watch(stage: Stage, timelines: dict[str, Timeline]) -> None:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        while True:
            timelines["bluesky"].look(await stage.on_bluesky(client), stage.time())
            timelines["matrix"].look(await stage.on_matrix(client), stage.time())
            await asyncio.sleep(0.5)


def said_at(text: str) -> datetime:
    """Return the time that a post names first, in UTC."""
    found = TIME.search(text)
    assert found is not None, text
    return datetime.combine(DAY, time.fromisoformat(found[1]), PARIS).astimezone(UTC)


async def test_a_day_leaves_one_true_live_post_and_the_announcements_in_order(stage: Stage) -> None:
    config = LibraryConfig.model_validate(library(stage))
    await stage.house.start("ingest", "aggregator", "publisher")
    await stage.house.apply(library(stage))
    timelines = {"bluesky": Timeline(), "matrix": Timeline()}
    watching = asyncio.create_task(watch(stage, timelines))
    await play(stage, config)
    await asyncio.sleep(8)
    watching.cancel()
    async with stage.house.operator() as bus:
        for channel, timeline in timelines.items():
            entry = await bus.bucket(DELIVERIES).get(delivery_key(f"{channel}-bib", LIBRARY, live_slot("fr")))
            assert entry is not None
            live_id = entry_id(entry.value, timeline)
            check(channel, timeline, live_id)


def entry_id(record: bytes, timeline: Timeline) -> str:
    """Return which of the posts that stand there is the live one."""
    found = [key for key in timeline.now if key.encode() in record]
    assert len(found) == 1, found
    return found[0]


def check(channel: str, timeline: Timeline, live_id: str) -> None:
    live = timeline.now[live_id]
    announcements = [text for key, text in timeline.now.items() if key != live_id]
    print(f"{channel}: {len(announcements)} announcements, {sum(map(len, timeline.texts.values()))} texts in all")
    for text in (live, *announcements):
        print("  ", text.replace("\n", " | "))
    # The live post is true: the library has closed, and it says so.
    assert "fermée" in live
    # Its creation was the first announcement; the rest keep within the budget.
    assert 3 <= len(announcements) <= BUDGET - 1
    times = [said_at(text) for text in announcements]
    assert times == sorted(times)
    assert len(set(announcements)) == len(announcements)
    for key, text in timeline.now.items():
        if key != live_id:
            # Looked at every half second, a minute of the library's; figures go out within a quarter of an hour.
            late = timeline.first_seen[key] - said_at(text)
            assert late <= timedelta(minutes=25), (late, text)
    # No other post was ever there: nothing was said twice and removed, but for the live posts that Bluesky replaces.
    assert channel == "bluesky" or set(timeline.texts) == set(timeline.now)
