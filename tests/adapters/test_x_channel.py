"""X keeps what every channel promises, and never costs more than it may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.publisher.channels.channel import Blocked, Done, Misconfigured, NotFound, Rejected, Throttled
from services.publisher.channels.x import addresses, fits, unlinked
from shared.contracts import subjects
from shared.contracts.posts import DeliveryState, PostIntent
from shared.contracts.status import Sentences
from tests.adapters.suite import Bench, ChannelSuite, ServedWorld, carry
from tests.fakes.announcements import new_library
from tests.fakes.http_server import Fault, listening
from tests.fakes.x import SECRETS, FakeX, Post


class X(ServedWorld[FakeX]):
    type = "x"
    options = {"daily_cost_usd": 5}  # noqa: RUF012  as World says
    secret = SECRETS

    async def public(self) -> list[str]:
        return [each.text for each in self.fake.posts]


@pytest.fixture
async def fake() -> AsyncIterator[FakeX]:
    async with listening(FakeX()) as server:
        yield server


@pytest.fixture
def world(fake: FakeX) -> X:
    world = X(fake)
    world.account = new_library()  # what it has cost today is kept on the bus
    return world


def saying(intent: PostIntent, long: str, short: str = "Bib, 14:05: full.") -> PostIntent:
    return intent.model_copy(update={"texts": Sentences(long=long, short=short, shortest=short)})


async def counted(bench: Bench) -> int:
    """Return what the channel believes to have cost today."""
    entry = await bench.bus.bucket(subjects.SESSIONS).get(f"x.{bench.world.account}.costs")
    return int(json.loads(entry.value)["mills"]) if entry else 0


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestX(ChannelSuite):
    @pytest.mark.parametrize("fault", [None, "cut", "done-504", "reset", "503", "429"])
    async def test_what_is_counted_is_never_less_than_what_it_costs(
        self, bench: Bench, world: X, fake: FakeX, fault: Fault | None
    ) -> None:
        if fault:
            world.script(fault)
        await carry(bench.outbox(), bench.intent())
        assert len(fake.posts) == 1
        assert fake.mills <= await counted(bench) <= fake.mills + 15  # at most the one that nobody knows of

    async def test_a_day_costs_no_more_than_it_may(self, bench: Bench, world: X, fake: FakeX) -> None:
        world.options = {"daily_cost_usd": 0.1}
        outcomes = [await bench.channel().send(saying(bench.intent(each), f"Bib: {each}")) for each in range(2, 9)]
        assert [type(each) for each in outcomes] == [Done] * 5 + [Blocked] * 2
        last = outcomes[-1]
        assert isinstance(last, Blocked)
        assert "daily_cost_usd" in last.reason
        assert fake.mills + 21 <= 100  # what a look-up may need is still there

    async def test_another_day_begins_with_nothing_spent(self, bench: Bench, world: X) -> None:
        world.options = {"daily_cost_usd": 0.05}
        spent = json.dumps({"day": "2026-01-01", "mills": 5000}).encode()
        await bench.bus.bucket(subjects.SESSIONS).put(f"x.{world.account}.costs", spent)
        assert isinstance(await bench.channel().send(bench.intent()), Done)
        assert await counted(bench) == 15

    @pytest.mark.parametrize(
        "options", [{"daily_cost_usd": 0.03}, {"allow_urls": True, "daily_cost_usd": 0.2}, {"daily_cost_usd": 1000}]
    )
    async def test_a_limit_that_pays_for_no_post_is_refused(
        self, bench: Bench, world: X, options: dict[str, object]
    ) -> None:
        world.options = options
        with pytest.raises(Misconfigured, match="daily_cost_usd"):
            bench.channel()

    async def test_a_name_that_is_a_domain_makes_no_address(self, bench: Bench, fake: FakeX) -> None:
        intent = saying(bench.intent(), "Bpi.fr, 14:05: full. See https://www.bpi.fr/now or bpi.fr.")
        assert isinstance(await bench.channel().send(intent), Done)
        (post,) = fake.posts
        assert addresses(post.text) == []
        assert post.text.startswith("Bpi.\u200bfr, 14:05")
        assert fake.mills == 15
        found = await bench.channel().look_up(intent)
        assert isinstance(found, Done)
        assert found.remote_id == post.id

    async def test_the_librarys_address_goes_out_only_where_it_is_paid_for(
        self, bench: Bench, world: X, fake: FakeX
    ) -> None:
        assert isinstance(await bench.channel().send(bench.intent(2)), Done)
        assert addresses(fake.posts[0].text) == []
        world.options = {"allow_urls": True, "daily_cost_usd": 1}
        intent = bench.intent(3).model_copy(update={"url": "https://www.example.org/bib"})
        made = await bench.channel().send(intent)
        assert isinstance(made, Done)
        assert "https://www.example.org/bib#e-" in fake.posts[1].text
        assert fake.mills == await counted(bench) == 215
        found = await bench.channel().look_up(intent)
        assert isinstance(found, Done)
        assert found.remote_id == made.remote_id

    async def test_the_same_words_on_another_day_get_the_date(self, bench: Bench, fake: FakeX) -> None:
        intent = saying(bench.intent(), "Bib, 09:00: open.")
        yesterday = datetime.now(UTC) - timedelta(days=1)
        fake.posts.append(Post("17", "Bib, 09:00: open.", yesterday))
        made = await bench.channel().send(intent)
        assert isinstance(made, Done)
        assert made.text == f"Bib, 09:00: open.\n{intent.at:%Y-%m-%d}"
        found = await bench.channel().look_up(intent)
        assert isinstance(found, Done)
        assert found.remote_id == made.remote_id
        assert fake.mills <= await counted(bench)

    async def test_what_x_calls_a_duplicate_is_found_not_made_again(self, bench: Bench, fake: FakeX) -> None:
        intent = bench.intent()
        made = await bench.channel().send(intent)
        again = await bench.channel().send(intent)
        assert isinstance(made, Done)
        assert isinstance(again, Done)
        assert again.remote_id == made.remote_id
        assert len(fake.posts) == 1

    async def test_a_twin_of_a_timeline_that_was_late_is_taken_down(self, bench: Bench, world: X, fake: FakeX) -> None:
        world.script("cut")
        intent = bench.intent()
        outbox = bench.outbox()
        await outbox.deliver(intent)
        channel = bench.channel()
        fake.is_late = True
        assert await channel.look_up(intent) == NotFound()
        assert isinstance(await channel.send(intent), Done)
        fake.is_late = False
        assert len(fake.posts) == 2
        await carry(outbox, intent)
        record = await bench.record(intent)
        assert record is not None
        assert [each.id for each in fake.posts] == [record.remote_id]

    @pytest.mark.parametrize("reason", ["credits", "cap", "permission"])
    async def test_what_a_person_must_see_to_is_said(self, bench: Bench, fake: FakeX, reason: str) -> None:
        fake.has_credits, fake.is_capped, fake.may_write = (
            reason != "credits",
            reason == "cap",
            reason != "permission",
        )
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Blocked)
        assert ("permission" if reason == "permission" else "credits") in outcome.reason
        assert await counted(bench) == 0

    async def test_the_pause_is_read_from_the_epoch(self, bench: Bench, world: X) -> None:
        world.script("429")
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Throttled)
        assert 1 <= outcome.retry_after_s <= 3

    async def test_what_fits_in_no_form_is_rejected_unsent(self, bench: Bench, fake: FakeX) -> None:
        intent = saying(bench.intent(), "é" * 281, "é" * 281)
        assert isinstance(await bench.channel().send(intent), Rejected)
        assert fake.requests == []

    async def test_the_label_is_asked_for_until_somebody_has_looked(self, bench: Bench, world: X) -> None:
        (finding,) = await bench.channel().inspect()
        assert "Automated" in finding
        world.options = {"is_labelled": True}
        assert await bench.channel().inspect() == ()

    async def test_a_key_that_is_left_out_is_named(self, bench: Bench, world: X) -> None:
        (bench.means.secrets_dir / world.target.secret_name).write_text('consumer_key = "canary-7f3a"\n')
        intent = bench.intent()
        await carry(bench.outbox(), intent)
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.BLOCKED
        assert "access_token_secret" in record.reason

    async def test_deleting_what_is_not_there_is_done(self, bench: Bench) -> None:
        assert isinstance(await bench.channel().retire("5"), Done)


@pytest.mark.parametrize(
    ("piece", "weight"),
    [
        ("a", 1),
        ("é", 1),
        ("e\u0301", 1),  # composed before it is weighed
        ("\u00a0", 1),
        ("\u2013", 1),
        ("\u2019", 1),
        ("م", 1),
        ("ש", 1),
        ("Ж", 1),
        ("ă", 1),
        ("ệ", 2),
        ("\u200b", 1),
        ("\u202f", 2),  # French sets it before : ; ! ?
        ("…", 2),
        ("•", 2),
        ("€", 2),
        ("→", 2),
        ("館", 2),
        ("😀", 2),
        ("👩‍👩‍👧‍👦", 2),
        (" https://www.example.org/a-long-address-of-a-library ", 25),
        (" bpi.fr ", 25),
    ],
)
def test_a_text_weighs_what_x_says(piece: str, weight: int) -> None:
    assert fits(f"x{piece}{'a' * (279 - weight)}")
    assert not fits(f"x{piece}{'a' * (280 - weight)}")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bib, 14:05: full.", []),
        ("BPI.fr, 14:05: full.", ["BPI.fr"]),
        ("see www.bpi.fr/now", ["www.bpi.fr/now"]),
        ("https://bpi.fr and bpi.fr", ["https://bpi.fr", "bpi.fr"]),
        ("Complet.Il reste peu de places.", ["Complet.Il"]),  # a space left out, and a country's domain
        ("14.05, 2.5 h", []),
        ("bibliothèque.fr", ["bibliothèque.fr"]),
    ],
)
def test_bare_domains_are_addresses_until_they_are_unlinked(text: str, found: list[str]) -> None:
    assert addresses(text) == found
    assert addresses(unlinked(text)) == []
    assert unlinked(text).replace("\u200b", "") == text
