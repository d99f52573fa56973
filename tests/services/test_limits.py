"""Who comes too often is told when to come back, and nobody else notices: by key, source and address."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from services.api.app import Parts
from services.api.app import create_app as create_api
from services.api.settings import ApiSettings
from services.ingest.main import create_app
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.contracts.configuration import LibraryConfig
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from shared.runtime.metrics import REQUESTS_LIMITED
from shared.runtime.rate_limits import is_near, is_this_machine, network_of
from shared.runtime.service import config_of

SECRET = "made-up-secret"
HASH = sha256(SECRET.encode()).hexdigest()
ABROAD = "203.0.113.7"
NOWHERE = 503
"""There is no bus here: what is let through is told so."""


def ingest(address: str = ABROAD, **settings: Any) -> tuple[httpx.AsyncClient, Door]:
    door = Door(Settings(**settings), Senders(simulation_key_sha256=HASH))
    config = {
        "id": "branch",
        "name": "Branch",
        "time_zone": "Europe/Paris",
        "opening_hours": "24/7",
        "capacity": 100,
        "gates": [{"id": "north"}],
        "keys": [{"id": name, "sha256": HASH, "device": name, "role": "gate"} for name in ("noisy", "quiet")],
        "sources": [{"id": "box", "type": "url", "token_sha256": HASH}],
    }
    library = LibraryConfig.model_validate(config)
    door.senders.put(library)
    door.registry.put(library)
    transport = httpx.ASGITransport(create_app(door, Readiness()), client=(address, 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://ingest"), door


def api(address: str = ABROAD, **settings: Any) -> httpx.AsyncClient:
    chosen = ApiSettings(**settings)
    transport = httpx.ASGITransport(create_api(chosen, Parts.of(chosen, now)), client=(address, 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://api")


async def post(client: httpx.AsyncClient, key: str, size: int = 10) -> httpx.Response:
    body = json.dumps({"kind": "gate_count", "library": "branch", "gate": "north", "note": "x" * size})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return await client.post("/v1/readings", content=body, headers=headers)


def refused(service: str, limit: str) -> float:
    found: float = REQUESTS_LIMITED.labels(service, limit)._value.get()
    return found


def check_refusal(answer: httpx.Response, code: str) -> None:
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{code}"
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_key_that_sends_too_often_is_refused_and_another_is_not() -> None:
    client, _ = ingest(requests_per_key_per_s=0.1)
    before = refused("ingest", "requests of a key")
    answers = [await post(client, f"noisy.{SECRET}") for _ in range(10)]
    assert 429 not in {each.status_code for each in answers[:2]}
    for each in answers[2:]:
        check_refusal(each, "too-many-requests")
    assert refused("ingest", "requests of a key") == before + 8
    assert (await post(client, f"quiet.{SECRET}")).status_code != 429


async def test_a_key_that_sends_too_much_is_refused_by_its_bytes() -> None:
    client, _ = ingest(kib_per_key_per_s=1)
    answers = [await post(client, f"noisy.{SECRET}", 10_000) for _ in range(6)]
    assert [each.status_code == 429 for each in answers] == [False] * 3 + [True] * 3
    check_refusal(answers[-1], "too-many-requests")


async def test_a_source_has_a_bucket_of_its_own() -> None:
    client, _ = ingest(requests_per_key_per_s=0.1)
    answers = [await client.post(f"/v1/devices/{SECRET}", content=b"{}") for _ in range(4)]
    assert [each.status_code for each in answers] == [NOWHERE, NOWHERE, 429, 429]


async def test_an_address_is_limited_whatever_keys_it_has_but_this_machine_is_not() -> None:
    client, _ = ingest(requests_per_address_per_s=0.1)
    answers = [await post(client, f"{key}.{SECRET}") for key in ("noisy", "quiet", "noisy", "quiet")]
    assert [each.status_code == 429 for each in answers] == [False, False, True, True]
    here, _ = ingest("127.0.0.1", requests_per_address_per_s=0.1)
    assert 429 not in {(await post(here, f"noisy.{SECRET}")).status_code for _ in range(6)}


async def test_the_simulation_s_key_has_no_limit() -> None:
    client, _ = ingest(requests_per_key_per_s=0.1, requests_per_address_per_s=0.1, kib_per_key_per_s=1)
    assert 429 not in {(await post(client, f"simulation.{SECRET}", 20_000)).status_code for _ in range(8)}


async def test_wrong_keys_are_told_less_after_a_while_and_right_ones_are_taken_all_the_while() -> None:
    client, door = ingest(wrong_keys_per_address_per_min=3)
    answers = [await post(client, f"made-up-{number}.{SECRET}") for number in range(4)]
    answers.append(await client.post("/v1/devices/no-such-token", content=b"x" * 100))
    assert [each.status_code for each in answers] == [401, 401, 401, 429, 429]
    check_refusal(answers[-1], "too-many-wrong-keys")
    assert (await post(client, f"quiet.{SECRET}")).status_code != 429
    assert len(door.limits.wrong_keys) == 1
    assert len(door.limits.requests_of_key) == 1, "a key that nobody has takes no room"


async def test_no_address_takes_up_more_than_its_bucket_and_the_oldest_are_forgotten() -> None:
    _, door = ingest()
    for number in range(20_000):
        door.limits.wrong_keys.retry_after_s(f"2001:db8:{number // 65536:x}:{number % 65536:x}::")
    assert len(door.limits.wrong_keys) == 16_384


async def test_a_reader_who_asks_too_often_is_refused_with_every_header_and_others_are_not() -> None:
    client = api(requests_per_address_per_s=0.1)
    answers = [await client.get("/v1/libraries") for _ in range(5)]
    assert [each.status_code == 429 for each in answers] == [False] * 3 + [True] * 2
    check_refusal(answers[-1], "too-many-requests")
    assert answers[-1].headers["access-control-allow-origin"] == "*", "a script on another site has to see it too"
    assert "retry-after" in answers[-1].headers["access-control-expose-headers"].lower()
    here = api("::1", requests_per_address_per_s=0.1)
    assert 429 not in {(await here.get("/v1/libraries")).status_code for _ in range(8)}


async def test_a_network_of_ipv6_is_one_reader() -> None:
    settings = ApiSettings(requests_per_address_per_s=0.1)
    app = create_api(settings, Parts.of(settings, now))
    answers = []
    for address in ("2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3", "2001:db8:1:2::4", "2001:db8:1:3::1"):
        transport = httpx.ASGITransport(app, client=(address, 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answers.append((await client.get("/livez")).status_code)
    assert answers == [200, 200, 200, 429, 200]


@pytest.mark.parametrize(
    ("address", "is_one", "is_ours"),
    [
        ("127.0.0.1", True, True),
        ("127.8.9.1", True, True),
        ("::1", True, True),
        ("", True, True),
        ("192.168.1.4", False, True),
        ("10.42.0.9", False, True),
        ("100.64.3.3", False, True),
        ("fd00::7", False, True),
        ("fe80::1%eth0", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:8.8.8.8", False, False),
        ("8.8.8.8", False, False),
        ("2a00:1450:4007:80e::200e", False, False),
        ("::ffff:127.0.0.1", True, True),
        # Not addresses: a proxy may pass on what another one has said, and a stranger what they like.
        ("unknown", False, False),
        ("_hidden", False, False),
        ("203.0.113.5:4711", False, False),
        ("127.0.0.1 ", False, False),
        ("127.somebody", False, False),
    ],
)
def test_who_is_near(address: str, *, is_one: bool, is_ours: bool) -> None:
    assert is_this_machine(address) == is_one
    assert is_near(address) == is_ours


def test_a_mapped_address_is_the_one_it_maps() -> None:
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"


def test_whatever_is_no_address_counts_as_one() -> None:
    assert network_of("unknown") == network_of("203.0.113.5:4711") == network_of("_1") != network_of("203.0.113.5")


async def test_a_method_that_is_not_had_counts_as_any_other_request() -> None:
    async with api(requests_per_address_per_s=0.03) as client:
        for method in ("OPTIONS", "PUT"):
            answers = [(await client.request(method, "/")).status_code for _ in range(3)]
            assert answers[-1] == 429, method


async def test_wrong_keys_count_where_somebody_only_asks_too() -> None:
    client, _ = ingest(wrong_keys_per_address_per_min=3)
    wrong = {"Authorization": "Bearer quiet.wrong"}
    async with client:
        answers = [(await client.get("/v1/staff/desk", headers=wrong)).status_code for _ in range(5)]
        assert answers == [401, 401, 401, 429, 429]
        assert (await client.get("/v1/staff/desk")).status_code == 401, "without a key nothing is guessed"
        assert (await post(client, f"quiet.{SECRET}")).status_code == 422, "it is let in, and heard"


async def test_a_session_that_is_over_is_no_wrong_key() -> None:
    client, door = ingest(wrong_keys_per_address_per_min=2)
    over = {"Authorization": "Bearer branch.session.desk.secret"}
    async with client:
        assert (await client.post("/v1/staff/readings", json=[], headers=over)).status_code == 503  # not read yet
        door.senders.staff.is_read = True
        for _ in range(5):
            answer = await client.post("/v1/staff/readings", json=[], headers=over)
            assert (answer.status_code, answer.json()["type"]) == (401, "/problems/session-over")


@pytest.mark.parametrize("service", ["ingest", "api"])
async def test_strangers_on_the_internet_see_neither_metrics_nor_what_is_missing(service: str) -> None:
    def client(address: str, **settings: Any) -> httpx.AsyncClient:
        return ingest(address, **settings)[0] if service == "ingest" else api(address, **settings)

    far, near = client("8.8.8.8"), client("10.0.0.9")
    assert (await far.get("/metrics")).status_code == 404
    assert (await near.get("/metrics")).status_code == 200
    assert (await client("8.8.8.8", metrics_for="everybody").get("/metrics")).status_code == 200
    assert "waiting" not in (await far.get("/readyz")).json()
    assert "waiting" in (await near.get("/readyz")).json()
    assert (await far.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("trusted", "peer", "said", "seen"),
    [
        (None, "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (None, "198.51.100.1", "127.0.0.1", "198.51.100.1"),  # a stranger who says that they are this machine
        ("10.0.0.5", "127.0.0.1", "203.0.113.9", "127.0.0.1"),
        ("10.0.0.5", "10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/24", "10.0.0.77", "127.0.0.1, 203.0.113.9", "203.0.113.9"),  # its client has written the first
        ("10.0.0.5", "10.0.0.5", "10.0.0.5, 203.0.113.9, 10.0.0.5", "203.0.113.9"),
        ("10.0.0.5", "10.0.0.5", "", "10.0.0.5"),
    ],
)
async def test_who_asks_is_believed_of_named_proxies_alone(
    monkeypatch: pytest.MonkeyPatch, trusted: str | None, peer: str, said: str, seen: str
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    clients = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        clients.append(scope["client"][0])

    config = config_of(app, "127.0.0.1", 0)
    config.load()
    scope = {"type": "http", "client": (peer, 9), "scheme": "http", "headers": [(b"x-forwarded-for", said.encode())]}
    await config.loaded_app(scope, None, None)
    assert clients == [seen]
