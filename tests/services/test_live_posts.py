"""What the keeper of live posts and the outbox do when channels fail, hang, refuse, or are taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from cli.posting.deliveries import dead_letters, replayed
from services.publisher import channels
from services.publisher import keeper as keeping
from services.publisher.accounts import Accounts
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    Done,
    Gone,
    Live,
    NotFound,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Traits,
    Unknown,
)
from services.publisher.channels.means import Means
from services.publisher.delivery import Again, Finished, Outbox
from services.publisher.keeper import Keeper
from services.publisher.libraries import Libraries
from services.publisher.live_posts import load, save
from services.publisher.told import Statuses
from shared.contracts import subjects
from shared.contracts.configuration import Channel as Configured
from shared.contracts.posts import DeliveryState, LivePost, PostIntent
from shared.contracts.status import PublicStatus
from shared.runtime.bus import Bus
from shared.runtime.clock import monotonic_s
from shared.runtime.wording import sentences_for
from tests.adapters.suite import HASTY, Bench, carry, kept, told
from tests.adapters.test_discord_channel import Discord
from tests.adapters.test_mastodon_channel import Mastodon
from tests.fakes.announcements import FEW, FULL, OPEN, configuration, new_library
from tests.fakes.discord import FakeDiscord
from tests.fakes.http_server import Request, listening
from tests.fakes.mastodon import DIALECTS, TOKEN, FakeMastodon, running

AGO = timedelta(minutes=3)
"""Since when a live post stands, so that an edit is due at once."""


@dataclass
class Stub(Channel):
    """A channel that keeps an account of what is asked of it, and fails as it is told to."""

    sent: list[PostIntent] = field(default_factory=list)
    updated: list[PostIntent] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    fault: Exception | None = None
    hangs_s: float = 0.0
    pinned: Outcome = field(default_factory=lambda: Done("", "", ""))
    edited: Outcome | Gone | None = None
    taken_down: Outcome = field(default_factory=lambda: Done("", "", ""))
    found: Outcome | NotFound = field(default_factory=NotFound)

    async def send(self, intent: PostIntent) -> Outcome:
        if self.fault:
            raise self.fault
        self.sent.append(intent)
        return Done(f"id-{len(self.sent)}", "", intent.texts.long)

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        del intent
        return self.found

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        if self.fault:
            raise self.fault
        await asyncio.sleep(self.hangs_s)
        self.updated.append(intent)
        return self.edited or Done(remote_id, "", intent.texts.long)

    async def retire(self, remote_id: str) -> Outcome:
        self.retired.append(remote_id)
        return self.taken_down

    async def pin(self, remote_id: str) -> Outcome:
        del remote_id
        return self.pinned


@pytest.fixture
async def bench(standing: Bus, tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(FakeMastodon(dialect=DIALECTS["gotosocial"])) as server:
        (tmp_path / "mastodon-bib").write_text(TOKEN)
        async with httpx.AsyncClient(timeout=httpx.Timeout(0.25, connect=2.0)) as client:
            yield Bench(Mastodon(server), standing, Means(client, tmp_path, standing))


def accounts_of(bench: Bench, stubs: dict[str, Stub], **traits: object) -> Accounts:
    """Return accounts whose adapters are stubs, by their names."""
    kind = replace(
        channels.type_of("mastodon"),
        traits=Traits(**{"live": Live.EDIT, **traits}),  # type: ignore[arg-type]
    )

    def make(target: Target) -> Channel:
        return stubs.get(target.account, Stub())

    return Accounts(bench.bus, make, lambda _: kind, HASTY, holder=new_library())


def libraries_of(bench: Bench, names: list[str], *accounts: str) -> Libraries:
    libraries = Libraries()
    for name in names:
        fields = [
            {"type": "mastodon", "account": each, "server": bench.world.server, "languages": ("fr",)}
            for each in accounts
        ]
        channels_ = [Configured.model_validate({**each, "update_interval_min": 0}) for each in fields]
        libraries.put(configuration(name, *channels_))
    return libraries


@asynccontextmanager
async def hearing(keeper: Keeper) -> AsyncIterator[None]:
    """Let a keeper hear what the bus says."""
    following = [asyncio.create_task(each) for each in (keeper.statuses.follow(keeper.bus), keeper.follow_records())]
    try:
        await asyncio.sleep(0.2)
        yield
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def live(bench: Bench, accounts: Accounts, account: str = "bib") -> LivePost:
    intent = bench.intent(2, situation=OPEN, ago=AGO)
    if account != "bib":
        intent = intent.model_copy(update={"account": account, "key": (account * 64)[:64]})
    await carry(Outbox(bench.bus, accounts), intent)
    post = (await load(bench.bus, intent.live_key)).post
    assert post is not None
    return post


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.02)


async def test_a_fault_of_one_adapter_ends_neither_keeper_nor_outbox(bench: Bench) -> None:
    stub = Stub()
    accounts = accounts_of(bench, {"bib": stub})
    await live(bench, accounts)
    await bench.show(FULL, 3)
    stub.fault = RuntimeError("secret words")
    keeper = bench.keeper(accounts)
    await kept(keeper)
    assert isinstance(await Outbox(bench.bus, accounts).deliver(bench.intent(3, situation=FULL)), Again)
    stub.fault = None
    await kept(keeper)
    assert stub.updated


async def test_a_token_with_odd_characters_is_an_outcome_and_stays_secret(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.means.secrets_dir / "mastodon-bib").write_text("canary-7f3a\u201d")
    intent = bench.intent()
    assert isinstance(await bench.outbox().deliver(intent), Again)
    record = await bench.record(intent)
    assert record is not None
    assert "credentials" in record.reason
    assert "canary" not in record.model_dump_json() + capsys.readouterr().out


async def test_what_is_tried_again_by_hand_is_looked_up_first(bench: Bench) -> None:
    intent = bench.intent()
    bench.world.script("cut")
    await bench.outbox().deliver(intent)
    secret = bench.means.secrets_dir / "mastodon-bib"
    secret.unlink()
    await carry(bench.outbox(), intent)
    (letter,) = [each for each in await dead_letters(bench.bus) if each.intent.key == intent.key]
    secret.write_text(TOKEN)
    assert [words for _, words in await replayed(bench.bus, letter.intent.key, datetime.now(UTC))] == ["tried again"]
    await carry(bench.outbox(), intent)
    assert len(await bench.world.public()) == 1


async def test_a_newer_statement_waits_until_the_fate_of_an_older_one_is_known(bench: Bench) -> None:
    outbox = bench.outbox()
    older, newer = bench.intent(2, situation=OPEN, ago=AGO), bench.intent(3, situation=FULL)
    bench.world.script("cut")
    assert isinstance(await outbox.deliver(older), Again)
    await asyncio.sleep(0.1)
    assert isinstance(await outbox.deliver(newer), Again)
    await asyncio.gather(carry(outbox, older), carry(outbox, newer))
    record = await bench.record(newer)
    assert record is not None
    assert (record.key, record.state) == (newer.key, DeliveryState.DONE)
    assert len(await bench.world.public()) == 2
    post = (await load(bench.bus, newer.live_key)).post
    assert post is not None
    assert (post.made_key, post.retiring) == (older.key, ())


async def test_a_live_post_on_record_is_out_even_where_it_was_replaced_since(bench: Bench) -> None:
    stub = Stub()
    accounts = accounts_of(bench, {"bib": stub}, live=Live.REPLACE)
    post = await live(bench, accounts)
    intent = post.intent
    record = await bench.record(intent)
    assert record is not None
    begun = record.model_copy(update={"state": DeliveryState.SENDING, "lease_until": record.at})
    entry = await bench.bus.bucket(subjects.DELIVERIES).get(intent.delivery_key)
    assert entry is not None
    await bench.bus.bucket(subjects.DELIVERIES).put(intent.delivery_key, begun.model_dump_json().encode())
    await carry(Outbox(bench.bus, accounts), intent)
    assert len(stub.sent) == 1


async def test_on_a_channel_that_cannot_be_asked_a_lost_live_post_is_made_anew_twice_at_most(
    standing: Bus, tmp_path: Path
) -> None:
    class Deaf(FakeDiscord):
        def is_change(self, request: Request) -> bool:
            return request.method == "POST"

    async with listening(Deaf()) as server, httpx.AsyncClient(timeout=httpx.Timeout(0.25, connect=2.0)) as client:
        world = Discord(server)
        (tmp_path / world.target.secret_name).write_text(world.secret)
        bench = Bench(world, standing, Means(client, tmp_path, standing))
        await carry(bench.outbox(), bench.intent(2, situation=OPEN, ago=AGO))
        server.messages.clear()
        await bench.show(FULL, 3)
        server.faults.extend(["done-504"] * 50)
        await kept(bench.keeper(), 10)
        assert len(server.messages) <= 2
        assert (await load(bench.bus, bench.intent().live_key)).post is None


@pytest.mark.parametrize("refusal", [Blocked("HTTP 403"), Throttled(600.0)])
async def test_what_an_account_may_not_do_keeps_it_from_nothing_else(bench: Bench, refusal: Outcome) -> None:
    stub = Stub(pinned=refusal, taken_down=refusal)
    accounts = accounts_of(bench, {"bib": stub}, pins=True)
    post = await live(bench, accounts)
    record = await load(bench.bus, post.intent.live_key)
    await save(bench.bus, post.intent.live_key, post.model_copy(update={"retiring": ("old",)}), record.revision)
    await bench.show(OPEN, 2)
    keeper = bench.keeper(accounts)
    await kept(keeper, 8)
    assert stub.retired == ["old"]
    await bench.show(FULL, 3)
    await kept(keeper)
    assert stub.updated
    assert isinstance(await Outbox(bench.bus, accounts).deliver(bench.intent(3, situation=FULL)), Finished)


async def test_a_twin_that_may_not_be_taken_down_yet_does_not_silence_the_account(bench: Bench) -> None:
    stub = Stub(taken_down=Throttled(1800.0))
    accounts = accounts_of(bench, {"bib": stub})
    intent = bench.intent()
    stub.fault = ValueError()
    await Outbox(bench.bus, accounts).deliver(intent)
    stub.fault, stub.found = None, Done("a", "", intent.texts.long, twins=("b",))
    await asyncio.sleep(0.05)
    verdict = await Outbox(bench.bus, accounts).deliver(intent)
    assert isinstance(verdict, Again)
    assert verdict.seconds == 1800.0
    assert accounts.get(Target.of(intent)).breaker.pause_s(monotonic_s()) == 0


async def test_a_server_that_hangs_holds_up_its_own_live_posts_only(bench: Bench) -> None:
    slow, quick = Stub(), Stub()
    accounts = accounts_of(bench, {"slow": slow, "quick": quick})
    for name in ("slow", "quick"):
        await live(bench, accounts, name)
    slow.hangs_s = 30.0
    keeper = Keeper(bench.bus, libraries_of(bench, [bench.library], "slow", "quick"), accounts, Statuses())
    await bench.show(FULL, 3)
    async with hearing(keeper):
        running_ = asyncio.create_task(keeper.run())
        await until(lambda: bool(quick.updated))
        running_.cancel()
        await asyncio.gather(running_, return_exceptions=True)
    assert not slow.updated


async def test_the_live_posts_of_one_account_take_turns(bench: Bench) -> None:
    stub = Stub()
    accounts = accounts_of(bench, {"bib": stub}, live=Live.RETAIN)
    names = [new_library() for _ in range(5)]
    keeper = Keeper(bench.bus, libraries_of(bench, names, "bib"), accounts, Statuses())
    async with hearing(keeper):
        for name in names:
            status = told(name, 2, FEW, datetime.now(UTC))
            body = PublicStatus.of(status, sentences_for(status)).model_dump_json().encode()
            await bench.bus.bucket(subjects.STATUS).put(name, body)
        for _ in range(4):
            await asyncio.sleep(0.1)
            await keeper.look()
    assert {each.library for each in stub.sent} == set(names)


async def test_a_record_that_has_aged_out_begins_no_post_of_its_own(bench: Bench) -> None:
    stub = Stub()
    accounts = accounts_of(bench, {"bib": stub})
    post = await live(bench, accounts)
    await bench.show(FULL, 3)
    keeper = bench.keeper(accounts)
    async with hearing(keeper):
        pass
    subject = subjects.key_subject(subjects.DELIVERIES, post.intent.live_key)
    await bench.bus.jetstream.purge_stream(subjects.bucket_stream(subjects.DELIVERIES), subject=subject)
    await keeper.look()
    assert len(stub.sent) == 1


async def test_an_edit_that_is_refused_leaves_the_post_told_as_untrue(bench: Bench) -> None:
    stub = Stub(edited=Rejected("HTTP 400"))
    accounts = accounts_of(bench, {"bib": stub})
    before = await live(bench, accounts)
    await bench.show(FULL, 3)
    keeper = bench.keeper(accounts)
    await kept(keeper)
    after = (await load(bench.bus, before.intent.live_key)).post
    assert after is not None
    assert after.intent == before.intent
    assert after.not_before is not None
    assert len(stub.updated) == 1
    assert keeper._untrue_since


@pytest.mark.parametrize("change", ["removed", "moved"])
async def test_the_live_post_of_a_channel_that_is_taken_away_is_taken_down(
    bench: Bench, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "ORPHANED_S", 0.1)
    stub = Stub()
    accounts = accounts_of(bench, {"bib": stub})
    post = await live(bench, accounts)
    await bench.show(FULL, 3)
    libraries = Libraries()
    moved = Configured.model_validate(
        {"type": "mastodon", "account": "bib", "server": "https://elsewhere.example", "languages": ("fr",)}
    )
    libraries.put(configuration(bench.library, *([moved] if change == "moved" else [])))
    keeper = Keeper(bench.bus, libraries, accounts, Statuses())
    async with hearing(keeper):
        for _ in range(6):
            await asyncio.sleep(0.1)
            await keeper.look()
    assert post.remote_id in stub.retired
    assert not stub.updated
    assert (await load(bench.bus, post.intent.live_key)).post is None
    assert not keeper._untrue_since
    anew = bench.intent(9, situation=FULL)
    await carry(Outbox(bench.bus, accounts), anew)
    begun = (await load(bench.bus, anew.live_key)).post
    assert begun is not None
    assert begun.made_key == anew.key


async def test_an_answer_nobody_expected_of_a_look_up_is_no_reason_to_send(bench: Bench) -> None:
    stub = Stub(found=Unknown("HTTP 502"))
    accounts = accounts_of(bench, {"bib": stub})
    intent = bench.intent()
    stub.fault = RuntimeError()
    await Outbox(bench.bus, accounts).deliver(intent)
    stub.fault = None
    await asyncio.sleep(0.05)
    assert isinstance(await Outbox(bench.bus, accounts).deliver(intent), Again)
    assert stub.sent == []
