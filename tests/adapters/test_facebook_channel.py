"""A Page on Facebook keeps what every channel promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

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
from services.publisher.channels.facebook import CHANNEL
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld
from tests.fakes.facebook import PAGE, FakeFacebook
from tests.fakes.http_server import listening


class Facebook(ServedWorld[FakeFacebook]):
    type = "facebook"
    options = {"page_id": PAGE}  # noqa: RUF012  as World says

    @property
    def secret(self) -> str:
        return self.fake.token

    async def public(self) -> list[str]:
        return [each.message for each in self.fake.posts]


@pytest.fixture
async def api() -> AsyncIterator[FakeFacebook]:
    # Facebook names whole minutes; a test should not wait so long.
    async with listening(FakeFacebook(token=f"EAAB{CANARY}", pause_min=1 / 60)) as api:
        yield api


@pytest.fixture
def world(api: FakeFacebook) -> Facebook:
    return Facebook(api)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestFacebook(ChannelSuite):
    async def test_a_post_has_the_words_and_the_link_beside_them(self, bench: Bench, api: FakeFacebook) -> None:
        intent = bench.intent()
        outcome = await bench.channel().send(intent)
        assert isinstance(outcome, Done)
        (post,) = api.posts
        assert post.message == intent.texts.long == outcome.text
        assert post.link.startswith(intent.url)
        assert outcome.url == f"https://www.facebook.com/{post.id}"

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (1, Unknown),
            (2, Unknown),
            (4, Throttled),
            (10, Blocked),
            (17, Throttled),
            (32, Throttled),
            (100, Rejected),
            (190, Blocked),
            (200, Blocked),
            (368, Blocked),
            (506, Unknown),
            (613, Throttled),
        ],
    )
    async def test_a_code_tells_what_to_do(
        self, bench: Bench, api: FakeFacebook, code: int, kind: type[object]
    ) -> None:
        api.error = code
        assert isinstance(await bench.channel().send(bench.intent()), kind)

    async def test_the_pause_is_what_facebook_estimates(self, bench: Bench, api: FakeFacebook) -> None:
        api.pause_min = 7
        api.faults.append("429")
        assert await bench.channel().send(bench.intent()) == Throttled(420.0)

    async def test_a_duplicate_is_the_post_itself(self, bench: Bench, api: FakeFacebook) -> None:
        intent, channel = bench.intent(), bench.channel()
        first = await channel.send(intent)
        assert isinstance(first, Done)
        assert isinstance(await channel.send(intent), Unknown)
        assert await channel.look_up(intent) == first
        assert len(api.posts) == 1

    async def test_older_posts_with_these_words_are_others(self, bench: Bench, api: FakeFacebook) -> None:
        intent, channel = bench.intent(), bench.channel()
        assert isinstance(await channel.send(intent), Done)
        api.posts[0].created_time -= timedelta(hours=1)
        assert isinstance(await channel.look_up(intent), NotFound)

    async def test_a_look_up_that_is_refused_finds_nothing_out(self, bench: Bench, api: FakeFacebook) -> None:
        channel, token = bench.channel(), api.token
        api.token = "another"
        assert isinstance(await channel.look_up(bench.intent()), Blocked)
        api.token = token
        target = bench.world.target
        gone = Target(target.channel, target.account, target.server, {"page_id": "99999"})
        assert isinstance(await CHANNEL.make(gone, bench.means).look_up(bench.intent()), NotSent)

    async def test_a_token_of_a_person_is_noticed(self, bench: Bench, api: FakeFacebook) -> None:
        assert await bench.channel().inspect() == ()
        api.owner = "100001234"
        (finding,) = await bench.channel().inspect()
        assert "Page access token" in finding

    @pytest.mark.parametrize("options", [{}, {"page_id": "our-library"}, {"page_id": PAGE, "version": "25"}])
    async def test_options_are_checked(self, bench: Bench, options: dict[str, object]) -> None:
        with pytest.raises(Misconfigured, match="facebook"):
            CHANNEL.make(Target("facebook", "bib", "", options), bench.means)
