"""Our own fediverse account keeps what every channel promises, as a follower's server sees it.

The API and the carrier are the real ones: the follower's server looks the account up, follows it, and is told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.bus_server import BusServer
from services.publisher.channels.activitypub import CHANNEL, account_of, origin_of
from services.publisher.channels.channel import Blocked, Done, Gone, Misconfigured, NotFound, Rejected, Target
from services.publisher.channels.means import Means
from services.publisher.fediverse.carrier import Carrier, Pace
from services.publisher.libraries import Libraries
from shared.contracts import fediverse, subjects
from shared.contracts.configuration import Channel as Configured
from shared.contracts.fediverse import Actor, ActorKey, Follower, Inbox, Note
from shared.contracts.posts import PostIntent
from shared.runtime.actors import load, put
from shared.runtime.bus import Bus, connected
from tests.adapters.suite import SEQUENCES, Bench, ChannelSuite, World, carry, kept
from tests.conftest import settings_for
from tests.fakes.announcements import FULL, OPEN, configuration, intent_of
from tests.fakes.fediverse import PRIVATE, PUBLIC_KEY, Followers, plain
from tests.fakes.http_server import FAULTS, Fault, listening
from tests.fakes.mortal_bus import Death, MortalBus
from tests.servers import fedify
from tests.services.api_running import RunningApi, running_api

HASTY = Pace(retry_min_s=0.01, retry_max_s=0.05, lease_s=0.6, answer_s=0.25)
UNHURRIED = Pace(retry_min_s=0.1, retry_max_s=1, lease_s=0.6)
"""For a server that is real and may be slow."""
PATIENCE_S = 20


class Fediverse(World):
    """One account of ours, the API that serves it, the carrier, and a server whose people follow it."""

    type = "activitypub"
    secret = ""

    def __init__(self, bus: Bus, publisher: Bus, api: RunningApi, follower: Followers, pace: Pace = HASTY) -> None:
        self.bus = bus
        self.publisher = publisher
        self.api = api
        self.follower = follower
        self.libraries = Libraries()
        self.pace = pace
        self.running: asyncio.Task[None] | None = None
        self.carrier = Carrier(publisher, self.libraries, holder="world", pace=pace)

    @property
    def server(self) -> str:
        return self.api.url

    @property
    def actor(self) -> str:
        """The account's address."""
        return fediverse.actor_id(self.server, self.account)

    def script(self, *faults: Fault) -> None:
        self.follower.faults.extend(faults)

    async def is_made(self) -> None:
        """Wait until the account is there."""
        async with asyncio.timeout(PATIENCE_S):
            while await load(self.bus, fediverse.actor_key(self.account), Actor) is None:
                await asyncio.sleep(0.005)

    async def settled(self) -> None:
        """Wait until everybody has been told everything."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.carrier.is_idle(await self.bus.last_sequence(subjects.bucket_stream(subjects.ACTORS))):
                await asyncio.sleep(0.005)

    async def public(self) -> list[str]:
        await self.settled()
        assert self.follower.refused == []
        return self.follower.texts()

    async def pinned(self) -> list[str]:
        await self.settled()
        return [plain(self.follower.notes[each]["content"]) for each in self.follower.pins]

    async def followed_by(self, follower: Followers, *names: str) -> None:
        """Let people of a server follow, and wait until they are answered."""
        await self.settled()
        for name in names:
            before = len(follower.accepted)
            assert await follower.follow(name, self.actor) == 202
            async with asyncio.timeout(PATIENCE_S):
                while len(follower.accepted) == before:
                    await asyncio.sleep(0.005)
        await self.settled()

    async def start(self, **options: object) -> None:
        """Run a new carrier, in place of the one before, with the account configured so."""
        await self.stop()
        fields = {"type": self.type, "account": self.account, "server": self.server, "languages": ("fr",)}
        self.libraries.put(configuration("bib", Configured.model_validate({**fields, **options})))
        self.carrier = Carrier(self.publisher, self.libraries, holder="world", pace=self.pace)
        self.running = asyncio.create_task(self.carrier.run())

    async def stop(self) -> None:
        """Stop the carrier."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)


async def made(bus: Bus) -> None:
    """Give the account a key, as making one takes a while."""
    await put(bus, fediverse.private_key_key("bib"), ActorKey(private_key=PRIVATE, public_key=PUBLIC_KEY))


def as_publisher(server: BusServer) -> AbstractAsyncContextManager[Bus]:
    """Connect with what a publisher may do, and no more."""
    return connected([server.url], settings_for(server, "publisher").nats_seed, "publisher")


def real_now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.slow  # each has a real account with a real server behind it
class TestActivityPub(ChannelSuite):
    @pytest.fixture
    async def world(self, operator: Bus, bus_server: BusServer) -> AsyncIterator[World]:
        await made(operator)
        async with (
            listening(Followers()) as follower,
            follower.client,
            running_api(bus_server, real_now) as api,
            as_publisher(bus_server) as publisher,
        ):
            world = Fediverse(operator, publisher, api, follower)
            await world.start()
            try:
                await world.is_made()
                await world.followed_by(follower, "ana")
                yield world
            finally:
                await world.stop()

    async def test_a_post_is_found_in_the_outbox_and_under_its_own_address(
        self, bench: Bench, world: Fediverse
    ) -> None:
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Done)
        await world.settled()
        client = world.follower.client
        note = (await client.get(outcome.remote_id)).json()
        assert note["contentMap"] == {"fr": note["content"]}
        assert (note["to"], note["cc"]) == ([f"{world.actor}/followers"], [fediverse.PUBLIC])
        outbox = (await client.get(f"{world.actor}/outbox")).json()
        assert outbox["totalItems"] == 1
        assert [each["object"] for each in outbox["orderedItems"]] == [
            {name: value for name, value in note.items() if name != "@context"}
        ]

    async def test_an_edit_keeps_the_note_and_carries_its_language(self, bench: Bench, world: Fediverse) -> None:
        channel = bench.channel()
        first = await channel.send(bench.intent(2, situation=OPEN))
        assert isinstance(first, Done)
        await world.settled()
        edited = await channel.update(bench.intent(3, situation=FULL, language="en"), first.remote_id)
        assert isinstance(edited, Done)
        assert edited.remote_id == first.remote_id
        await world.settled()
        note = world.follower.notes[first.remote_id]
        assert list(note["contentMap"]) == ["en"]
        assert note["updated"] > note["published"]
        assert "full" in plain(note["content"]).lower()

    async def test_what_is_taken_down_leaves_a_tombstone_and_never_comes_back(
        self, bench: Bench, world: Fediverse
    ) -> None:
        channel, intent = bench.channel(), bench.intent()
        sent = await channel.send(intent)
        assert isinstance(sent, Done)
        assert isinstance(await channel.retire(sent.remote_id), Done)
        assert await world.public() == []
        response = await world.follower.client.get(sent.remote_id)
        assert (response.status_code, response.json()["type"]) == (410, "Tombstone")
        assert isinstance(await channel.update(intent, sent.remote_id), Gone)
        for outcome in (await channel.send(intent), await channel.look_up(intent)):
            assert isinstance(outcome, Rejected)
        assert isinstance(await channel.retire(f"{world.actor}/notes/{'0' * 16}"), Done)
        assert isinstance(await channel.look_up(bench.intent(9)), NotFound)

    async def test_what_is_pinned_last_is_pinned_alone(self, bench: Bench, world: Fediverse) -> None:
        channel = bench.channel()
        remote_ids = []
        for revision, situation in ((2, OPEN), (3, FULL)):
            sent = await channel.send(bench.intent(revision, situation=situation))
            assert isinstance(sent, Done)
            remote_ids.append(sent.remote_id)
            assert isinstance(await channel.pin(sent.remote_id), Done)
            assert isinstance(await channel.pin(sent.remote_id), Done)
            await world.settled()
        featured = (await world.follower.client.get(f"{world.actor}/featured")).json()
        assert [each["id"] for each in featured["orderedItems"]] == world.follower.pins == remote_ids[1:]

    async def test_words_are_never_taken_for_markup(self, bench: Bench, world: Fediverse) -> None:
        intent = bench.intent()
        words = intent.texts.model_copy(update={"long": 'Bib <b>"A" & B</b>\n<script>alert(1)</script>'})
        intent = intent.model_copy(
            update={"texts": words, "hashtags": ("Bibliothèque",), "url": 'https://x.example/"<i>'}
        )
        assert isinstance(await bench.channel().send(intent), Done)
        [text] = await world.public()
        assert text.startswith('Bib <b>"A" & B</b>\n<script>alert(1)</script>\nhttps://x.example/"<i>#e-')
        assert text.endswith("#Bibliothèque")
        [note] = world.follower.notes.values()
        assert [each["name"] for each in note["tag"]] == ["#Bibliothèque"]

    async def test_a_picture_has_its_words_with_it_and_changes_with_the_note(
        self, bench: Bench, world: Fediverse
    ) -> None:
        client = world.follower.client
        channel = CHANNEL.make(Target(world.type, world.account, world.server, {"picture": True}), bench.means)
        sent = await channel.send(bench.intent(2, situation=OPEN))
        assert isinstance(sent, Done)
        await world.settled()
        [first] = world.follower.notes[sent.remote_id]["attachment"]
        assert "Bib" in first["name"]
        before = await client.get(first["url"])
        assert (before.headers["content-type"], before.content[:4]) == ("image/png", b"\x89PNG")
        await channel.update(bench.intent(3, situation=FULL), sent.remote_id)
        await world.settled()
        [second] = world.follower.notes[sent.remote_id]["attachment"]
        after = await client.get(second["url"])
        assert (second["name"] != first["name"], after.content != before.content) == (True, True)
        assert (await client.get(first["url"])).status_code == 404

    async def test_servers_of_many_followers_are_told_once(self, bench: Bench, world: Fediverse) -> None:
        async with listening(Followers(names=("bo", "cleo"))) as other, other.client:
            await world.followed_by(other, "bo", "cleo")
            await bench.channel().send(bench.intent())
            assert len(await world.public()) == len(other.texts()) == 1
            assert [each["type"] for each in other.heard if each["type"] == "Create"] == ["Create"]
            posts = [each.path for each in other.requests if each.method == "POST"]
            assert posts.count("/inbox") == 1

    async def test_a_server_that_is_down_holds_up_no_other_and_hears_the_last_word(
        self, bench: Bench, world: Fediverse
    ) -> None:
        async with listening(Followers(names=("bo",))) as other, other.client:
            await world.followed_by(other, "bo")
            other.broken = 503
            channel = bench.channel()
            sent = await channel.send(bench.intent(2, situation=OPEN))
            assert isinstance(sent, Done)
            for revision, situation in enumerate((FULL, OPEN, FULL), start=3):
                await channel.update(bench.intent(revision, situation=situation), sent.remote_id)
            async with asyncio.timeout(PATIENCE_S):
                while "complet" not in "".join(world.follower.texts()).lower():
                    await asyncio.sleep(0.01)
            assert other.texts() == []
            other.faults.append("500")  # of two words in a row it takes the first at the second attempt
            other.broken = 0
            assert await world.public() == other.texts()
            assert [each["type"] for each in other.heard if each["type"] != "Accept"] == ["Create", "Update"]

    async def test_a_server_that_comes_back_late_is_not_told_what_is_over(self, bench: Bench, world: Fediverse) -> None:
        world.follower.broken = 503
        outcome = await bench.channel().send(bench.intent(valid_for=timedelta(seconds=0.4)))
        assert isinstance(outcome, Done)
        await asyncio.sleep(0.5)
        world.follower.broken = 0
        assert await world.public() == []

    async def test_a_new_follower_sees_the_live_post_and_no_other(self, bench: Bench, world: Fediverse) -> None:
        await self.live(bench)
        await carry(bench.outbox(), bench.intent(3, situation=FULL))
        await bench.show(FULL, 4)
        await kept(bench.keeper())
        live = await world.pinned()
        async with listening(Followers(names=("bo",))) as other, other.client:
            await world.followed_by(other, "bo")
            assert other.texts() == live

    async def test_a_server_that_is_gone_for_good_is_given_up(self, bench: Bench, world: Fediverse) -> None:
        await world.stop()
        world.follower.broken = 410
        address = f"{world.follower.base}/inbox"
        key = fediverse.inbox_key("bib", address)
        long_ago = real_now() - timedelta(days=4)
        entry = await load(world.bus, key, Inbox)
        assert entry is not None
        await put(world.bus, key, entry.record.model_copy(update={"failing_since": long_ago, "gone_since": long_ago}))
        await world.start()
        await bench.channel().send(bench.intent())
        await world.settled()
        assert await load(world.bus, key, Inbox) is None
        follower = fediverse.follower_key("bib", f"{world.follower.base}/users/ana")
        assert await load(world.bus, follower, Follower) is None

    async def test_a_carrier_that_starts_again_tells_nothing_again(self, bench: Bench, world: Fediverse) -> None:
        sent = await bench.channel().send(bench.intent())
        assert isinstance(sent, Done)
        assert isinstance(await bench.channel().pin(sent.remote_id), Done)
        await world.settled()
        told = len(world.follower.requests)
        await world.start()
        await world.settled()
        await asyncio.sleep(0.1)
        assert len(world.follower.requests) == told

    async def test_notes_are_forgotten_after_some_months(self, bench: Bench, world: Fediverse) -> None:
        sent = await bench.channel().send(bench.intent())
        assert isinstance(sent, Done)
        key = fediverse.note_key("bib", sent.remote_id[-16:])
        kept_note = await load(world.bus, key, Note)
        assert kept_note is not None
        await world.settled()
        await put(world.bus, key, kept_note.record.model_copy(update={"made_at": real_now() - timedelta(days=91)}))
        async with asyncio.timeout(PATIENCE_S):
            while await load(world.bus, key, Note) is not None:
                await asyncio.sleep(0.01)
        assert (await world.follower.client.get(sent.remote_id)).status_code == 404
        assert len(await world.public()) == 1

    async def test_a_changed_profile_is_told(self, world: Fediverse) -> None:
        await world.start(summary="Run by <the> library")
        async with asyncio.timeout(PATIENCE_S):
            while world.actor not in world.follower.profiles:
                await asyncio.sleep(0.01)
        assert world.follower.profiles[world.actor]["summary"] == "<p>Run by &lt;the&gt; library</p>"

    async def test_requests_to_follow_wait_while_nobody_may_follow(self, world: Fediverse) -> None:
        await world.start(auto_accept=False)
        async with listening(Followers(names=("bo",))) as other, other.client:
            async with asyncio.timeout(PATIENCE_S):
                while not (await other.client.get(world.actor)).json()["manuallyApprovesFollowers"]:
                    await asyncio.sleep(0.01)
            assert await other.follow("bo", world.actor) == 202
            await world.settled()
            assert other.accepted == []
            await world.start(auto_accept=True)
            async with asyncio.timeout(PATIENCE_S):
                while not other.accepted:
                    await asyncio.sleep(0.01)

    @pytest.mark.parametrize("seed", range(SEQUENCES))
    async def test_a_carrier_killed_at_any_step_leaves_nobody_untold(
        self, bench: Bench, world: Fediverse, seed: int
    ) -> None:
        chance = random.Random(f"carrier-{seed}")
        world.script(*(chance.choice(FAULTS) for _ in range(chance.randint(0, 3))))
        channel = bench.channel()
        sent = await channel.send(bench.intent(2, situation=OPEN))
        assert isinstance(sent, Done)
        bus = MortalBus(bench.bus.client, "operator")
        bus.death = Death("$KV.", chance.randint(1, 8), is_before=chance.random() < 0.5)
        mortal = Carrier(bus, world.libraries, holder="mortal", pace=HASTY)
        dying = asyncio.create_task(mortal.run())
        for revision in range(3, 3 + chance.randint(0, 3)):
            await channel.update(bench.intent(revision, situation=FULL), sent.remote_id)
            await asyncio.sleep(chance.random() * 0.05)
        is_retired = chance.random() < 0.3
        if is_retired:
            await channel.retire(sent.remote_id)
        await world.settled()
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        note = await load(bench.bus, fediverse.note_key("bib", sent.remote_id[-16:]), Note)
        assert note is not None
        words = [] if is_retired else [note.record.text.splitlines()[0]]
        assert [each.splitlines()[0] for each in await world.public()] == words

    async def test_the_private_key_is_told_to_nobody(
        self, bench: Bench, world: Fediverse, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level("DEBUG")
        world.script(*FAULTS)
        for revision in (2, 3, 4):
            await bench.channel().send(bench.intent(revision))
        await world.settled()
        pages = [await world.follower.client.get(f"{world.actor}{path}") for path in ("", "/outbox", "/featured")]
        seen = [caplog.text, *capsys.readouterr(), *(each.text for each in pages)]
        secret = PRIVATE.splitlines()[1]
        assert not any("PRIVATE KEY" in each or secret in each for each in seen)

    async def test_the_account_is_found_to_be_as_it_should(self, bench: Bench) -> None:
        assert await bench.channel().inspect() == ()

    async def test_an_account_that_nobody_can_find_is_told(self, bench: Bench, world: Fediverse) -> None:
        await world.api.stop()
        first, second = await bench.channel().inspect()
        assert "/.well-known/webfinger does not answer" in first
        assert "/ap/bib does not answer" in second

    async def test_an_account_keeps_to_its_address(self, bench: Bench, world: Fediverse) -> None:
        target = Target("activitypub", "bib", "https://other.example", {})
        channel = CHANNEL.make(target, bench.means)
        [finding] = await channel.inspect()
        assert f"belongs to {world.server}" in finding
        assert await channel.send(bench.intent()) == Blocked(finding)


@pytest.mark.parametrize("account", ["inbox", "bib-"])
def test_a_name_that_cannot_be_followed_is_refused(account: str) -> None:
    with pytest.raises(Misconfigured, match="choose another name"):
        account_of(Target("activitypub", account, "https://x.example", {}))


@pytest.mark.parametrize("server", ["https://x.example/live", "https://a@x.example", "https://x.example?a=b"])
def test_an_address_with_more_than_a_host_is_refused(server: str) -> None:
    with pytest.raises(Misconfigured, match="address of our own API alone"):
        origin_of(server)


def test_an_address_may_end_with_a_slash() -> None:
    assert origin_of("https://x.example:8443/") == "https://x.example:8443"


@pytest.mark.servers
@pytest.mark.skipif(fedify.missing() is not None, reason=str(fedify.missing()))
class TestFedify:
    """The same account followed from a server that is not ours."""

    @pytest.fixture
    async def world(self, operator: Bus, bus_server: BusServer) -> AsyncIterator[Fediverse]:
        await made(operator)
        async with running_api(bus_server, real_now) as api, as_publisher(bus_server) as publisher:
            world = Fediverse(operator, publisher, api, Followers(), UNHURRIED)
            await world.start()
            try:
                await world.is_made()
                yield world
            finally:
                await world.stop()

    @pytest.fixture
    def follower(self, tmp_path: Path) -> Iterator[fedify.Fedify]:
        with fedify.running(tmp_path) as follower:
            yield follower

    async def heard(self, follower: fedify.Fedify, kind: str) -> dict[str, Any]:
        """Return the next activity, which is to be of this kind, as it came."""
        line = await asyncio.to_thread(follower.heard, kind)
        activity: dict[str, Any] = line["activity"]
        return activity

    async def test_it_follows_and_is_told_of_everything_once(
        self, follower: fedify.Fedify, world: Fediverse, tmp_path: Path, operator: Bus
    ) -> None:
        channel = CHANNEL.make(world.target, Means(httpx.AsyncClient(), tmp_path, operator))
        follower.tell(do="look", address=world.actor)
        found = await asyncio.to_thread(follower.heard, "found")
        assert (found["actor"]["type"], found["actor"]["manuallyApprovesFollowers"]) == ("Service", False)

        follower.tell(do="follow", address=world.actor, id="1")
        await asyncio.to_thread(follower.heard, "followed")
        accepted = await self.heard(follower, "Accept")
        assert accepted["object"]["actor"] == f"{follower.url}/users/ana"

        first = await channel.send(announced(world, 2, "fr"))
        assert isinstance(first, Done)
        created = (await self.heard(follower, "Create"))["object"]
        assert (created["id"], created["contentMap"]) == (first.remote_id, {"fr": created["content"]})
        assert created["cc"] == "as:Public"

        edited = await channel.update(announced(world, 3, "en"), first.remote_id)
        assert isinstance(edited, Done)
        updated = (await self.heard(follower, "Update"))["object"]
        assert (updated["id"], updated["contentMap"]) == (first.remote_id, {"en": updated["content"]})

        assert isinstance(await channel.pin(first.remote_id), Done)
        assert (await self.heard(follower, "Add"))["object"] == first.remote_id

        # A carrier that has forgotten how far it had come tells everything again: nobody hears it twice.
        key = fediverse.inbox_key("bib", f"{follower.url}/users/ana/inbox")
        await world.stop()
        actor = await load(operator, fediverse.actor_key("bib"), Actor)
        assert actor is not None
        await put(operator, key, Inbox(address=f"{follower.url}/users/ana/inbox", told=actor.revision))
        await world.start()
        await world.settled()

        assert isinstance(await channel.retire(first.remote_id), Done)
        deleted = (await self.heard(follower, "Delete"))["object"]
        assert (deleted["id"], deleted["type"]) == (first.remote_id, "Tombstone")

        follower.tell(do="unfollow", address=world.actor, id="1")
        await asyncio.to_thread(follower.heard, "unfollowed")
        await world.settled()
        await channel.send(announced(world, 4, "fr"))
        await world.settled()
        assert follower.is_silent()


def announced(world: Fediverse, revision: int, language: str) -> PostIntent:
    """Return an intent for the account."""
    return intent_of(revision, channel=world.type, account=world.account, server=world.server, language=language)
