"""Our fediverse accounts over HTTP: how they are found, and what strangers may and may not have done by a delivery."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from apsig.draft import Signer  # type: ignore[import-untyped]  # publishes no types
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.api.fediverse import Farewell, Follow, Unfollow, meaning, stranger_of
from services.publisher.fediverse.due import (
    GIVEN_UP_AFTER,
    GONE_AFTER,
    Due,
    Heard,
    Word,
    after,
    due,
    heard,
    is_given_up,
)
from services.publisher.fediverse.known import Account, Standing
from shared.contracts import fediverse
from shared.contracts.fediverse import Actor, ActorKey, Featured, Follower, Inbox, Instance, Note
from shared.contracts.permissions import SERVICES
from shared.runtime import http_signatures, strangers
from shared.runtime.actors import Kept, load, put
from shared.runtime.bus import Bus
from shared.runtime.http_signatures import SignatureRefused
from shared.runtime.strangers import NoAnswer, NotAllowed
from tests.fakes.fediverse import PRIVATE, PUBLIC_KEY, Followers, signed
from tests.fakes.http_server import FakeServer, Request, Response, listening
from tests.services.api_running import RunningApi, running_api

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HTML = "text/html,application/xhtml+xml"
ACTIVITY = "application/activity+json"


def real_now() -> datetime:
    return datetime.now(UTC)


# How accounts are found


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer) -> AsyncIterator[RunningApi]:
    """An API with the account `bib` and one note."""
    async with running_api(bus_server, real_now) as api:
        actor = Actor(
            account="bib",
            origin=api.url,
            name="Bib",
            summary="<p>Run by the library</p>",
            page="https://places.example/bib",
            made_at=AT,
            public_key=PUBLIC_KEY,
        )
        await put(operator, fediverse.private_key_key("bib"), ActorKey(private_key=PRIVATE, public_key=PUBLIC_KEY))
        await put(operator, fediverse.actor_key("bib"), actor)
        await put(operator, fediverse.INSTANCE_KEY, Instance(accounts={"bib": api.url}))
        note = Note(
            account="bib",
            origin=api.url,
            key="0123456789abcdef",
            version="0123456789abcdef",
            html="<p>Bib</p>",
            text="Bib",
            language="fr",
            page="https://places.example/bib",
            made_at=AT,
        )
        await put(operator, fediverse.note_key("bib", note.key), note)
        yield api


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def test_a_handle_leads_to_the_account(api: RunningApi, client: httpx.AsyncClient) -> None:
    host = api.url.removeprefix("http://")
    for resource in (f"acct:bib@{host}", f"acct:BIB@{host}", f"{api.url}/ap/bib"):
        response = await client.get(f"{api.url}/.well-known/webfinger", params={"resource": resource})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("application/jrd+json")
        assert response.headers["access-control-allow-origin"] == "*"
        found = response.json()
        assert found["subject"] == f"acct:bib@{host}"
        assert {"rel": "self", "type": ACTIVITY, "href": f"{api.url}/ap/bib"} in found["links"]


async def test_no_other_handle_leads_anywhere(api: RunningApi, client: httpx.AsyncClient) -> None:
    for resource in (
        "",
        "acct:",
        "acct:bib",
        "acct:bib@elsewhere.example",
        "acct:../x@h",
        "acct:zoe@h",
        "http://[/ap/bib",
    ):
        response = await client.get(f"{api.url}/.well-known/webfinger", params={"resource": resource})
        assert response.status_code == 404, resource


async def test_the_account_is_an_unlocked_bot_and_tells_no_private_key(
    api: RunningApi, client: httpx.AsyncClient
) -> None:
    response = await client.get(f"{api.url}/ap/bib", headers={"Accept": ACTIVITY})
    assert response.headers["content-type"].startswith(ACTIVITY)
    actor = response.json()
    assert (actor["type"], actor["manuallyApprovesFollowers"]) == ("Service", False)
    assert actor["publicKey"] == {
        "id": f"{api.url}/ap/bib#main-key",
        "owner": f"{api.url}/ap/bib",
        "publicKeyPem": PUBLIC_KEY,
    }
    assert "PRIVATE" not in response.text


@pytest.mark.parametrize("path", ["/ap/bib", "/ap/bib/notes/0123456789abcdef"])
async def test_people_are_led_to_the_librarys_page(api: RunningApi, client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"{api.url}{path}", headers={"Accept": HTML})
    assert (response.status_code, response.headers["location"]) == (303, "https://places.example/bib")
    both = await client.get(f"{api.url}{path}", headers={"Accept": f"{ACTIVITY}, text/html;q=0.1"})
    assert both.status_code == 200


async def test_there_is_nothing_else(api: RunningApi, client: httpx.AsyncClient) -> None:
    for path in ("/ap/zoe", "/ap/bib/notes/fedcba9876543210", "/ap/bib/notes/x", "/ap/bib/others"):
        assert (await client.get(f"{api.url}{path}")).status_code in {404, 422}, path


async def test_nodeinfo_says_what_runs_here(api: RunningApi, client: httpx.AsyncClient) -> None:
    [link] = (await client.get(f"{api.url}/.well-known/nodeinfo")).json()["links"]
    info = (await client.get(link["href"])).json()
    assert (info["version"], info["software"]["name"]) == ("2.1", "placelibre")
    assert info["usage"]["users"]["total"] == 1
    other = await client.get(f"{api.url}/.well-known/nodeinfo", headers={"Host": "other.example"})
    assert other.status_code == 404


async def test_without_the_bus_it_says_to_come_again(bus_server: BusServer, client: httpx.AsyncClient) -> None:
    assert bus_server.url
    async with running_api(None, real_now) as api:
        response = await client.get(f"{api.url}/ap/bib")
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")


def test_only_who_signs_the_operator_and_who_backs_up_may_see_the_private_keys() -> None:
    for service, permissions in SERVICES.items():
        may_see = any("KV_ACTORS" in each or each == ">" for each in permissions.publish + permissions.subscribe)
        assert may_see == (service in {"publisher", "api", "operator", "auditor"}), service


# What strangers deliver


@pytest.fixture
async def ana() -> AsyncIterator[Followers]:
    async with listening(Followers(names=("ana", "bo"))) as server, server.client:
        yield server


async def followers(bus: Bus) -> list[Follower]:
    kept = [await load(bus, key, Follower) for key in await bus.bucket("ACTORS").keys("follower.bib.")]
    return [each.record for each in kept if each is not None]


@pytest.mark.parametrize("label", ["rsa-sha256", "hs2019", ""])
async def test_who_follows_is_kept_with_an_id_and_its_inboxes_alone(
    api: RunningApi, operator: Bus, ana: Followers, label: str
) -> None:
    assert await ana.follow("ana", f"{api.url}/ap/bib", label=label) == 202
    [follower] = await followers(operator)
    assert (follower.id, follower.inbox) == (f"{ana.base}/users/ana", f"{ana.base}/users/ana/inbox")
    assert follower.shared_inbox == f"{ana.base}/inbox"
    assert set(Follower.model_fields) == {"id", "inbox", "shared_inbox", "request", "follow"}
    # The question for the account was signed: many servers show it to nobody else.
    [asked] = [each for each in ana.requests if each.method == "GET"]
    assert 'headers="(request-target) host date"' in asked.headers["signature"]


async def test_the_same_again_changes_nothing(api: RunningApi, operator: Bus, ana: Followers) -> None:
    for _ in range(3):
        assert await ana.follow("ana", f"{api.url}/ap/bib") == 202
    assert len(await followers(operator)) == 1
    revision = await operator.last_sequence("KV_ACTORS")
    assert await ana.follow("ana", f"{api.url}/ap/bib") == 202
    assert await operator.last_sequence("KV_ACTORS") == revision
    for _ in range(2):
        assert await ana.unfollow("ana", f"{api.url}/ap/bib") == 202
        assert await followers(operator) == []


@pytest.mark.parametrize("is_by_id", [False, True])
async def test_who_leaves_is_forgotten(api: RunningApi, operator: Bus, ana: Followers, *, is_by_id: bool) -> None:
    for name in ("ana", "bo"):
        await ana.follow(name, f"{api.url}/ap/bib")
    assert await ana.unfollow("ana", f"{api.url}/ap/bib", is_by_id=is_by_id) == 202
    assert [each.id for each in await followers(operator)] == [f"{ana.base}/users/bo"]


async def test_something_else_taken_back_leaves_a_follower_alone(
    api: RunningApi, operator: Bus, ana: Followers
) -> None:
    await ana.follow("ana", f"{api.url}/ap/bib", number=1)
    assert await ana.unfollow("ana", f"{api.url}/ap/bib", number=2, is_by_id=True) == 202
    like = {"id": "x", "type": "Undo", "object": {"type": "Like", "object": f"{api.url}/ap/bib"}}
    assert await ana.say("ana", f"{api.url}/ap/inbox", like) == 202
    assert len(await followers(operator)) == 1


@pytest.mark.parametrize("is_gone", [True, False])
async def test_an_account_that_is_deleted_follows_no_more(
    api: RunningApi, operator: Bus, ana: Followers, *, is_gone: bool
) -> None:
    await ana.follow("ana", f"{api.url}/ap/bib")
    who = f"{ana.base}/users/ana"
    # Most servers have removed the account, and its key with it, by the time they tell.
    if is_gone:
        ana.gone.add("ana")
        api.parts.fediverse._strangers.clear()
    status = await ana.say("ana", f"{api.url}/ap/inbox", {"id": f"{who}#delete", "type": "Delete", "object": who})
    assert status == 202
    assert await followers(operator) == []


async def test_a_farewell_of_somebody_unknown_costs_no_question(api: RunningApi, ana: Followers) -> None:
    who = f"{ana.base}/users/zoe"
    assert await ana.say("zoe", f"{api.url}/ap/inbox", {"id": "x", "type": "Delete", "object": who}) == 202
    assert ana.requests == []


async def test_everything_else_is_acknowledged_and_dropped(api: RunningApi, operator: Bus, ana: Followers) -> None:
    revision = await operator.last_sequence("KV_ACTORS")
    for kind in ("Like", "Announce", "Create", "Move", "Block", "Flag", "Unheard"):
        activity = {"id": "x", "type": kind, "object": {"type": "Note", "content": "Zoé Martin, Paris"}}
        assert await ana.say("ana", f"{api.url}/ap/bib/inbox", activity) == 202, kind
    assert (await operator.last_sequence("KV_ACTORS"), ana.requests) == (revision, [])


async def test_a_key_that_has_changed_is_asked_for_anew(api: RunningApi, operator: Bus, ana: Followers) -> None:
    await ana.follow("ana", f"{api.url}/ap/bib")
    accounts = api.parts.fediverse
    who = f"{ana.base}/users/ana"
    fetched, stranger = accounts._strangers[who]
    assert not isinstance(stranger, int)
    old = stranger_of({**ana.actor("ana"), "publicKey": {"id": f"{who}#old", "publicKeyPem": PUBLIC_KEY}}, who)
    accounts._strangers[who] = (fetched - timedelta(minutes=5), old)
    assert await ana.unfollow("ana", f"{api.url}/ap/bib") == 202
    assert await followers(operator) == []


def deliveries(api: RunningApi, ana: Followers) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Return deliveries that are wrong in one way each."""
    inbox, who = f"{api.url}/ap/bib/inbox", f"{ana.base}/users/ana"
    body = json.dumps({"id": "x", "type": "Follow", "actor": who, "object": f"{api.url}/ap/bib"}).encode()
    other = body.replace(b"/users/ana", b"/users/bo")
    good = signed(inbox, f"{who}#main-key", body)
    stale = format_datetime(real_now() - timedelta(hours=13), usegmt=True)
    early = format_datetime(real_now() + timedelta(hours=13), usegmt=True)
    strangers_key, _ = http_signatures.new_key()
    signature = good["Signature"]
    return {
        "not signed": (body, {name: value for name, value in good.items() if name != "Signature"}),
        "another body": (body.replace(b'"x"', b'"y"'), good),
        "another digest": (body, {**good, "digest": http_signatures.digest(b"")}),
        "another path": (body, signed(f"{api.url}/ap/inbox", f"{who}#main-key", body)),
        "made for another host": (body, signed("http://other.example/ap/bib/inbox", f"{who}#main-key", body)),
        "another key": (body, signed(inbox, f"{who}#main-key", body, private_key=strangers_key)),
        "a key of somebody else": (other, signed(inbox, f"{who}#main-key", other)),
        "a key nobody knows": (body, signed(inbox, f"{who}#second-key", body)),
        "too old": (body, signed(inbox, f"{who}#main-key", body, date=stale)),
        "of tomorrow": (body, signed(inbox, f"{who}#main-key", body, date=early)),
        "another algorithm": (body, signed(inbox, f"{who}#main-key", body, label="ed25519")),
        "a covered header left out": (body, {name: value for name, value in good.items() if name != "date"}),
        "not covering the digest": (body, {**good, "Signature": signature.replace(" digest", "")}),
        "covering a header twice said": (body, {**good, "Signature": f'{signature},headers="date"'}),
        "RFC 9421": (body, {**good, "Signature": "sig1=:YQ==:", "Signature-Input": 'sig1=("@method");keyid="x"'}),
        "no signature in it": (body, {**good, "Signature": 'keyId="x",headers="date"'}),
        "not base64": (body, {**good, "Signature": signature.replace('signature="', 'signature="*')}),
        "endless": (body, {**good, "Signature": "x" * 5000}),
        "an account elsewhere": (
            body.replace(ana.base.encode(), b"https://other.example"),
            signed(
                inbox, "https://other.example/users/ana#k", body.replace(ana.base.encode(), b"https://other.example")
            ),
        ),
    }


async def test_a_delivery_that_is_not_its_senders_own_is_refused(
    api: RunningApi, operator: Bus, ana: Followers
) -> None:
    for which, (body, headers) in deliveries(api, ana).items():
        response = await ana.client.post(f"{api.url}/ap/bib/inbox", content=body, headers=headers)
        assert (response.status_code, response.json()["type"]) == (401, "/problems/signature-refused"), which
    assert await followers(operator) == []


async def test_what_is_no_activity_is_refused(api: RunningApi, ana: Followers) -> None:
    inbox = f"{api.url}/ap/inbox"
    for body in (b"", b"{", b"[]", b"null", b"[" * 100_000):
        response = await ana.client.post(inbox, content=body, headers=signed(inbox, f"{ana.base}/users/ana#k", body))
        assert (response.status_code, response.json()["type"]) == (400, "/problems/activity-unreadable"), body[:9]


async def test_what_is_too_long_is_not_read(api: RunningApi, ana: Followers) -> None:
    response = await ana.client.post(f"{api.url}/ap/inbox", content=b"x" * 300_000)
    assert response.status_code == 413


async def test_an_account_that_is_full_takes_nobody_more(
    api: RunningApi, operator: Bus, ana: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.fediverse.FOLLOWERS_MAX", 0)
    assert await ana.follow("ana", f"{api.url}/ap/bib") == 503
    assert await followers(operator) == []


async def test_nobody_follows_an_account_that_is_not_here(api: RunningApi, operator: Bus, ana: Followers) -> None:
    for whom in (f"{api.url}/ap/zoe", "https://other.example/ap/bib", f"{api.url}/ap/bib/"):
        follow = {"id": "x", "type": "Follow", "object": whom}
        assert await ana.say("ana", f"{api.url}/ap/inbox", follow) == 202
        assert await ana.say("ana", f"{api.url}/ap/zoe/inbox", follow) == 404
    assert (await followers(operator), ana.requests) == ([], [])


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        ({"type": "Follow", "id": "i", "actor": "a", "object": "o"}, Follow("a", "i", "o")),
        ({"type": "Follow", "id": "i", "actor": {"id": "a"}, "object": {"id": "o"}}, Follow("a", "i", "o")),
        (
            {"type": "Undo", "actor": "a", "object": {"type": "Follow", "id": "i", "object": "o"}},
            Unfollow("a", "i", "o"),
        ),
        ({"type": "Undo", "actor": "a", "object": "i"}, Unfollow("a", "i", "")),
        ({"type": "Delete", "actor": "a", "object": {"id": "a"}}, Farewell("a")),
        ({"type": "Delete", "actor": "a", "object": {"id": "a/notes/1"}}, None),
        ({"type": "Follow", "actor": "a"}, None),
        ({"type": "Follow", "object": "o"}, None),
        ({"type": ["Follow"], "actor": "a", "object": "o"}, None),
        ({"type": "Follow", "actor": "a" * 2000, "object": "o"}, None),
        ({}, None),
    ],
)
def test_what_an_activity_means(activity: dict[str, Any], expected: object) -> None:
    assert meaning(activity) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "object"]), inner),
    max_leaves=8,
)


@given(st.fixed_dictionaries(dict.fromkeys(("type", "actor", "object", "id"), json_values)))
def test_no_activity_is_too_strange_to_be_read(activity: dict[str, Any]) -> None:
    for kind in ("Follow", "Undo", "Delete", activity["type"]):
        meaning({**activity, "type": kind})


WHO = "https://there.example/users/ana"


@given(st.dictionaries(st.sampled_from(["id", "inbox", "endpoints", "publicKey"]), json_values))
def test_no_account_is_too_strange_to_be_refused(document: dict[str, Any]) -> None:
    with pytest.raises(SignatureRefused):
        stranger_of({**document, "inbox": "https://elsewhere.example/inbox"}, WHO)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": f"{WHO}2"},
        {"inbox": "https://victim.example/inbox"},
        {"inbox": None},
        {"inbox": "https://there.example@victim.example/inbox"},
    ],
)
def test_an_account_with_an_inbox_elsewhere_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SignatureRefused):
        stranger_of({"id": WHO, "inbox": f"{WHO}/inbox", **changed}, WHO)


def test_keys_of_others_and_shared_inboxes_elsewhere_are_left_out() -> None:
    keys = [{"id": "k1", "owner": WHO, "publicKeyPem": "p"}, {"id": "k2", "owner": "other", "publicKeyPem": "q"}, "k3"]
    endpoints = {"sharedInbox": "https://victim.example/inbox"}
    stranger = stranger_of({"id": WHO, "inbox": f"{WHO}/inbox", "publicKey": keys, "endpoints": endpoints}, WHO)
    assert (stranger.keys, stranger.shared_inbox) == ({"k1": "p"}, "")


# Signatures, against an implementation that is not ours


KEY = serialization.load_pem_private_key(PRIVATE.encode(), password=None)


@given(
    body=st.binary(max_size=200),
    path=st.from_regex(r"/[a-z0-9/._~-]{0,20}", fullmatch=True),
    query=st.from_regex(r"([a-z]=[a-z0-9%]{0,9})?", fullmatch=True),
)
def test_what_we_sign_another_finds_right(body: bytes, path: str, query: str) -> None:
    url = f"https://there.example{path}" + (f"?{query}" if query else "")
    headers = http_signatures.signed(PRIVATE, "https://x.example#k", "POST", url, AT, body=body)
    signature = http_signatures.read(headers)
    http_signatures.check_request(signature, headers, body, AT)
    http_signatures.check_key(signature, PUBLIC_KEY, "POST", path + (f"?{query}" if query else ""), headers)
    if not query:  # apsig leaves it out
        ours = Signer(
            {name: headers[name] for name in ("host", "date", "digest", "content-type")},
            KEY,
            "POST",
            url,
            "https://x.example#k",
            body,
            ["(request-target)", "host", "date", "digest", "content-type"],
        ).sign()
        assert ours["Signature"] == headers["signature"]


@pytest.mark.parametrize("left_out", ["(request-target)", "host", "date", "digest"])
def test_a_signature_that_leaves_out_what_matters_is_refused(left_out: str) -> None:
    headers = http_signatures.signed(PRIVATE, "k", "POST", "https://there.example/inbox", AT, body=b"{}")
    signature = http_signatures.read(headers)
    http_signatures.check_request(signature, headers, b"{}", AT)
    covered = tuple(each for each in signature.headers if each != left_out)
    with pytest.raises(SignatureRefused, match="does not cover"):
        http_signatures.check_request(replace(signature, headers=covered), headers, b"{}", AT)


@given(st.text(max_size=60) | st.from_regex(r'(\w+="?[^"]*"?,?){0,4}', fullmatch=True))
def test_no_signature_is_too_strange_to_be_read_or_refused(header: str) -> None:
    try:
        signature = http_signatures.read({"signature": header})
        http_signatures.check_request(signature, {"date": "x", "digest": "x", "host": "x"}, b"", AT)
    except SignatureRefused:
        return
    raise AssertionError("nothing here is signed")


@pytest.mark.parametrize("key", ["", "x", PUBLIC_KEY.replace("A", "B", 1), PRIVATE])
def test_a_key_that_cannot_be_read_is_refused(key: str) -> None:
    headers = http_signatures.signed(PRIVATE, "k", "GET", "https://there.example/", AT)
    with pytest.raises(SignatureRefused):
        http_signatures.check_key(http_signatures.read(headers), key, "GET", "/", headers)


# Addresses that strangers name


@pytest.mark.parametrize(
    "address",
    [
        "http://there.example/inbox",
        "https://localhost/inbox",
        "https://127.0.0.1/inbox",
        "https://[::1]/inbox",
        "https://user@there.example/inbox",
        "https://[bad/inbox",
        "https://there.example:port/inbox",
        "ftp://there.example/inbox",
        "//there.example/inbox",
        "https:///inbox",
        "https://thére.example/inbox",
        f"https://there.example/{'x' * 2000}",
        "",
    ],
)
def test_an_installation_on_the_internet_asks_no_such_address(address: str) -> None:
    with pytest.raises(NotAllowed):
        strangers.check(address, "https://live.example")


def test_an_installation_on_this_machine_asks_this_machine_alone() -> None:
    strangers.check("http://127.0.0.1:8000/users/ana", "http://127.0.0.1:9000")
    with pytest.raises(NotAllowed):
        strangers.check("https://there.example/users/ana", "http://127.0.0.1:9000")


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "127.0.0.2",
        "0.0.0.0",
        "224.0.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
    ],
)
async def test_no_private_address_is_dialled(host: str) -> None:
    with pytest.raises(httpx.ConnectError, match="private"):
        await strangers._Guarded()._resolved(host.strip("[]"), 443, is_plain=False)
    async with strangers.client() as asking:
        with pytest.raises(NoAnswer, match="ConnectError"):
            await strangers.fetch(asking, f"https://{host}/users/ana", {})


async def test_a_public_address_is_dialled_and_plain_http_only_here() -> None:
    guarded = strangers._Guarded()
    assert await guarded._resolved("9.9.9.9", 443, is_plain=False) == "9.9.9.9"
    assert await guarded._resolved("127.0.0.1", 80, is_plain=True) == "127.0.0.1"
    with pytest.raises(httpx.ConnectError, match="this machine"):
        await guarded._resolved("9.9.9.9", 80, is_plain=True)


class Odd(FakeServer):
    """Answers as nobody should."""

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Response:
        return {
            "/long": Response(200, b'"' + b"x" * (strangers.ANSWER_BYTES_MAX + 1) + b'"'),
            "/list": Response(200, b"[]"),
            "/text": Response(200, b"hello"),
            "/deep": Response(200, b"[" * 100_000),
            "/elsewhere": Response(302, headers={"Location": "/list"}),
        }.get(request.path, Response(404))


@pytest.mark.parametrize("path", ["/long", "/list", "/text", "/deep", "/elsewhere", "/absent"])
async def test_an_odd_answer_is_no_answer(path: str) -> None:
    async with listening(Odd()) as server, strangers.client() as asking:
        with pytest.raises(NoAnswer):
            await strangers.fetch(asking, f"{server.base}{path}", {})


async def test_a_stranger_who_is_silent_is_not_waited_for() -> None:
    async with listening(Odd()) as server, strangers.client(0.05) as asking:
        server.faults.append("hang")
        with pytest.raises(NoAnswer):
            await strangers.deliver(asking, f"{server.base}/inbox", {}, b"{}")


# What an inbox is told


def note(key: str, revision: int, first: int = 0, **changes: Any) -> Standing:
    fields = {"made_at": AT, "valid_until": None, "is_gone": False, **changes}
    return Standing(key, revision, first or revision, **fields)


def account(*notes: Standing, featured: str = "", place: int = 0) -> Account:
    found = Account()
    for each in notes:
        found.put_note(each.key, each)
    if featured:
        found.featured = Kept(Featured(note=featured), place)
        found.tell_of(place)
    return found


@pytest.mark.parametrize(
    ("standing", "told", "words"),
    [
        (note("a", 5), 4, (Word.CREATE,)),
        (note("a", 5), 5, None),
        (note("a", 9, 5), 4, (Word.CREATE, Word.UPDATE)),
        (note("a", 9, 5), 5, (Word.UPDATE,)),
        (note("a", 9, 5, is_gone=True), 5, (Word.DELETE,)),
        (note("a", 9, 5, is_gone=True), 4, (Word.DELETE,)),
        (note("a", 5, valid_until=AT), 4, (Word.NOTHING,)),
        (note("a", 9, 5, valid_until=AT), 5, (Word.UPDATE,)),
        (note("a", 5, valid_until=AT + timedelta(seconds=1)), 4, (Word.CREATE,)),
    ],
)
def test_what_an_inbox_is_told_of_a_note(standing: Standing, told: int, words: tuple[Word, ...] | None) -> None:
    expected = [] if words is None else [Due(standing.revision, words, "a")]
    assert due(account(standing), told, AT) == expected


def test_a_live_post_is_told_even_when_its_last_word_is_old() -> None:
    known = account(note("a", 5, valid_until=AT), featured="a", place=6)
    assert due(known, 4, AT) == [Due(5, (Word.CREATE,), "a"), Due(6, (Word.PINNED,))]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 39), st.booleans()), unique_by=lambda each: each[0]))
def test_every_note_is_told_once_and_in_order(drawn: list[tuple[int, int, bool]]) -> None:
    notes = [note(str(place), place, max(place - back, 1), is_gone=gone) for place, back, gone in sorted(drawn)]
    known = account(*notes)
    places = [each.place for each in due(known, 0, AT)]
    assert places == [each.revision for each in notes]
    assert all(one < other for one, other in pairwise(places))
    told = places[len(places) // 2] if places else 0
    assert [each.place for each in due(known, told, AT)] == [place for place in places if place > told]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Heard.TAKEN),
        (202, Heard.TAKEN),
        (0, Heard.LATER),
        (301, Heard.LATER),
        (401, Heard.LATER),
        (403, Heard.LATER),
        (404, Heard.LATER),
        (410, Heard.GONE),
        (413, Heard.NEVER),
        (422, Heard.NEVER),
        (429, Heard.LATER),
        (500, Heard.LATER),
        (503, Heard.LATER),
    ],
)
def test_what_an_answer_means(status: int, expected: Heard) -> None:
    assert heard(status) is expected


def test_an_inbox_is_given_up_after_long_silence_and_sooner_when_it_says_it_is_gone() -> None:
    inbox = Inbox(address="https://there.example/inbox", told=3)
    fails, gone = after(inbox, Heard.LATER, 5, AT), after(inbox, Heard.GONE, 5, AT)
    assert (fails.told, gone.told) == (3, 3)
    assert not is_given_up(fails, AT + GIVEN_UP_AFTER - timedelta(seconds=1))
    assert is_given_up(after(fails, Heard.LATER, 5, AT + GIVEN_UP_AFTER), AT + GIVEN_UP_AFTER)
    assert is_given_up(after(gone, Heard.GONE, 5, AT + GONE_AFTER), AT + GONE_AFTER)
    assert not is_given_up(after(gone, Heard.LATER, 5, AT + GONE_AFTER), AT + GONE_AFTER)
    for what in (Heard.TAKEN, Heard.NEVER):
        assert after(gone, what, 5, AT) == Inbox(address=inbox.address, told=5)
