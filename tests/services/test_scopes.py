"""Who may do what: every principal at every route and verb of both services, one table, the real applications and bus.

A route that is not in the table fails the test, so nobody adds one without saying who may use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest

from cli.bus_server import BusServer
from services.api.app import Parts
from services.api.app import create_app as create_api
from services.api.main import follow_bus
from services.api.settings import ApiSettings
from services.ingest.main import api as ingest_routes
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.contracts import subjects
from shared.contracts.devices import Claim, Device
from shared.domain.token_bucket import Allowance
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from tests.routes_of import routes_of
from tests.services.test_desk_routes import PIN, SECRET, SIMULATION, Front, bearer, running, until
from tests.services.test_headers import made_up

POST: Final = "0" * 64
TOKEN: Final = "a-token-of-made-up-letters-and-more"
PRINCIPALS: Final = (
    "nobody",
    "unknown key",
    "wrong secret",
    "expired key",
    "gate key",
    "gate key of another gate",
    "gate key of another library",
    "staff key",
    "staff key of another library",
    "tablet",
    "tablet of another library",
    "session",
    "session of another library",
    "session signed out",
    "source token",
    "simulation key",
    "push subscriber",
)
STRANGERS: Final = frozenset(
    {"nobody", "unknown key", "wrong secret", "expired key", "session signed out", "source token", "push subscriber"}
)
OTHERS: Final = frozenset(each for each in PRINCIPALS if each not in STRANGERS)


def only(allowed: dict[str, int], refused: int = 403, strangers: int = 401) -> dict[str, int]:
    """Return the answer to each principal: what these get, and what everybody else does."""
    usual = {each: strangers if each in STRANGERS else refused for each in PRINCIPALS}
    assert set(allowed) <= set(usual)
    return {**usual, **allowed}


def everybody(status: int) -> dict[str, int]:
    return dict.fromkeys(PRINCIPALS, status)


STAFF_OF_BOTH: Final = (
    "staff key",
    "staff key of another library",
    "session",
    "session of another library",
)
INGEST: Final[dict[tuple[str, str], dict[str, int]]] = {
    # What a gate says: its own library, its own gate, and nobody for another.
    ("POST", "/v1/readings"): only({"gate key": 202}),
    # What staff say under "POST /v1/readings" is a row of its own below.
    ("STAFF", "/v1/readings"): only({"staff key": 202, "session": 202}),
    ("POST", "/v1/approvals"): only({"staff key": 202, "session": 202}),
    # The token in the address is the credential; no key opens another source's.
    ("POST", "/v1/devices/{token}"): {**everybody(404), "source token": 200},
    ("PUT", "/v1/devices/{token}"): {**everybody(404), "source token": 200},
    ("POST", "/v1/devices/{token}/{rest:path}"): {**everybody(404), "source token": 200},
    ("PUT", "/v1/devices/{token}/{rest:path}"): {**everybody(404), "source token": 200},
    # Each sees and claims what is of their own library; a source of another is none of theirs.
    ("GET", "/v1/devices"): only(dict.fromkeys((*STAFF_OF_BOTH, "tablet", "tablet of another library"), 200)),
    ("POST", "/v1/claims"): only({"staff key": 201, "session": 201}),
    ("DELETE", "/v1/claims/{device}"): only(
        {"staff key": 204, "session": 204, "staff key of another library": 404, "session of another library": 404}
    ),
    # The code opens this door, and none of these is one.
    ("POST", "/v1/staff/enrolments"): everybody(403),
    # The person is one of the first library: at the other's tablet they are nobody.
    ("POST", "/v1/staff/sessions"): only({"tablet": 201, "session": 201}),
    ("DELETE", "/v1/staff/sessions/current"): only({"session": 204, "session of another library": 204}),
    ("GET", "/v1/staff/desk"): only(
        dict.fromkeys(("tablet", "tablet of another library", "session", "session of another library"), 200)
    ),
    ("GET", "/v1/staff/card.svg"): only(
        {"tablet": 200, "session": 200, "tablet of another library": 404, "session of another library": 404}
    ),
    # On the tablet, with the sessions of those who speak: the other library's tablet cannot bring them.
    ("POST", "/v1/staff/readings"): only(
        {"tablet": 202, "session": 202, "tablet of another library": 401, "session of another library": 403}
    ),
    # Pages hold no figure; scripts ask for them with a key.
    ("GET", "/devices"): everybody(200),
    ("GET", "/staff"): everybody(200),
    ("GET", "/staff/files/{version}/{name}"): everybody(200),
    ("GET", "/staff/sw.js"): everybody(200),
    ("GET", "/staff/manifest.webmanifest"): everybody(200),
    ("GET", "/staff/{name}-{size}.png"): everybody(200),
    ("GET", "/openapi.json"): everybody(200),
    ("GET", "/problems/{code}"): everybody(200),
    ("GET", "/livez"): everybody(200),
    ("GET", "/readyz"): everybody(200),
    ("GET", "/metrics"): everybody(200),  # of this machine; strangers' addresses are in test_limits
}


@dataclass
class House:
    """Two libraries with everybody who could come, and what they would change."""

    front: Front
    other: str
    shown: str = ""
    """The credential of the request in hand."""

    async def credential(self, principal: str) -> str:
        """Return what a principal shows, made now where it ends with its use."""
        mine, other = self.front.name, self.other
        keys = {
            "nobody": "",
            "unknown key": f"nobody-has-this.{SECRET}",
            "wrong secret": f"{mine}-gate.another-secret",
            "expired key": f"{mine}-old.{SECRET}",
            "gate key": f"{mine}-gate.{SECRET}",
            "gate key of another gate": f"{mine}-side.{SECRET}",
            "gate key of another library": f"{other}-gate.{SECRET}",
            "staff key": f"{mine}-staff.{SECRET}",
            "staff key of another library": f"{other}-staff.{SECRET}",
            "source token": f"{mine}-{TOKEN}",
            "simulation key": f"simulation.{SIMULATION}",
            "push subscriber": "0" * 64,
        }
        if principal in keys:
            return keys[principal]
        library = other if "another" in principal else mine
        tablet = self.tablets[library]
        if principal.startswith("tablet"):
            return tablet
        session = await self.front.session(tablet, "cd" if library == other else "ab")
        if principal == "session signed out":
            await self.front.client.delete("/v1/staff/sessions/current", headers=bearer(session))
        return session

    async def prepare(self) -> None:
        """Put both libraries, their people and their tablets in place."""
        self.tablets = {}
        for library, person in ((self.front.name, "ab"), (self.other, "cd")):
            await self.front.configure(library, **self.configuration(library))
            await self.front.person(person, library)
            self.tablets[library] = await self.front.tablet("front-desk", library)

    @staticmethod
    def configuration(library: str) -> dict[str, Any]:
        digest = sha256(SECRET.encode()).hexdigest()

        def key(name: str, role: str, **more: Any) -> dict[str, Any]:
            return {"id": f"{library}-{name}", "sha256": digest, "device": f"{name}-box", "role": role, **more}

        token = sha256(f"{library}-{TOKEN}".encode()).hexdigest()
        return {
            "gates": [
                {"id": f"{library}-front", "name": "Front door", "to": "hall"},
                {"id": f"{library}-side", "to": "hall"},
            ],
            "keys": [
                key("gate", "gate", gates=[f"{library}-front"]),
                key("side", "gate", gates=[f"{library}-side"]),
                key("old", "gate", expires=datetime(2020, 1, 1, tzinfo=UTC)),
                key("staff", "staff"),
            ],
            "sources": [{"id": f"{library}-box", "type": "url", "token_sha256": token}],
        }

    async def ask(self, verb: str, path: str, credential: str) -> httpx.Response:
        """Do at a route what it is for, always to the first library."""
        mine, client = self.front.name, self.front.client
        bodies: dict[str, Callable[[], Awaitable[Any]]] = {
            "/v1/readings": self._reading,
            "/v1/approvals": self._approval,
            "/v1/claims": self._claim,
            "/v1/staff/enrolments": self._enrolment,
            "/v1/staff/sessions": self._sign_in,
            "/v1/staff/readings": self._together,
        }
        self.shown = credential
        body: Any = await bodies[path]() if path in bodies and verb != "GET" else None
        if verb == "STAFF":
            verb, body = "POST", {"kind": "head_count", "library": mine, "people": 40}
        if path == "/v1/claims/{device}":
            await self._claimed()
        token = credential if credential.endswith(TOKEN) else "no-such-token-of-anybody-at-all"
        target = made_up(path.replace("{token}", token))
        headers = bearer(credential) if credential else {}
        return await client.request(verb, target, json=body, headers=headers)

    async def _reading(self) -> Any:
        return {
            "kind": "gate_count",
            "library": self.front.name,
            "gate": f"{self.front.name}-front",
            "entries": 1,
            "exits": 0,
        }

    async def _approval(self) -> Any:
        return {"library": self.front.name, "post": POST, "approve": True}

    async def _claim(self) -> Any:
        lines = [{"gate": f"{self.front.name}-front"}]
        return {"id": "cam", "source": f"{self.front.name}-box", "serial": "S1", "lines": lines}

    async def _enrolment(self) -> Any:
        return {"code": f"{self.front.name}.{'x' * 32}"}

    async def _sign_in(self) -> Any:
        return {"person": "ab", "pin": PIN}

    async def _together(self) -> Any:
        own = ".session." in self.shown
        session = self.shown if own else await self.front.session(self.tablets[self.front.name])
        reading = {"kind": "head_count", "library": self.front.name, "people": 41}
        return {"readings": [{"session": session, "reading": reading}]}

    async def _claimed(self) -> None:
        device = Device.model_validate({"id": "cam", **{k: v for k, v in (await self._claim()).items() if k != "id"}})
        claim = Claim(library=self.front.name, device=device, by="ab", at=datetime.now(UTC))
        key = subjects.device_key(self.front.name, "cam")
        await self.front.bus.bucket(subjects.CLAIMS).put(key, claim.model_dump_json().encode())


@pytest.fixture
async def house(standing: Bus, bus_server: BusServer) -> AsyncIterator[House]:
    async with running(bus_server, standing) as front:
        house = House(front, f"{front.name}-other")
        await house.prepare()
        await front.status()
        yield house


def test_every_route_of_ingest_is_in_the_table() -> None:
    routes = set(routes_of(ingest_routes(Door(Settings(), Senders()), Readiness())))
    assert routes == {(verb, path) for verb, path in INGEST if verb != "STAFF"}
    assert all(set(row) == set(PRINCIPALS) for row in INGEST.values())


@pytest.mark.slow  # hundreds of requests, and each session is signed in for
@pytest.mark.timeout(240)
async def test_who_may_do_what_at_ingest(house: House) -> None:
    limits = house.front.door.limits
    for each in (limits.strangers, limits.wrong_keys):  # they all come from one address here
        each._buckets._allowance = Allowance(0, 0)
    wrong = []
    for (verb, path), row in INGEST.items():
        for principal, expected in row.items():
            answer = await house.ask(verb, path, await house.credential(principal))
            if answer.status_code != expected:
                wrong.append(f"{verb} {path}, {principal}: {answer.status_code}, not {expected}: {answer.text[:150]}")
            if "another library" in principal:
                assert f'"{house.front.name}-box"' not in answer.text, "nothing of another library is shown"
    assert not wrong, "\n".join(wrong)


API_WRITES: Final = {
    ("POST", "/v1/push/{library}"): 422,  # a subscription is wanted, and anybody may have one
    ("DELETE", "/v1/push/{library}/{wish}"): 204,  # who knows the id of a wish, which nobody else does; there is none
    ("POST", "/ap/inbox"): 401,  # signed by the server that sends, or refused
    ("POST", "/ap/{account}/inbox"): 404,
}
"""Everything else of the API only reads, and what it says is for everybody."""
READS_OF_NOTHING: Final = {404, 422, 503}
"""What has no feed, no account, no offer and no day, or wants a parameter, says so, to everybody alike."""


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_api_tells_everybody_the_same_and_nobody_writes_but_by_their_own(
    house: House, bus_server: BusServer
) -> None:
    settings = ApiSettings(nats_url=bus_server.url, nats_seed_file=bus_server.seed_file("api"))
    parts = Parts.of(settings, now)
    app = create_api(settings, parts)
    routes = set(routes_of(app.other))  # type: ignore[attr-defined]  # the front's
    assert {each for each in routes if each[0] != "GET"} == set(API_WRITES)
    async with AsyncExitStack() as stack:
        work = asyncio.create_task(follow_bus(settings, parts))
        stack.callback(work.cancel)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://api"))
        await until(lambda: parts.projection.get(house.front.name) is not None)
        credentials = [
            await house.credential(each) for each in ("nobody", "gate key", "staff key", "tablet", "session")
        ]
        credentials.append(await house.credential("simulation key"))
        answered = 0
        for verb, path in sorted(routes):
            target = made_up(path).replace("tilleuls", house.front.name)
            answers = [await client.request(verb, target, headers=bearer(each) if each else {}) for each in credentials]
            assert len({each.status_code for each in answers}) == 1, f"{verb} {path}: a key makes no difference here"
            if verb != "GET":
                assert answers[0].status_code == API_WRITES[verb, path], f"{verb} {path}: {answers[0].text[:200]}"
                continue
            assert answers[0].status_code in {200, *READS_OF_NOTHING}, f"{path}: {answers[0].text[:300]}"
            answered += answers[0].status_code == 200
            for each in answers:
                assert house.tablets[house.front.name] not in each.text
        assert answered > 30
