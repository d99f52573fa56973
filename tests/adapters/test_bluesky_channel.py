"""Bluesky keeps what every channel promises, over a strict stand-in and over a real server.

Both are asked the same questions, so that the stand-in is known to be as strict as what it stands for.
"""

from __future__ import annotations

import asyncio
import importlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.publisher import channels
from services.publisher.channels import bluesky
from services.publisher.channels.bluesky import BlueskyChannel, fits, record_key
from services.publisher.channels.channel import (
    Blocked,
    Done,
    Gone,
    NoCredentials,
    NotFound,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
    graphemes,
)
from services.publisher.channels.means import Means
from services.publisher.keeper import Keeper
from services.publisher.live_posts import load
from shared.contracts import subjects
from shared.contracts.posts import DeliveryState, PostIntent, PostKind
from shared.contracts.status import Sentences
from shared.domain.live_post import UNTRUE_AFTER
from shared.runtime.bus import Bus
from tests.adapters import suite
from tests.adapters.suite import CANARY, Bench, ChannelSuite, ServedWorld, carry, kept
from tests.fakes.announcements import FULL, OPEN, intent_of
from tests.fakes.bluesky import LOGINS_MAX, POST, PROFILE, TID, FakePds, Refused
from tests.fakes.cutting_proxy import CuttingProxy, cutting
from tests.fakes.http_server import Cut, FakeServer, Fault, Request, Response, listening
from tests.servers import pds as servers

REAL_PATIENCE: Final = replace(suite.HASTY, send_s=3.0, lease_s=4.0)
"""A log-in takes a real server a third of a second at least."""
REAL_TIMEOUT: Final = httpx.Timeout(2.0)
PROFILE_PLACE: Final = {"collection": PROFILE, "rkey": "self"}
needs_pds = pytest.mark.skipif(servers.missing() is not None, reason=str(servers.missing()))


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Load what the first post would wait for."""
    importlib.import_module("atproto_client.models")


class Bluesky(ServedWorld[FakeServer]):
    """A server with one account; `calls` are the procedures that have been called."""

    type = "bluesky"

    @property
    @abstractmethod
    def identifier(self) -> str:
        """The account's handle."""

    @property
    @abstractmethod
    def did(self) -> str:
        """The account's lasting name."""

    @property
    def secret(self) -> str:
        return f'identifier = "{self.identifier}"\npassword = "{CANARY}"\n'

    def calls(self, name: str) -> list[Request]:
        """Return the requests for one procedure, as in `repo.putRecord`."""
        return [each for each in self.fake.requests if each.path == f"/xrpc/com.atproto.{name}"]

    async def public(self) -> list[str]:
        return [str(each["text"]) for each in await self.posts()]

    async def pinned(self) -> list[str]:
        uri = (await self.get(**PROFILE_PLACE) or {}).get("pinnedPost", {}).get("uri", "")
        post = await self.get(POST, uri.rpartition("/")[2]) if uri else None
        return [str(post["text"])] if post else []

    @abstractmethod
    async def posts(self) -> list[dict[str, Any]]:
        """Return the records of the posts, the oldest first."""

    @abstractmethod
    async def get(self, collection: str, rkey: str) -> dict[str, Any] | None:
        """Return a record."""

    @abstractmethod
    def aged(self, token: str) -> str:
        """Return an access token as it is when its two hours are over."""

    @abstractmethod
    async def tell(self, name: str, body: dict[str, Any]) -> Response:
        """Change something as the account's owner, whatever is scripted."""

    async def put(self, collection: str, rkey: str, record: dict[str, Any], **guard: str | None) -> Response:
        """Write a record as the account's owner."""
        place = {"repo": self.did, "collection": collection, "rkey": rkey}
        return await self.tell("repo.putRecord", {**place, "record": record, **guard})


class Fake(Bluesky):
    """The stand-in."""

    def __init__(self, pds: FakePds) -> None:
        super().__init__(pds)
        self.pds = pds

    @property
    def identifier(self) -> str:
        return self.pds.identifier

    @property
    def did(self) -> str:
        return self.pds.did

    async def posts(self) -> list[dict[str, Any]]:
        return self.pds.posts()

    async def get(self, collection: str, rkey: str) -> dict[str, Any] | None:
        return self.pds.records.get((collection, rkey))

    def aged(self, token: str) -> str:
        self.pds.access.remove(token)
        self.pds.expired.add(token)
        return token

    async def tell(self, name: str, body: dict[str, Any]) -> Response:
        self.pds.access.add("owner")
        headers = {"authorization": "Bearer owner"}
        request = Request(
            "POST", f"/xrpc/com.atproto.{name}", {}, headers, httpx.Request("POST", "http://x", json=body).content
        )
        return self.pds.answer(request)


class Real(Bluesky):
    """A real server, behind a proxy that loses its replies."""

    def __init__(self, pds: servers.Pds, account: servers.Account, proxy: CuttingProxy) -> None:
        super().__init__(proxy)
        self.pds = pds
        self.login = account

    @property
    def identifier(self) -> str:
        return self.login.handle

    @property
    def did(self) -> str:
        return self.login.did

    async def posts(self) -> list[dict[str, Any]]:
        self.pds.take_down(self.login, applied=False)  # what a taken-down account has shows only without that
        query = {"repo": self.did, "collection": POST, "reverse": "true"}
        return [each["value"] for each in self.pds.ask("com.atproto.repo.listRecords", query).json()["records"]]

    async def get(self, collection: str, rkey: str) -> dict[str, Any] | None:
        query = {"repo": self.did, "collection": collection, "rkey": rkey}
        response = self.pds.ask("com.atproto.repo.getRecord", query)
        return cast("dict[str, Any]", response.json()["value"]) if response.is_success else None

    def aged(self, token: str) -> str:
        return servers.aged(token)

    async def tell(self, name: str, body: dict[str, Any]) -> Response:
        response = self.pds.call(f"com.atproto.{name}", body, {"authorization": f"Bearer {self.login.token}"})
        return Response(response.status_code, response.json())


def is_change(request: Request) -> bool:
    """Tell whether a request makes a post or changes one."""
    return request.path.endswith(("repo.putRecord", "repo.applyWrites", "repo.deleteRecord"))


@asynccontextmanager
async def real(pds: servers.Pds) -> AsyncIterator[Real]:
    """A new account behind a new proxy."""
    account = pds.new_account(CANARY)

    async def take_down() -> None:
        pds.take_down(account)

    async with cutting(pds.url, is_change, take_down) as proxy:
        yield Real(pds, account, proxy)


@pytest.fixture(scope="session")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Pds]:
    """A real server of this test process, without rate limits."""
    with servers.running(tmp_path_factory.mktemp("pds")) as running:
        yield running


class TestBluesky(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[Fake]:
        async with listening(FakePds(password=CANARY)) as fake:
            yield Fake(fake)


@pytest.mark.servers
@needs_pds
class TestBlueskyOnARealServer(ChannelSuite):
    @pytest.fixture
    async def world(self, pds: servers.Pds) -> AsyncIterator[Real]:
        async with real(pds) as world:
            yield world

    @pytest.fixture
    async def bench(
        self, world: Real, operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Bench]:
        monkeypatch.setattr(suite, "HASTY", REAL_PATIENCE)
        monkeypatch.setattr(suite, "kept", kept_longer)
        async with bench_of(world, operator, tmp_path) as bench:
            await bench.channel().inspect()  # logs in; every process after it takes the session from the bus
            yield bench
        assert len(world.calls("server.createSession")) <= 3


async def kept_longer(keeper: Keeper, looks: int = 6) -> None:
    """Look more often: beside a real server the bus takes longer to be heard."""
    await kept(keeper, 3 * looks)


@asynccontextmanager
async def bench_of(world: Bluesky, bus: Bus, home: Path) -> AsyncIterator[Bench]:
    """Return a bench with the patience that a real server needs."""
    (home / world.target.secret_name).write_text(world.secret)
    async with httpx.AsyncClient(timeout=REAL_TIMEOUT, follow_redirects=False) as client:
        yield Bench(world, bus, Means(client, home, bus))


@pytest.fixture(params=["stand-in", pytest.param("real", marks=[pytest.mark.servers, needs_pds])])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[Bluesky]:
    """The stand-in and the real server, one after the other."""
    async with AsyncExitStack() as stack:
        if request.param == "real":
            yield await stack.enter_async_context(real(request.getfixturevalue("pds")))
        else:
            yield Fake(await stack.enter_async_context(listening(FakePds(password=CANARY))))


@pytest.fixture
async def bench(world: Bluesky, operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(suite, "HASTY", REAL_PATIENCE)
    async with bench_of(world, operator, tmp_path) as bench:
        yield bench


# What servers take and refuse


RECORD: Final = {"$type": POST, "text": "Bib", "createdAt": "2026-03-03T13:05:00.000Z", "langs": ["fr"]}
LINK: Final = {"$type": "app.bsky.richtext.facet#link", "uri": "https://places.example/bib"}
TAG: Final = {"$type": "app.bsky.richtext.facet#tag", "tag": "Bib"}
KEY: Final = "3mgdmyyyfh22a"


def facets(feature: dict[str, Any], start: int = 0, end: int = 3) -> dict[str, Any]:
    return {"facets": [{"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}]}


@pytest.mark.parametrize(
    ("record", "rkey", "status"),
    [
        ({}, KEY, 200),
        ({}, "bib-1405", 400),
        ({}, KEY[:-1], 400),
        ({}, "zzzzzzzzzzzzz", 400),
        ({"text": "x" * 300}, KEY, 200),
        ({"text": "x" * 301}, KEY, 400),
        ({"text": "👩‍👩‍👧‍👦" * 120}, KEY, 200),
        ({"text": "👩‍👩‍👧‍👦" * 121}, KEY, 400),
        ({"text": None}, KEY, 400),
        ({"createdAt": "2026-03-03 13:05"}, KEY, 400),
        ({"createdAt": "2026-03-03T13:05:00"}, KEY, 400),
        ({"langs": ["fr", "en", "uk"]}, KEY, 200),
        ({"langs": ["fr", "en", "uk", "nl"]}, KEY, 400),
        ({"langs": ["f r"]}, KEY, 400),
        (facets(LINK), KEY, 200),
        (facets({**LINK, "uri": "places.example"}), KEY, 400),
        (facets(TAG), KEY, 200),
        (facets({**TAG, "tag": "x" * 65}), KEY, 400),
        (facets(TAG, start=-1), KEY, 400),
        (facets(TAG, start=200, end=300), KEY, 200),  # so nobody but us sees to it that offsets are right
        ({"$type": PROFILE}, KEY, 400),
    ],
)
async def test_the_stand_in_takes_what_a_real_server_takes(
    world: Bluesky, record: dict[str, Any], rkey: str, status: int
) -> None:
    response = await world.put(POST, rkey, {**RECORD, **record})
    assert (response.status, response.body.get("error")) == (status, "InvalidRequest" if status == 400 else None)


async def test_a_guarded_record_is_neither_made_twice_nor_changed(world: Bluesky) -> None:
    first = await world.put(POST, KEY, RECORD, swapRecord=None)
    same = await world.put(POST, KEY, RECORD, swapRecord=None)
    other = await world.put(POST, KEY, {**RECORD, "text": "Bob"}, swapRecord=None)
    unguarded = await world.put(POST, KEY, {**RECORD, "text": "Bob"})
    answers = [(each.status, each.body.get("error"), "commit" in each.body) for each in (first, same, other, unguarded)]
    assert answers == [(200, None, True), (200, None, False), (400, "InvalidSwap", False), (200, None, True)]
    assert await world.public() == ["Bob"]


async def test_a_commit_of_several_writes_is_made_whole_or_not_at_all(world: Bluesky) -> None:
    def writes(made: str, gone: str) -> dict[str, Any]:
        create = {"$type": "com.atproto.repo.applyWrites#create", "collection": POST, "rkey": made, "value": RECORD}
        delete = {"$type": "com.atproto.repo.applyWrites#delete", "collection": POST, "rkey": gone}
        return {"repo": world.did, "writes": [create, delete]}

    other, third = KEY[:-1] + "b", KEY[:-1] + "c"
    await world.put(POST, KEY, RECORD)
    statuses = [
        (await world.tell("repo.applyWrites", writes(*each))).status
        for each in ((other, KEY), (other, KEY), (third, KEY), (other, other))
    ]
    assert statuses == [200, 500, 500, 500]
    assert len(await world.public()) == 1


# What a post is


def said(long: str, short: str = "", shortest: str = "", **fields: object) -> PostIntent:
    """Return an intent with these words."""
    intent = intent_of(channel="bluesky")
    return intent.model_copy(
        update={"texts": Sentences(long=long, short=short or long, shortest=shortest or short or long), **fields}
    )


async def test_a_post_says_its_language_and_links_and_tags_by_bytes(bench: Bench, world: Bluesky) -> None:
    intent = said(
        "Bibliothèque 📚 : complet", language="fr", hashtags=("Bib", "Éclair"), url="https://places.example/é/"
    )
    assert isinstance(await bench.channel().send(intent), Done)
    [post] = await world.posts()
    assert post["text"] == "Bibliothèque 📚 : complet\nplaces.example/é\n#Bib #Éclair"
    assert post["langs"] == ["fr"]
    assert post["createdAt"] == intent.decided_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert faceted(post) == [
        ("places.example/é", "https://places.example/é/"),
        ("#Bib", "Bib"),
        ("#Éclair", "Éclair"),
    ]


def faceted(post: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what each facet covers, by its bytes, and what it means."""
    text = post["text"].encode()
    return [
        (
            text[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode(),
            facet["features"][0].get("uri") or facet["features"][0].get("tag"),
        )
        for facet in post.get("facets", [])
    ]


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=280),
    tags=st.lists(st.from_regex(r"\A\w{1,40}\Z"), max_size=4),
    path=st.text("abcé字/-", max_size=60),
)
def test_offsets_are_those_of_the_words_whatever_the_script(text: str, tags: list[str], path: str) -> None:
    intent = said(text, "Bib.", hashtags=tuple(tags), url=f"https://places.example/{path}")
    records = bluesky._written(intent, None)
    assert records
    for record in records:
        assert fits(record["text"])
        links, *marks = faceted(record)
        assert links[1] == intent.url
        assert f"https://{links[0]}".removesuffix("…") in intent.url
        assert marks in ([(f"#{tag}", tag) for tag in tags], [])


@given(st.integers(0, 2**40), st.integers(0, 4_000_000_000))
def test_a_key_is_a_tid_of_its_intent_alone(number: int, second: int) -> None:
    intent = intent_of()
    intent = intent.model_copy(
        update={
            "key": f"{number:064x}",
            "changed_at": intent.changed_at.fromtimestamp(second, intent.changed_at.tzinfo),
        }
    )
    later = intent.model_copy(update={"changed_at": intent.changed_at + timedelta(seconds=1, milliseconds=1)})
    again = intent.model_copy(update={"decided_at": intent.decided_at + timedelta(minutes=3), "revision": 9})
    other = intent.model_copy(update={"key": f"{number + 1:064x}"})
    assert TID.fullmatch(record_key(intent))
    assert record_key(again) == record_key(intent) != record_key(other)
    assert record_key(intent)[:7] <= record_key(later)[:7]


def test_a_reminder_that_is_decided_again_has_the_same_key() -> None:
    first = intent_of(valid_for=timedelta(minutes=60)).model_copy(update={"kind": PostKind.REMINDER})
    again = first.model_copy(update={"changed_at": first.changed_at + timedelta(minutes=3)})
    assert record_key(again) == record_key(first)
    assert record_key(first) < record_key(first.model_copy(update={"kind": PostKind.ANNOUNCEMENT}))


SCRIPTS: Final = {
    "latin": "a",
    "accented": "é",
    "accented-apart": "e\u0301",
    "cyrillic": "ж",
    "greek": "ω",
    "arabic": "ب",
    "hebrew": "ש",
    "devanagari": "क्षि",
    "tamil": "நி",
    "thai": "กำ",
    "hangul-apart": "\u1112\u1161\u11ab",
    "han": "字",
    "family": "👩‍👩‍👧‍👦",
    "flag": "🇫🇷",
    "skin": "👍🏽",
    "keycap": "5️⃣",
    "heart": "❤️",
    "line-ends": "\r\n",
    "soft-hyphen": "\u00ad",
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_fits_is_what_the_server_takes(world: Bluesky, script: str) -> None:
    letter = SCRIPTS[script]
    most = min(300, 3000 // len(letter.encode()))
    for count in (most - 1, most, most + 1):
        text = letter * count
        assert graphemes(text) == count
        response = await world.put(POST, KEY, {**RECORD, "text": text})
        assert (response.status == 200) is fits(text) is (count <= most), (script, count)


@pytest.mark.parametrize(
    ("length", "posted"),
    [(200, "long and tags"), (280, "long"), (293, "long"), (294, "short and tags"), (5000, "short and tags")],
)
async def test_the_longest_form_that_fits_is_posted(bench: Bench, world: Bluesky, length: int, posted: str) -> None:
    intent = said("x" * length, "Bib: complet.", url="https://bib.fr", hashtags=("Bibliothèque",))
    assert isinstance(await bench.channel().send(intent), Done)
    text = f"{'x' * length if posted.startswith('long') else 'Bib: complet.'}\nbib.fr"
    assert await world.public() == [text + ("\n#Bibliothèque" if posted.endswith("tags") else "")]


async def test_a_text_that_fits_nowhere_is_refused_before_anything_is_sent(bench: Bench, world: Bluesky) -> None:
    assert isinstance(await bench.channel().send(said("x" * 301)), Rejected)
    assert world.dialled() == 0


class Curt(FakePds):
    """A server that takes less than the rules say."""

    def post_faults(self, rkey: str, record: dict[str, Any]) -> list[str]:
        return ["too long"] if len(record["text"]) > 40 else super().post_faults(rkey, record)


async def test_a_server_that_takes_less_gets_a_shorter_form(operator: Bus, tmp_path: Path) -> None:
    async with listening(Curt(password=CANARY)) as curt, bench_of(Fake(curt), operator, tmp_path) as bench:
        assert isinstance(await bench.channel().send(said("x" * 60, "Bib: complet.")), Done)
        assert [post["text"] for post in curt.posts()] == ["Bib: complet.\nplaces.example/bib"]


# Once


async def test_a_post_whose_key_is_taken_is_there_already(bench: Bench, world: Bluesky) -> None:
    intent = bench.intent()
    await world.put(POST, record_key(intent), RECORD)
    done = await bench.channel().send(intent)
    assert isinstance(done, Done)
    assert done.text == "Bib"
    assert await world.public() == ["Bib"]
    [request] = world.calls("repo.putRecord")
    assert request.json()["swapRecord"] is None


async def test_a_look_up_tells_a_post_from_none(bench: Bench) -> None:
    intent, channel = bench.intent(), bench.channel()
    assert await channel.look_up(intent) == NotFound()
    sent = await channel.send(intent)
    assert await channel.look_up(intent) == sent
    assert isinstance(sent, Done)
    assert sent.url == f"https://bsky.app/profile/{sent.remote_id[5:].split('/')[0]}/post/{record_key(intent)}"


@pytest.mark.parametrize("fault", ["cut", "done-504"])
async def test_a_live_post_takes_its_predecessors_place_in_one_commit(
    bench: Bench, world: Bluesky, fault: Fault
) -> None:
    first = bench.intent(2, situation=OPEN)
    channel = bench.channel()
    made = await channel.send(first)
    assert isinstance(made, Done)
    second = bench.intent(3, situation=FULL)
    second = second.model_copy(update={"decided_at": second.decided_at + timedelta(minutes=5)})
    world.script(fault)
    assert isinstance(await channel.update(second, made.remote_id), Unknown)
    again = await channel.update(second, made.remote_id)
    assert isinstance(again, Done)
    assert again.remote_id != made.remote_id
    [post] = await world.posts()
    assert "complet" in post["text"]
    assert post["createdAt"] == first.decided_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert post["langs"] == ["fr"]
    assert len(world.calls("repo.applyWrites")) == 1
    assert isinstance(await channel.retire(again.remote_id), Done)
    assert await channel.update(bench.intent(4, situation=OPEN), again.remote_id) == Gone()


async def test_a_successor_that_was_made_apart_still_retires_what_it_replaces(bench: Bench, world: Bluesky) -> None:
    channel, second = bench.channel(), bench.intent(3)
    first = await channel.send(bench.intent(2))
    assert isinstance(first, Done)
    assert isinstance(await channel.send(second), Done)
    assert isinstance(await channel.update(second, first.remote_id), Done)
    assert len(await world.public()) == 1


# The profile


OWN_PROFILE: Final = {
    "$type": PROFILE,
    "displayName": "Bib",
    "description": "Places libres",
    "labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "bot"}]},
}


async def test_pinning_keeps_the_rest_of_the_profile(bench: Bench, world: Bluesky) -> None:
    await world.put(**PROFILE_PLACE, record=OWN_PROFILE)
    channel = bench.channel()
    for revision in (2, 3):
        post = await channel.send(bench.intent(revision))
        assert isinstance(post, Done)
        for _ in range(2):
            assert isinstance(await channel.pin(post.remote_id), Done)
        assert await world.pinned() == [post.text]
    profile = await world.get(**PROFILE_PLACE)
    assert profile is not None
    assert {**profile, "pinnedPost": None} == {**OWN_PROFILE, "pinnedPost": None}
    assert len(world.calls("repo.putRecord")) == 4
    assert all("swapRecord" in each.json() for each in world.calls("repo.putRecord"))


async def test_what_is_not_there_is_not_pinned(bench: Bench, world: Bluesky) -> None:
    channel = bench.channel()
    post = await channel.send(bench.intent())
    assert isinstance(post, Done)
    await channel.retire(post.remote_id)
    assert isinstance(await channel.pin(post.remote_id), Rejected)
    assert await world.pinned() == []


class Edited(FakePds):
    """Its owner edits the profile while the channel is at it."""

    def put_record(self, request: Request) -> dict[str, Any]:
        if request.json()["collection"] == PROFILE and (PROFILE, "self") not in self.records:
            self.records[PROFILE, "self"] = dict(OWN_PROFILE)
        return super().put_record(request)


async def test_a_profile_that_is_edited_meanwhile_is_not_overwritten(operator: Bus, tmp_path: Path) -> None:
    async with listening(Edited(password=CANARY)) as edited, bench_of(Fake(edited), operator, tmp_path) as bench:
        channel = bench.channel()
        post = await channel.send(bench.intent())
        assert isinstance(post, Done)
        assert isinstance(await channel.pin(post.remote_id), NotSent)
        assert edited.records[PROFILE, "self"] == OWN_PROFILE
        assert isinstance(await channel.pin(post.remote_id), Done)
        assert edited.records[PROFILE, "self"]["displayName"] == "Bib"


async def test_an_account_says_that_it_is_a_program(bench: Bench, world: Bluesky) -> None:
    [finding] = await bench.channel().inspect()
    assert "`bot`" in finding
    await world.put(**PROFILE_PLACE, record=OWN_PROFILE)
    assert await bench.channel().inspect() == ()


# Pictures


async def test_a_picture_has_a_description(bench: Bench, world: Bluesky) -> None:
    world.options = {"picture": True}
    assert isinstance(await bench.channel().send(bench.intent(situation=FULL)), Done)
    [post] = await world.posts()
    [image] = post["embed"]["images"]
    assert "Bib" in image["alt"]
    assert image["image"]["mimeType"] == "image/png"


@dataclass
class Blind(FakePds):
    """A server that takes no pictures now."""

    refusal: Exception = field(default_factory=Cut)

    def upload_blob(self, request: Request) -> dict[str, Any]:
        self.bearer(request, self.access)
        raise self.refusal


@pytest.mark.parametrize("refusal", [Cut(), Refused(429, "RateLimitExceeded"), Refused(413, "PayloadTooLarge")])
async def test_a_post_goes_out_without_its_picture_rather_than_not(
    operator: Bus, tmp_path: Path, refusal: Exception
) -> None:
    async with listening(Blind(password=CANARY, refusal=refusal)) as blind:
        world = Fake(blind)
        world.options = {"picture": True}
        async with bench_of(world, operator, tmp_path) as bench:
            assert isinstance(await bench.channel().send(bench.intent(situation=FULL)), Done)
        [post] = blind.posts()
        assert "embed" not in post


# Sessions


async def kept_session(bench: Bench) -> bluesky._Session:
    """Return the session on the bus."""
    entry = await bench.bus.bucket(subjects.SESSIONS).get(await session_key(bench))
    assert entry is not None
    return bluesky._Kept.model_validate_json(entry.value).session


async def session_key(bench: Bench) -> str:
    [key] = await bench.bus.bucket(subjects.SESSIONS).keys("bluesky.bib")
    return key


async def keep_session(bench: Bench, world: Bluesky, access: str, refresh: str) -> None:
    """Let the session on the bus be what time or somebody's hand has made of it."""
    session = bluesky._Session(did=world.did, accessJwt=access, refreshJwt=refresh)
    kept = bluesky._Kept(identifier=world.identifier, session=session)
    bucket = bench.bus.bucket(subjects.SESSIONS)
    await bucket.put(await session_key(bench), kept.model_dump_json(by_alias=True).encode())


async def test_processes_share_one_session_over_restarts(bench: Bench, world: Bluesky) -> None:
    for revision in (2, 3, 4):
        await carry(bench.outbox(), bench.intent(revision))
    assert len(await world.public()) == 3
    assert len(world.calls("server.createSession")) == 1
    assert world.calls("server.refreshSession") == []


@pytest.mark.parametrize("error", ["ExpiredToken", "InvalidToken"])
async def test_a_session_that_is_over_is_renewed_once(bench: Bench, world: Bluesky, error: str) -> None:
    await carry(bench.outbox(), bench.intent(2))
    session = await kept_session(bench)
    access = world.aged(session.access) if error == "ExpiredToken" else "over"
    await keep_session(bench, world, access, session.refresh)
    await carry(bench.outbox(), bench.intent(3))
    await carry(bench.outbox(), bench.intent(4))
    assert len(await world.public()) == 3
    assert [len(world.calls(f"server.{each}Session")) for each in ("create", "refresh")] == [1, 1]


async def test_a_session_that_another_process_has_renewed_is_taken_from_it(bench: Bench, world: Bluesky) -> None:
    one, other = bench.channel(), bench.channel()
    for channel, revision in ((one, 2), (other, 3)):
        assert isinstance(await channel.send(bench.intent(revision)), Done)
    assert isinstance(one, BlueskyChannel)
    one._session = bluesky._Session(did=world.did, accessJwt="over", refreshJwt="long over")
    assert isinstance(await one.send(bench.intent(4)), Done)
    assert len(world.calls("server.createSession")) == 1


async def test_a_session_that_cannot_be_renewed_is_made_anew_once(bench: Bench, world: Bluesky) -> None:
    await carry(bench.outbox(), bench.intent(2))
    await keep_session(bench, world, "over", "over")
    channel = bench.channel()
    assert isinstance(await channel.send(bench.intent(3)), Done)
    assert len(world.calls("server.createSession")) == 2
    # Tokens that last no longer than that are no reason to log in again and again.
    await keep_session(bench, world, "over", "over")
    assert isinstance(channel, BlueskyChannel)
    channel._session = None
    assert isinstance(await channel.send(bench.intent(4)), Blocked)
    assert len(world.calls("server.createSession")) == 2


async def test_other_credentials_are_another_session(bench: Bench, world: Bluesky) -> None:
    await carry(bench.outbox(), bench.intent(2))
    (bench.means.secrets_dir / "bluesky-bib").write_text(f'identifier = "other.test"\npassword = "{CANARY}"\n')
    record_of = bench.intent(3)
    await carry(bench.outbox(), record_of)
    record = await bench.record(record_of)
    assert record is not None
    assert record.state is DeliveryState.BLOCKED
    assert len(await world.public()) == 1


async def test_credentials_that_lack_something_are_named(bench: Bench) -> None:
    (bench.means.secrets_dir / "bluesky-bib").write_text('identifier = "bib.test"\n')
    with pytest.raises(NoCredentials, match=r"bluesky-bib.*password"):
        bench.channel()


@needs_pds
@pytest.mark.servers
async def test_log_ins_beyond_the_limit_are_throttled(operator: Bus, tmp_path: Path) -> None:
    home = tmp_path / "pds"
    home.mkdir()
    with servers.running(home, rate_limits=True) as limited:
        async with real(limited) as world, bench_of(world, operator, tmp_path) as bench:
            body = {"identifier": world.identifier, "password": CANARY}
            async with httpx.AsyncClient(timeout=30) as client:
                address = f"{limited.url}/xrpc/com.atproto.server.createSession"
                await asyncio.gather(*(client.post(address, json=body) for _ in range(LOGINS_MAX)))
            outcome = await bench.channel().send(bench.intent())
            assert isinstance(outcome, Throttled)
            assert 1 <= outcome.retry_after_s <= 300
            assert await world.public() == []


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Pds]:
    """A real server to be killed."""
    with servers.running(tmp_path_factory.mktemp("mortal")) as running:
        yield running


@needs_pds
@pytest.mark.servers
@pytest.mark.parametrize("wait_s", [0.0, 0.01, 0.03])  # before, within or after the work
async def test_a_server_that_is_killed_has_one_true_live_post_afterwards(
    mortal: servers.Pds, operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_s: float
) -> None:
    monkeypatch.setattr(suite, "HASTY", REAL_PATIENCE)
    async with real(mortal) as world, bench_of(world, operator, tmp_path) as bench:
        await carry(bench.outbox(), bench.intent(2, situation=OPEN, ago=2 * UNTRUE_AFTER))
        await bench.show(FULL, 3)
        async with keeping(bench):
            while not world.calls("repo.applyWrites"):
                await asyncio.sleep(0)
            await asyncio.sleep(wait_s)
            mortal.kill()
            assert isinstance(await bench.channel().look_up(bench.intent()), NotSent)
            await asyncio.to_thread(mortal.start_again)
            while not await is_at_rest(bench):
                await asyncio.sleep(0.05)
        public = await world.public()
        assert len(public) == 1
        assert "complet" in public[0]
        assert await world.pinned() == public
        assert len(world.calls("server.createSession")) == 1


@asynccontextmanager
async def keeping(bench: Bench) -> AsyncIterator[None]:
    """Let a new process keep live posts true meanwhile."""
    task = asyncio.create_task(kept(bench.keeper(), looks=100_000))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def is_at_rest(bench: Bench) -> bool:
    """Tell whether the live post is on record as true and pinned, with nothing left to be done."""
    post = (await load(bench.bus, bench.intent().live_key)).post
    return post is not None and "complet" in post.text and post.is_pinned and post.begun is None and not post.retiring


def test_the_type_is_found_by_its_name() -> None:
    assert channels.type_of("bluesky").make is BlueskyChannel
