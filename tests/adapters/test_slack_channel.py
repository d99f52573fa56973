"""Slack's incoming webhooks keep what every channel promises, as far as a channel can that names nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.publisher.channels.channel import Blocked, Done, NoCredentials, Rejected, Throttled, Unknown
from services.publisher.channels.slack import CHANNEL
from shared.contracts.status import Sentences
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld
from tests.fakes.http_server import listening
from tests.fakes.slack import FakeSlackHooks


class Slack(ServedWorld[FakeSlackHooks]):
    type = "slack"

    @property
    def secret(self) -> str:
        return f"https://hooks.slack.com{self.fake.path}"

    async def public(self) -> list[str]:
        return self.fake.messages


@pytest.fixture
async def hooks() -> AsyncIterator[FakeSlackHooks]:
    async with listening(FakeSlackHooks(path=f"/services/T00000000/B00000000/{CANARY}")) as hooks:
        yield hooks


@pytest.fixture
def world(hooks: FakeSlackHooks) -> Slack:
    return Slack(hooks)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestSlack(ChannelSuite):
    async def test_markup_is_text(self, bench: Bench, hooks: FakeSlackHooks) -> None:
        words = "Bib <!channel> & co: 2 > 1"
        intent = bench.intent().model_copy(update={"texts": Sentences(long=words, short=words, shortest=words)})
        outcome = await bench.channel().send(intent)
        assert isinstance(outcome, Done)
        assert hooks.messages[0].startswith(words)
        assert outcome.text.startswith(words)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ("invalid_token", Blocked),
            ("action_prohibited", Blocked),
            ("channel_not_found", Blocked),
            ("channel_is_archived", Blocked),
            ("no_service", Blocked),
            ("invalid_payload", Rejected),
            ("no_text", Rejected),
            ("rollup_error", Unknown),
        ],
    )
    async def test_an_error_is_told_by_its_name(
        self, bench: Bench, hooks: FakeSlackHooks, error: str, kind: type[object]
    ) -> None:
        hooks.error = error
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, kind)

    async def test_a_pause_is_as_long_as_slack_says(self, bench: Bench, hooks: FakeSlackHooks) -> None:
        hooks.faults.append("429")
        assert await bench.channel().send(bench.intent()) == Throttled(1.0)

    async def test_a_text_that_is_too_long_falls_to_a_shorter_form(self, bench: Bench, hooks: FakeSlackHooks) -> None:
        texts = Sentences(long="x" * 4001, short="&" * 900, shortest="Bib, 14:05")
        intent = bench.intent().model_copy(update={"texts": texts})
        assert isinstance(await bench.channel().send(intent), Done)
        assert hooks.messages[0].startswith("Bib, 14:05")

    @pytest.mark.parametrize(
        "address",
        ["nonsense", "https://[", "https://slack.example/services/T/B/x", "http://hooks.slack.com/services/x"],
    )
    async def test_the_secret_is_an_address_of_slack(self, bench: Bench, address: str) -> None:
        target = bench.world.target
        (bench.means.secrets_dir / target.secret_name).write_text(address)
        with pytest.raises(NoCredentials, match="slack-bib"):
            CHANNEL.make(target, bench.means)
