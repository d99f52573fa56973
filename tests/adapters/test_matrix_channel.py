"""Matrix keeps what every channel promises, over a strict stand-in and over a real Synapse."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from services.publisher.accounts import Patience
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    Done,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Throttled,
    Unknown,
)
from services.publisher.channels.matrix import MatrixChannel
from services.publisher.channels.means import Means
from services.publisher.delivery import Finished
from shared.contracts.posts import PostIntent
from shared.contracts.status import Sentences
from shared.runtime.bus import Bus
from tests.adapters import suite
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld, World
from tests.fakes.cutting_proxy import CuttingProxy, cutting
from tests.fakes.http_server import Fault, Request, listening
from tests.fakes.matrix import DOMAIN, FakeMatrix
from tests.servers import synapse
from tests.servers.synapse import Synapse

TOKEN = f"syt_{CANARY}"
PASSWORD = f"pass-{CANARY}"
BOT = f"@bib:{DOMAIN}"
STAFF = f"@staff:{DOMAIN}"


class StandIn(ServedWorld[FakeMatrix]):
    """The channel with a stand-in behind it; its account has a token."""

    type = "matrix"

    def __init__(self, fake: FakeMatrix) -> None:
        super().__init__(fake)
        self.options = {"room": fake.room}
        self.credentials = f'access_token = "{TOKEN}"\n'

    @property
    def secret(self) -> str:
        return self.credentials

    async def public(self) -> list[str]:
        return self.fake.public()

    async def pinned(self) -> list[str]:
        events = [self.fake.event(each) for each in self.fake.pins()]
        return [self.fake.shown(each) for each in events if each and not each.redacted_by]


@pytest.fixture
async def fake() -> AsyncIterator[FakeMatrix]:
    server = FakeMatrix(
        passwords={"bib": PASSWORD},
        sessions={TOKEN: (BOT, "FIRST"), "staff": (STAFF, "S")},
        members={BOT, STAFF},
        levels={BOT: 50, STAFF: 100},
    )
    async with listening(server):
        yield server


@pytest.fixture
def stand_in(fake: FakeMatrix) -> StandIn:
    return StandIn(fake)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestMatrix(ChannelSuite):
    @pytest.fixture
    def world(self, stand_in: StandIn) -> World:
        return stand_in


# What is Matrix's own, over the stand-in


@dataclass
class Own:
    """A bench over the stand-in, for single operations of the adapter."""

    bench: Bench
    fake: FakeMatrix
    world: StandIn

    def credentials(self, words: str) -> None:
        (self.bench.means.secrets_dir / "matrix-bib").write_text(words)

    def log_in_with_password(self) -> None:
        self.credentials(f'user = "bib"\npassword = "{PASSWORD}"\n')
        self.fake.sessions.pop(TOKEN)


@pytest.fixture
async def own(fake: FakeMatrix, stand_in: StandIn, operator: Bus, tmp_path: Path) -> AsyncIterator[Own]:
    (tmp_path / "matrix-bib").write_text(stand_in.secret)
    async with httpx.AsyncClient(timeout=2.0) as client:
        yield Own(Bench(stand_in, operator, Means(client, tmp_path, operator)), fake, stand_in)


async def test_a_log_in_is_made_once_and_kept_over_a_restart(own: Own) -> None:
    own.log_in_with_password()
    for revision in (2, 3, 4):
        assert isinstance(await own.bench.channel().send(own.bench.intent(revision)), Done)
    assert own.fake.log_ins == 1


async def test_a_session_that_the_server_has_ended_is_begun_anew_on_the_same_device(own: Own) -> None:
    own.log_in_with_password()
    channel = own.bench.channel()
    await channel.send(own.bench.intent(2))
    devices = {device for _, device in own.fake.sessions.values()}
    own.fake.sessions = {"staff": (STAFF, "S")}
    assert isinstance(await channel.send(own.bench.intent(3)), Done)
    assert own.fake.log_ins == 2
    assert {device for _, device in own.fake.sessions.values()} == devices


async def test_a_session_that_another_process_has_begun_is_taken_over(own: Own) -> None:
    own.log_in_with_password()
    first, second = own.bench.channel(), own.bench.channel()
    await first.send(own.bench.intent(2))
    await second.send(own.bench.intent(3))
    own.fake.sessions = {"staff": (STAFF, "S")}
    for channel, revision in ((first, 4), (second, 5)):
        assert isinstance(await channel.send(own.bench.intent(revision)), Done)
    assert own.fake.log_ins == 2


async def test_a_wrong_password_blocks_and_is_not_told(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    own.log_in_with_password()
    own.fake.passwords["bib"] = "another"
    outcome = await own.bench.channel().send(own.bench.intent())
    assert isinstance(outcome, Blocked)
    assert "password" in outcome.reason
    assert CANARY not in outcome.reason + caplog.text


@pytest.mark.parametrize("words", ['user = "bib"', 'device_id = "D"', f"{CANARY}", 'access_token = ""'])
async def test_credentials_that_cannot_serve_block_and_name_the_file(own: Own, words: str) -> None:
    own.credentials(words)
    intent = own.bench.intent()
    assert isinstance(await own.bench.outbox().deliver(intent), Finished)
    record = await own.bench.record(intent)
    assert record is not None
    assert "matrix-bib" in record.reason
    assert CANARY not in record.reason


async def test_an_encrypted_room_is_not_posted_to(own: Own) -> None:
    own.fake.is_encrypted = True
    channel = own.bench.channel()
    assert any("encrypted" in each for each in await channel.inspect())
    outcome = await channel.send(own.bench.intent())
    assert isinstance(outcome, Blocked)
    assert "encrypted" in outcome.reason
    assert own.fake.public() == []


async def test_a_room_may_be_named_by_its_alias(own: Own) -> None:
    own.world.options = {"room": own.fake.alias}
    channel = own.bench.channel()
    for revision in (2, 3):
        assert isinstance(await channel.send(own.bench.intent(revision)), Done)
    assert sum("/directory/" in each.path for each in own.fake.requests) == 1
    own.world.options = {"room": f"#another:{DOMAIN}"}
    assert isinstance(await own.bench.channel().send(own.bench.intent(4)), Blocked)


async def test_an_invitation_is_accepted(own: Own) -> None:
    own.fake.members, own.fake.invited = {STAFF}, {BOT}
    channel = own.bench.channel()
    assert isinstance(await channel.send(own.bench.intent()), Done)
    assert await channel.inspect() == ()


async def test_who_is_not_invited_is_told_so(own: Own) -> None:
    own.fake.members = {STAFF}
    channel = own.bench.channel()
    assert any("invite" in each for each in await channel.inspect())
    assert isinstance(await channel.send(own.bench.intent()), Blocked)


async def test_without_the_right_to_pin_posts_go_out_all_the_same(own: Own) -> None:
    own.fake.levels[BOT] = 0
    channel = own.bench.channel()
    assert any("pin" in each for each in await channel.inspect())
    done = await channel.send(own.bench.intent())
    assert isinstance(done, Done)
    assert isinstance(await channel.pin(done.remote_id), Rejected)


async def test_without_the_right_to_speak_the_account_is_blocked(own: Own) -> None:
    own.fake.levels |= {BOT: 0, "events_default": 50}
    channel = own.bench.channel()
    assert any("may not send" in each for each in await channel.inspect())
    assert isinstance(await channel.send(own.bench.intent()), Blocked)


async def test_others_pins_stay_and_those_of_other_languages(own: Own) -> None:
    channel = own.bench.channel()
    posts = []
    for revision, language in ((2, "fr"), (3, "en"), (4, "fr")):
        done = await channel.send(own.bench.intent(revision, language=language))
        assert isinstance(done, Done)
        posts.append(done.remote_id)
    theirs = own.fake.say(STAFF, "House rules")
    many = [f"$unknown{each}" for each in range(40)]
    own.fake.set_pins(STAFF, [theirs, *many])
    for post in posts:
        assert isinstance(await channel.pin(post), Done)
        assert isinstance(await channel.pin(post), Done)
    assert own.fake.pins() == [theirs, *many, posts[1], posts[2]]


async def test_the_pin_of_a_post_that_is_taken_down_is_let_go(own: Own) -> None:
    channel = own.bench.channel()
    first, second = [await channel.send(own.bench.intent(each)) for each in (2, 3)]
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    await channel.pin(first.remote_id)
    await channel.retire(first.remote_id)
    await channel.pin(second.remote_id)
    assert own.fake.pins() == [second.remote_id]
    assert isinstance(await channel.pin(first.remote_id), Rejected)


async def test_twins_of_another_device_are_found(own: Own) -> None:
    intent = own.bench.intent()
    sent = []
    for device in ("FIRST", "SECOND"):  # the device is new after a log-out, and its transactions are forgotten
        own.fake.sessions[TOKEN] = (BOT, device)
        done = await own.bench.channel().send(intent)
        assert isinstance(done, Done)
        sent.append(done.remote_id)
    found = await own.bench.channel().look_up(intent)
    assert isinstance(found, Done)
    assert (found.remote_id, found.twins) == (sent[0], (sent[1],))
    assert isinstance(await own.bench.channel().look_up(own.bench.intent(9)), NotFound)


@pytest.mark.slow
async def test_a_post_is_found_behind_many_edits(own: Own) -> None:
    channel = own.bench.channel()
    intent = own.bench.intent()
    post = await channel.send(intent)
    assert isinstance(post, Done)
    for revision in range(3, 130):
        await channel.update(own.bench.intent(revision), post.remote_id)
    found = await channel.look_up(intent)
    assert isinstance(found, Done)
    assert found.remote_id == post.remote_id


async def test_a_text_too_long_gives_way_to_a_shorter_one(own: Own) -> None:
    intent = too_long(own.bench.intent())
    done = await own.bench.channel().send(intent)
    assert isinstance(done, Done)
    assert done.text.startswith("short")
    texts = Sentences(long="x" * 70_000, short="y" * 70_000, shortest="z" * 70_000)
    nothing_fits = own.bench.intent(3).model_copy(update={"texts": texts})
    assert isinstance(await own.bench.channel().send(nothing_fits), Rejected)


async def test_a_message_shows_the_plain_address_and_escapes_the_rest(own: Own) -> None:
    intent = own.bench.intent()
    texts = Sentences(long="Bib <b>& co</b>", short="", shortest="")
    await own.bench.channel().send(intent.model_copy(update={"texts": texts, "hashtags": ("Bib",)}))
    content = own.fake.events[-1].content
    marked = content["body"].splitlines()[1]
    assert content["msgtype"] == "m.notice"
    assert content["formatted_body"] == (
        f'Bib &lt;b&gt;&amp; co&lt;/b&gt;<br/><a href="{marked}">{intent.url}</a><br/>#Bib'
    )


async def test_a_server_that_is_not_there_has_got_nothing(own: Own) -> None:
    own.fake.port = 1
    assert isinstance(await own.bench.channel().send(own.bench.intent()), NotSent)


async def test_a_token_of_another_device_than_noted_is_told(own: Own) -> None:
    own.credentials(f'access_token = "{TOKEN}"\ndevice_id = "SECOND"\n')
    assert any("device" in each for each in await own.bench.channel().inspect())


def too_long(intent: PostIntent) -> PostIntent:
    texts = Sentences(long="x" * 66_000, short="short", shortest="shortest")
    return intent.model_copy(update={"texts": texts})


# The same over a real server

PATIENT = Patience(send_s=2.0, lease_s=2.5, unknown_wait_s=0.05, retry_min_s=0.005, retry_max_s=0.02)
"""A real server on a busy machine takes its time for a post; what a fault costs is the client's timeout below."""
READ_S = 0.6


@dataclass
class Room:
    """A room on a real homeserver: staff, who have made it and look at it, and the bot."""

    server: Synapse
    staff: httpx.Client
    id: str
    user: str
    password: str
    token: str

    @property
    def path(self) -> str:
        return f"/rooms/{quote(self.id, safe='')}"

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        answer = self.staff.request(method, path, json=body, params=query)
        answer.raise_for_status()
        return answer.json()

    def events(self) -> list[Any]:
        chunk: list[Any] = self.ask("GET", f"{self.path}/messages", dir="b", limit="500")["chunk"]
        return [each for each in chunk if each["type"] == "m.room.message"][::-1]

    def shown(self, event: Any) -> str:
        """Return what clients show: the newest edit, as the spec has them put it together."""
        newest = event["unsigned"].get("m.relations", {}).get("m.replace")
        return str(newest["content"]["m.new_content"]["body"] if newest else event["content"]["body"])

    def public(self) -> list[str]:
        posts = [each for each in self.events() if each["content"] and "m.relates_to" not in each["content"]]
        return [self.shown(each) for each in posts]

    def pins(self) -> list[str]:
        answer = self.staff.get(f"{self.path}/state/m.room.pinned_events")
        return list(answer.json()["pinned"]) if answer.is_success else []


def new_room(server: Synapse, **settings: Any) -> Room:
    name = token_hex(4)
    password = f"pass-{CANARY}-{name}"
    _, staff_token = server.register(f"staff-{name}", password)
    user, token = server.register(f"bib-{name}", password)
    headers = {"Authorization": f"Bearer {staff_token}"}
    staff = httpx.Client(base_url=f"{server.base}/_matrix/client/v3", headers=headers, timeout=30)
    powers = {"users": {user: 50}}
    wish = {"preset": "private_chat", "invite": [user], "power_level_content_override": powers, **settings}
    room = staff.post("/createRoom", json=wish).raise_for_status().json()["room_id"]
    return Room(server, staff, room, user, password, token)


@dataclass
class RealRoom(World):
    """A room with a proxy before its server, on which faults are scripted."""

    room: Room
    proxy: CuttingProxy
    type: str = "matrix"
    credentials: str = ""
    options: dict[str, object] = field(default_factory=dict)

    @property
    def server(self) -> str:
        return self.proxy.base

    @property
    def secret(self) -> str:
        return self.credentials or f'access_token = "{self.room.token}"\n'

    def script(self, *faults: Fault) -> None:
        self.proxy.faults.extend(faults)

    async def public(self) -> list[str]:
        return self.room.public()

    async def pinned(self) -> list[str]:
        by_id = {each["event_id"]: each for each in self.room.events()}
        return [self.room.shown(by_id[each]) for each in self.room.pins() if by_id[each]["content"]]

    def dialled(self) -> int:
        return len(self.proxy.requests)


@pytest.fixture(scope="module")
def homeserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    if reason := synapse.missing():
        pytest.skip(reason)
    with synapse.running(tmp_path_factory.mktemp("synapse")) as server:
        yield server


def is_put(request: Request) -> bool:
    return request.method == "PUT"


@pytest.fixture
async def real(homeserver: Synapse) -> AsyncIterator[RealRoom]:
    room = new_room(homeserver)
    async with cutting(homeserver.base, is_put) as proxy:
        yield RealRoom(room, proxy, options={"room": room.id})
    room.staff.close()


@pytest.fixture
async def real_bench(real: RealRoom, operator: Bus, tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "matrix-bib").write_text(real.secret)
    async with httpx.AsyncClient(timeout=httpx.Timeout(READ_S, connect=2.0), follow_redirects=False) as client:
        yield Bench(real, operator, Means(client, tmp_path, operator))


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
@pytest.mark.servers
class TestSynapse(ChannelSuite):
    @pytest.fixture
    def world(self, real: RealRoom, monkeypatch: pytest.MonkeyPatch) -> World:
        monkeypatch.setattr(suite, "HASTY", PATIENT)
        monkeypatch.setattr(suite, "CANARY", real.room.token)  # a real server draws its tokens itself
        return real

    @pytest.fixture
    async def bench(self, real_bench: Bench) -> Bench:
        return real_bench


@pytest.mark.servers
class TestSynapseAlone:
    async def test_a_lost_reply_is_one_post_and_another_text_has_another_transaction(
        self, real: RealRoom, real_bench: Bench
    ) -> None:
        channel, intent = real_bench.channel(), too_long(real_bench.intent())
        first = await channel.send(intent)
        again = await channel.send(intent)
        assert isinstance(first, Done)
        assert first == again
        assert [each.partition("\n")[0] for each in real.room.public()] == ["short"]
        sent = [each.path.rpartition("/")[2] for each in real.proxy.requests if "/send/" in each.path]
        assert len(set(sent)) == 2
        assert len(sent) == 4

    def log_in_as(self, real: RealRoom, bench: Bench, device: str = "") -> Channel:
        room = real.room
        words = f'user = "{room.user}"\npassword = "{room.password}"\ndevice_id = "{device}"\n'
        (bench.means.secrets_dir / "matrix-bib").write_text(words)
        return bench.channel()

    async def test_a_new_log_in_to_the_same_device_makes_no_second_post(
        self, real: RealRoom, real_bench: Bench
    ) -> None:
        intent = real_bench.intent()
        channel = self.log_in_as(real, real_bench)
        first = await channel.send(intent)
        assert isinstance(channel, MatrixChannel)
        real.room.server.log_out(await channel._account.token())
        assert await channel.send(intent) == first
        assert sum(each.path.endswith("/login") for each in real.proxy.requests) == 2
        assert len(real.room.public()) == 1

    async def test_the_twin_of_another_device_is_found_and_taken_down(self, real: RealRoom, real_bench: Bench) -> None:
        intent = real_bench.intent()
        first = await real_bench.channel().send(intent)
        assert isinstance(first, Done)
        other = self.log_in_as(real, real_bench, "SECOND")
        found = await other.look_up(intent)
        assert isinstance(found, Done)
        assert (found.remote_id, found.twins) == (first.remote_id, ())
        # Sent again all the same, as by a process that has not looked.
        second = await other.send(intent)
        assert isinstance(second, Done)
        found = await other.look_up(intent)
        assert isinstance(found, Done)
        assert (found.remote_id, found.twins) == (first.remote_id, (second.remote_id,))
        assert isinstance(await other.retire(second.remote_id), Done)
        assert len(real.room.public()) == 1

    async def test_a_given_token_that_is_ended_blocks(self, real: RealRoom, real_bench: Bench) -> None:
        channel = real_bench.channel()
        assert isinstance(await channel.send(real_bench.intent()), Done)
        real.room.server.log_out(real.room.token)
        assert isinstance(await channel.send(real_bench.intent(3)), Blocked)

    async def test_others_pins_stay(self, real: RealRoom, real_bench: Bench) -> None:
        channel = real_bench.channel()
        said = real.room.ask(
            "PUT", f"{real.room.path}/send/m.room.message/1", {"msgtype": "m.text", "body": "House rules"}
        )
        theirs = said["event_id"]
        real.room.ask("PUT", f"{real.room.path}/state/m.room.pinned_events", {"pinned": [theirs]})
        posts = []
        for revision in (2, 3):
            done = await channel.send(real_bench.intent(revision))
            assert isinstance(done, Done)
            assert isinstance(await channel.pin(done.remote_id), Done)
            posts.append(done.remote_id)
        assert real.room.pins() == [theirs, posts[1]]

    async def test_a_missing_right_to_pin_is_told_and_no_more(self, real: RealRoom, real_bench: Bench) -> None:
        real.room.ask("PUT", f"{real.room.path}/state/m.room.power_levels", {"users": {real.room.user: 0}})
        channel = real_bench.channel()
        findings = await channel.inspect()
        assert any("pin" in each for each in findings)
        done = await channel.send(real_bench.intent())
        assert isinstance(done, Done)
        assert isinstance(await channel.pin(done.remote_id), Rejected)

    async def test_who_has_made_the_room_lacks_nothing(self, real: RealRoom, real_bench: Bench) -> None:
        headers = {"Authorization": f"Bearer {real.room.token}"}
        url = f"{real.room.server.base}/_matrix/client/v3/createRoom"
        async with httpx.AsyncClient(timeout=30, headers=headers) as client:
            made = (await client.post(url, json={"preset": "public_chat"})).json()
        real.options = {"room": made["room_id"]}
        channel = real_bench.channel()
        assert await channel.inspect() == ()
        done = await channel.send(real_bench.intent())
        assert isinstance(done, Done)
        assert isinstance(await channel.pin(done.remote_id), Done)

    async def test_an_encrypted_room_is_not_posted_to(self, real: RealRoom, real_bench: Bench) -> None:
        wish = {"algorithm": "m.megolm.v1.aes-sha2"}
        real.room.ask("PUT", f"{real.room.path}/state/m.room.encryption", wish)
        channel = real_bench.channel()
        assert any("encrypted" in each for each in await channel.inspect())
        assert isinstance(await channel.send(real_bench.intent()), Blocked)

    async def test_who_is_not_invited_is_blocked(self, real: RealRoom, real_bench: Bench) -> None:
        closed = real.room.ask("POST", "/createRoom", {"preset": "private_chat"})
        real.options = {"room": closed["room_id"]}
        channel = real_bench.channel()
        assert any("invite" in each for each in await channel.inspect())
        assert isinstance(await channel.send(real_bench.intent()), Blocked)

    async def test_who_was_removed_stays_out_until_invited_again(self, real: RealRoom, real_bench: Bench) -> None:
        assert isinstance(await real_bench.channel().send(real_bench.intent()), Done)
        real.room.ask("POST", f"{real.room.path}/kick", {"user_id": real.room.user})
        assert isinstance(await real_bench.channel().send(real_bench.intent(3)), Blocked)
        real.room.ask("POST", f"{real.room.path}/invite", {"user_id": real.room.user})
        assert isinstance(await real_bench.channel().send(real_bench.intent(3)), Done)

    async def test_a_server_that_is_killed_knows_its_posts_when_it_is_back(self, operator: Bus, tmp_path: Path) -> None:
        if reason := synapse.missing():
            pytest.skip(reason)
        (tmp_path / "mortal").mkdir()
        with synapse.running(tmp_path / "mortal") as server:
            room = new_room(server)
            async with cutting(server.base, is_put) as proxy, httpx.AsyncClient(timeout=10) as client:
                world = RealRoom(room, proxy, options={"room": room.id})
                (tmp_path / "matrix-bib").write_text(world.secret)
                bench = Bench(world, operator, Means(client, tmp_path, operator))
                channel, intent = bench.channel(), bench.intent()
                world.script("cut")
                assert isinstance(await channel.send(intent), Unknown)
                server.kill()
                assert not isinstance(await channel.look_up(intent), Done | NotFound)
                assert not isinstance(await channel.send(intent), Done)
                server.start()
                found = await channel.look_up(intent)
                assert isinstance(found, Done)
                assert await channel.send(intent) == found
                assert len(room.public()) == 1
            room.staff.close()

    async def test_too_many_messages_are_throttled_with_the_servers_own_pause(
        self, operator: Bus, tmp_path: Path
    ) -> None:
        if reason := synapse.missing():
            pytest.skip(reason)
        home = tmp_path / "limited"
        home.mkdir()
        with synapse.running(home, is_limited=True) as server:
            room = new_room(server)
            async with cutting(server.base, is_put) as proxy, httpx.AsyncClient(timeout=10) as client:
                world = RealRoom(room, proxy, options={"room": room.id})
                (tmp_path / "matrix-bib").write_text(world.secret)
                bench = Bench(world, operator, Means(client, tmp_path, operator))
                channel = bench.channel()
                outcome: Outcome | None = None
                for revision in range(2, 32):
                    outcome = await channel.send(bench.intent(revision))
                    if not isinstance(outcome, Done):
                        break
            room.staff.close()
        assert isinstance(outcome, Throttled)
        assert 1 <= outcome.retry_after_s <= 6


@dataclass(frozen=True)
class Asked:
    """One request to a homeserver, with blanks for the room, the account's latest post and its token."""

    method: str
    path: str
    body: Any = None
    token: str = "{token}"


POSTED = {"msgtype": "m.notice", "body": "x"}
ASKED = {
    "whoami": Asked("GET", "/account/whoami"),
    "no token": Asked("GET", "/account/whoami", token=""),
    "a wrong token": Asked("GET", "/account/whoami", token="nobody"),
    "an alias that is not there": Asked("GET", "/directory/room/%23nothing%3Amatrix.example"),
    "entering again": Asked("POST", "/join/{room}", {}),
    "entering elsewhere": Asked("POST", "/join/!nothing%3Amatrix.example", {}),
    "a message": Asked("PUT", "/rooms/{room}/send/m.room.message/t1", POSTED),
    "a message again": Asked("PUT", "/rooms/{room}/send/m.room.message/t0", {**POSTED, "body": "y"}),
    "too long": Asked("PUT", "/rooms/{room}/send/m.room.message/t2", {**POSTED, "body": "x" * 66_000}),
    "no object": Asked("PUT", "/rooms/{room}/send/m.room.message/t3", []),
    "another room": Asked("PUT", "/rooms/!nothing%3Amatrix.example/send/m.room.message/t4", POSTED),
    "an event": Asked("GET", "/rooms/{room}/event/{post}"),
    "an event that is not there": Asked("GET", "/rooms/{room}/event/$nothing"),
    "messages": Asked("GET", "/rooms/{room}/messages?dir=b&limit=5"),
    "a state that is not there": Asked("GET", "/rooms/{room}/state/m.room.encryption"),
    "pins": Asked("PUT", "/rooms/{room}/state/m.room.pinned_events", {"pinned": ["{post}"]}),
    "no right to a state": Asked("PUT", "/rooms/{room}/state/m.room.server_acl", {"allow": ["*"]}),
    "a redaction": Asked("PUT", "/rooms/{room}/redact/{post}/r1", {}),
    "a redaction of nothing": Asked("PUT", "/rooms/{room}/redact/$nothing/r2", {}),
    "no such request": Asked("GET", "/nothing"),
    "a wrong password": Asked(
        "POST",
        "/login",
        {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "nobody"}, "password": "x"},
    ),
    "a log-in of no known kind": Asked("POST", "/login", {"type": "m.login.nothing"}),
}


async def answered(base: str, asked: Asked, **blanks: str) -> tuple[int, str, list[str]]:
    """Return the status, the error code and the names of the fields of an answer."""
    path = asked.path.format(**blanks)
    body = None if asked.body is None else json.loads(json.dumps(asked.body).replace("{post}", blanks["post"]))
    token = asked.token.format(**blanks)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(timeout=30) as client:
        url = f"{base}/_matrix/client/v3{path}"
        response = await client.request(asked.method, url, headers=headers, **({} if body is None else {"json": body}))
    told = response.json()
    ours = {"event_id", "room_id", "device_id", "access_token", "chunk", "content", "sender", "soft_logout"}
    return response.status_code, told.get("errcode", ""), sorted(ours & told.keys())


@pytest.mark.servers
@pytest.mark.parametrize("what", ASKED)
async def test_the_stand_in_answers_as_synapse_does(real: RealRoom, fake: FakeMatrix, what: str) -> None:
    answers = []
    for base, token, room in (
        (real.room.server.base, real.room.token, real.room.id),
        (fake.base, TOKEN, fake.room),
    ):
        blanks = {"token": token, "room": quote(room, safe=""), "post": "$"}
        await answered(base, ASKED["entering again"], **blanks)
        async with httpx.AsyncClient(timeout=30) as client:
            url = f"{base}/_matrix/client/v3/rooms/{blanks['room']}/send/m.room.message/t0"
            made = await client.put(url, headers={"Authorization": f"Bearer {token}"}, json=POSTED)
        blanks["post"] = made.json()["event_id"]
        answers.append(await answered(base, ASKED[what], **blanks))
    assert answers[0] == answers[1]
