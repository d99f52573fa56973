"""Servers with Mastodon's API keep what every channel promises, each dialect in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.publisher.accounts import Patience
from services.publisher.channels import mastodon
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    Done,
    Gone,
    Limits,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Throttled,
    Unknown,
    fitting,
    forms,
    length,
    mark,
)
from services.publisher.channels.mastodon import DELETES_MAX, MastodonChannel
from services.publisher.channels.means import Means
from services.publisher.channels.rest import retry_after_s
from services.publisher.delivery import Again, Finished, Outbox
from services.publisher.live_posts import load
from services.publisher.outbox import left_s
from shared.contracts import subjects
from shared.contracts.posts import Delivery, DeliveryState, PostIntent, PostKind
from shared.domain.library import ClockKind
from shared.domain.live_post import UNTRUE_AFTER
from shared.runtime.bus import Bus
from tests.adapters.suite import HASTY, SEQUENCES, THOROUGH, Bench, ChannelSuite, ServedWorld, carry, kept
from tests.conftest import free_port
from tests.fakes.announcements import FEW, FULL, OPEN, intent_of
from tests.fakes.http_server import Fault
from tests.fakes.mastodon import (
    DIALECTS,
    PINS_MAX,
    PLEROMA,
    TOKEN,
    Dialect,
    FakeMastodon,
    Post,
    Wait,
    as_html,
    running,
)


class Mastodon(ServedWorld[FakeMastodon]):
    type = "mastodon"
    secret = TOKEN

    def __init__(self, fake: FakeMastodon, options: dict[str, object] | None = None) -> None:
        super().__init__(fake)
        self.options = options or {}

    async def public(self) -> list[str]:
        return [post.text for post in self.fake.posts]

    async def pinned(self) -> list[str]:
        return [post.text for post in self.fake.posts if post.is_pinned]


@pytest.fixture(params=list(DIALECTS) if SEQUENCES >= THOROUGH else ["mastodon-2026", "gotosocial"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[Mastodon]:
    async with running(FakeMastodon(dialect=DIALECTS[request.param])) as fake:
        yield Mastodon(fake)


class TestMastodon(ChannelSuite):
    """Over all four dialects where there is time; else over the one with the worst keys and the one without."""


Benches = Callable[..., AbstractAsyncContextManager[tuple[Bench, FakeMastodon]]]


@pytest.fixture
def benches(standing: Bus, tmp_path: Path) -> Benches:
    """Return what makes a bench over one server of a dialect's own."""
    (tmp_path / "mastodon-bib").write_text(f"{TOKEN}\n")

    @asynccontextmanager
    async def make(
        dialect: Dialect = DIALECTS["mastodon"], options: dict[str, object] | None = None, **state: Any
    ) -> AsyncIterator[tuple[Bench, FakeMastodon]]:
        timeout = httpx.Timeout(0.25, connect=2.0)
        async with (
            running(FakeMastodon(dialect=dialect, **state)) as fake,
            httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client,
        ):
            yield Bench(Mastodon(fake, options), standing, Means(client, tmp_path, standing)), fake

    return make


@pytest.fixture(params=list(DIALECTS))
async def net(request: pytest.FixtureRequest, benches: Benches) -> AsyncIterator[tuple[Bench, FakeMastodon]]:
    """Every dialect."""
    async with benches(DIALECTS[request.param]) as made:
        yield made


async def begin(bench: Bench, intent: PostIntent, lease: timedelta) -> None:
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
    await bench.bus.bucket(subjects.DELIVERIES).put(intent.delivery_key, record.model_dump_json().encode())


async def ended(bench: Bench, intent: PostIntent) -> tuple[DeliveryState, str]:
    """Return how an intent has ended, and why."""
    record = await bench.record(intent)
    assert record is not None
    return record.state, record.reason


# What is sent again, and what is not


@pytest.mark.parametrize("url", ["https://places.example/bib", ""])
async def test_a_lost_reply_is_found_and_not_sent_again(net: tuple[Bench, FakeMastodon], url: str) -> None:
    bench, fake = net
    fake.faults.append("cut")
    intent = bench.intent().model_copy(update={"url": url})
    await carry(bench.outbox(), intent)
    assert (len(fake.posts), fake.attempts) == (1, 1)
    record = await bench.record(intent)
    assert record is not None
    assert (record.state, record.remote_id) == (DeliveryState.DONE, fake.posts[0].id)


@pytest.mark.parametrize("fault", ["reset", "hang", "500", "502", "503"])
async def test_what_was_not_done_is_sent_once_more(net: tuple[Bench, FakeMastodon], fault: Fault) -> None:
    bench, fake = net
    fake.faults.append(fault)
    await carry(bench.outbox(), bench.intent())
    assert (len(fake.posts), fake.attempts) == (1, 2)


@pytest.mark.parametrize("dialect", list(DIALECTS))
async def test_where_the_timeline_lags_behind_there_is_one_post_in_the_end(dialect: str, benches: Benches) -> None:
    async with benches(DIALECTS[dialect]) as (bench, fake):
        fake.faults.append("cut")
        fake.timeline_faults.append("empty")
        await carry(bench.outbox(), bench.intent())
        assert len(fake.posts) == 1
        assert fake.attempts == 2
        # Where keys are ignored a twin was made, and taken down.
        assert fake.made == (1 if DIALECTS[dialect].keeps_keys else 2)


async def test_patience_asked_for_after_a_lost_reply_does_not_make_it_forgotten(
    net: tuple[Bench, FakeMastodon],
) -> None:
    bench, fake = net
    fake.faults.extend(["cut", "429"])
    fake.timeline_faults.append("empty")
    await carry(bench.outbox(), bench.intent())
    assert (len(fake.posts), fake.made) == (1, 1)


async def test_a_look_up_that_fails_is_no_reason_to_send(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    fake.faults.append("cut")
    fake.timeline_faults.extend([503, 502, 500])
    outbox, intent = bench.outbox(), bench.intent()
    for _ in range(3):
        verdict = await outbox.deliver(intent)
        assert isinstance(verdict, Again)
        await asyncio.sleep(verdict.seconds)
    assert len(fake.posts) == fake.attempts == 1


async def test_an_attempt_whose_process_died_before_sending_is_looked_up_and_then_made(
    net: tuple[Bench, FakeMastodon],
) -> None:
    bench, fake = net
    intent = bench.intent()
    await begin(bench, intent, timedelta(seconds=-1))
    await carry(bench.outbox(), intent)
    record = await bench.record(intent)
    assert record is not None
    assert (record.state, record.attempts, len(fake.posts)) == (DeliveryState.DONE, 2, 1)


@pytest.mark.parametrize("revision", [2, 3])
async def test_what_another_process_is_sending_is_left_to_it(net: tuple[Bench, FakeMastodon], revision: int) -> None:
    bench, fake = net
    await begin(bench, bench.intent(2), timedelta(seconds=60))
    verdict = await bench.outbox().deliver(bench.intent(revision))
    assert isinstance(verdict, Again)
    assert verdict.seconds > 50
    assert fake.requests == []


async def test_a_playback_never_expires(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    intent = bench.intent(valid_for=timedelta(hours=-1))
    recorded = intent.clock.model_copy(update={"kind": ClockKind.RECORDED})
    await carry(bench.outbox(), intent.model_copy(update={"clock": recorded}))
    assert len(fake.posts) == 1


async def test_a_key_is_never_used_for_another_text(benches: Benches) -> None:
    strict = Dialect("strict", 500, 23, 422, keeps_keys=True)
    async with benches(strict, max_characters=70, advertised=500) as (bench, fake):
        await carry(bench.outbox(), bench.intent())
        await carry(bench.outbox(), bench.intent(language="en"))
        asked = [(each.headers["idempotency-key"], each.body) for each in fake.asked("POST", "/api/v1/statuses")]
        assert len(asked) > 2
        assert len({key for key, _ in asked}) == len(set(asked))


@pytest.mark.parametrize("fault", ["500", "429"])
async def test_a_stored_error_that_is_repeated_is_not_the_end(benches: Benches, fault: Fault) -> None:
    async with benches(PLEROMA) as (bench, fake):
        fake.faults.append(fault)
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        assert (await ended(bench, intent))[0] is DeliveryState.DONE
        assert (len(fake.posts), fake.made) == (1, 1)


# Time


async def test_a_post_of_unknown_fate_that_is_not_there_is_not_sent_too_late(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    fake.faults.append("hang")
    intent = bench.intent(valid_for=timedelta(seconds=0.2))
    await carry(bench.outbox(), intent)
    assert fake.posts == []
    assert (await ended(bench, intent))[0] is DeliveryState.EXPIRED


class SlowToFind(MastodonChannel):
    """A look-up that finds nothing and ends after the intent's time."""

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        found = await super().look_up(intent)
        while datetime.now(UTC) <= intent.valid_until:
            await asyncio.sleep(0.01)
        return found


class NeverDone(MastodonChannel):
    """A server that takes all the time it is given."""

    async def send(self, intent: PostIntent) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError(intent)


def outbox_with(bench: Bench, channel: Channel, patience: Patience = HASTY) -> Outbox:
    return Outbox(bench.bus, replace(bench.accounts(), make=lambda _: channel, patience=patience))


async def test_a_look_up_that_outlasts_the_time_of_a_post_is_followed_by_no_sending(
    net: tuple[Bench, FakeMastodon],
) -> None:
    bench, fake = net
    channel = SlowToFind(fake.base, SecretStr(TOKEN), bench.means.client)
    intent = bench.intent(valid_for=timedelta(seconds=0.3))
    await begin(bench, intent, timedelta(seconds=-1))
    assert isinstance(await outbox_with(bench, channel).deliver(intent), Finished)
    assert fake.attempts == 0
    assert await ended(bench, intent) == (DeliveryState.EXPIRED, "it is not out, and too late to be sent")


async def test_an_attempt_lasts_no_longer_than_the_time_of_its_post(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    channel = NeverDone(fake.base, SecretStr(TOKEN), bench.means.client)
    intent = bench.intent(valid_for=timedelta(seconds=0.2))
    patient = replace(HASTY, send_s=600.0, lease_s=900.0)
    async with asyncio.timeout(30):
        assert isinstance(await outbox_with(bench, channel, patient).deliver(intent), Again)
    assert await ended(bench, intent) == (DeliveryState.SENDING, "no answer in time")


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


# Patience and refusals


@pytest.mark.parametrize("wait", ["seconds", "date", "iso", "epoch"])
async def test_a_server_that_asks_for_patience_gets_it(benches: Benches, wait: Wait) -> None:
    async with benches(wait=wait) as (bench, fake):
        fake.faults.append("429")
        outbox, intent = bench.outbox(), bench.intent()
        verdict = await outbox.deliver(intent)
        assert isinstance(verdict, Again)
        assert verdict.seconds == pytest.approx(1.0, abs=0.2)
        assert isinstance(await outbox.deliver(intent), Again)
        assert fake.attempts == 1  # left alone meanwhile


async def test_a_newer_statement_supersedes_one_that_waits_for_a_server_to_come_back(
    net: tuple[Bench, FakeMastodon],
) -> None:
    bench, fake = net
    fake.faults.append("429")
    outbox, old, new = bench.outbox(), bench.intent(2), bench.intent(3)
    assert isinstance(await outbox.deliver(old), Again)
    assert isinstance(await outbox.deliver(new), Again)
    assert isinstance(await outbox.deliver(old), Finished)
    noted = await bench.bus.bucket(subjects.DELIVERIES).get(f"{old.delivery_key}-2")
    assert noted is not None
    assert Delivery.model_validate_json(noted.value).state is DeliveryState.SUPERSEDED
    assert fake.posts == []


async def test_a_post_refused_for_its_token_is_kept_as_a_dead_letter(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    fake.token = "another"
    assert isinstance(await bench.outbox().deliver(bench.intent()), Finished)
    letter = await bench.bus.jetstream.get_last_msg(subjects.DEAD, subjects.dead_letter("publisher", "post"))
    assert PostIntent.model_validate_json(letter.data or b"").revision == 2


async def test_a_server_that_is_not_there_is_tried_again_later(benches: Benches) -> None:
    async with benches() as (bench, _):
        channel = MastodonChannel(f"http://127.0.0.1:{free_port()}", SecretStr(TOKEN), bench.means.client)
        assert isinstance(await channel.send(intent_of()), NotSent)
        assert isinstance(await channel.look_up(intent_of()), NotSent)
        assert isinstance(await channel.update(intent_of(), "1"), NotSent)
        assert isinstance(await channel.retire("1"), NotSent)
        assert isinstance(await channel.pin("1"), NotSent)
        assert await channel.inspect() == ()


async def test_a_text_that_every_form_of_is_refused_is_rejected_and_not_tried_again(benches: Benches) -> None:
    strict = Dialect("strict", 500, 23, 422, keeps_keys=True)
    async with benches(strict, max_characters=10, advertised=500) as (bench, fake):
        intent = bench.intent()
        assert await carry(bench.outbox(), intent) == 1
        assert await ended(bench, intent) == (DeliveryState.REJECTED, "HTTP 422")
        assert fake.posts == []


# Lengths


async def test_the_longest_text_that_fits_is_posted(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    intent = intent_of(server=fake.base, library=bench.library)
    fake.max_characters = length(forms(intent)[1], Limits(0, fake.dialect.url_characters))
    await carry(bench.outbox(), intent)
    assert [post.text for post in fake.posts] == [forms(intent)[1]]


async def test_a_server_that_takes_less_than_it_says_gets_the_shorter_text(benches: Benches) -> None:
    strict = Dialect("strict", 500, 23, 422, keeps_keys=True)
    async with benches(strict, max_characters=48, advertised=500) as (bench, fake):
        intent = intent_of(server=fake.base, library=bench.library)
        await carry(bench.outbox(), intent)
        assert [post.text for post in fake.posts] == [forms(intent)[2]]


async def test_a_text_that_fits_nowhere_is_rejected_before_it_is_sent(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    fake.max_characters = 10
    intent = bench.intent()
    await carry(bench.outbox(), intent)
    assert fake.attempts == 0
    assert (await ended(bench, intent))[0] is DeliveryState.REJECTED


async def test_a_server_that_does_not_say_its_limit_is_taken_at_mastodons(benches: Benches) -> None:
    async with benches(has_instance=False) as (bench, fake):
        long = intent_of(server=fake.base, library=bench.library, long="Bib " * 125)
        await carry(bench.outbox(), long)
        assert [post.text for post in fake.posts] == [forms(long)[1]]


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


# How posts look


@pytest.mark.parametrize("visibility", ["unlisted", "public"])
async def test_announcements_are_shown_as_configured_and_the_live_post_is_always_unlisted(
    benches: Benches, visibility: str
) -> None:
    async with benches(options={"visibility": visibility}) as (bench, fake):
        for revision in (2, 3):
            await carry(bench.outbox(), bench.intent(revision))
        await bench.channel().send(bench.intent(4).model_copy(update={"kind": PostKind.LIVE}))
        assert [post.visibility for post in fake.posts] == ["unlisted", visibility, "unlisted"]


async def test_a_post_is_unlisted_and_says_its_language_also_when_edited(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    made = await bench.channel().send(bench.intent())
    assert isinstance(made, Done)
    await bench.channel().update(bench.intent(3, situation=FULL), made.remote_id)
    assert [(post.language, post.visibility, len(post.versions)) for post in fake.posts] == [("fr", "unlisted", 2)]


# Live posts


async def test_a_live_post_keeps_its_mark_so_that_whoever_made_it_finds_it(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    channel, intent = bench.channel(), bench.intent()
    made = await channel.send(intent)
    assert isinstance(made, Done)
    for revision, situation in ((3, FULL), (4, FEW)):
        assert isinstance(await channel.update(bench.intent(revision, situation=situation), made.remote_id), Done)
    assert mark(intent) in fake.posts[0].text
    found = await channel.look_up(intent)
    assert isinstance(found, Done)
    assert (found.remote_id, found.twins) == (made.remote_id, ())


async def test_without_an_address_a_post_is_known_by_its_first_words(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    channel = bench.channel()
    intent, edit = (each.model_copy(update={"url": ""}) for each in (bench.intent(), bench.intent(3, situation=FULL)))
    made = await channel.send(intent)
    assert isinstance(made, Done)
    await channel.update(edit, made.remote_id)
    assert isinstance(await channel.look_up(intent), Done)
    assert isinstance(await channel.look_up(edit), NotFound)  # what says the same by now is not it
    fake.posts[0].created_at -= timedelta(hours=1)
    assert isinstance(await channel.look_up(intent), NotFound)


async def test_an_announcement_of_unknown_fate_whose_post_was_edited_meanwhile_is_not_made_again(
    net: tuple[Bench, FakeMastodon],
) -> None:
    bench, fake = net
    intent = bench.intent(2, situation=OPEN, ago=2 * UNTRUE_AFTER)
    await carry(bench.outbox(), intent)
    await bench.show(FULL, 3)
    await kept(bench.keeper())
    await begin(bench, intent, timedelta(seconds=-1))  # as if its process had died before noting the end
    await carry(bench.outbox(), intent)
    assert (len(fake.posts), fake.made) == (1, 1)
    assert "complet" in fake.posts[0].text.lower()


async def test_an_edit_whose_answer_is_lost_is_told_once(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    channel = bench.channel()
    made = await channel.send(bench.intent())
    assert isinstance(made, Done)
    intent = bench.intent(3, situation=FULL)
    fake.faults.append("cut")
    assert isinstance(await channel.update(intent, made.remote_id), Unknown)
    assert isinstance(await channel.update(intent, made.remote_id), Done)
    assert (fake.edits, len(fake.posts[0].versions)) == (1, 2)


async def test_a_server_that_says_that_nothing_was_changed_is_believed(benches: Benches) -> None:
    async with benches(DIALECTS["gotosocial"]) as (bench, fake):
        channel = bench.channel()
        intent = bench.intent()
        made = await channel.send(intent)
        assert isinstance(made, Done)
        # The page of the status lags behind what the server holds.
        fake.lagging[made.remote_id] = as_html("Bib, earlier.")
        assert isinstance(await channel.update(intent, made.remote_id), Done)
        assert (fake.edits, len(fake.posts[0].versions)) == (1, 1)


async def test_an_edit_of_what_is_not_there_is_gone_and_what_is_made_anew_is_found(
    net: tuple[Bench, FakeMastodon],
) -> None:
    bench, fake = net
    channel, edit = bench.channel(), bench.intent(3, situation=FULL)
    assert isinstance(await channel.update(edit, "404"), Gone)
    fake.faults.append("cut")
    assert isinstance(await channel.send(edit), Unknown)
    found = await channel.look_up(edit)
    assert isinstance(found, Done)
    assert found.remote_id == fake.posts[0].id


@pytest.mark.slow
async def test_a_live_post_made_anew_whose_answer_is_lost_is_one_post(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    intent = bench.intent(2, situation=OPEN, ago=2 * UNTRUE_AFTER)
    await carry(bench.outbox(), intent)
    fake.posts.clear()
    fake.keys.clear()
    await bench.show(FULL, 3)
    fake.faults.append("cut")
    fake.timeline_faults.extend(["empty", "empty"])
    await kept(bench.keeper(), looks=10)
    assert len(fake.posts) == 1
    post = (await load(bench.bus, intent.live_key)).post
    assert post is not None
    assert (post.remote_id, post.retiring, post.is_pinned) == (fake.posts[0].id, (), True)


async def test_no_more_posts_are_taken_down_than_the_server_lets(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with benches() as (bench, fake):
        channel, at_s = bench.channel(), [1000.0]
        monkeypatch.setattr(mastodon, "monotonic_s", lambda: at_s[0])
        for _ in range(DELETES_MAX):
            assert isinstance(await channel.retire("gone"), Done)
            at_s[0] += 10
        asked = len(fake.requests)
        refused = await channel.retire("gone")
        assert isinstance(refused, Throttled)
        assert refused.retry_after_s == pytest.approx(1800 - 10 * DELETES_MAX)
        assert len(fake.requests) == asked
        at_s[0] += refused.retry_after_s
        assert isinstance(await channel.retire("gone"), Done)
        assert isinstance(await channel.retire("gone"), Throttled)


async def test_too_many_to_take_down_hold_up_no_post(benches: Benches) -> None:
    async with benches(deleted=30) as (bench, fake):
        yesterday = bench.intent(2, situation=OPEN, ago=timedelta(days=1))
        recorded = yesterday.clock.model_copy(update={"kind": ClockKind.RECORDED})
        await carry(bench.outbox(), yesterday.model_copy(update={"clock": recorded}))
        await carry(bench.outbox(), bench.intent(3, situation=FEW))
        accounts = bench.accounts()
        await bench.show(FEW, 3)
        await kept(bench.keeper(accounts))
        live = (await load(bench.bus, yesterday.live_key)).post
        assert live is not None
        assert (live.is_pinned, len(live.retiring)) == (True, 1)
        assert await carry(Outbox(bench.bus, accounts), bench.intent(4, situation=FULL)) == 1
        assert len(fake.posts) == 3


# Pins


async def test_a_pin_takes_the_place_of_the_one_of_the_same_page_and_language(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    for revision in range(2, 9):
        made = await bench.channel().send(bench.intent(revision, language=("fr", "en")[revision % 2]))
        assert isinstance(made, Done)
        assert isinstance(await bench.channel().pin(made.remote_id), Done)
        assert isinstance(await bench.channel().pin(made.remote_id), Done)  # again
    pinned = [post for post in fake.posts if post.is_pinned]
    assert sorted(post.language for post in pinned) == ["en", "fr"]


async def test_the_pins_of_others_are_left_alone_and_a_full_board_is_said(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    for number in range(PINS_MAX):
        text = f"Staff's own word {number}"
        fake.posts.append(Post(str(number), text, "fr", "public", datetime.now(UTC), [text], is_pinned=True))
    made = await bench.channel().send(bench.intent())
    assert isinstance(made, Done)
    outcome = await bench.channel().pin(made.remote_id)
    assert outcome == Rejected("5 posts are pinned already; there is no room for this one")
    assert sum(post.is_pinned for post in fake.posts) == PINS_MAX


async def test_what_is_not_there_cannot_be_pinned(net: tuple[Bench, FakeMastodon]) -> None:
    assert isinstance(await net[0].channel().pin("404"), Rejected)


# The account


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, []),
        ({"is_bot": False}, ["not marked as automated"]),
        ({"is_locked": True}, ["is locked"]),
        ({"is_bot": False, "is_locked": True}, ["not marked as automated", "is locked"]),
        ({"token": "another"}, ["refuses the token"]),
        ({"has_instance": False}, ["does not say how long"]),
        ({"moved_to": "https://other.example"}, ["another address"]),
    ],
)
async def test_what_is_wrong_with_an_account_is_said_with_what_to_do(
    benches: Benches, state: dict[str, Any], words: list[str]
) -> None:
    async with benches(**state) as (bench, _):
        findings = await bench.channel().inspect()
        assert len(findings) == len(words)
        assert all(word in finding for word, finding in zip(words, findings, strict=True))


async def test_a_token_that_is_refused_says_so_of_every_operation(benches: Benches) -> None:
    async with benches(token="another") as (bench, _):
        channel, intent = bench.channel(), bench.intent()
        outcomes = [
            await channel.send(intent),
            await channel.look_up(intent),
            await channel.update(intent, "1"),
            await channel.retire("1"),
            await channel.pin("1"),
        ]
        assert all(isinstance(each, Blocked) for each in outcomes)


# Pictures


async def test_a_post_carries_the_status_as_a_picture_with_its_words_also_when_edited(benches: Benches) -> None:
    async with benches(options={"picture": True}) as (bench, fake):
        await carry(bench.outbox(), bench.intent(2, situation=OPEN, ago=2 * UNTRUE_AFTER))
        first = fake.posts[0].alt
        assert first is not None
        await bench.show(FULL, 3)
        await kept(bench.keeper())
        second = fake.posts[0].alt
        assert second is not None
        assert ("complet" in first.lower(), "complet" in second.lower()) == (False, True)


@pytest.mark.parametrize(("questions", "has_picture"), [(1, True), (2, True), (99, False)])
async def test_a_server_that_is_still_at_a_picture_is_asked_again_but_not_for_ever(
    benches: Benches, questions: int, *, has_picture: bool
) -> None:
    async with benches(options={"picture": True}, media_questions=questions) as (bench, fake):
        await carry(bench.outbox(), bench.intent())
        assert [post.alt is not None for post in fake.posts] == [has_picture]
        assert len(fake.media) == 1


@pytest.mark.parametrize("fault", [403, 422, 429, 500])
async def test_a_post_whose_picture_is_refused_goes_out_without_one(benches: Benches, fault: int) -> None:
    async with benches(options={"picture": True}, media_fault=fault) as (bench, fake):
        assert await carry(bench.outbox(), bench.intent()) == 1
        assert [post.alt for post in fake.posts] == [None]


async def test_a_picture_that_cannot_be_attached_after_all_is_left_out(benches: Benches) -> None:
    async with benches(options={"picture": True}) as (bench, fake):
        fake.refuses_attachments = True
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        assert [(post.text, post.alt) for post in fake.posts] == [(forms(intent)[0], None)]


async def test_a_lost_reply_with_a_picture_makes_one_post(net: tuple[Bench, FakeMastodon]) -> None:
    bench, fake = net
    bench.world.options = {"picture": True}
    fake.faults.append("cut")
    fake.timeline_faults.append("empty")
    await carry(bench.outbox(), bench.intent())
    assert len(fake.posts) == 1
