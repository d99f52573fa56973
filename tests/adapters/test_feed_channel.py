"""Feeds keep what every channel promises, whatever their hub does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from services.publisher import channels
from services.publisher.channels import feed as feed_channel
from services.publisher.channels.channel import Blocked, Done, NotFound, NotSent
from shared.contracts import subjects
from shared.contracts.configuration import Channel as Configured
from shared.contracts.feeds import ENTRIES_MAX, Feed, feed_key, feed_path
from shared.domain.library import ClockKind
from shared.runtime.bus import Bus
from tests.adapters.suite import Bench, ChannelSuite, World
from tests.fakes.announcements import configuration
from tests.fakes.http_server import FAULTS, Fault, listening
from tests.fakes.websub_hub import FakeHub


class Reader(World):
    """Everybody who fetches the feeds, and the hub that tells them to."""

    type = "feed"
    account = ""
    secret = ""

    def __init__(self, bus: Bus, hub: FakeHub) -> None:
        self.bus = bus
        self.hub = hub
        self.options = {"site": hub.site, "hub": f"{hub.base}/hub"}

    def script(self, *faults: Fault) -> None:
        self.hub.faults.extend(faults)

    async def feeds(self) -> list[Feed]:
        bucket = self.bus.bucket(subjects.FEEDS)
        entries = [await bucket.get(key) for key in await bucket.keys()]
        return [Feed.model_validate_json(entry.value) for entry in entries if entry]

    async def public(self) -> list[str]:
        return [entry.text for feed in await self.feeds() for entry in reversed(feed.entries)]


class TestFeed(ChannelSuite):
    @pytest.fixture
    async def world(self, operator: Bus) -> AsyncIterator[Reader]:
        async with listening(FakeHub()) as hub:
            yield Reader(operator, hub)

    async def test_the_newest_entry_comes_first_and_the_oldest_goes(self, bench: Bench, world: Reader) -> None:
        channel = bench.channel()
        for number in range(ENTRIES_MAX + 3):
            assert isinstance(await channel.send(bench.intent(number + 2)), Done)
        [feed] = await world.feeds()
        assert len(feed.entries) == ENTRIES_MAX
        assert feed.entries[0].key == bench.intent(ENTRIES_MAX + 4).key
        assert isinstance(await channel.look_up(bench.intent(2)), NotFound)

    async def test_each_language_has_a_feed_of_its_own(self, bench: Bench, world: Reader) -> None:
        for language in ("fr", "en"):
            await bench.channel().send(bench.intent(language=language))
        feeds = await world.feeds()
        assert {feed.language for feed in feeds} == {"fr", "en"}
        assert len({feed.id for feed in feeds}) == 2
        assert len({entry.id for feed in feeds for entry in feed.entries}) == 2

    async def test_ids_are_derived_and_stay(self, bench: Bench, world: Reader) -> None:
        intent = bench.intent()
        first = await bench.channel().send(intent)
        assert isinstance(first, Done)
        assert UUID(first.remote_id).version == 5
        assert first.url == f"{world.hub.site}{feed_path(bench.library, 'atom', 'fr')}"
        [before] = await world.feeds()
        world.options = {}
        again = await bench.channel().send(intent)
        assert isinstance(again, Done)
        assert (again.remote_id, again.url) == (first.remote_id, "")
        [after] = await world.feeds()
        assert (after.id, after.entries, after.hub) == (before.id, before.entries, "")

    async def test_two_writers_lose_none_of_their_entries(self, bench: Bench, world: Reader) -> None:
        intents = [bench.intent(number) for number in range(2, 6)]
        outcomes = await asyncio.gather(*(bench.channel().send(intent) for intent in intents))
        for intent, outcome in zip(intents, outcomes, strict=True):
            assert isinstance(outcome, Done | NotSent)
            if isinstance(outcome, NotSent):
                assert isinstance(await bench.channel().send(intent), Done)
        [feed] = await world.feeds()
        assert {entry.key for entry in feed.entries} == {intent.key for intent in intents}

    async def test_the_hub_hears_of_each_entry(self, bench: Bench, world: Reader) -> None:
        await bench.channel().send(bench.intent(2))
        await bench.channel().send(bench.intent(3))
        topics = [world.hub.site + feed_path(bench.library, kind, "fr") for kind in ("atom", "json")]
        assert world.hub.told == dict.fromkeys(topics, 2)

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_hub_that_fails_costs_no_entry_and_hears_of_the_next(
        self,
        bench: Bench,
        world: Reader,
        fault: Fault,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(feed_channel, "PING_S", 1.5)
        world.script(fault)
        assert isinstance(await bench.channel().send(bench.intent(2)), Done)
        assert world.hub.base not in "".join(capsys.readouterr())
        assert isinstance(await bench.channel().send(bench.intent(3)), Done)
        assert len(world.hub.told) == 2
        assert len(await world.public()) == 2

    async def test_a_look_up_tells_a_hub_that_may_not_have_heard(self, bench: Bench, world: Reader) -> None:
        intent = bench.intent()
        world.script("503")
        await bench.channel().send(intent)
        assert not world.hub.told
        found = await bench.channel().look_up(intent)
        assert isinstance(found, Done)
        assert len(world.hub.told) == 2

    async def test_without_a_hub_nobody_is_dialled(self, bench: Bench, world: Reader) -> None:
        world.options = {}
        assert isinstance(await bench.channel().send(bench.intent()), Done)
        assert world.hub.requests == []

    async def test_a_feed_that_nobody_can_read_is_named_and_left_alone(self, bench: Bench, world: Reader) -> None:
        intent, bucket = bench.intent(), world.bus.bucket(subjects.FEEDS)
        key = feed_key(bench.library, "fr")
        await bucket.put(key, b"{}")
        for outcome in (await bench.channel().send(intent), await bench.channel().look_up(intent)):
            assert isinstance(outcome, Blocked)
            assert key in outcome.reason
        entry = await bucket.get(key)
        assert entry is not None
        assert entry.value == b"{}"

    async def test_a_bus_that_is_away_leaves_the_entry_unsent(
        self, bench: Bench, world: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(world.bus.jetstream), "get_last_msg", _silence)
        channel = bench.channel()
        assert isinstance(await channel.send(bench.intent()), NotSent)
        assert isinstance(await channel.look_up(bench.intent()), NotSent)


async def _silence(*_: object, **__: object) -> None:
    raise TimeoutError


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, []),
        ({"site": "https://seats.example", "hub": "https://hub.example/"}, []),
        ({"site": "http://127.0.0.1:8000", "hub": "http://localhost:9/hub"}, []),
        ({"hub": "https://hub.example/"}, ["hub"]),
        ({"hub": "hub.example", "site": "https://seats.example"}, ["hub"]),
        ({"site": "http://seats.example"}, ["site"]),
        ({"hubs": "https://hub.example/"}, ["hubs"]),
    ],
)
def test_a_hub_must_know_the_address_of_the_feed(options: dict[str, str], keys: list[str]) -> None:
    faults = channels.faults(Configured.model_validate({"type": "feed", **options}))
    assert [key for key, _ in faults] == keys


def test_a_simulated_library_may_keep_a_feed() -> None:
    library = configuration("bib", Configured(type="feed"), clock=ClockKind.SIMULATED)
    assert library.channels[0].type == "feed"
