"""What `placelibre posts` says and does: rehearsals, approvals, and trying again what was given up on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cli.configuration_check import check_text
from cli.posting.deliveries import dead_letters, decide_on, replayed, spoken
from cli.posting.rehearsal import past_from_bus, past_from_simulation
from cli.posts import app
from cli.speech import Said, speech_of
from services.publisher.channels.means import Means
from shared.contracts import subjects
from shared.contracts.configuration import Channel
from shared.contracts.posts import Approval, Delivery, DeliveryState
from shared.domain.library import Library
from shared.runtime.bus import Bus
from shared.runtime.opening_hours import OsmOpeningHours
from tests.adapters.suite import Bench, World, carry
from tests.conftest import ROOT
from tests.fakes.announcements import FEW, FULL, OPEN, change_of, configuration, new_library, now
from tests.fakes.http_server import Fault, listening
from tests.fakes.mastodon import DIALECTS, TOKEN, FakeMastodon

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
DAY = date(2026, 11, 25)


def example(name: str, *channels: Channel) -> Library:
    found = next(each for each in check_text((ROOT / "libraries.toml").read_text(), NOW).libraries if each.id == name)
    config = found.model_copy(update={"channels": channels}) if channels else found
    return config.to_domain(OsmOpeningHours)


def rehearsed(library: Library) -> list[Said]:
    return speech_of(library, past_from_simulation(library, DAY, 1, NOW))


def test_a_rehearsal_says_each_decision_and_its_reason() -> None:
    speech = rehearsed(example("bpi"))
    posts = [each for each in speech if each.verdict == "post"]
    assert {each.language for each in posts} == {"fr", "en"}
    assert all(each.text and not each.reason for each in posts)
    silent = [each for each in speech if each.verdict in {"hold", "skip"}]
    assert silent
    assert all(each.reason and not each.text for each in silent)
    assert [each.at for each in speech] == sorted(each.at for each in speech)


def test_a_channel_that_keeps_a_live_post_is_rehearsed_with_its_edits() -> None:
    channel = Channel.model_validate(
        {"type": "mastodon", "account": "a", "server": "http://127.0.0.1:1", "languages": ("fr",)}
    )
    speech = rehearsed(example("bpi", channel))
    live = [each for each in speech if each.is_live]
    assert [each.verdict for each in live][:2] == ["post", "edit"]
    assert sum(each.verdict == "post" for each in live) == 1
    last = [each for each in live if each.verdict == "edit"][-1]
    assert "fermée" in last.text


def test_a_digest_is_rehearsed_as_one_word_at_closing() -> None:
    channel = Channel.model_validate(
        {"type": "email", "account": "a", "sender": "a@b.example", "recipients": ["c@d.example"]}
    )
    said = [each for each in rehearsed(example("bpi", channel)) if each.verdict == "post"]
    assert len(said) == 1
    assert f"{said[0].at:%H:%M}" == "22:00"


def test_the_command_prints_a_rehearsal_for_people_and_for_programs() -> None:
    arguments = ["--dry-run", "--library", "quartier", "--date", "2026-11-25", "--config", str(ROOT / "libraries.toml")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    assert "dry run" in shown.stdout
    fields = json.loads(CliRunner().invoke(app, [*arguments, "--json", "--only-said"]).stdout)
    assert {each["decision"] for each in fields} == {"post"}
    assert {each["library"] for each in fields} == {"quartier"}


async def test_what_really_happened_is_rehearsed_from_the_bus(operator: Bus) -> None:
    name = new_library()
    library = configuration(name, Channel(type="console")).to_domain(OsmOpeningHours)
    begin = now() - timedelta(hours=3)
    for number, situation in enumerate((FEW, FULL, OPEN), start=2):
        change = change_of(name, number, situation, begin + timedelta(hours=number - 2))
        await operator.publish(subjects.change(name), change.model_dump_json().encode())
    past = await past_from_bus(operator, library, begin + timedelta(minutes=30))
    assert [each.change for each in speech_of(library, past)] == [f"{name}.3", f"{name}.4"]


# Against the outbox


class Mastodon(World):
    type = "mastodon"
    secret = TOKEN

    def __init__(self, server: FakeMastodon) -> None:
        self.fake = server

    @property
    def server(self) -> str:
        return self.fake.base

    def script(self, *faults: Fault) -> None:
        self.fake.faults.extend(faults)

    async def public(self) -> list[str]:
        return [each.text for each in self.fake.posts]


@pytest.fixture
async def bench(operator: Bus, tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "mastodon-bib").write_text(TOKEN)
    async with (
        listening(FakeMastodon(dialect=DIALECTS["gotosocial"])) as server,
        httpx.AsyncClient(timeout=0.4) as client,
    ):
        yield Bench(Mastodon(server), operator, Means(client, tmp_path, operator))


async def test_a_post_waits_until_somebody_approves_it(bench: Bench) -> None:
    intent = bench.intent().model_copy(update={"needs_approval": True})
    outbox = bench.outbox()
    await outbox.deliver(intent)
    assert await bench.world.public() == []
    (waiting,) = [each for each in await spoken(bench.bus, ()) if each.state is DeliveryState.AWAITING]
    assert waiting.text == intent.texts.long
    assert await decide_on(bench.bus, "0" * 12, "desk", now(), is_approved=True) is None
    found = await decide_on(bench.bus, intent.key[:12], "desk", now(), is_approved=True)
    assert found is not None
    await carry(outbox, intent)
    assert len(await bench.world.public()) == 1


async def test_a_post_that_somebody_refuses_does_not_go_out(bench: Bench) -> None:
    intent = bench.intent().model_copy(update={"needs_approval": True})
    word = Approval(is_approved=False, by="desk", at=now())
    key = subjects.approval_key(intent.library, intent.key)
    await bench.bus.bucket(subjects.APPROVALS).put(key, word.model_dump_json().encode())
    await carry(bench.outbox(), intent)
    assert await bench.world.public() == []
    record = await bench.record(intent)
    assert record is not None
    assert (record.state, record.reason) == (DeliveryState.REFUSED, "by desk")


async def test_what_was_given_up_on_is_tried_again_by_one_command(bench: Bench) -> None:
    secret = bench.means.secrets_dir / "mastodon-bib"
    secret.unlink()
    intent = bench.intent()
    await carry(bench.outbox(), intent)
    (letter,) = await dead_letters(bench.bus)
    assert letter.intent == intent
    assert "mastodon-bib" in letter.reason
    secret.write_text(TOKEN)
    ((_, words),) = await replayed(bench.bus, intent.key[:12], now())
    assert words == "tried again"
    message = await bench.bus.jetstream.get_msg(subjects.POSTS, await bench.bus.last_sequence(subjects.POSTS))
    assert message.subject == intent.subject
    await carry(bench.outbox(), intent)
    assert len(await bench.world.public()) == 1
    assert await dead_letters(bench.bus) == []


async def test_what_is_too_old_or_overtaken_is_not_tried_again(bench: Bench) -> None:
    (bench.means.secrets_dir / "mastodon-bib").unlink()
    intent = bench.intent()
    await carry(bench.outbox(), intent)
    ((_, words),) = await replayed(bench.bus, "", intent.valid_until)
    assert "it was to go out before" in words
    newer = Delivery(key="f" * 64, revision=9, state=DeliveryState.DONE, at=now())
    await bench.bus.bucket(subjects.DELIVERIES).put(intent.delivery_key, newer.model_dump_json().encode())
    assert await dead_letters(bench.bus) == []
    assert await replayed(bench.bus, "", now()) == []
