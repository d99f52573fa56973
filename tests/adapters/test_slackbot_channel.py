"""A bot in a Slack channel keeps what every channel promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.publisher.channels.channel import (
    Blocked,
    Done,
    Misconfigured,
    NotFound,
    NotSent,
    Rejected,
    Target,
    Throttled,
    Unknown,
)
from services.publisher.channels.slackbot import CHANNEL as TYPE
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld, carry
from tests.fakes.announcements import FULL
from tests.fakes.http_server import listening
from tests.fakes.slack import CHANNEL, FakeSlack


class Slackbot(ServedWorld[FakeSlack]):
    type = "slackbot"
    options = {"channel": CHANNEL}  # noqa: RUF012  as World says

    @property
    def secret(self) -> str:
        return self.fake.token

    async def public(self) -> list[str]:
        return [each.text for each in self.fake.messages.values() if each.is_ours]

    async def pinned(self) -> list[str]:
        return [self.fake.messages[each].text for each in self.fake.pins]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with listening(FakeSlack(token=f"xoxb-{CANARY}")) as slack:
        yield slack


@pytest.fixture
def world(slack: FakeSlack) -> Slackbot:
    return Slackbot(slack)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestSlackbot(ChannelSuite):
    async def test_a_post_is_found_among_what_others_say_and_its_twin_is_named(
        self, bench: Bench, slack: FakeSlack
    ) -> None:
        intent, channel = bench.intent(), bench.channel()
        first = await channel.send(intent)
        second = await channel.send(intent)
        await channel.send(bench.intent(9))
        assert isinstance(first, Done)
        assert isinstance(second, Done)
        for _ in range(3):
            slack.say("hello", is_ours=False)
        slack.page = 2
        found = await channel.look_up(intent)
        assert isinstance(found, Done)
        assert (found.remote_id, found.twins) == (first.remote_id, (second.remote_id,))
        assert found.text == first.text

    async def test_a_twin_is_taken_down(self, bench: Bench, slack: FakeSlack) -> None:
        intent = bench.intent()
        assert isinstance(await bench.channel().send(intent), Done)
        slack.faults.append("cut")
        await carry(bench.outbox(), intent)
        assert len(slack.messages) == 1

    async def test_a_post_is_found_after_it_was_edited(self, bench: Bench) -> None:
        intent, channel = bench.intent(), bench.channel()
        made = await channel.send(intent)
        assert isinstance(made, Done)
        later = await channel.update(bench.intent(3, situation=FULL), made.remote_id)
        assert isinstance(later, Done)
        found = await channel.look_up(intent)
        assert isinstance(found, Done)
        assert (found.remote_id, found.text) == (made.remote_id, later.text)

    async def test_a_channel_too_busy_to_look_through_is_no_proof(self, bench: Bench, slack: FakeSlack) -> None:
        for _ in range(6):
            slack.say("hello", is_ours=False)
        slack.page = 1
        assert isinstance(await bench.channel().look_up(bench.intent()), NotSent)
        slack.page = 2
        assert isinstance(await bench.channel().look_up(bench.intent()), NotFound)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ("invalid_auth", Blocked),
            ("not_in_channel", Blocked),
            ("missing_scope", Blocked),
            ("ratelimited", Throttled),
            ("internal_error", Unknown),
            ("msg_too_long", Rejected),
        ],
    )
    async def test_an_error_is_told_by_its_name(
        self, bench: Bench, slack: FakeSlack, error: str, kind: type[object]
    ) -> None:
        slack.error = error
        channel = bench.channel()
        assert isinstance(await channel.send(bench.intent()), kind)
        assert isinstance(await channel.update(bench.intent(), "1.0"), kind)
        assert isinstance(await channel.retire("1.0"), kind)
        assert isinstance(await channel.pin("1.0"), kind)
        found = await channel.look_up(bench.intent())
        assert isinstance(found, kind if kind in {Blocked, Throttled} else NotSent)

    async def test_pinning_twice_is_done(self, bench: Bench, slack: FakeSlack) -> None:
        channel = bench.channel()
        made = await channel.send(bench.intent())
        assert isinstance(made, Done)
        assert isinstance(await channel.pin(made.remote_id), Done)
        assert isinstance(await channel.pin(made.remote_id), Done)
        assert slack.pins == [made.remote_id]

    @pytest.mark.parametrize("options", [{}, {"channel": "#library"}, {"channel": ["C1"]}])
    async def test_options_are_checked(self, bench: Bench, options: dict[str, object]) -> None:
        with pytest.raises(Misconfigured, match="slackbot"):
            TYPE.make(Target("slackbot", "bib", "", options), bench.means)
