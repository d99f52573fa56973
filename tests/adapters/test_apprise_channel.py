"""Apprise keeps what every channel promises, as far as a channel can that tells success from failure and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import apprise
import pytest

from services.publisher.channels.apprise import CHANNEL
from services.publisher.channels.channel import Done, NoCredentials, Unknown
from services.publisher.delivery import Finished
from shared.contracts.posts import DeliveryState
from tests.adapters.suite import CANARY, HASTY, Bench, ChannelSuite, World, carry
from tests.fakes.http_server import FakeServer, Fault, Request, Response, listening

# Apprise loads all its services at once, and one of them loads a module that Python has given up.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
FIELDS = {"version", "title", "message", "attachments", "type"}


@dataclass
class JsonService(FakeServer):
    """Takes what Apprise's own json:// sends, at a secret path."""

    messages: list[str] = field(default_factory=list)

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Response:
        if request.path != f"/{CANARY}":
            return Response(404)
        body = request.json()
        if set(body) != FIELDS or body["attachments"]:
            return Response(400)
        self.messages.append(body["message"])
        return Response(200)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/{CANARY}"


class LongTail(World):
    patience = replace(HASTY, send_s=1.2, lease_s=2.0)  # the library works in threads, and these machines are busy
    type = "apprise"

    def __init__(self, service: JsonService) -> None:
        self.service = service

    @property
    def secret(self) -> str:
        return f"# our only one\n{self.service.url}\n"

    def script(self, *faults: Fault) -> None:
        self.service.faults.extend(faults)

    async def public(self) -> list[str]:
        return self.service.messages

    def dialled(self) -> int:
        return len(self.service.requests)


@pytest.fixture
async def service() -> AsyncIterator[JsonService]:
    async with listening(JsonService()) as service:
        yield service


@pytest.fixture
def world(service: JsonService) -> LongTail:
    apprise.Apprise("json://localhost")  # the first one loads every plug-in, for longer than these tests are patient
    return LongTail(service)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestApprise(ChannelSuite):
    async def test_refused_credentials_end_the_post_and_leave_the_account_alone(
        self, bench: Bench, world: World
    ) -> None:
        """Apprise does not say that it was the credentials: the post is tried twice, then left."""
        world.script("401", "401")
        outbox, intent = bench.outbox(), bench.intent()
        await carry(outbox, intent)
        record = await bench.record(intent)
        assert record is not None
        assert record.state is DeliveryState.UNSURE
        dialled = world.dialled()
        assert isinstance(await outbox.deliver(intent), Finished)
        assert (world.dialled(), await world.public()) == (dialled, [])

    async def test_a_text_is_sent_as_it_is(self, bench: Bench, service: JsonService) -> None:
        intent = bench.intent()
        outcome = await bench.channel().send(intent)
        assert isinstance(outcome, Done)
        assert service.messages == [outcome.text]
        assert outcome.text.startswith(intent.texts.long)

    async def test_who_has_a_post_does_not_get_it_again(self, bench: Bench, service: JsonService) -> None:
        target = bench.world.target
        async with listening(JsonService()) as second:
            (bench.means.secrets_dir / target.secret_name).write_text(f"{service.url}\n\n{second.url}?retry=3&wait=0")
            second.faults.extend(["500"])
            channel, intent = bench.channel(), bench.intent()
            outcome = await channel.send(intent)
            assert isinstance(outcome, Unknown)
            assert outcome.reason.endswith("number 2")
            assert isinstance(await channel.send(intent), Done)
            assert (len(service.messages), len(second.messages)) == (1, 1)

    @pytest.mark.parametrize(
        "secret",
        ["# nothing", f"nonsense {CANARY}", f"nosuch://{CANARY}", f"json://x\nslack://{CANARY}", "json://x\n" * 21],
    )
    async def test_an_address_that_apprise_does_not_know_is_named_by_its_number(
        self, bench: Bench, secret: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = bench.world.target
        (bench.means.secrets_dir / target.secret_name).write_text(secret)
        with pytest.raises(NoCredentials, match="apprise-bib") as caught:
            CHANNEL.make(target, bench.means)
        said = capsys.readouterr()
        assert CANARY not in str(caught.value) + caplog.text + said.out + said.err
