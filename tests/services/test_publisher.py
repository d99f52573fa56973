"""The publisher on the real bus, as its own user: a change is posted once, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from cli.bus_server import BusServer
from services.publisher import channels, keeper, outbox
from services.publisher.accounts import Accounts, Patience
from services.publisher.announcer import UNHEARD_OF, Announcer, time_of
from services.publisher.channels.console import ConsoleChannel
from services.publisher.delivery import Finished, Outbox, Verdict
from services.publisher.handlers import FAILURES, Queues
from services.publisher.libraries import Libraries
from services.publisher.live_posts import load
from services.publisher.main import publish
from services.publisher.memory import read
from services.publisher.settings import Settings
from services.publisher.watchdog import QueuesStopped
from shared.contracts import subjects
from shared.contracts.configuration import Channel, LibraryConfig
from shared.contracts.posting import memory_key
from shared.contracts.posts import Approval, Delivery, DeliveryState, LivePost, PostIntent, live_slot
from shared.contracts.status import PublicStatus, StatusChanged
from shared.domain.library import ClockKind
from shared.domain.status import Situation, State
from shared.runtime.applied_libraries import take
from shared.runtime.bus import Bus, Entry, connected
from shared.runtime.health import Readiness
from shared.runtime.log_reader import Update
from shared.runtime.provision import provision
from tests.adapters.suite import told
from tests.conftest import settings_for
from tests.fakes.announcements import FEW, FULL, OPEN, change_of, configuration, intent_of, new_library, status_of
from tests.fakes.mastodon import DIALECTS, TOKEN, FakeMastodon, running
from tests.fakes.mortal_bus import Death, Killed, MortalBus

if TYPE_CHECKING:
    from faststream.nats.annotations import NatsMessage

CLOSED = Situation(State.CLOSED)
ACK_WAIT_S = 0.7
"""The durables' patience in these tests; the provisioned one is too long to wait for."""


@dataclass
class Scene:
    """A bus with one configured library, and a server that it posts to."""

    operator: Bus
    bus_server: BusServer
    server: FakeMastodon
    secrets: Path
    library: str

    def settings(self) -> Settings:
        bus = settings_for(self.bus_server, "publisher")
        return Settings(
            nats_url=bus.nats_url,
            nats_seed_file=bus.nats_seed_file,
            secrets_dir=self.secrets,
            http_read_timeout_s=0.4,
            send_timeout_s=0.4,
            lease_s=0.6,
            unknown_wait_s=0.01,
            retry_min_s=0.01,
            retry_max_s=0.1,
        )

    @asynccontextmanager
    async def publisher(self, death: Death | None = None) -> AsyncIterator[tuple[MortalBus, asyncio.Task[None]]]:
        """Run the service until the context ends, which stops it."""
        settings, readiness = self.settings(), Readiness()
        async with connected(settings.nats_servers, settings.nats_seed, "publisher", readiness) as plain:
            bus = MortalBus(plain.client, "publisher")
            bus.death = death
            readiness.needs("queues", "the service has not begun")
            task = asyncio.create_task(publish(bus, settings, readiness))
            try:
                await until(lambda: task.done() or readiness.is_ready)
                yield bus, task
            finally:
                if not task.cancelling():  # else it is ending already, and closes what it has opened
                    task.cancel()
                with suppress(asyncio.CancelledError, ExceptionGroup):
                    await task

    async def configure(self, config: LibraryConfig) -> None:
        await self.operator.bucket(subjects.LIBRARIES).put(config.id, config.model_dump_json(by_alias=True).encode())

    async def tell(self, change: StatusChanged) -> None:
        await self.operator.publish(subjects.change(change.library), change.model_dump_json().encode())

    async def show(self, status: PublicStatus) -> None:
        await self.operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())

    async def settled(self) -> None:
        """Wait until every change is decided and every intent has ended."""
        jetstream = self.operator.jetstream

        async def is_settled() -> bool:
            # The consumer hears of a message a moment after it is stored, so its count of waiting ones proves nothing.
            last = await self.operator.last_sequence(subjects.CHANGES)
            decided = await jetstream.consumer_info(subjects.CHANGES, subjects.CHANGES_DURABLE)
            posts = await jetstream.stream_info(subjects.POSTS)
            is_decided = decided.ack_floor is not None and decided.ack_floor.stream_seq >= last
            return is_decided and not posts.state.messages

        async with asyncio.timeout(30):
            while not await is_settled():
                await asyncio.sleep(0.02)

    async def delivery(self, slot: str = "fr") -> Delivery | None:
        key = subjects.delivery_key("mastodon-bib", self.library, slot)
        entry = await self.operator.bucket(subjects.DELIVERIES).get(key)
        return Delivery.model_validate_json(entry.value) if entry else None

    async def live(self, language: str = "fr") -> LivePost | None:
        key = subjects.delivery_key("mastodon-bib", self.library, live_slot(language))
        return (await load(self.operator, key)).post

    def texts(self) -> list[tuple[str, str]]:
        return [(post.language, post.text) for post in self.server.posts]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.02)


async def until_so(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.02)


def mastodon(server: FakeMastodon, **rest: float) -> Channel:
    rule = {"min_interval_min": 0.0, "daily_budget": 100, "quiet_hours": "", **rest}
    return Channel.model_validate(
        {"type": "mastodon", "account": "bib", "server": server.base, "languages": ("fr", "en"), **rule}
    )


@pytest.fixture
async def scene(operator: Bus, bus_server: BusServer, tmp_path: Path) -> AsyncIterator[Scene]:
    (tmp_path / "mastodon-bib").write_text(TOKEN)
    # The dialect that ignores keys: whatever is sent twice is there twice.
    async with running(FakeMastodon(dialect=DIALECTS["gotosocial"])) as server:
        for stream, durable in (
            (subjects.CHANGES, subjects.CHANGES_DURABLE),
            (subjects.POSTS, subjects.posts_durable(subjects.lane_of("mastodon", server.base, "bib"))),
            (subjects.POSTS, subjects.posts_durable(subjects.CONSOLE)),
        ):
            config = (await operator.jetstream.consumer_info(stream, durable)).config
            config.ack_wait = ACK_WAIT_S
            await operator.jetstream.add_consumer(stream, config)
        scene = Scene(operator, bus_server, server, tmp_path, new_library())
        await scene.configure(configuration(scene.library, mastodon(server)))
        yield scene


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_change_becomes_one_post_per_language(scene: Scene) -> None:
    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, FEW, now()))
        await scene.settled()
    assert sorted(language for language, _ in scene.texts()) == ["en", "fr"]
    record = await scene.delivery()
    assert record is not None
    assert record.state is DeliveryState.DONE


async def test_a_change_delivered_again_posts_nothing(scene: Scene) -> None:
    change = change_of(scene.library, 2, FEW, now())
    async with scene.publisher():
        for _ in range(3):
            await scene.tell(change)
            await scene.settled()
    assert len(scene.texts()) == 2


@pytest.mark.parametrize("dialect", ["gotosocial", "hollo"])
async def test_two_publishers_share_the_work_and_send_one_at_a_time(scene: Scene, dialect: str) -> None:
    scene.server.dialect = replace(DIALECTS[dialect], commits_after_s=0.05)
    async with scene.publisher(), scene.publisher():
        for revision, situation in enumerate((FEW, FULL, FEW), start=2):
            await scene.tell(change_of(scene.library, revision, situation, now()))
            await scene.settled()
    assert len(scene.texts()) == scene.server.made == 6
    assert len(set(scene.texts())) == 6
    assert scene.server.most_at_once == 1


DEATHS = [
    Death("posts.", 1, is_before=True),
    Death("posts.", 1, is_before=False),
    Death("posts.", 2, is_before=False),
    Death("$KV.POSTING.", 1, is_before=True),
    Death("$KV.POSTING.", 1, is_before=False),
    Death("$KV.SENDERS.", 1, is_before=True),
    Death("$KV.SENDERS.", 1, is_before=False),
    Death("$KV.SENDERS.", 2, is_before=True),
    Death("$KV.SENDERS.", 2, is_before=False),
    # For each language: what was begun, the live post, what came of it; later the edit begun, the edit done, the pin.
    *(Death("$KV.DELIVERIES.", nth, is_before=is_before) for nth in range(1, 9) for is_before in (True, False)),
]


@pytest.mark.slow
@pytest.mark.parametrize("death", DEATHS, ids=str)
async def test_a_kill_between_any_two_steps_leaves_one_true_live_post_per_language(
    scene: Scene, death: Death, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_EVERY_S", 0.02)

    def is_true() -> bool:
        posts = scene.server.posts
        full = [post for post in posts if "complet" in post.text or "full" in post.text.lower()]
        return len(full) == 2 and all(post.is_pinned for post in posts)

    async with scene.publisher(death) as (bus, _):
        # Long enough ago for its live post to be edited now.
        await scene.tell(change_of(scene.library, 2, FEW, now() - timedelta(minutes=2)))
        await scene.show(PublicStatus.of(told(scene.library, 3, FULL, now()), {}))
        await until(lambda: bus.is_dead)
    async with scene.publisher():
        await scene.settled()
        await until(is_true)
    assert sorted(language for language, _ in scene.texts()) == ["en", "fr"]
    assert scene.server.made == 2


async def test_the_first_announcement_of_a_day_becomes_the_live_post_and_later_ones_stand_beside_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_EVERY_S", 0.02)
    await scene.configure(configuration(scene.library, mastodon(scene.server, update_interval_min=0)))
    begin = now() - timedelta(minutes=2)
    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, OPEN, begin, before=CLOSED))
        await scene.settled()
        first = await scene.live()
        await scene.tell(change_of(scene.library, 3, FULL, begin + timedelta(seconds=1), before=OPEN))
        await scene.settled()
        await scene.show(PublicStatus.of(told(scene.library, 3, FULL, now()), {}))
        await until(lambda: any("complet" in post.text for post in scene.server.posts if len(post.versions) > 1))

        async def is_pinned() -> bool:
            post = await scene.live()
            return post is not None and post.is_pinned

        await until_so(is_pinned)
    assert first is not None
    live, beside = [post for post in scene.server.posts if post.language == "fr"]
    assert (live.id, live.is_pinned, len(live.versions)) == (first.remote_id, True, 2)
    assert (beside.is_pinned, len(beside.versions)) == (False, 1)


async def test_what_needs_approval_waits_for_staffs_word(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "APPROVAL_S", 0.05)
    await scene.configure(configuration(scene.library, mastodon(scene.server, approval=True)))

    async def is_awaiting() -> bool:
        records = [await scene.delivery(language) for language in ("fr", "en")]
        return all(record is not None and record.state is DeliveryState.AWAITING for record in records)

    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, FEW, now()))
        await until_so(is_awaiting)
    async with scene.publisher():  # another process goes on waiting
        waiting = await scene.delivery("fr"), await scene.delivery("en")
        assert scene.server.requests == []
        for record, is_approved in zip(waiting, (True, False), strict=True):
            assert record is not None
            assert record.text  # what staff are asked about
            word = Approval(is_approved=is_approved, by="desk", at=now()).model_dump_json().encode()
            key = subjects.approval_key(scene.library, record.key)
            await scene.operator.bucket(subjects.APPROVALS).put(key, word)
        await scene.settled()
    assert [language for language, _ in scene.texts()] == ["fr"]
    approved, refused = await scene.delivery("fr"), await scene.delivery("en")
    assert approved is not None
    assert refused is not None
    assert approved.state is DeliveryState.DONE
    assert (refused.state, refused.reason) == (DeliveryState.REFUSED, "by desk")


@pytest.mark.parametrize("is_muted", [False, True], ids=["closed since", "muted since"])
async def test_what_waits_for_staff_and_is_not_true_any_more_is_not_said(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, is_muted: bool
) -> None:
    monkeypatch.setattr(outbox, "APPROVAL_S", 0.05)
    await scene.configure(configuration(scene.library, mastodon(scene.server, approval=True)))
    async with scene.publisher():
        at = now()
        await scene.show(PublicStatus.of(status_of(scene.library, 2, FULL, at), {}))
        await scene.tell(change_of(scene.library, 2, FULL, at))

        async def is_awaiting() -> bool:
            record = await scene.delivery()
            return record is not None and record.state is DeliveryState.AWAITING

        await until_so(is_awaiting)
        later = PublicStatus.of(status_of(scene.library, 3, FULL if is_muted else FEW, at + timedelta(minutes=1)), {})
        await scene.show(later.model_copy(update={"muted": is_muted}))
        await scene.settled()
    record = await scene.delivery()
    assert record is not None
    assert record.state is DeliveryState.EXPIRED
    assert scene.server.requests == []


async def test_what_nobody_has_approved_in_time_expires(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "APPROVAL_S", 0.05)
    await scene.configure(configuration(scene.library, mastodon(scene.server, approval=True)))
    async with scene.publisher():
        # Its figures are valid for ten minutes.
        await scene.tell(change_of(scene.library, 2, FEW, now() - timedelta(minutes=10) + timedelta(seconds=1)))
        await scene.settled()
    record = await scene.delivery()
    assert record is not None
    assert record.state is DeliveryState.EXPIRED
    assert scene.server.requests == []


async def test_a_held_change_is_posted_once_its_time_has_come_even_after_a_restart(scene: Scene) -> None:
    await scene.configure(configuration(scene.library, mastodon(scene.server, min_interval_min=0.02)))
    begin = now()
    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, FEW, begin))
        held = change_of(scene.library, 3, FULL, begin + timedelta(seconds=0.5), before=FEW)
        await scene.tell(held)
        await scene.settled()
        assert len(scene.texts()) == 2
    async with scene.publisher():
        later = status_of(scene.library, 3, FULL, begin + timedelta(seconds=2))
        await scene.show(PublicStatus.of(later, {}))
        await until(lambda: len(scene.texts()) == 4)
        await scene.settled()
    assert [text.splitlines()[0] for language, text in scene.texts() if language == "fr"][1] == (
        held.status.sentences["fr"].long
    )


async def test_a_memory_that_is_replaced_while_running_is_followed_from_its_beginning(scene: Scene) -> None:
    await scene.configure(configuration(scene.library, mastodon(scene.server, min_interval_min=0.02)))
    async with scene.publisher() as (_, task):
        for revision in range(2, 12):  # so much that the new memory is shorter than what has been read
            await scene.tell(change_of(scene.library, revision, (FEW, FULL)[revision % 2], now()))
        await scene.settled()
        said = len(scene.texts())
        await scene.operator.jetstream.delete_stream(subjects.bucket_stream(subjects.POSTING))
        await provision(scene.operator)
        begin = now()
        await scene.tell(change_of(scene.library, 12, FULL, begin))
        await scene.tell(change_of(scene.library, 13, FEW, begin + timedelta(seconds=0.5), before=FULL))
        await scene.show(PublicStatus.of(status_of(scene.library, 13, FEW, begin + timedelta(seconds=2)), {}))
        await until(lambda: task.done() or len(scene.texts()) == said + 4)
        assert not task.done()


async def test_a_closed_library_need_not_be_heard_of_again_for_its_closing_to_be_said() -> None:
    at = datetime(2026, 3, 3, 18, tzinfo=UTC)
    until_then = at + timedelta(minutes=10)
    closed = PublicStatus.of(status_of("bib", 3, CLOSED, at), {})
    few = PublicStatus.of(status_of("bib", 3, FEW, at), {})
    late = until_then + UNHEARD_OF
    assert time_of(closed, at, until_then, until_then) == at
    assert time_of(closed, at, until_then, late) == late
    assert time_of(few, at, until_then, late) == at


async def test_what_is_too_old_is_not_sent_and_that_is_noted(scene: Scene) -> None:
    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, FEW, now() - timedelta(hours=1)))
        await scene.settled()
    assert scene.texts() == []
    record = await scene.delivery()
    assert record is not None
    assert record.state is DeliveryState.EXPIRED


async def test_what_waited_for_a_server_is_superseded_by_newer_news(scene: Scene) -> None:
    scene.server.faults.extend(["429"] * 2)
    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, FEW, now()))
        await until(lambda: scene.server.attempts > 0)
        await scene.tell(change_of(scene.library, 3, FULL, now(), before=FEW))
        await scene.settled()
    said = [text for language, text in scene.texts() if language == "fr"]
    assert len(said) == 1
    record, old = await scene.delivery(), await scene.delivery("fr-2")
    assert record is not None
    assert (record.revision, record.state) == (3, DeliveryState.DONE)
    assert old is not None
    assert old.state is DeliveryState.SUPERSEDED


async def test_a_playback_says_everything_in_order(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    console = Channel(type="console", min_interval_min=0.0, daily_budget=100, languages=("fr",))
    await scene.configure(configuration(scene.library, console, clock=ClockKind.RECORDED))
    begin = datetime(2025, 3, 3, 12, tzinfo=UTC)
    async with scene.publisher():
        for revision, situation in enumerate((FEW, FULL, FEW, OPEN), start=2):
            at = begin + timedelta(minutes=revision)
            await scene.tell(change_of(scene.library, revision, situation, at, clock=ClockKind.RECORDED))
        await scene.settled()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("2025-03-03")]
    assert [line[:16] for line in lines] == [f"2025-03-03 13:0{minute}" for minute in (2, 3, 4, 5)]


async def test_a_malformed_change_is_kept_as_a_dead_letter_and_holds_up_nobody(scene: Scene) -> None:
    async with scene.publisher():
        await scene.operator.publish(subjects.change(scene.library), b'{"id": "x"}')
        await scene.tell(change_of(scene.library, 2, FEW, now()))
        await scene.settled()
    assert len(scene.texts()) == 2
    letter = await scene.operator.jetstream.get_last_msg(
        subjects.DEAD, subjects.dead_letter("publisher", "change"), direct=True
    )
    assert letter.data == b'{"id": "x"}'
    assert "library: missing" in (letter.headers or {})["placelibre-reason"]


async def test_a_change_that_breaks_the_handler_is_put_aside_and_holds_up_nobody(scene: Scene) -> None:
    change = change_of(scene.library, 2, FEW, now())
    broken = change.model_copy(update={"status": change.status.model_copy(update={"time_zone": "Nowhere/Else"})})
    async with scene.publisher():
        await scene.tell(broken)
        await scene.tell(change_of(scene.library, 3, FULL, now(), before=FEW))
        await scene.settled()
    assert len(scene.texts()) == 2
    letter = await scene.operator.jetstream.get_last_msg(
        subjects.DEAD, subjects.dead_letter("publisher", "change"), direct=True
    )
    assert "broke off" in (letter.headers or {})["placelibre-reason"]


async def test_an_error_that_passes_loses_no_change(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    decide, broken = Announcer.on_change, ["once"]

    async def breaks_once(announcer: Announcer, event: StatusChanged, stored_at: datetime) -> None:
        if broken:
            raise Killed(broken.pop(), stored_at)
        await decide(announcer, event, stored_at)

    monkeypatch.setattr(Announcer, "on_change", breaks_once)
    async with scene.publisher():
        await scene.tell(change_of(scene.library, 2, FEW, now()))
        await scene.settled()
    assert sorted(language for language, _ in scene.texts()) == ["en", "fr"]
    letters = await scene.operator.jetstream.stream_info(subjects.DEAD)
    assert letters.state.messages == 0


class Breaking(Announcer):
    """Breaks off over every change."""

    async def on_change(self, event: StatusChanged, stored_at: datetime) -> None:
        raise Killed(event.id, stored_at)


class Willing(Outbox):
    """Takes every intent."""

    async def deliver(self, intent: PostIntent) -> Verdict:
        assert intent.key
        return Finished()


@dataclass
class Message:
    """A message of a queue, by its sequence there, and what was answered to it."""

    sequence: int
    answers: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw_message(self) -> SimpleNamespace:
        place = SimpleNamespace(stream=self.sequence)
        return SimpleNamespace(metadata=SimpleNamespace(sequence=place, num_delivered=1, timestamp=now()))

    async def ack(self) -> None:
        self.answers.append("ack")

    async def nack(self, delay: float) -> None:
        self.answers.append(f"again in {delay} s")

    async def reject(self) -> None:
        self.answers.append("reject")


async def test_a_change_that_breaks_off_does_not_put_aside_the_post_of_the_same_sequence(operator: Bus) -> None:
    patience = Patience(send_s=1, lease_s=1, unknown_wait_s=1, retry_min_s=1, retry_max_s=1)
    accounts = Accounts(operator, lambda _: ConsoleChannel(), channels.type_of, patience, "test")
    willing = Willing(operator, accounts)
    queues = Queues(operator, Breaking(operator, Libraries()), willing)
    change = change_of(new_library(), 2, FEW, now()).model_dump_json().encode()
    broken, post = Message(7), Message(7)
    for _ in range(FAILURES):
        with pytest.raises(Killed):
            await queues.on_change(change, cast("NatsMessage", broken))
    await queues.on_post(intent_of().model_dump_json().encode(), cast("NatsMessage", post))
    await queues.on_change(change, cast("NatsMessage", broken))
    assert post.answers == ["ack"]
    assert broken.answers == ["reject"]
    assert not queues.begun


async def test_a_malformed_intent_is_kept_as_a_dead_letter(scene: Scene) -> None:
    async with scene.publisher():
        await scene.operator.publish(subjects.post(subjects.CONSOLE, scene.library), b"[]")
        await scene.settled()
    letter = await scene.operator.jetstream.get_last_msg(
        subjects.DEAD, subjects.dead_letter("publisher", "post"), direct=True
    )
    assert letter.data == b"[]"


async def test_a_change_of_a_library_that_is_not_configured_is_passed_over(scene: Scene) -> None:
    async with scene.publisher():
        await scene.tell(change_of(new_library(), 2, FEW, now()))
        await scene.settled()
    assert scene.texts() == []


def test_a_broken_configuration_leaves_the_old_one() -> None:
    libraries = Libraries()
    channel = Channel(type="console", languages=("fr",))

    def hear(value: bytes | None) -> None:
        take(libraries, Update("bib", None if value is None else Entry("bib", value, 1, now()), 1))

    hear(configuration("bib", channel).model_dump_json(by_alias=True).encode())
    rule = libraries.rule("bib", "console")
    assert rule is not None
    for broken in (b"", b"{}", b'{"id": "bib", "channels": [{"type": "pigeon"}]}'):
        hear(broken)
        assert libraries.rule("bib", "console") == rule
    hear(None)
    assert libraries.get("bib") is None


async def configuration_heard(scene: Scene) -> None:
    """Wait until all configuration so far is in place: the watch is in order, and a library that came later speaks."""
    other, said, revision = new_library(), len(scene.texts()), 2
    await scene.configure(configuration(other, mastodon(scene.server)))
    while len(scene.texts()) == said:
        await scene.tell(change_of(other, revision, FEW, now()))
        await scene.settled()
        revision += 1


async def test_a_new_configuration_takes_effect_while_running_and_a_broken_one_does_not(scene: Scene) -> None:
    async with scene.publisher():
        await scene.configure(configuration(scene.library, mastodon(scene.server, daily_budget=0)))
        await configuration_heard(scene)
        await scene.operator.bucket(subjects.LIBRARIES).put(scene.library, b"not a configuration")
        await configuration_heard(scene)
        before = len(scene.texts())
        await scene.tell(change_of(scene.library, 2, FEW, now()))
        await scene.settled()
    assert len(scene.texts()) == before


async def test_a_memory_that_cannot_be_read_begins_anew_and_says_nothing_twice(scene: Scene) -> None:
    change = change_of(scene.library, 2, FEW, now())
    key = memory_key(scene.library, "mastodon-bib")
    async with scene.publisher():
        await scene.tell(change)
        await scene.settled()
        await scene.operator.bucket(subjects.POSTING).put(key, b"?")
        await scene.tell(change)
        await scene.settled()
    assert len(scene.texts()) == 2
    entry = await scene.operator.bucket(subjects.POSTING).get(key)
    assert entry is not None
    assert read(key, entry.value).state.revision == 2


async def test_a_durable_that_is_lost_ends_the_service_instead_of_a_silent_spin(scene: Scene) -> None:
    async with scene.publisher() as (_, task):
        await scene.operator.jetstream.delete_consumer(subjects.CHANGES, subjects.CHANGES_DURABLE)
        await until(task.done)
        with pytest.RaisesGroup(pytest.RaisesExc(QueuesStopped, match=subjects.CHANGES_DURABLE)):
            await task
