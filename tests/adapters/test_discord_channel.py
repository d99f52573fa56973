"""Discord keeps what every channel promises, with a twin at most where an answer was lost."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.publisher.channels.channel import Blocked, Done, Gone, NotFound, Rejected, Throttled
from services.publisher.delivery import Again
from shared.contracts.posts import DeliveryState, PostIntent
from shared.contracts.status import Sentences
from tests.adapters.suite import Bench, ChannelSuite, ServedWorld, carry
from tests.fakes.discord import PATH, SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS, FakeDiscord
from tests.fakes.http_server import listening


class Discord(ServedWorld[FakeDiscord]):
    type = "discord"

    @property
    def secret(self) -> str:
        return f"https://discord.com{PATH}"

    async def public(self) -> list[str]:
        return [re.sub(r"\\(.)", r"\1", each.content) for each in self.fake.messages.values()]


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with listening(FakeDiscord()) as server:
        yield server


@pytest.fixture
def world(fake: FakeDiscord) -> Discord:
    return Discord(fake)


def saying(intent: PostIntent, long: str, short: str = "Bib, 14:05: full.") -> PostIntent:
    return intent.model_copy(update={"texts": Sentences(long=long, short=short, shortest=short)})


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestDiscord(ChannelSuite):
    @pytest.mark.parametrize("options", [{}, {"silent": True}, {"suppress_embeds": False}])
    async def test_previews_and_sounds_are_as_configured(
        self, bench: Bench, world: Discord, fake: FakeDiscord, options: dict[str, object]
    ) -> None:
        world.options = options
        channel = bench.channel()
        made = await channel.send(bench.intent())
        assert isinstance(made, Done)
        flags = (0 if options.get("suppress_embeds") is False else SUPPRESS_EMBEDS) | (
            SUPPRESS_NOTIFICATIONS if options.get("silent") else 0
        )
        assert fake.messages[made.remote_id].flags == flags
        assert isinstance(await channel.update(bench.intent(3), made.remote_id), Done)
        assert fake.messages[made.remote_id].flags == flags

    async def test_words_are_no_markup_and_addresses_are_whole(self, bench: Bench, fake: FakeDiscord) -> None:
        intent = saying(bench.intent(), "Bib *du* _Port_, 14:05: full.").model_copy(
            update={"url": "https://places.example/bib_du_port"}
        )
        made = await bench.channel().send(intent)
        assert isinstance(made, Done)
        assert made.text.startswith("Bib *du* _Port_")
        text, address = fake.messages[made.remote_id].content.split("\n")
        assert text == r"Bib \*du\* \_Port\_, 14:05: full."
        assert address.startswith("https://places.example/bib_du_port#e-")

    @pytest.mark.parametrize(("letter", "most"), [("é", 2000), ("😀", 1000), ("*", 1000)])
    async def test_what_is_too_long_is_said_shorter(
        self, bench: Bench, fake: FakeDiscord, letter: str, most: int
    ) -> None:
        intent = bench.intent().model_copy(update={"url": ""})
        for length, shown in ((most, most * letter), (most + 1, "Bib, 14:05: full.")):
            made = await bench.channel().send(saying(intent, letter * length))
            assert isinstance(made, Done)
            assert made.text == shown
        assert len(fake.requests) == 2  # nothing was refused

    async def test_what_fits_in_no_form_is_rejected_unsent(self, bench: Bench, fake: FakeDiscord) -> None:
        intent = saying(bench.intent(), "é" * 2001, "é" * 2001)
        assert isinstance(await bench.channel().send(intent), Rejected)
        assert isinstance(await bench.channel().update(intent, "1"), Rejected)
        assert fake.requests == []

    async def test_the_pause_is_read_from_the_body(self, bench: Bench, world: Discord) -> None:
        world.script("429")
        assert await bench.channel().send(bench.intent()) == Throttled(1.25)

    async def test_a_message_that_is_gone_is_told_from_a_webhook_that_is_gone(
        self, bench: Bench, fake: FakeDiscord
    ) -> None:
        channel = bench.channel()
        assert await channel.update(bench.intent(), "1") == Gone()
        assert await channel.inspect() == ()
        fake.is_deleted = True
        assert isinstance(await channel.update(bench.intent(), "1"), Blocked)
        assert isinstance(await channel.retire("1"), Blocked)
        assert isinstance(await channel.send(bench.intent()), Blocked)
        assert len(await channel.inspect()) == 1

    async def test_what_was_sent_twice_without_an_answer_is_not_sent_again(self, bench: Bench, world: Discord) -> None:
        world.script("cut", "cut", "cut")
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.UNSURE
        assert len(await world.public()) == 2
        assert isinstance(await bench.channel().look_up(intent), NotFound)

    @pytest.mark.parametrize("secret", ["https://discord.com/api/webhooks/", "canary-7f3a", "x" * 100_000, "é"])
    async def test_an_address_that_is_no_webhook_is_named_and_not_told(
        self, bench: Bench, world: Discord, secret: str
    ) -> None:
        (bench.means.secrets_dir / world.target.secret_name).write_text(secret)
        intent = bench.intent(valid_for=timedelta(minutes=1))
        assert not isinstance(await bench.outbox().deliver(intent), Again)
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.BLOCKED
        assert secret not in record.reason
        assert "discord-bib" in record.reason
