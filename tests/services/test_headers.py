"""Every answer of every route of both services, errors and all, has the headers that no answer may lack."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest

from services.api.app import Parts
from services.api.app import create_app as create_api
from services.api.following import STATUSES
from services.api.front import Front
from services.api.settings import ApiSettings
from services.ingest.main import api as ingest_routes
from services.ingest.main import create_app
from services.ingest.pages.site import assets_version
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.contracts.configuration import LibraryConfig
from shared.runtime.bus import Entry
from shared.runtime.health import Readiness, health_app
from shared.runtime.log_reader import Update
from tests.routes_of import routes_of
from tests.services.api_running import NOON, public

SECRET = "made-up-secret"
HASH = sha256(SECRET.encode()).hexdigest()
CACHE: Final = re.compile(r"no-store|no-cache|public, max-age=\d+(, immutable)?|private, .*|public, .*")
WRITES: Final = {"POST", "PUT", "DELETE"}
EMBEDS: Final = ("/embed/{library}", "/embed")
LIBRARY: Final = {
    "id": "tilleuls",
    "name": "Bibliothèque des Tilleuls",
    "time_zone": "Europe/Paris",
    "languages": ["fr", "en"],
    "opening_hours": "Mo-Su 08:00-19:00",
    "capacity": 120,
    "url": "https://library.example",
    "location": {"lat": 48.86, "lon": 2.35},
    "gates": [{"id": "north"}],
    "keys": [{"id": "gate", "sha256": HASH, "device": "box", "role": "gate"}],
    "sources": [{"id": "box", "type": "url", "token_sha256": HASH}],
}


def made_up(path: str) -> str:
    """Return a path in which every parameter has a value."""
    values = {
        "library": "tilleuls",
        "zone": "ground",
        "wish": f"{'0' * 32}.{'0' * 16}",
        "account": "tilleuls",
        "code": "not-found",
        "digest": "0" * 12,
        "token": SECRET,
        "rest:path": "a/b",
        "device": "cam",
        "version": assets_version(),
        "name": "staff.css" if "staff/files" in path else "icon" if "staff/" in path else "site.css",
        "size": "192",
        "key": "0" * 16,
    }
    return re.sub(r"\{([^}]+)\}", lambda found: values[found[1]], path)


def the_api(**more: Any) -> Front:
    settings = ApiSettings(**more)
    parts = Parts.of(settings, lambda: NOON)
    parts.readiness.has(STATUSES)
    parts.profiles.put(LibraryConfig.model_validate(LIBRARY))
    body = public().model_dump_json().encode()
    parts.projection.apply(Update("tilleuls", Entry("tilleuls", body, 1, NOON), 1))
    app = create_api(settings, parts)
    assert isinstance(app, Front)
    return app


def the_door() -> Door:
    door = Door(Settings(requests_per_key_per_s=0.1), Senders())
    library = LibraryConfig.model_validate(LIBRARY)
    door.senders.put(library)
    door.registry.put(library)
    return door


@pytest.fixture(scope="module")
def api_app() -> Front:
    return the_api()


def at(app: Any, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 4000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://here")


@pytest.fixture
async def api(api_app: Front) -> AsyncIterator[httpx.AsyncClient]:
    async with at(api_app) as client:
        yield client


def check(answer: httpx.Response, *, is_framed: bool = False) -> None:
    """Assert what holds of every answer of ours."""
    where = f"{answer.request.method} {answer.request.url} {answer.status_code}"
    headers = answer.headers
    names = [name.lower() for name, _ in answer.headers.multi_items()]
    twice = {name for name in names if names.count(name) > 1} - {"vary", "link"}
    assert not twice, f"{where}: {twice}"
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'", where
    assert "unsafe" not in headers["content-security-policy"], where
    assert policy["frame-ancestors"] == ("*" if is_framed else "'none'"), where
    assert policy["base-uri"] == "'none'", where
    assert "form-action" in policy, where
    assert all("*" not in value and "http:" not in value for key, value in policy.items() if key != "frame-ancestors")
    assert headers["x-content-type-options"] == "nosniff", where
    assert headers["referrer-policy"] == "no-referrer", where
    assert headers["cross-origin-opener-policy"] == "same-origin", where
    assert "camera=()" in headers["permissions-policy"], where
    assert "server" not in headers, where
    assert "x-powered-by" not in headers, where
    assert "strict-transport-security" not in headers, "whoever ends TLS says that"
    assert "set-cookie" not in headers, where
    assert "access-control-allow-credentials" not in headers, where
    assert CACHE.fullmatch(headers["cache-control"]), f"{where}: {headers['cache-control']}"
    if answer.status_code >= 400:
        assert headers["cache-control"] == "no-store" or "text/html" in headers["content-type"], where
        assert headers["content-type"].split(";")[0] in {"application/problem+json", "text/html"}, where
    if answer.request.method in WRITES:
        assert "access-control-allow-origin" not in headers, f"{where}: no page elsewhere may write"


def all_routes() -> Iterator[Any]:
    for verb, path in routes_of(the_api().other):
        yield pytest.param("api", verb, path, id=f"api {verb} {path}")
    for verb, path in routes_of(ingest_routes(the_door(), Readiness())):
        yield pytest.param("ingest", verb, path, id=f"ingest {verb} {path}")


ALL: Final = list(all_routes())


@pytest.mark.parametrize(("service", "verb", "path"), ALL)
async def test_a_route(api_app: Front, service: str, verb: str, path: str) -> None:
    async with at(api_app if service == "api" else create_app(the_door(), Readiness())) as client:
        for headers in ({}, {"Authorization": f"Bearer gate.{SECRET}", "Accept": "text/html"}):
            answer = await client.request(verb, made_up(path), headers=headers)
            check(answer, is_framed=path in EMBEDS[:1])
            if path in EMBEDS:
                assert answer.status_code == 200
            if service == "api" and path.startswith(("/v1/", "/embed/")) and verb == "GET":
                assert answer.headers["access-control-allow-origin"] == "*"
            elif service == "ingest" or not path.startswith(("/v1/", "/embed/")):
                assert "access-control-allow-origin" not in answer.headers
            again = await client.request(verb, made_up(path), headers={"Origin": "https://elsewhere.example"})
            check(again, is_framed=path in EMBEDS[:1])
            assert again.headers.get("access-control-allow-origin", "*") == "*", "nobody's origin is said after them"


async def test_what_is_so_of_figures_is_not_so_of_nothing(api: httpx.AsyncClient) -> None:
    """Most routes have really answered: else the headers would be those of errors alone."""
    paths = [each.values[2] for each in ALL if each.values[:2] == ("api", "GET")]
    answers = [await api.get(made_up(path)) for path in paths]
    assert sum(each.status_code == 200 for each in answers) > 30


ERRORS: Final = [
    ("GET", "/nothing", 404, {}),
    ("GET", "/v1/libraries/nobody", 404, {}),
    ("GET", "/v1/libraries?limit=0", 422, {}),
    ("POST", "/v1/libraries", 405, {}),
    ("PATCH", "/", 405, {}),
    ("TRACE", "/", 405, {}),
    ("GET", "/", 413, {"Content-Length": "999999"}),
    ("GET", "/", 413, {"Transfer-Encoding": "chunked"}),
    ("POST", "/ap/inbox", 413, {"Content-Length": "9999999"}),
    ("OPTIONS", "/v1/libraries", 204, {}),
    ("OPTIONS", "/v1/push/tilleuls", 204, {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}),
    ("HEAD", "/v1/stream", 200, {}),
    ("HEAD", "/", 200, {}),
    ("GET", "/v1/stream?library=nobody", 404, {}),
]


@pytest.mark.parametrize(("verb", "path", "status", "headers"), ERRORS)
async def test_an_error_of_the_api(
    api: httpx.AsyncClient, verb: str, path: str, status: int, headers: dict[str, str]
) -> None:
    answer = await api.request(verb, path, headers=headers)
    assert answer.status_code == status
    check(answer)
    if "access-control-allow-methods" in answer.headers:
        assert set(answer.headers["access-control-allow-methods"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


INGEST_ERRORS: Final = [
    ("GET", "/nothing", 404, {}),
    ("GET", "/v1/readings", 405, {}),
    ("POST", "/v1/readings", 401, {}),
    ("POST", "/v1/readings", 413, {"Authorization": f"Bearer gate.{SECRET}", "Content-Length": "99999999"}),
    ("POST", "/v1/readings", 415, {"Authorization": f"Bearer gate.{SECRET}", "Content-Encoding": "br"}),
    ("POST", "/v1/devices/unknown", 404, {}),
    ("POST", "/v1/staff/readings", 403, {"Authorization": f"Bearer gate.{SECRET}"}),
    ("PATCH", "/v1/claims", 405, {"Authorization": f"Bearer gate.{SECRET}"}),
    ("OPTIONS", "/v1/readings", 405, {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}),
    ("GET", "/v1/staff/desk?wait=forever", 422, {}),
    ("GET", "/devices", 413, {"Content-Length": "999999"}),
]


@pytest.mark.parametrize(("verb", "path", "status", "headers"), INGEST_ERRORS)
async def test_an_error_of_ingest(verb: str, path: str, status: int, headers: dict[str, str]) -> None:
    async with at(create_app(the_door(), Readiness())) as client:
        answer = await client.request(verb, path, headers=headers)
        assert answer.status_code == status
        check(answer)
        assert "access-control-allow-origin" not in answer.headers
        assert "forever" not in answer.text


async def test_too_many_and_a_fault_of_ours_have_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    door = the_door()
    async with at(create_app(door, Readiness())) as client:
        headers = {"Authorization": f"Bearer gate.{SECRET}"}
        answers = [await client.post("/v1/readings", headers=headers) for _ in range(25)]
        assert answers[-1].status_code == 429
        check(answers[-1])

        def broken() -> None:
            raise RuntimeError("a ghost in the door")

        monkeypatch.setattr("services.ingest.routes.now", broken)
        door.limits.requests_of_key._buckets._full_at_s.clear()
        fault = await client.post("/v1/readings", headers=headers)
    assert fault.status_code == 500
    assert "ghost" not in fault.text
    check(fault)
    async with at(the_api(requests_per_address_per_s=0.01), "203.0.113.77") as client:
        refused = [await client.get("/livez") for _ in range(2)][-1]
    assert refused.status_code == 429
    check(refused)


async def test_a_service_that_serves_nothing_else_has_them_too() -> None:
    async with at(health_app(Readiness())) as client:
        for path in ("/livez", "/readyz", "/metrics"):
            check(await client.get(path))
        nothing = await client.get("/nothing")
    assert nothing.headers["content-security-policy"].startswith("default-src 'none'")
    assert nothing.headers["x-content-type-options"] == "nosniff"
