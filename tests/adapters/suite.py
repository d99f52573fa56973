"""The conformance suite: what every channel promises, run over the real outbox and the real bus.

A channel's test module subclasses `ChannelSuite` and gives it a fixture `world`: the channel with a strict stand-in, or
a real server, behind it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

import httpx
import pytest

from services.publisher import channels
from services.publisher.accounts import Accounts, Patience
from services.publisher.channels.channel import Channel, Done, Rejected, Target, Traits
from services.publisher.channels.means import Means
from services.publisher.delivery import Again, Finished, Outbox
from services.publisher.keeper import Keeper
from services.publisher.libraries import Libraries
from services.publisher.live_posts import load
from services.publisher.told import Statuses
from shared.contracts import subjects
from shared.contracts.configuration import Channel as Configured
from shared.contracts.posts import Delivery, DeliveryState, PostIntent
from shared.contracts.status import PublicStatus
from shared.domain.level import Level
from shared.domain.live_post import UNTRUE_AFTER
from shared.domain.occupancy import Estimate
from shared.domain.status import Situation, Status
from shared.runtime.bus import Bus
from shared.runtime.wording import sentences_for
from tests.fakes.announcements import FEW, FULL, OPEN, configuration, intent_of, new_library, status_of
from tests.fakes.http_server import FAULTS, FakeServer, Fault
from tests.fakes.mortal_bus import Death, Killed, MortalBus

HASTY = Patience(send_s=0.4, lease_s=1.0, unknown_wait_s=0.005, retry_min_s=0.005, retry_max_s=0.02)
SEQUENCES = int(os.environ.get("FAULT_SEQUENCES", "2"))
"""Scripted fault sequences per channel; `make test-channels` runs a hundred and more."""
THOROUGH = 10
"""From so many sequences on every fault is tried on every step, which takes its time."""
CANARY = "canary-7f3a"
"""Stands in every secret of these tests, so that a leak is found by looking for it."""


class World(ABC):
    """One channel under test and what the public sees of it."""

    type: str
    account = "bib"
    options: dict[str, object] = {}  # noqa: RUF012  overridden whole, never changed
    patience = HASTY

    @property
    def server(self) -> str:
        """The address that the configuration names; empty for a channel without one."""
        return ""

    @property
    @abstractmethod
    def secret(self) -> str:
        """The content of the credentials file, with CANARY in it; empty for a channel without one."""

    @abstractmethod
    def script(self, *faults: Fault) -> None:
        """Let these happen, one each, to the next requests that make a post or change one."""

    @abstractmethod
    async def public(self) -> list[str]:
        """Return the texts that followers see now, the oldest first; no deleted ones."""

    async def pinned(self) -> list[str]:
        """Return the texts that are pinned."""
        return []

    def dialled(self) -> int:
        """Return how many requests have come; for a channel without a server of its own, 0."""
        return 0

    @property
    def target(self) -> Target:
        """The account."""
        return Target(self.type, self.account, self.server, self.options)

    @property
    def traits(self) -> Traits:
        """What the type of channel says of itself."""
        return channels.type_of(self.type).traits


_Server = TypeVar("_Server", bound=FakeServer)


class ServedWorld(World, Generic[_Server]):
    """A channel that dials one server: a stand-in, or a proxy before a real one, on which the faults are scripted."""

    def __init__(self, fake: _Server) -> None:
        self.fake = fake

    @property
    def server(self) -> str:
        return self.fake.base

    def script(self, *faults: Fault) -> None:
        self.fake.faults.extend(faults)

    def dialled(self) -> int:
        return len(self.fake.requests)


@dataclass
class Bench:
    """A world with the outbox and the keeper of one publisher process after the other."""

    world: World
    bus: Bus
    means: Means
    library: str = field(default_factory=new_library)
    process: int = 0

    def accounts(self, bus: Bus | None = None) -> Accounts:
        """Return the accounts of a new process; they are made as in production."""
        self.process += 1
        means = Means(self.means.client, self.means.secrets_dir, bus or self.bus)

        def make(target: Target) -> Channel:
            return channels.make(target, means)

        return Accounts(
            bus or self.bus, make, channels.type_of, self.world.patience, holder=f"{self.library}-{self.process}"
        )

    def outbox(self) -> Outbox:
        """Return the outbox of a new process."""
        return Outbox(self.bus, self.accounts())

    def channel(self) -> Channel:
        """Return the adapter alone."""
        return channels.make(self.world.target, self.means)

    def intent(
        self,
        revision: int = 2,
        *,
        situation: Situation = FEW,
        valid_for: timedelta = timedelta(minutes=10),
        language: str = "fr",
        ago: timedelta = timedelta(0),
    ) -> PostIntent:
        """Return an intent with words of its own, as the publisher made it so long ago."""
        world = self.world
        intent = intent_of(
            revision,
            library=self.library,
            channel=world.type,
            account=world.account,
            server=world.server,
            language=language,
            valid_for=valid_for,
        )
        moments = {name: getattr(intent, name) - ago for name in ("at", "valid_until", "changed_at", "decided_at")}
        status = told(self.library, revision, situation, moments["at"])
        return intent.model_copy(
            update={
                **moments,
                "options": dict(world.options),
                "texts": sentences_for(status, (language,))[language],
                "status": PublicStatus.of(status, {}),
            }
        )

    async def record(self, intent: PostIntent) -> Delivery | None:
        """Return what the bus says became of an intent's slot."""
        entry = await self.bus.bucket(subjects.DELIVERIES).get(intent.delivery_key)
        return Delivery.model_validate_json(entry.value) if entry else None

    def keeper(self, accounts: Accounts | None = None, **rule: object) -> Keeper:
        """Return the keeper of a process in which the library is configured with this one channel."""
        world = self.world
        fields = {
            "type": world.type,
            "account": world.account,
            "server": world.server,
            "languages": ("fr",),
            "update_interval_min": 0,
            **world.options,
            **rule,
        }
        libraries = Libraries()
        libraries.put(configuration(self.library, Configured.model_validate(fields)))
        return Keeper(self.bus, libraries, accounts or self.accounts(), Statuses())

    async def show(self, situation: Situation, revision: int, at: datetime | None = None) -> None:
        """Publish a status of the library."""
        status = told(self.library, revision, situation, at or datetime.now(UTC))
        body = PublicStatus.of(status, sentences_for(status)).model_dump_json().encode()
        await self.bus.bucket(subjects.STATUS).put(self.library, body)


def told(library: str, revision: int, situation: Situation, at: datetime) -> Status:
    """Return a status with as many people as its level means."""
    people = {Level.MANY_SEATS: 20, Level.FEW_SEATS: 90, Level.FULL: 100}.get(situation.level or Level.FULL, 100)
    status = status_of(library, revision, situation, at)
    return replace(status, people=Estimate(people, people - 2, people + 2)) if situation.level else status


async def carry(outbox: Outbox, intent: PostIntent) -> int:
    """Deliver as the bus would: again whenever told to, until it has ended. Return how often."""
    for times in range(1, 60):
        match await outbox.deliver(intent):
            case Finished():
                return times
            case Again(seconds):
                await asyncio.sleep(min(seconds, 1.1))
    raise AssertionError("no end")


async def kept(keeper: Keeper, looks: int = 6) -> None:
    """Let a keeper hear what the bus says, then look some times."""
    following = [asyncio.create_task(each) for each in (keeper.statuses.follow(keeper.bus), keeper.follow_records())]
    try:
        for _ in range(looks):
            await asyncio.sleep(0.05)
            await keeper.look()
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


class ChannelSuite:
    """What every channel promises."""

    @pytest.fixture
    async def bench(self, world: World, standing: Bus, tmp_path: Path) -> AsyncIterator[Bench]:
        if world.secret:
            (tmp_path / world.target.secret_name).write_text(world.secret)
        async with httpx.AsyncClient(timeout=httpx.Timeout(0.25, connect=2.0), follow_redirects=False) as client:
            yield Bench(world, standing, Means(client, tmp_path, standing))

    @staticmethod
    def most(world: World) -> int:
        """How many posts one intent may make at most: where nobody can look, a documented twin."""
        return 1 if world.traits.finds else 2

    async def test_an_intent_is_posted_once_and_recorded(self, bench: Bench, world: World) -> None:
        intent = bench.intent()
        assert await carry(bench.outbox(), intent) == 1
        assert len(await world.public()) == 1
        record = await bench.record(intent)
        assert record is not None
        assert (record.state, record.key, record.attempts) == (DeliveryState.DONE, intent.key, 1)
        assert record.text.startswith("Bib")

    async def test_the_same_intent_again_posts_nothing(self, bench: Bench, world: World) -> None:
        intent = bench.intent()
        for _ in range(3):
            await carry(bench.outbox(), intent)
        assert len(await world.public()) == 1

    async def test_five_processes_with_one_intent_make_one_post(self, bench: Bench, world: World) -> None:
        intent = bench.intent()
        await asyncio.gather(*(carry(bench.outbox(), intent) for _ in range(5)))
        assert len(await world.public()) == 1

    async def test_a_newer_statement_supersedes_an_older_one(self, bench: Bench, world: World) -> None:
        outbox = bench.outbox()
        await carry(outbox, bench.intent(3))
        await carry(outbox, bench.intent(2))
        assert len(await world.public()) == 1

    async def test_nothing_goes_out_after_its_time(self, bench: Bench, world: World) -> None:
        intent = bench.intent(valid_for=timedelta(0))
        await carry(bench.outbox(), intent)
        assert await world.public() == []
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.EXPIRED

    @pytest.mark.parametrize("fault", ["cut", "done-504"])
    async def test_a_lost_reply_makes_one_post(self, bench: Bench, world: World, fault: Fault) -> None:
        world.script(fault)
        await carry(bench.outbox(), bench.intent())
        assert 1 <= len(await world.public()) <= self.most(world)

    @pytest.mark.parametrize("fault", ["reset", "hang", "500", "503", "429"])
    async def test_a_fault_before_the_work_is_done_loses_nothing(
        self, bench: Bench, world: World, fault: Fault
    ) -> None:
        world.script(fault)
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        assert len(await world.public()) == 1
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.DONE

    @pytest.mark.parametrize("seed", range(SEQUENCES))
    async def test_any_sequence_of_faults_and_kills_makes_one_post(self, bench: Bench, world: World, seed: int) -> None:
        chance = random.Random(f"{world.type}-{seed}")
        faults = [chance.choice(FAULTS) for _ in range(chance.randint(0, 3))]
        world.script(*faults)
        intent = bench.intent()
        deaths = [
            Death("$KV.", chance.randint(1, 6), is_before=chance.random() < 0.5) for _ in range(chance.randint(0, 2))
        ]
        for death in deaths:
            bus = MortalBus(bench.bus.client, "operator")
            bus.death = death
            try:
                await carry(Outbox(bus, bench.accounts(bus)), intent)
            except Killed:
                await asyncio.sleep(world.patience.lease_s)  # the bus brings the intent again once its patience is over
        await carry(bench.outbox(), intent)
        public = await world.public()
        record = await bench.record(intent)
        assert record is not None
        assert len(public) <= self.most(world), (faults, deaths)
        if world.traits.finds:
            assert (len(public), record.state) == (1, DeliveryState.DONE), (faults, deaths)
        else:
            assert public or record.state is DeliveryState.UNSURE, (faults, deaths)

    async def test_refused_credentials_end_the_post_and_leave_the_account_alone(
        self, bench: Bench, world: World
    ) -> None:
        world.script("401")
        if not world.secret:
            pytest.skip("this channel has no credentials")
        outbox, intent = bench.outbox(), bench.intent()
        assert isinstance(await outbox.deliver(intent), Finished)
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.BLOCKED
        dialled = world.dialled()
        assert isinstance(await outbox.deliver(bench.intent(3)), Again)
        assert world.dialled() == dialled
        assert await world.public() == []

    async def test_no_secret_is_told(
        self, bench: Bench, world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for number, fault in enumerate((*FAULTS, "401"), start=2):
            world.script(fault)
            intent = bench.intent(number)
            await carry(bench.outbox(), intent)
            record = await bench.record(intent)
            assert CANARY not in (record.model_dump_json() if record else "")
        said = capsys.readouterr()
        assert CANARY not in caplog.text + said.out + said.err

    async def test_missing_credentials_are_named(self, bench: Bench, world: World) -> None:
        if not world.secret:
            pytest.skip("this channel has no credentials")
        (bench.means.secrets_dir / world.target.secret_name).unlink()
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.BLOCKED
        assert world.target.secret_name in record.reason

    # What a channel with live posts promises

    async def live(self, bench: Bench) -> None:
        """Make the day's first announcement, which becomes the live post."""
        if not bench.world.traits.keeps_live_post:
            pytest.skip("this channel keeps no live post")
        # Two edits are a minute apart even where the post misleads, and the first counts from the announcement.
        intent = bench.intent(2, situation=OPEN, ago=2 * UNTRUE_AFTER)
        await carry(bench.outbox(), intent)
        assert (await load(bench.bus, intent.live_key)).post is not None

    async def test_the_live_post_is_kept_true_and_pinned(self, bench: Bench, world: World) -> None:
        await self.live(bench)
        await bench.show(FULL, 3)
        await kept(bench.keeper())
        public = await world.public()
        assert len(public) == 1
        assert "complet" in public[0].lower()
        if world.traits.pins:
            assert await world.pinned() == public

    async def test_an_announcement_beside_the_live_post_is_a_post_of_its_own(self, bench: Bench, world: World) -> None:
        await self.live(bench)
        await carry(bench.outbox(), bench.intent(3, situation=FULL))
        assert len(await world.public()) == 2

    @pytest.mark.slow
    @pytest.mark.parametrize("fault", FAULTS if SEQUENCES >= THOROUGH else ("cut", "hang", "429"))
    async def test_a_fault_of_an_edit_leaves_one_true_live_post(self, bench: Bench, world: World, fault: Fault) -> None:
        await self.live(bench)
        await bench.show(FULL, 3)
        world.script(fault)
        await kept(bench.keeper(), looks=3)
        await asyncio.sleep(1.1)
        await kept(bench.keeper())  # another process
        public = await world.public()
        assert len(public) == 1
        assert "complet" in public[0].lower()

    async def test_a_silent_source_is_said_in_the_live_post(self, bench: Bench, world: World) -> None:
        await self.live(bench)
        await bench.show(FULL, 3, datetime.now(UTC) - timedelta(minutes=30))
        await kept(bench.keeper())
        public = await world.public()
        assert len(public) == 1
        assert "pas de données" in public[0].lower()

    async def test_a_live_post_that_somebody_has_taken_down_is_made_anew(self, bench: Bench, world: World) -> None:
        await self.live(bench)
        post = (await load(bench.bus, bench.intent().live_key)).post
        assert post is not None
        if isinstance(await bench.channel().retire(post.remote_id), Rejected):
            pytest.skip("this channel takes no post down")
        assert await world.public() == []
        await bench.show(FULL, 3)
        await kept(bench.keeper())
        assert len(await world.public()) == 1

    async def test_taking_down_what_is_not_there_is_done(self, bench: Bench) -> None:
        await self.live(bench)
        post = (await load(bench.bus, bench.intent().live_key)).post
        assert post is not None
        first = await bench.channel().retire(post.remote_id)
        if isinstance(first, Rejected):
            pytest.skip("this channel takes no post down")
        assert isinstance(first, Done)
        assert isinstance(await bench.channel().retire(post.remote_id), Done)

    async def test_an_edit_to_what_it_says_already_is_done(self, bench: Bench, world: World) -> None:
        await self.live(bench)
        post = (await load(bench.bus, bench.intent().live_key)).post
        assert post is not None
        channel = bench.channel()
        intent = bench.intent(4, situation=FULL)
        first = await channel.update(intent, post.remote_id)
        assert isinstance(first, Done)
        again = await channel.update(intent, post.remote_id)
        assert isinstance(again, Done)
        assert again.remote_id == first.remote_id
        assert len(await world.public()) == 1

    async def test_yesterdays_live_post_is_taken_down_once_todays_is_there(self, bench: Bench, world: World) -> None:
        await self.live(bench)
        tomorrow = bench.intent(5, situation=OPEN)
        shifted = {name: getattr(tomorrow, name) + timedelta(days=1) for name in ("at", "valid_until", "decided_at")}
        await carry(bench.outbox(), tomorrow.model_copy(update=shifted))
        await bench.show(OPEN, 5, tomorrow.at)
        await kept(bench.keeper())
        public = await world.public()
        record = await load(bench.bus, tomorrow.live_key)
        assert record.post is not None
        assert record.post.retiring == ()
        assert len(public) == 1
