"""Every channel is carried by the same outbox and keeps the same promises, whatever server stands behind it."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from services.publisher.channels import Means
from services.publisher.channels.channel import (
    Channel,
    Limits,
    NotFound,
    NotSent,
    Outcome,
    fitting,
    forms,
    length,
)
from services.publisher.channels.console import ConsoleChannel
from services.publisher.channels.mastodon import MastodonChannel, retry_after_s
from services.publisher.delivery import Again, Finished, Outbox, Patience, channel_name
from services.publisher.outbox import left_s
from shared.contracts import subjects
from shared.contracts.posts import Delivery, DeliveryState, PostIntent
from shared.domain.library import ClockKind
from shared.runtime import logs
from shared.runtime.bus import Bus
from tests.conftest import free_port
from tests.fakes.announcements import intent_of, new_library
from tests.fakes.mastodon import DIALECTS, TOKEN, Dialect, FakeMastodon, running

HASTY = Patience(send_s=0.5, lease_s=2.0, unknown_wait_s=0.01, retry_min_s=0.01, retry_max_s=0.05)


@dataclass
class House:
    """A channel under test: how to make it, an intent for it, and what the public sees."""

    bus: Bus
    means: Means
    server: FakeMastodon | None
    printed: io.StringIO = field(default_factory=io.StringIO)
    library: str = field(default_factory=new_library)

    def make(self, intent: PostIntent) -> Channel:
        if intent.channel == "console":
            return ConsoleChannel(self.printed)
        return MastodonChannel(intent.server, self.means.token(intent), self.means.client)

    def outbox(self) -> Outbox:
        return Outbox(self.bus, self.make, HASTY)

    def intent(self, revision: int = 2, *, valid_for: timedelta = timedelta(minutes=10)) -> PostIntent:
        if self.server is None:
            return intent_of(revision, library=self.library, channel="console", account="", valid_for=valid_for)
        return intent_of(revision, library=self.library, server=self.server.base, valid_for=valid_for)

    def public(self) -> list[str]:
        if self.server is None:
            return [line for line in self.printed.getvalue().splitlines() if not line.startswith(" ")]
        return [post.text for post in self.server.posts]

    async def begin(self, intent: PostIntent, lease: timedelta) -> None:
        """Leave the record of an attempt that another process has begun."""
        at = datetime.now(UTC)
        record = Delivery(
            key=intent.key,
            revision=intent.revision,
            state=DeliveryState.SENDING,
            at=at,
            attempts=1,
            lease_until=at + lease,
        )
        key = subjects.delivery_key(channel_name(intent), intent.library, intent.slot)
        await self.bus.bucket(subjects.DELIVERIES).put(key, record.model_dump_json().encode())

    async def record(self, intent: PostIntent, slot: str = "fr") -> Delivery | None:
        key = subjects.delivery_key(channel_name(intent), intent.library, slot)
        entry = await self.bus.bucket(subjects.DELIVERIES).get(key)
        return Delivery.model_validate_json(entry.value) if entry else None


async def carry(outbox: Outbox, intent: PostIntent) -> int:
    """Deliver as the bus would: again whenever told to, until it has ended. Return how often."""
    for times in range(1, 30):
        match await outbox.deliver(intent):
            case Finished():
                return times
            case Again(seconds):
                await asyncio.sleep(seconds)
    raise AssertionError("no end")


@pytest.fixture
async def means(tmp_path: Path) -> AsyncIterator[Means]:
    (tmp_path / "mastodon-bib").write_text(f"{TOKEN}\n")
    async with httpx.AsyncClient(timeout=0.4) as client:
        yield Means(client, tmp_path)


@pytest.fixture(params=["console", *DIALECTS])
async def house(request: pytest.FixtureRequest, operator: Bus, means: Means) -> AsyncIterator[House]:
    if request.param == "console":
        yield House(operator, means, None)
        return
    async with running(FakeMastodon(DIALECTS[request.param])) as server:
        yield House(operator, means, server)


@pytest.fixture(params=list(DIALECTS))
async def net(request: pytest.FixtureRequest, operator: Bus, means: Means) -> AsyncIterator[tuple[House, FakeMastodon]]:
    """The channels with a server behind them, which can fail."""
    async with running(FakeMastodon(DIALECTS[request.param])) as server:
        yield House(operator, means, server), server


# What every channel promises


async def test_an_intent_is_posted_once_and_recorded(house: House) -> None:
    intent = house.intent()
    assert await carry(house.outbox(), intent) == 1
    assert len(house.public()) == 1
    record = await house.record(intent)
    assert record is not None
    assert (record.state, record.key, record.attempts) == (DeliveryState.DONE, intent.key, 1)
    assert record.text == forms(intent)[0]


async def test_the_same_intent_again_posts_nothing(house: House) -> None:
    intent = house.intent()
    for _ in range(3):
        await carry(house.outbox(), intent)
    assert len(house.public()) == 1


async def test_five_senders_of_one_intent_make_one_post(house: House) -> None:
    intent = house.intent()
    await asyncio.gather(*(carry(house.outbox(), intent) for _ in range(5)))
    assert len(house.public()) == 1


async def test_an_older_statement_is_superseded_by_a_newer_one_and_noted(house: House) -> None:
    outbox = house.outbox()
    await carry(outbox, house.intent(3))
    await carry(outbox, house.intent(2))
    assert len(house.public()) == 1
    record = await house.record(house.intent(2), "fr-2")
    assert record is not None
    assert (record.state, record.reason) == (DeliveryState.SUPERSEDED, "revision 3 is newer")


async def test_nothing_goes_out_after_its_time_and_that_is_noted(house: House) -> None:
    intent = house.intent(valid_for=timedelta(0))
    await carry(house.outbox(), intent)
    assert house.public() == []
    record = await house.record(intent)
    assert record is not None
    assert record.state is DeliveryState.EXPIRED


async def test_an_attempt_whose_process_died_before_sending_is_looked_up_and_then_made(house: House) -> None:
    intent = house.intent()
    await house.begin(intent, timedelta(seconds=-1))
    await carry(house.outbox(), intent)
    assert len(house.public()) == 1
    record = await house.record(intent)
    assert record is not None
    assert (record.state, record.attempts) == (DeliveryState.DONE, 2)


@pytest.mark.parametrize("revision", [2, 3])
async def test_what_another_process_is_sending_is_left_to_it(house: House, revision: int) -> None:
    await house.begin(house.intent(2), timedelta(seconds=60))
    verdict = await house.outbox().deliver(house.intent(revision))
    assert isinstance(verdict, Again)
    assert verdict.seconds > 50
    assert house.public() == []


async def test_a_playback_never_expires(house: House) -> None:
    intent = house.intent(valid_for=timedelta(hours=-1))
    recorded = intent.clock.model_copy(update={"kind": ClockKind.RECORDED})
    await carry(house.outbox(), intent.model_copy(update={"clock": recorded}))
    assert len(house.public()) == 1


# What a channel with a server behind it promises


@pytest.mark.parametrize("url", ["https://places.example/bib", ""])
async def test_a_lost_reply_makes_one_post(net: tuple[House, FakeMastodon], url: str) -> None:
    house, server = net
    server.faults.append("cut")
    intent = house.intent().model_copy(update={"url": url})
    await carry(house.outbox(), intent)
    assert len(server.posts) == 1
    assert server.attempts == 1  # found, not sent again
    record = await house.record(intent)
    assert record is not None
    assert (record.state, record.remote_id) == (DeliveryState.DONE, server.posts[0].id)


@pytest.mark.parametrize("fault", ["reset", "hang", 500, 502, 503])
async def test_a_fault_before_the_work_is_done_loses_nothing(net: tuple[House, FakeMastodon], fault: str | int) -> None:
    house, server = net
    server.faults.append(fault)  # type: ignore[arg-type]  # the parameters are all faults
    await carry(house.outbox(), house.intent())
    assert len(server.posts) == 1
    assert server.attempts == 2


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if DIALECTS[each].keeps_keys])
async def test_where_the_timeline_lags_behind_the_key_keeps_it_to_one_post(
    dialect: str, operator: Bus, means: Means
) -> None:
    async with running(FakeMastodon(DIALECTS[dialect])) as server:
        server.faults.append("cut")
        server.timeline_faults.append("empty")
        house = House(operator, means, server)
        await carry(house.outbox(), house.intent())
        assert len(server.posts) == 1
        assert server.attempts == 2


async def test_a_look_up_that_fails_is_no_reason_to_send(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    server.faults.append("cut")
    server.timeline_faults.extend([503, 429])
    outbox, intent = house.outbox(), house.intent()
    for _ in range(3):
        verdict = await outbox.deliver(intent)
        assert isinstance(verdict, Again)
        await asyncio.sleep(min(verdict.seconds, 0.1))
    assert len(server.posts) == server.attempts == 1


async def test_a_post_of_unknown_fate_that_is_not_there_is_not_sent_too_late(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    server.faults.append("hang")
    intent = house.intent(valid_for=timedelta(seconds=0.2))
    await carry(house.outbox(), intent)
    assert server.posts == []
    record = await house.record(intent)
    assert record is not None
    assert record.state is DeliveryState.EXPIRED


class SlowToFind(MastodonChannel):
    """A look-up that finds nothing and ends after the intent's time."""

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        found = await super().look_up(intent)
        while datetime.now(UTC) <= intent.valid_until:
            await asyncio.sleep(0.01)
        return found


async def test_a_look_up_that_outlasts_the_time_of_a_post_is_followed_by_no_sending(
    net: tuple[House, FakeMastodon],
) -> None:
    house, server = net
    channel = SlowToFind(server.base, house.means.token(intent_of()), house.means.client)
    intent = house.intent(valid_for=timedelta(seconds=0.3))
    await house.begin(intent, timedelta(seconds=-1))
    assert isinstance(await Outbox(house.bus, lambda _: channel, HASTY).deliver(intent), Finished)
    assert server.attempts == 0
    record = await house.record(intent)
    assert record is not None
    assert (record.state, record.reason) == (DeliveryState.EXPIRED, "it is not out, and too late to be sent")


class NeverDone(MastodonChannel):
    """A server that takes all the time it is given."""

    async def send(self, intent: PostIntent) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError(intent)


async def test_an_attempt_lasts_no_longer_than_the_time_of_its_post(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    channel = NeverDone(server.base, house.means.token(intent_of()), house.means.client)
    intent = house.intent(valid_for=timedelta(seconds=0.2))
    patient = replace(HASTY, send_s=600.0, lease_s=900.0)
    async with asyncio.timeout(30):
        assert isinstance(await Outbox(house.bus, lambda _: channel, patient).deliver(intent), Again)
    record = await house.record(intent)
    assert record is not None
    assert (record.state, record.reason) == (DeliveryState.SENDING, "no answer in time")


@pytest.mark.parametrize(
    ("kind", "speed", "later_s", "left"),
    [
        (ClockKind.WALL, 1.0, 60, 540),
        (ClockKind.WALL, 1.0, 700, 0),
        (ClockKind.SIMULATED, 60.0, 5, 5),
        (ClockKind.SIMULATED, 60.0, 11, 0),
        (ClockKind.SIMULATED, 0.0, 9999, None),
        (ClockKind.RECORDED, 0.0, 9999, None),
    ],
)
def test_the_time_left_to_send_is_the_librarys_in_real_seconds(
    kind: ClockKind, speed: float, later_s: int, left: float | None
) -> None:
    intent = intent_of(clock=kind)
    intent = intent.model_copy(update={"clock": intent.clock.model_copy(update={"speed": speed})})
    assert left_s(intent, intent.decided_at + timedelta(seconds=later_s)) == left


@pytest.mark.parametrize("fault", ["429-seconds", "429-date", "429-iso", "429-epoch"])
async def test_a_server_that_asks_for_patience_gets_it(operator: Bus, means: Means, fault: str) -> None:
    async with running(FakeMastodon(DIALECTS["mastodon"])) as server:
        server.faults.append(fault)  # type: ignore[arg-type]  # the parameters are all faults
        house = House(operator, means, server)
        outbox, intent = house.outbox(), house.intent()
        verdict = await outbox.deliver(intent)
        assert isinstance(verdict, Again)
        assert verdict.seconds == pytest.approx(1.0, abs=0.2)
        again = await outbox.deliver(intent)
        assert isinstance(again, Again)
        assert server.attempts == 1  # left alone meanwhile


async def test_a_newer_statement_supersedes_one_that_waits_for_a_server_to_come_back(
    net: tuple[House, FakeMastodon],
) -> None:
    house, server = net
    server.faults.append("429-seconds")
    outbox = house.outbox()
    old, new = house.intent(2), house.intent(3)
    assert isinstance(await outbox.deliver(old), Again)
    assert isinstance(await outbox.deliver(new), Again)
    assert isinstance(await outbox.deliver(old), Finished)
    record = await house.record(old, "fr-2")
    assert record is not None
    assert record.state is DeliveryState.SUPERSEDED
    assert server.posts == []


async def test_a_token_that_is_refused_ends_the_post_as_blocked_and_leaves_the_account_alone(
    net: tuple[House, FakeMastodon],
) -> None:
    house, server = net
    server.token = "another"
    outbox = house.outbox()
    assert isinstance(await outbox.deliver(house.intent(2)), Finished)
    record = await house.record(house.intent(2))
    assert record is not None
    assert record.state is DeliveryState.BLOCKED
    asked = len(server.requests)
    assert isinstance(await outbox.deliver(house.intent(3)), Again)
    assert len(server.requests) == asked
    letter = await house.bus.jetstream.get_last_msg(subjects.DEAD, subjects.dead_letter("publisher", "post"))
    assert PostIntent.model_validate_json(letter.data or b"").revision == 2


async def test_a_missing_token_file_is_named(operator: Bus, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        house = House(operator, Means(client, tmp_path), FakeMastodon(DIALECTS["mastodon"]))
        await carry(house.outbox(), house.intent())
        record = await house.record(house.intent())
        assert record is not None
        assert record.state is DeliveryState.BLOCKED
        assert "mastodon-bib" in record.reason


async def test_a_refused_post_is_not_tried_again(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    server.faults.extend([400, 400, 400])
    intent = house.intent()
    assert await carry(house.outbox(), intent) == 1
    record = await house.record(intent)
    assert record is not None
    assert (record.state, record.reason) == (DeliveryState.REJECTED, "HTTP 400")
    assert server.posts == []


async def test_the_longest_text_that_fits_is_posted(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    intent = house.intent()
    server.max_characters = length(forms(intent)[1], Limits(0, server.dialect.url_characters))
    await carry(house.outbox(), intent)
    assert house.public() == [forms(intent)[1]]


async def test_a_server_that_takes_less_than_it_says_gets_the_shorter_text(operator: Bus, means: Means) -> None:
    strict = Dialect("strict", 500, 23, 422, keeps_keys=True)
    async with running(FakeMastodon(strict, max_characters=48, advertised=500)) as server:
        house = House(operator, means, server)
        await carry(house.outbox(), house.intent())
        assert house.public() == [forms(house.intent())[2]]


async def test_a_text_that_fits_nowhere_is_rejected_before_it_is_sent(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    server.max_characters = 10
    intent = house.intent()
    await carry(house.outbox(), intent)
    assert server.attempts == 0
    record = await house.record(intent)
    assert record is not None
    assert record.state is DeliveryState.REJECTED


async def test_a_post_says_its_language_and_is_unlisted(net: tuple[House, FakeMastodon]) -> None:
    house, server = net
    await carry(house.outbox(), house.intent())
    assert [(post.language, post.visibility) for post in server.posts] == [("fr", "unlisted")]


async def test_a_server_that_is_not_there_is_tried_again_later(operator: Bus, means: Means) -> None:
    channel = MastodonChannel(f"http://127.0.0.1:{free_port()}", means.token(intent_of()), means.client)
    assert isinstance(await channel.send(intent_of()), NotSent)
    assert operator.is_connected


async def test_the_token_is_in_no_log_and_no_record(
    net: tuple[House, FakeMastodon], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    house, server = net
    handlers = logging.getLogger().handlers[:]
    logs.configure("publisher", "debug", "json")
    try:
        with caplog.at_level(logging.DEBUG):
            server.faults.extend(["cut", 500, 401])
            server.timeline_faults.append("empty")
            intent = house.intent()
            await carry(house.outbox(), intent)
    finally:
        logging.getLogger().handlers = handlers
    record = await house.record(intent)
    captured = capsys.readouterr()
    everything = captured.out + captured.err + caplog.text + (record.model_dump_json() if record else "")
    assert "post_delayed" in everything
    assert TOKEN not in everything


# Reading and counting


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "Tue, 03 Mar 2026 12:01:00 GMT"}, 60),
        ({"X-RateLimit-Reset": "2026-03-03T12:05:00.000000Z"}, 300),
        ({"X-RateLimit-Reset": "1772539500"}, 300),
        ({}, 60),
        ({"Retry-After": "soon"}, 60),
        ({"Retry-After": "-5"}, 1),
        ({"Retry-After": "86400"}, 3600),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read_in_every_form(said: dict[str, str], seconds: float) -> None:
    assert retry_after_s(httpx.Headers(said), datetime(2026, 3, 3, 12, tzinfo=UTC)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "url_characters", "count"),
    [
        ("abc", None, 3),
        ("e\u0301", None, 2),  # a letter and an accent: one grapheme, two code points
        ("👩‍👩‍👧‍👦", None, 7),
        ("https://a.example/" + "x" * 40, 23, 58),  # not discounted everywhere
        ("https://a.fr", 23, 23),  # nor at its length everywhere
    ],
)
def test_a_text_counts_as_the_strictest_server_counts_it(text: str, url_characters: int | None, count: int) -> None:
    assert length(text, Limits(500, url_characters)) == count


def test_every_post_has_an_address_of_its_own() -> None:
    assert forms(intent_of(2))[0] != forms(intent_of(3))[0]
    assert [len(fitting(forms(intent_of()), Limits(limit))) for limit in (500, 85, 10)] == [3, 2, 0]
