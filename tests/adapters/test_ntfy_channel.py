"""ntfy keeps what every channel promises: one notification of a library, a language and a day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.publisher import channels
from services.publisher.channels.channel import Blocked, Done, Misconfigured, NotFound, Rejected, Throttled
from shared.contracts.posts import PostIntent
from shared.contracts.status import Sentences
from shared.domain.status import Situation, State
from tests.adapters.suite import Bench, ChannelSuite, ServedWorld, carry
from tests.fakes.announcements import FEW, FULL, OPEN
from tests.fakes.http_server import Fault, listening
from tests.fakes.ntfy import TOKEN, TOPIC, FakeNtfy


class Ntfy(ServedWorld[FakeNtfy]):
    type = "ntfy"
    options = {"topic": TOPIC}  # noqa: RUF012  as World says

    @property
    def secret(self) -> str:
        return TOKEN if self.account else ""

    async def public(self) -> list[str]:
        return [each["message"] for each in self.fake.shown()]


@pytest.fixture
async def fake() -> AsyncIterator[FakeNtfy]:
    async with listening(FakeNtfy()) as server:
        yield server


@pytest.fixture
def world(fake: FakeNtfy) -> Ntfy:
    return Ntfy(fake)


def saying(intent: PostIntent, long: str, short: str = "Bib, 14:05: full.") -> PostIntent:
    return intent.model_copy(update={"texts": Sentences(long=long, short=short, shortest=short)})


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestNtfy(ChannelSuite):
    @pytest.mark.parametrize("url", ["https://places.example/bib", ""])
    @pytest.mark.parametrize("fault", ["cut", "done-504"])
    async def test_a_lost_answer_is_found_and_nothing_published_again(
        self, bench: Bench, world: Ntfy, fake: FakeNtfy, fault: Fault, url: str
    ) -> None:
        world.script(fault)
        await carry(bench.outbox(), bench.intent().model_copy(update={"url": url}))
        assert len(fake.messages) == 1

    @pytest.mark.parametrize("reason", ["may not read", "holds nothing"])
    async def test_where_nobody_can_look_what_is_sent_again_shows_once(
        self, bench: Bench, world: Ntfy, fake: FakeNtfy, reason: str
    ) -> None:
        fake.may_read, fake.holds = reason != "may not read", reason != "holds nothing"
        world.script("cut", "cut")
        await carry(bench.outbox(), bench.intent())
        assert len(fake.messages) == 3
        assert len(await world.public()) == 1

    async def test_the_newest_of_a_language_and_day_takes_the_place_of_the_others(
        self, bench: Bench, world: Ntfy, fake: FakeNtfy
    ) -> None:
        outbox = bench.outbox()
        for revision, situation in ((2, OPEN), (3, FEW), (4, FULL)):
            await carry(outbox, bench.intent(revision, situation=situation))
            await carry(outbox, bench.intent(revision, situation=situation, language="en"))
        texts = await world.public()
        assert [("complet" in each, "full" in each) for each in texts] == [(True, False), (False, True)]
        tomorrow = bench.intent(5)
        later = {"at": tomorrow.at + timedelta(days=1), "valid_until": tomorrow.valid_until + timedelta(days=1)}
        await carry(outbox, tomorrow.model_copy(update=later))
        assert len(await world.public()) == 3
        assert len(fake.messages) == 7

    async def test_a_server_before_sequences_shows_each_and_is_told_of_once(
        self, bench: Bench, world: Ntfy, fake: FakeNtfy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.knows_sequences = False
        outbox = bench.outbox()
        for revision in (2, 3, 4):
            world.script("cut")
            await carry(outbox, bench.intent(revision))
        world.script("503")
        await carry(outbox, bench.intent(5))
        await carry(outbox, bench.intent(6))
        assert len(await world.public()) == 5  # found where an answer was lost, so none of them twice
        assert capsys.readouterr().out.count("ntfy_too_old") == 1

    @pytest.mark.parametrize(
        ("situation", "options", "priority"),
        [
            (FEW, {}, 2),
            (FULL, {}, 3),
            (Situation(State.CLOSED), {}, 3),
            (FEW, {"priority": 5}, 5),
        ],
    )
    async def test_what_people_act_on_rings(
        self, bench: Bench, world: Ntfy, fake: FakeNtfy, situation: Situation, options: dict[str, object], priority: int
    ) -> None:
        world.options = {"topic": TOPIC, **options}
        intent = bench.intent(situation=situation)
        assert isinstance(await bench.channel().send(intent), Done)
        assert fake.messages[0]["priority"] == priority

    async def test_the_name_the_address_and_the_tags_have_fields_of_their_own(
        self, bench: Bench, world: Ntfy, fake: FakeNtfy
    ) -> None:
        world.options = {"topic": TOPIC, "tags": ("eyes",)}
        intent = bench.intent().model_copy(update={"hashtags": ("paris", *("я" * 40 for _ in range(8)))})
        assert isinstance(await bench.channel().send(intent), Done)
        (message,) = fake.messages
        assert (message["title"], message["message"]) == ("Bib", intent.texts.long)
        assert message["tags"][:3] == ["eyes", "paris", "я" * 40]
        assert message["click"].startswith("https://places.example/bib#e-")

    @pytest.mark.parametrize(("letter", "most"), [("a", 4096), ("é", 2048), ("😀", 1024)])
    async def test_what_is_too_long_is_said_shorter(self, bench: Bench, fake: FakeNtfy, letter: str, most: int) -> None:
        for length in (most, most + 1):
            assert isinstance(await bench.channel().send(saying(bench.intent(), letter * length)), Done)
        assert [each["message"] for each in fake.messages] == [letter * most, "Bib, 14:05: full."]

    async def test_what_fits_in_no_form_is_rejected_unsent(self, bench: Bench, fake: FakeNtfy) -> None:
        intent = saying(bench.intent(), "é" * 2049, "é" * 2049)
        assert isinstance(await bench.channel().send(intent), Rejected)
        assert fake.requests == []

    @pytest.mark.parametrize(("limit", "pause_s"), [(42901, 5.0), (42908, 3600.0), (42905, 60.0)])
    async def test_a_limit_is_left_alone_for_as_long_as_it_lasts(
        self, bench: Bench, fake: FakeNtfy, limit: int, pause_s: float
    ) -> None:
        fake.limit = limit
        assert await bench.channel().send(bench.intent()) == Throttled(pause_s)

    async def test_an_open_topic_needs_no_account(self, bench: Bench, world: Ntfy, fake: FakeNtfy) -> None:
        assert isinstance(await bench.channel().send(bench.intent()), Done)
        world.account = ""
        intent = bench.intent(3)
        assert isinstance(await bench.channel().send(intent), Blocked)  # the topic is not open
        fake.token = ""
        made = await bench.channel().send(intent)
        assert isinstance(made, Done)
        assert "authorization" not in fake.requests[-1].headers
        found = await bench.channel().look_up(intent)
        assert isinstance(found, Done)
        assert found.remote_id == made.remote_id

    async def test_another_post_is_not_taken_for_this_one(self, bench: Bench) -> None:
        assert isinstance(await bench.channel().send(bench.intent(2)), Done)
        assert await bench.channel().look_up(bench.intent(3)) == NotFound()

    @pytest.mark.parametrize("options", [{}, {"topic": "a b"}, {"topic": TOPIC, "priority": 6}])
    async def test_options_that_ntfy_would_refuse_are_refused_first(
        self, bench: Bench, world: Ntfy, options: dict[str, object]
    ) -> None:
        world.options = options
        with pytest.raises(Misconfigured):
            bench.channel()

    async def test_a_server_that_is_not_well_is_told_at_the_start(self, bench: Bench, fake: FakeNtfy) -> None:
        assert await bench.channel().inspect() == ()
        fake.is_well = False
        assert len(await bench.channel().inspect()) == 1

    @pytest.mark.parametrize("server", ["http://ntfy.example", "ntfy.example"])
    async def test_a_token_goes_over_no_open_line(self, bench: Bench, world: Ntfy, server: str) -> None:
        target = replace(world.target, server=server)
        with pytest.raises(Misconfigured, match="https"):
            channels.make(target, bench.means)
