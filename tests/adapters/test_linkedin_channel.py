"""An organisation's page on LinkedIn keeps what every channel promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.publisher.channels.channel import Blocked, Done, Misconfigured, NotFound, Target, Unknown
from services.publisher.channels.linkedin import CHANNEL, escaped, plain
from shared.contracts.status import Sentences
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld
from tests.fakes.http_server import listening
from tests.fakes.linkedin import ORGANIZATION, FakeLinkedin, rendered


class Linkedin(ServedWorld[FakeLinkedin]):
    type = "linkedin"
    options = {"organization": ORGANIZATION}  # noqa: RUF012  as World says

    @property
    def secret(self) -> str:
        return self.fake.token

    async def public(self) -> list[str]:
        return [each.text for each in self.fake.posts]


@pytest.fixture
async def api() -> AsyncIterator[FakeLinkedin]:
    async with listening(FakeLinkedin(token=f"AQ{CANARY}")) as api:
        yield api


@pytest.fixture
def world(api: FakeLinkedin) -> Linkedin:
    return Linkedin(api)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestLinkedin(ChannelSuite):
    async def test_people_see_every_character_and_the_hashtags(self, bench: Bench, api: FakeLinkedin) -> None:
        words = r"Bib (salle #1), 14:05 : ~40 places_libres [sur 100] * {a|b} <c> @d \e"
        texts = Sentences(long=words, short=words, shortest=words)
        intent = bench.intent().model_copy(update={"texts": texts, "hashtags": ("Bib_Paris", "places")})
        outcome = await bench.channel().send(intent)
        assert isinstance(outcome, Done)
        (post,) = api.posts
        assert post.text == outcome.text
        assert post.text.startswith(words)
        assert post.text.endswith("\n#Bib_Paris #places")
        assert post.commentary.endswith("\n#Bib\\_Paris #places")
        assert outcome.url == f"https://www.linkedin.com/feed/update/{post.urn}"

    @given(st.text().map(str.strip))
    def test_any_text_is_shown_as_it_is(self, text: str) -> None:
        assert rendered(escaped(text)) == text
        assert plain(escaped(text)) == text

    async def test_a_duplicate_is_the_post_itself(self, bench: Bench, api: FakeLinkedin) -> None:
        intent, channel = bench.intent(), bench.channel()
        first = await channel.send(intent)
        assert isinstance(first, Done)
        assert isinstance(await channel.send(intent), Unknown)
        found = await channel.look_up(intent)
        assert isinstance(found, Done)
        assert found.remote_id == first.remote_id
        assert len(api.posts) == 1

    async def test_older_posts_with_these_words_are_others(self, bench: Bench, api: FakeLinkedin) -> None:
        intent, channel = bench.intent(), bench.channel()
        assert isinstance(await channel.send(intent), Done)
        api.posts[0].created_at -= timedelta(hours=1)
        assert isinstance(await channel.look_up(intent), NotFound)

    async def test_a_token_that_may_not_read_is_noticed(self, bench: Bench, api: FakeLinkedin) -> None:
        api.may_read = False
        assert isinstance(await bench.channel().look_up(bench.intent()), Blocked)

    async def test_an_old_token_is_told_from_its_age(self, bench: Bench, api: FakeLinkedin) -> None:
        api.faults.append("401")
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Blocked)
        assert "60 days" in outcome.reason

    async def test_a_version_that_is_served_no_more_is_named(self, bench: Bench) -> None:
        target = bench.world.target
        old = Target(target.channel, target.account, target.server, {**target.options, "version": "202401"})
        outcome = await CHANNEL.make(old, bench.means).send(bench.intent())
        assert isinstance(outcome, Blocked)
        assert "202401" in outcome.reason
        assert "`version`" in outcome.reason

    async def test_a_text_that_is_too_long_falls_to_a_shorter_form(self, bench: Bench, api: FakeLinkedin) -> None:
        texts = Sentences(long="x" * 3001, short="(" * 1600, shortest="Bib, 14:05")
        intent = bench.intent().model_copy(update={"texts": texts})
        assert isinstance(await bench.channel().send(intent), Done)
        assert api.posts[0].text.startswith("Bib, 14:05")

    @pytest.mark.parametrize(
        "options", [{}, {"organization": "urn:li:organization:1"}, {"organization": "1", "version": "2026-08"}]
    )
    async def test_options_are_checked(self, bench: Bench, options: dict[str, object]) -> None:
        with pytest.raises(Misconfigured, match="linkedin"):
            CHANNEL.make(Target("linkedin", "bib", "", options), bench.means)
