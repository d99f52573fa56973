"""Signed webhooks keep what every channel promises, and what their specifications ask for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from services.publisher import channels
from services.publisher.channels.channel import Blocked, Done, Misconfigured, NoCredentials, Rejected, Target
from services.publisher.channels.webhook import CHANNEL
from shared.contracts.configuration import Channel as Configured
from tests.adapters import suite
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld
from tests.fakes.http_server import listening
from tests.fakes.webhook import FakeReceiver

KEY = b64encode(f"{CANARY} and then some bytes".encode()).decode()


class Webhook(ServedWorld[FakeReceiver]):
    type = "webhook"

    @property
    def server(self) -> str:
        return super().server + self.fake.path

    @property
    def secret(self) -> str:
        return f'secret = "{self.fake.secret}"'

    async def public(self) -> list[str]:
        return [each["data"]["texts"]["long"] for each in self.fake.events.values()]


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    async with listening(FakeReceiver(secret=f"whsec_{KEY}")) as receiver:
        yield receiver


@pytest.fixture
def world(receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    # The key is base64, so what must not be told is that.
    monkeypatch.setattr(suite, "CANARY", KEY)
    return Webhook(receiver)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestWebhook(ChannelSuite):
    async def test_an_event_says_all_that_is_public(self, bench: Bench, receiver: FakeReceiver) -> None:
        intent = bench.intent()
        assert isinstance(await bench.channel().send(intent), Done)
        (event,) = receiver.events.values()
        assert event["type"] == "org.placelibre.post.announcement"
        assert event["subject"] == intent.library
        data = event["data"]
        assert (data["language"], data["kind"], data["url"]) == ("fr", "announcement", intent.url)
        assert intent.status is not None
        assert data["status"] == intent.status.model_dump(mode="json")

    async def test_a_repeated_message_is_the_same_to_its_receiver(self, bench: Bench, receiver: FakeReceiver) -> None:
        intent, channel = bench.intent(), bench.channel()
        assert isinstance(await channel.send(intent), Done)
        assert isinstance(await channel.send(intent), Done)
        assert (len(receiver.events), receiver.repeated) == (1, 1)

    async def test_another_secret_is_refused_by_the_receiver(self, bench: Bench, receiver: FakeReceiver) -> None:
        receiver.secret = "whsec_" + b64encode(b"another key of some bytes.").decode()
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Blocked)
        assert "secret" in outcome.reason

    @pytest.mark.parametrize(
        ("status", "kind"), [(410, Blocked), (404, Blocked), (405, Blocked), (308, Blocked), (400, Rejected)]
    )
    async def test_a_refusal_says_who_must_see_to_it(
        self, bench: Bench, receiver: FakeReceiver, status: int, kind: type[object]
    ) -> None:
        receiver.status = status
        assert isinstance(await bench.channel().send(bench.intent()), kind)

    async def test_a_redirect_is_not_followed(self, bench: Bench, receiver: FakeReceiver) -> None:
        async with listening(FakeReceiver(secret=receiver.secret)) as inner:
            receiver.status, receiver.redirect = 307, inner.base + inner.path
            assert isinstance(await bench.channel().send(bench.intent()), Blocked)
            assert inner.requests == []

    @pytest.mark.parametrize(
        "secret", ["", "whsec_", "whsec_dG9vIHNob3J0", f"other_{KEY}", f"whsec_{KEY}!", "whsec_" + "QUJD" * 30]
    )
    async def test_what_is_no_key_is_refused_before_anything_is_sent(self, bench: Bench, secret: str) -> None:
        target = bench.world.target
        (bench.means.secrets_dir / target.secret_name).write_text(f'secret = "{secret}"')
        with pytest.raises(NoCredentials, match="secret") as caught:
            CHANNEL.make(target, bench.means)
        assert not secret or secret not in str(caught.value)

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("https://user:pass@receiver.example/hook", "password"),
            ("http://receiver.example/hook", "https"),
            ("http://169.254.169.254/latest", "https"),
            ("", "https"),
        ],
    )
    def test_an_address_that_others_could_read_or_that_leads_inside_is_refused(
        self, bench: Bench, address: str, reason: str
    ) -> None:
        with pytest.raises(Misconfigured, match=reason) as caught:
            CHANNEL.make(Target("webhook", "bib", address, {}), bench.means)
        assert "pass@" not in str(caught.value)
        assert channels.faults(Configured(type="webhook", account="bib", server=address)) or "@" in address
