"""Telegram keeps what every channel promises: with a twin at most, or with a review chat without one."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.publisher import channels
from services.publisher.channels.channel import (
    Blocked,
    Done,
    Gone,
    Misconfigured,
    NotFound,
    Rejected,
    Throttled,
    Traits,
    Unknown,
    mark,
)
from services.publisher.channels.telegram import _content, utf16_units
from services.publisher.delivery import Finished
from services.publisher.live_posts import load
from shared.contracts.posts import DeliveryState, PostIntent
from shared.contracts.status import PublicStatus, Sentences
from tests.adapters.suite import Bench, ChannelSuite, ServedWorld, carry, kept
from tests.fakes.announcements import FULL, intent_of, status_of
from tests.fakes.http_server import listening
from tests.fakes.telegram import CHANNEL, REVIEW, TOKEN, FakeTelegram


class Telegram(ServedWorld[FakeTelegram]):
    type = "telegram"
    secret = TOKEN

    def __init__(self, fake: FakeTelegram, **options: object) -> None:
        super().__init__(fake)
        self.options = {"chat": CHANNEL, **options}

    @property
    def traits(self) -> Traits:
        type_ = channels.type_of(self.type)
        return replace(type_.traits, finds=type_.finds(self.target))

    async def public(self) -> list[str]:
        return self.fake.texts()

    async def pinned(self) -> list[str]:
        return [self.fake.messages[each].text for each in self.fake.pinned]


@pytest.fixture
async def fake() -> AsyncIterator[FakeTelegram]:
    async with listening(FakeTelegram()) as server:
        yield server


def saying(intent: PostIntent, long: str, short: str = "Bib, 14:05: full.") -> PostIntent:
    return intent.model_copy(update={"texts": Sentences(long=long, short=short, shortest=short)})


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestTelegram(ChannelSuite):
    @pytest.fixture
    def world(self, fake: FakeTelegram) -> Telegram:
        return Telegram(fake)

    async def test_the_days_first_post_comes_without_a_sound_and_the_next_with_one(
        self, bench: Bench, fake: FakeTelegram
    ) -> None:
        outbox = bench.outbox()
        await carry(outbox, bench.intent(2))
        await carry(outbox, bench.intent(3, situation=FULL))
        assert [each.is_silent for each in fake.messages.values()] == [True, False]

    async def test_a_silent_channel_never_rings(self, bench: Bench, world: Telegram, fake: FakeTelegram) -> None:
        world.options = {**world.options, "silent": True}
        outbox = bench.outbox()
        await carry(outbox, bench.intent(2))
        await carry(outbox, bench.intent(3, situation=FULL))
        assert [each.is_silent for each in fake.messages.values()] == [True, True]

    async def test_the_librarys_name_is_the_link(self, bench: Bench, fake: FakeTelegram) -> None:
        intent = bench.intent().model_copy(update={"hashtags": ("paris",)})
        made = await bench.channel().send(saying(intent, "📚 Bib, 14:05: full."))
        assert isinstance(made, Done)
        assert made.url == "https://t.me/bib_live/101"
        assert fake.linked(101) == "Bib"
        assert fake.messages[101].text == "📚 Bib, 14:05: full.\n#paris"
        assert mark(intent) == urlsplit(fake.messages[101].entities[0]["url"]).fragment

    @pytest.mark.parametrize(("letter", "most"), [("é", 4096), ("😀", 2048)])
    async def test_what_is_too_long_is_said_shorter(
        self, bench: Bench, fake: FakeTelegram, letter: str, most: int
    ) -> None:
        for length, shown in ((most, letter * most), (most + 1, "Bib, 14:05: full.")):
            made = await bench.channel().send(saying(bench.intent(), letter * length))
            assert isinstance(made, Done)
            assert made.text == shown
        assert len(fake.requests) == 2  # nothing was refused

    async def test_what_fits_in_no_form_is_rejected_unsent(self, bench: Bench, fake: FakeTelegram) -> None:
        intent = saying(bench.intent(), "é" * 4097, "é" * 4097)
        assert isinstance(await bench.channel().send(intent), Rejected)
        assert isinstance(await bench.channel().update(intent, "101"), Rejected)
        assert fake.requests == []

    async def test_the_pause_is_read_from_the_body(self, bench: Bench, world: Telegram) -> None:
        world.script("429")
        assert await bench.channel().send(bench.intent()) == Throttled(1.0)

    async def test_a_message_that_is_gone_cannot_be_edited(self, bench: Bench) -> None:
        assert await bench.channel().update(bench.intent(), "77") == Gone()

    async def test_a_message_too_old_to_be_deleted_is_at_least_not_pinned(
        self, bench: Bench, fake: FakeTelegram
    ) -> None:
        channel = bench.channel()
        made = await channel.send(bench.intent())
        assert isinstance(made, Done)
        assert isinstance(await channel.pin(made.remote_id), Done)
        assert fake.pinned == [101]
        fake.messages[101].date -= timedelta(hours=49)
        assert isinstance(await channel.retire(made.remote_id), Rejected)
        assert fake.pinned == []

    async def test_a_pin_that_is_refused_does_not_keep_the_post_from_being_true(
        self, bench: Bench, world: Telegram, fake: FakeTelegram
    ) -> None:
        fake.may_edit = False
        await self.live(bench)
        await bench.show(FULL, 3)
        await kept(bench.keeper())
        assert "complet" in (await world.public())[0]

    @pytest.mark.parametrize("reason", ["not let in", "another chat", "another token"])
    async def test_a_bot_without_a_place_is_said_to_be_so(
        self, bench: Bench, world: Telegram, fake: FakeTelegram, reason: str
    ) -> None:
        if reason == "not let in":
            fake.is_admin = False
        elif reason == "another chat":
            world.options = {"chat": "@another_one"}
        else:
            (bench.means.secrets_dir / world.target.secret_name).write_text("1:canary-7f3a")
        channel = bench.channel()
        assert isinstance(await channel.send(bench.intent()), Blocked)
        assert len(await channel.inspect()) >= 1

    async def test_what_the_bot_may_not_do_is_told_at_the_start(
        self, bench: Bench, world: Telegram, fake: FakeTelegram
    ) -> None:
        assert await bench.channel().inspect() == ()
        fake.may_edit = False
        (finding,) = await bench.channel().inspect()
        assert "pin" in finding
        fake.is_protected = True
        world.options = {**world.options, "review_chat": REVIEW}
        assert len(await bench.channel().inspect()) == 2

    async def test_a_token_that_is_none_is_named_and_not_told(self, bench: Bench, world: Telegram) -> None:
        (bench.means.secrets_dir / world.target.secret_name).write_text("canary-7f3a")
        intent = bench.intent()
        assert isinstance(await bench.outbox().deliver(intent), Finished)
        record = await bench.record(intent)
        assert record is not None
        assert (record.state, "telegram-bib" in record.reason) == (DeliveryState.BLOCKED, True)
        assert "canary" not in record.reason

    @pytest.mark.parametrize("options", [{}, {"chat": "bib"}, {"chat": CHANNEL, "review_chat": "staff"}])
    async def test_a_channel_without_a_chat_is_refused(self, bench: Bench, world: Telegram, options: object) -> None:
        world.options = dict(options)  # type: ignore[call-overload]  # the parameters are all dicts
        with pytest.raises(Misconfigured, match="chat"):
            bench.channel()


@pytest.mark.slow
class TestTelegramWithReview(ChannelSuite):
    """The same promises where the bot may look; no twin is left then."""

    @pytest.fixture
    def world(self, fake: FakeTelegram) -> Telegram:
        return Telegram(fake, review_chat=REVIEW)

    async def live(self, bench: Bench) -> None:
        del bench
        pytest.skip("edits look nothing up; they are tested above")

    @pytest.mark.parametrize("url", ["https://places.example/bib", ""])
    @pytest.mark.parametrize("before", [0, 1, 3])
    async def test_a_lost_answer_is_found_among_other_posts(
        self, bench: Bench, world: Telegram, fake: FakeTelegram, url: str, before: int
    ) -> None:
        outbox = bench.outbox()
        for revision in range(2, 2 + before):
            await carry(outbox, bench.intent(revision))
        lost = bench.intent(9, language="en").model_copy(update={"url": url})
        world.script("cut")
        await outbox.deliver(lost)
        await carry(outbox, bench.intent(8))  # another post of the account, while the fate of this one is open
        await carry(bench.outbox(), lost)
        record = await bench.record(lost)
        assert record is not None
        assert record.state is DeliveryState.DONE
        assert len(await world.public()) == before + 2
        assert fake.messages[int(record.remote_id)].text == record.text
        assert fake.review == set()

    async def test_what_was_sent_again_and_again_stands_once(self, bench: Bench, world: Telegram) -> None:
        world.script("cut", "done-504", "cut")
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        assert len(await world.public()) == 1

    async def test_the_very_first_message_stands_once_though_nothing_tells_where_to_look(
        self, bench: Bench, world: Telegram
    ) -> None:
        world.script("cut", "cut")
        channel, intent = bench.channel(), bench.intent()
        for _ in range(2):
            assert isinstance(await channel.send(intent), Unknown)
            assert await channel.look_up(intent) == NotFound()
        assert len(await world.public()) == 2
        made = await channel.send(intent)
        assert isinstance(made, Done)
        assert made.remote_id == "101"
        assert len(await world.public()) == 1

    async def test_a_review_chat_that_is_closed_is_named(
        self, bench: Bench, world: Telegram, fake: FakeTelegram
    ) -> None:
        await carry(bench.outbox(), bench.intent(2))
        fake.knows_review = False
        world.script("cut")
        intent = bench.intent(3)
        await carry(bench.outbox(), intent)
        record = await bench.record(intent)
        assert record is not None
        assert "review_chat" in record.reason

    async def test_a_live_post_that_is_gone_is_made_anew_once(
        self, bench: Bench, world: Telegram, fake: FakeTelegram
    ) -> None:
        await super().live(bench)
        post = (await load(bench.bus, bench.intent().live_key)).post
        assert post is not None
        assert isinstance(await bench.channel().retire(post.remote_id), Done)
        await bench.show(FULL, 3)
        fake.changes = {"sendMessage"}  # the edit is answered: there is nothing to edit
        world.script("cut")
        await kept(bench.keeper())
        await kept(bench.keeper())
        assert len(await world.public()) == 1
        assert fake.faults == deque()
        assert fake.review == set()

    async def test_a_look_up_before_anything_was_sent_finds_nothing(self, bench: Bench, fake: FakeTelegram) -> None:
        assert await bench.channel().look_up(bench.intent()) == NotFound()
        assert fake.requests == []

    async def test_a_live_post_begun_by_an_unanswered_send_is_live(self, bench: Bench, world: Telegram) -> None:
        await carry(bench.outbox(), bench.intent(2, language="en"))
        world.script("cut")
        intent = bench.intent(2)
        await carry(bench.outbox(), intent)
        post = (await load(bench.bus, intent.live_key)).post
        record = await bench.record(intent)
        assert post is not None
        assert record is not None
        assert post.remote_id == record.remote_id


@given(st.text(max_size=30), st.text(max_size=10))
def test_the_link_stands_on_the_name_whatever_comes_before_it(before: str, after: str) -> None:
    status = PublicStatus.of(status_of("bib", 2, FULL, datetime.now(UTC)), {})
    text = f"{before.replace('Bib', '')}Bib{after}"
    (entity,) = _content(intent_of().model_copy(update={"status": status}), text)["entities"]
    encoded = text.encode("utf-16-le", "surrogatepass")
    start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
    assert encoded[start:end].decode("utf-16-le") == "Bib"
    assert utf16_units(text) == len(encoded) // 2
