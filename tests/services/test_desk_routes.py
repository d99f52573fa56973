"""The staff's side over HTTP: tablets and people are let in, say things under their names, and see their library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import pytest

from cli.bus_server import BusServer
from services.ingest import desk_watch
from services.ingest.desk_routes import WAITING_OF_ONE
from services.ingest.limits import STRANGER_TRIES
from services.ingest.main import create_app, with_devices
from services.ingest.pins import kept
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from services.ingest.sign_in import invitation_name, open_code, sign_out
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import TRIES, TRIES_ON_TABLET, Act, DeskRecord, Invitation, Person, Tries
from shared.contracts.devices import DeviceState
from shared.contracts.posting import Memory, memory_key
from shared.contracts.posts import Delivery, DeliveryState
from shared.contracts.readings import Mute, Pack, RemarkReading
from shared.contracts.status import PublicStatus, Sentences
from shared.domain.acts import ActState
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.domain.estimation.gates import FaultKind
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.domain.posting import Held, PostingState
from shared.domain.status import Change, GateFault, State, Status
from shared.runtime.bus import Bus, connected
from shared.runtime.card import card_svg
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReader
from tests.conftest import settings_for

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
PIN = "2580"
KEPT = kept(PIN)
SECRET = "made-up-secret"
SIMULATION = "made-up-simulation-secret"


@dataclass
class Front:
    """One library with an ingest that runs on the real bus, and what an operator does with its staff."""

    name: str
    bus: Bus
    client: httpx.AsyncClient
    door: Door

    async def configure(self, library: str = "", **more: Any) -> None:
        name = library or self.name
        config = LibraryConfig.model_validate(
            {
                "id": name,
                "name": "Branch",
                "time_zone": "Europe/Paris",
                "languages": ["fr", "en"],
                "opening_hours": "24/7",
                "capacity": 100,
                "zones": [{"id": "hall", "name": "Hall", "capacity": 100}],
                "gates": [{"id": f"{name}-front", "name": "Front door", "to": "hall"}],
                "markers": [
                    {"id": "tree", "name": "The tree", "people": 60},
                    {"id": "pillar", "name": "The pillar", "people": 20},
                ],
                "keys": [
                    {
                        "id": f"{name}-staff",
                        "sha256": sha256(SECRET.encode()).hexdigest(),
                        "device": "old-tablet",
                        "role": "staff",
                    }
                ],
                **more,
            }
        )
        await self.bus.bucket(subjects.LIBRARIES).put(name, config.model_dump_json(by_alias=True).encode())
        await until(lambda: self.door.registry.libraries.get(name) == config)

    async def put(self, what: str, name: str, value: Any, library: str = "") -> None:
        key = subjects.staff_key(library or self.name, what, name)
        await self.bus.bucket(subjects.STAFF).put(key, value.model_dump_json().encode())

    async def person(self, name: str = "ab", library: str = "") -> Person:
        person = Person(id=name, name=name.upper(), pin=KEPT, since=datetime.now(UTC))
        await self.put("person", name, person, library)
        await until(lambda: self.door.senders.staff.person(library or self.name, name) == person)
        return person

    async def invite(self, tablet: str = "front-desk", library: str = "", minutes: float = 15) -> str:
        code = open_code(library or self.name)
        digest = sha256(code.encode()).hexdigest()
        expires = datetime.now(UTC) + timedelta(minutes=minutes)
        invitation = Invitation(sha256=digest, tablet=tablet, name="Front desk", expires=expires)
        await self.put("invitation", invitation_name(digest), invitation, library)
        return code

    async def enrol(self, code: str, **more: str) -> httpx.Response:
        return await self.client.post("/v1/staff/enrolments", json={"code": code, **more})

    async def tablet(self, tablet: str = "front-desk", library: str = "") -> str:
        answer = await self.enrol(await self.invite(tablet, library))
        assert answer.status_code == 201
        key: str = answer.json()["key"]
        return key

    async def sign_in(self, key: str, person: str = "ab", pin: str = PIN) -> httpx.Response:
        body = {"person": person, "pin": pin}
        return await self.client.post("/v1/staff/sessions", json=body, headers=bearer(key))

    async def session(self, key: str, person: str = "ab") -> str:
        answer = await self.sign_in(key, person)
        assert answer.status_code == 201, answer.text
        session: str = answer.json()["session"]
        return session

    async def say(self, credential: str, **reading: Any) -> httpx.Response:
        body = {"kind": "head_count", "library": self.name, "people": 40, **reading}
        return await self.client.post(
            "/v1/readings", json=[body], headers={**bearer(credential), "Content-Type": "application/json"}
        )

    async def desk(self, credential: str, **asked: Any) -> httpx.Response:
        return await self.client.get("/v1/staff/desk", params=asked, headers=bearer(credential), timeout=40)

    async def readings(self) -> list[RemarkReading]:
        found: list[RemarkReading] = []
        async for batch in LogReader(self.bus, subjects.READINGS, [subjects.ANY_READINGS]).batches():
            for message in batch.messages:
                packed = Pack.model_validate_json(message.data).readings
                found += [each for each in packed if each.library == self.name and isinstance(each, RemarkReading)]
            if batch.is_caught_up:
                break
        return found

    async def status(self, **more: Any) -> PublicStatus:
        at = datetime.now(UTC)
        fields: dict[str, Any] = {
            "library": self.name,
            "name": "Branch",
            "time_zone": "Europe/Paris",
            "languages": ("fr", "en"),
            "revision": 1,
            "state": State.OPEN,
            "capacity": 100,
            "as_of": at,
            "valid_until": at + timedelta(minutes=10),
            **more,
        }
        public = PublicStatus.of(status_with(fields), {})
        await self.bus.bucket(subjects.STATUS).put(self.name, public.model_dump_json().encode())
        return public


def status_with(fields: dict[str, Any]) -> Status:
    nothing: dict[str, Any] = dict.fromkeys(Status.__dataclass_fields__)
    empty: dict[str, Any] = {
        "zones": (),
        "hours_today": (),
        "notice": "",
        "muted": False,
        "entries_today": 0,
        "exits_today": 0,
        "clock": ClockKind.WALL,
        "speed": 1.0,
        "url": "",
        "gate_faults": (),
        "wait_if_leaving": (),
        "waits_checked": 0,
        "corrected_entries_today": 0,
        "corrected_exits_today": 0,
        "rule_version": "",
    }
    return Status(**{**nothing, **empty, **fields})


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def problem(answer: httpx.Response) -> str:
    found: str = answer.json()["type"].rpartition("/")[2]
    return found


async def until(is_so: Any) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(server: BusServer, bus: Bus, **settings: Any) -> AsyncIterator[Front]:
    """Run an ingest until the end of the block."""
    door = Door(Settings(**settings), Senders(simulation_key_sha256=sha256(SIMULATION.encode()).hexdigest()))
    async with connected([server.url], settings_for(server, "ingest").nats_seed, "ingest") as own:
        work = asyncio.create_task(with_devices(own, door, Readiness()))
        transport = httpx.ASGITransport(create_app(door, Readiness()))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            front = Front(f"lib-{token_hex(4)}", bus, client, door)
            try:
                if not door.settings.leaf:
                    await until(lambda: door.senders.staff.is_read)
                await front.configure()
                yield front
            finally:
                work.cancel()
                await asyncio.wait([work])


@pytest.fixture
async def front(standing: Bus, bus_server: BusServer) -> AsyncIterator[Front]:
    async with running(bus_server, standing) as found:
        yield found


async def test_a_tablet_is_enrolled_somebody_signs_in_and_what_they_say_carries_their_name(front: Front) -> None:
    await front.person()
    enrolled = await front.enrol(await front.invite())
    assert enrolled.status_code == 201
    assert enrolled.headers["cache-control"] == "no-store"
    fields = enrolled.json()
    assert fields["library"] == {"id": front.name, "name": "Branch"}
    assert fields["tablet"] == {"id": "front-desk", "name": "Front desk"}
    signed_in = await front.sign_in(fields["key"])
    assert signed_in.status_code == 201
    assert signed_in.json()["person"] == {"id": "ab", "name": "AB"}
    session = signed_in.json()["session"]
    at = datetime.now(UTC) - timedelta(minutes=40)
    for _ in range(2):
        answer = await front.say(session, id="tap-1", time=at.isoformat())
        assert answer.status_code == 202
    [said] = {(each.id, each.device, each.by, each.time) for each in await front.readings()}
    assert said == ("tap-1", "front-desk", "ab", at)


async def test_an_invitation_is_used_once_and_not_after_its_time(front: Front) -> None:
    code = await front.invite()
    answers = await asyncio.gather(*(front.enrol(code) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201, 403, 403, 403, 403]
    late = await front.enrol(await front.invite(minutes=-1))
    unknown = await front.enrol(open_code(front.name))
    elsewhere = await front.enrol(open_code("nowhere"))
    garbage = await front.enrol("what is this")
    refused = [each for each in answers if each.status_code == 403]
    assert {each.text for each in (*refused, late, unknown, elsewhere, garbage)} == {late.text}
    assert problem(late) == "invitation-over"


async def test_a_tablet_whose_answer_was_lost_gets_the_same_key_again_and_nobody_else_one(front: Front) -> None:
    code, nonce = await front.invite(), token_hex(12)
    answers = await asyncio.gather(*(front.enrol(code, nonce=nonce) for _ in range(4)))
    assert [each.status_code for each in answers] == [201] * 4
    assert len({each.text for each in answers}) == 1
    key = answers[0].json()["key"]
    assert nonce not in key
    for more in ({}, {"nonce": token_hex(12)}):
        assert problem(await front.enrol(code, **more)) == "invitation-over"
    assert (await front.desk(key)).status_code == 200
    assert (await front.enrol(code, nonce=nonce)).json()["key"] == key
    assert problem(await front.enrol(code, nonce="too-short")) == "invitation-over"


async def test_a_tablet_that_was_not_written_down_is_with_the_same_nonce(front: Front) -> None:
    code, nonce = await front.invite(), token_hex(12)
    key = (await front.enrol(code, nonce=nonce)).json()["key"]
    tablet = subjects.staff_key(front.name, "tablet", "front-desk")
    await front.bus.bucket(subjects.STAFF).delete(tablet)  # as if the bus had been lost in between
    await until(lambda: front.door.senders.staff.tablet(front.name, "front-desk") is None)
    assert (await front.enrol(code, nonce=nonce)).json()["key"] == key
    assert (await front.desk(key)).status_code == 200
    newer = (await front.enrol(await front.invite(), nonce=nonce)).json()["key"]
    assert problem(await front.enrol(code, nonce=nonce)) == "invitation-over"
    assert (await front.desk(newer)).status_code == 200


async def test_an_invitation_is_over_at_its_time_also_for_who_has_used_it(front: Front) -> None:
    code, nonce = await front.invite(minutes=0.02), token_hex(12)
    assert (await front.enrol(code, nonce=nonce)).status_code == 201
    await asyncio.sleep(1.3)
    assert problem(await front.enrol(code, nonce=nonce)) == "invitation-over"


async def test_strangers_are_slowed_down_and_their_bodies_are_small(front: Front) -> None:
    large = await front.client.post("/v1/staff/enrolments", content=b" " * 2000)
    assert problem(large) == "body-too-large"
    answers = [await front.enrol(open_code(front.name)) for _ in range(STRANGER_TRIES)]
    assert problem(answers[-1]) == "too-many-tries"
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_wrong_pins_are_counted_and_end_in_a_pause_also_for_the_right_one(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    left = []
    for _ in range(TRIES - 1):
        answer = await front.sign_in(key, pin="9999")
        assert problem(answer) == "wrong-pin"
        left.append(answer.json()["left"])
    assert left == [4, 3, 2, 1]
    for pin in ("9999", PIN):
        answer = await front.sign_in(key, pin=pin)
        assert (answer.status_code, problem(answer)) == (429, "locked")
        assert 0 < int(answer.headers["retry-after"]) <= 300


async def test_many_wrong_pins_at_once_are_no_more_tries_than_one_after_the_other(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    answers = await asyncio.gather(*(front.sign_in(key, pin=f"93{number:02}") for number in range(20)))
    assert sum(problem(each) == "wrong-pin" for each in answers) < TRIES
    assert problem(await front.sign_in(key)) == "locked"


async def test_a_pause_is_of_one_tablet_and_locks_nobody_out_elsewhere(front: Front) -> None:
    await front.person("ab")
    await front.person("cd")
    key, elsewhere = await front.tablet(), await front.tablet("back-desk")
    for _ in range(TRIES):
        await front.sign_in(key, pin="9999")
    assert problem(await front.sign_in(key)) == "locked"
    assert (await front.sign_in(elsewhere)).status_code == 201
    assert (await front.sign_in(key, "cd")).status_code == 201
    assert problem(await front.sign_in(key)) == "locked"  # whoever got in elsewhere, here somebody tries


async def test_who_tries_colleague_after_colleague_is_stopped_and_no_own_pin_begins_it_anew(front: Front) -> None:
    own = await front.person("ab")
    people = [f"p{number}" for number in range(TRIES_ON_TABLET)]
    for name in people:
        await front.put("person", name, own.model_copy(update={"id": name}))
    await until(lambda: len(front.door.senders.staff.people(front.name)) == TRIES_ON_TABLET + 1)
    key = await front.tablet()
    for name in people[:-1]:
        assert problem(await front.sign_in(key, name, pin="9999")) == "wrong-pin"
    assert (await front.sign_in(key)).status_code == 201
    assert (await front.sign_in(key)).status_code == 201
    last = await front.sign_in(key, people[-1], pin="9999")
    assert problem(last) == "locked"
    assert problem(await front.sign_in(key)) == "locked"
    assert (await front.sign_in(await front.tablet("back-desk"))).status_code == 201


async def test_the_right_pin_as_the_last_try_that_a_tablet_has_locks_nothing(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    many = Tries(wrong=TRIES_ON_TABLET - 1, last_at=datetime.now(UTC))
    await front.put("tries", "_on.front-desk", many)
    for _ in range(3):
        assert (await front.sign_in(key)).status_code == 201
    assert problem(await front.sign_in(key, pin="9999")) == "locked"
    await front.put("tries", "_on.front-desk", many.model_copy(update={"last_at": NOON - timedelta(days=99)}))
    assert (await front.sign_in(key, pin="9999")).json()["left"] == TRIES - 2


async def test_a_count_that_was_deleted_is_begun_anew(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    await front.sign_in(key, pin="9999")
    for name in ("ab", "ab.front-desk", "_on.front-desk"):
        await front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(front.name, "tries", name))
    assert (await front.sign_in(key, pin="9999")).json()["left"] == TRIES - 1


async def test_a_right_pin_begins_the_count_anew(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    await front.sign_in(key, pin="9999")
    await front.session(key)
    assert (await front.sign_in(key, pin="9999")).json()["left"] == TRIES - 1


async def test_nobody_learns_from_the_answer_whether_there_is_such_a_person(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    known, unknown = await front.sign_in(key, pin="9999"), await front.sign_in(key, person=token_hex(6), pin="9999")
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)


async def test_a_tablet_alone_shows_and_says_nothing(front: Front) -> None:
    key = await front.tablet()
    assert (await front.desk(key)).status_code == 200
    assert (await front.client.get("/v1/devices", headers=bearer(key))).status_code == 200
    assert problem(await front.say(key)) == "forbidden"
    for path in ("/v1/approvals", "/v1/claims"):
        assert problem(await front.client.post(path, json={}, headers=bearer(key))) == "forbidden"
    assert problem(await front.client.delete("/v1/staff/sessions/current", headers=bearer(key))) == "forbidden"
    assert not await front.readings()


async def test_a_session_ends_when_it_is_ended_and_the_tablet_stays(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    ended = await front.client.delete("/v1/staff/sessions/current", headers=bearer(session))
    assert ended.status_code == 204
    for answer in (await front.say(session), await front.desk(session)):
        assert (answer.status_code, problem(answer)) == (401, "session-over")
    assert (await front.desk(key)).status_code == 200


async def test_one_who_signs_in_again_on_the_same_tablet_has_one_session(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    first, second = await front.session(key), await front.session(key)
    assert problem(await front.desk(first)) == "session-over"
    assert (await front.desk(second)).json()["person"] == {"id": "ab", "name": "AB"}


async def test_signing_out_late_does_not_end_the_session_that_has_come_since(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    await front.session(key)
    staff, bus = front.door.senders.staff, front.bus
    [old] = staff.sessions(front.name)
    session = await front.session(key)
    await sign_out(bus, staff, front.name, old.id, old.sha256)
    assert (await front.desk(session)).status_code == 200
    [new] = staff.sessions(front.name)
    await sign_out(bus, staff, front.name, new.id, new.sha256)
    assert problem(await front.desk(session)) == "session-over"


async def test_a_session_ends_with_the_person_and_with_a_new_pin(front: Front) -> None:
    await front.person("ab")
    await front.person("cd")
    key = await front.tablet()
    removed, renewed = await front.session(key, "ab"), await front.session(key, "cd")
    await front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(front.name, "person", "ab"))
    await front.person("cd")
    await until(lambda: front.door.senders.staff.person(front.name, "ab") is None)
    for session in (removed, renewed):
        assert problem(await front.say(session)) == "session-over"
    await front.person("ab")  # somebody else of these initials
    assert problem(await front.say(removed)) == "session-over"


async def test_a_revoked_tablet_is_unknown_and_so_are_the_sessions_on_it(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    await front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(front.name, "tablet", "front-desk"))
    await until(lambda: front.door.senders.staff.tablet(front.name, "front-desk") is None)
    for credential in (key, session):
        assert problem(await front.desk(credential)) == "unauthenticated"
    another = await front.tablet()  # of the same name
    assert problem(await front.desk(key)) == "unauthenticated"
    assert problem(await front.say(session)) == "unauthenticated"
    assert (await front.desk(another)).status_code == 200


async def test_a_request_that_waits_ends_when_its_tablet_is_revoked(front: Front) -> None:
    key = await front.tablet()
    etag = (await front.desk(key)).headers["etag"]
    waiting = asyncio.create_task(front.desk(key, after=etag, wait=25))
    await asyncio.sleep(0.1)
    await front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(front.name, "tablet", "front-desk"))
    async with asyncio.timeout(10):
        assert problem(await waiting) == "unauthenticated"


async def test_another_librarys_tablet_sees_and_does_nothing_here(front: Front) -> None:
    other = f"{front.name}-other"
    await front.configure(other)
    await front.person(library=other)
    await front.person()
    key = await front.tablet(library=other)
    session = await front.session(key)
    assert (await front.desk(session)).json()["library"]["id"] == other
    assert problem(await front.say(session)) == "forbidden"
    approval = {"library": front.name, "post": "0" * 64, "approve": True}
    assert problem(await front.client.post("/v1/approvals", json=approval, headers=bearer(session))) == "forbidden"
    for credential in (key, session):
        moved = credential.replace(other, front.name, 1)
        assert (await front.desk(moved)).status_code == 401
    assert not await front.readings()


@pytest.mark.parametrize("form", ["simulation", "staff"])
async def test_other_keys_are_not_for_the_desk(front: Front, form: str) -> None:
    key = {"simulation": f"simulation.{SIMULATION}", "staff": f"{front.name}-staff.{SECRET}"}[form]
    assert problem(await front.desk(key)) == "forbidden"
    assert problem(await front.sign_in(key)) == "forbidden"
    assert (await front.client.get("/v1/staff/card.svg", headers=bearer(key))).status_code == 403
    assert (await front.client.get("/v1/staff/desk")).status_code == 401


async def test_nobody_chooses_who_has_said_it(front: Front) -> None:
    await front.person()
    session = await front.session(await front.tablet())
    for credential in (session, f"{front.name}-staff.{SECRET}"):
        assert problem(await front.say(credential, by="cd")) == "forbidden"
    assert (await front.say(session, by="ab", id="own")).status_code == 202
    assert (await front.say(session, device="another")).status_code == 403
    assert {each.by for each in await front.readings()} == {"ab"}


async def test_a_post_is_approved_by_a_person(front: Front) -> None:
    await front.person()
    session = await front.session(await front.tablet())
    body = {"library": front.name, "post": "a" * 64, "approve": True}
    answer = await front.client.post("/v1/approvals", json=body, headers=bearer(session))
    assert answer.status_code == 202
    entry = await front.bus.bucket(subjects.APPROVALS).get(subjects.approval_key(front.name, "a" * 64))
    assert entry is not None
    assert json.loads(entry.value)["by"] == "ab"


async def test_the_desk_shows_the_library_and_is_asked_again_for_nothing(front: Front) -> None:
    await front.person("cd")
    someone = await front.person("ab")
    key = await front.tablet()
    first = await front.desk(key)
    assert first.headers["cache-control"] == "no-store"
    fields = first.json()
    assert fields["library"] == {"id": front.name, "name": "Branch"}
    assert [each["id"] for each in fields["markers"]] == ["pillar", "tree"]  # from the door
    assert [each["id"] for each in fields["people"]] == ["ab", "cd"]
    assert datetime.fromisoformat(fields["people"][0]["since"]) == someone.since
    assert fields["zones"] == [{"id": "hall", "name": "Hall", "capacity": 100, "most_people": 200}]
    assert fields["most_people"] == 200
    assert (fields["public"], fields["person"], fields["acts"], fields["posts"]) == (None, None, [], [])
    etag = first.headers["etag"]
    for answer in (
        await front.desk(key, after=etag),
        await front.client.get("/v1/staff/desk", headers={**bearer(key), "If-None-Match": etag}),
    ):
        assert (answer.status_code, answer.content) == (304, b"")
    public = await front.status()
    await until_async(lambda: front.desk(key, after=etag), lambda answer: answer.status_code == 200)
    assert (await front.desk(key)).json()["public"] == json.loads(public.model_dump_json())


async def test_a_request_that_waits_is_answered_when_something_changes(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    etags = [(await front.desk(each)).headers["etag"] for each in (key, session)]
    assert etags[0] != etags[1]
    waiting = [
        asyncio.create_task(front.desk(each, after=etag, wait=25))
        for each, etag in zip((key, session), etags, strict=True)
    ]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waiting)
    act = Act(id="1", device="front-desk", by="ab", kind="mute", at=NOON, state=ActState.HOLDS, until=NOON)
    record = DeskRecord(library=front.name, as_of=NOON, acts=(act,))
    await front.bus.bucket(subjects.DESK).put(front.name, record.model_dump_json().encode())
    async with asyncio.timeout(5):
        for answer in await asyncio.gather(*waiting):
            assert [each["id"] for each in answer.json()["acts"]] == ["1"]
    last = await front.desk(key, after=(await front.desk(key)).headers["etag"], wait=1)
    assert last.status_code == 304


async def test_no_more_than_a_few_requests_of_one_wait(front: Front) -> None:
    key = await front.tablet()
    etag = (await front.desk(key)).headers["etag"]
    waiting = [asyncio.create_task(front.desk(key, after=etag, wait=1)) for _ in range(WAITING_OF_ONE)]
    await asyncio.sleep(0.2)
    surplus = await front.desk(key, after=etag, wait=25)
    assert (surplus.status_code, problem(surplus)) == (503, "waiting")
    assert int(surplus.headers["retry-after"]) > 0
    assert (await front.desk(key, after=etag)).status_code == 304
    assert (await front.desk(key, wait=25)).status_code == 200
    assert not any(each.done() for each in waiting)
    await asyncio.gather(*waiting)


async def test_a_request_whose_sender_has_hung_up_gives_its_place_back(front: Front) -> None:
    key = await front.tablet()
    etag = (await front.desk(key)).headers["etag"]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/staff/desk",
        "raw_path": b"/v1/staff/desk",
        "root_path": "",
        "query_string": f"after={quote(etag)}&wait=25".encode(),
        "headers": [(b"authorization", f"Bearer {key}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("ingest", 80),
    }
    has_hung_up = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await has_hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    app = create_app(front.door, Readiness())
    waiting = [asyncio.ensure_future(app(dict(scope), receive, send)) for _ in range(WAITING_OF_ONE)]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waiting)
    has_hung_up.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_what_has_expired_for_the_public_has_for_staff(front: Front) -> None:
    key = await front.tablet()
    estimate = Estimate(40, 35, 45)
    then = datetime.now(UTC) - timedelta(hours=1)
    await front.status(people=estimate, as_of=then, valid_until=then + timedelta(minutes=10))
    answer = await until_async(lambda: front.desk(key), lambda answer: answer.json()["public"] is not None)
    shown = answer.json()["public"]
    assert (shown["state"], shown["reason"]["code"], shown["people"]) == ("unknown", "expired", None)


async def test_the_card_is_that_of_the_public(front: Front) -> None:
    key = await front.tablet()
    nothing = await front.client.get("/v1/staff/card.svg", headers=bearer(key))
    assert nothing.status_code == 404
    public = await front.status(people=Estimate(40, 35, 45), level=Level.MANY_SEATS)
    card = await until_async(
        lambda: front.client.get("/v1/staff/card.svg?lang=en", headers=bearer(key)),
        lambda answer: answer.status_code == 200,
    )
    assert card.headers["content-type"] == "image/svg+xml"
    assert card.text == card_svg(public.to_domain(), "en")
    french = await front.client.get("/v1/staff/card.svg?lang=xx", headers=bearer(key))
    assert french.headers["content-language"] == "fr"


async def test_posts_that_wait_and_what_each_channel_may_still_say(front: Front) -> None:
    channels = [
        {"type": "mastodon", "account": "branch", "approval": True, "languages": ["fr", "en"], "daily_budget": 6},
        {"type": "console"},
    ]
    await front.configure(channels=channels)
    key = await front.tablet()
    public = await front.status()
    at = datetime.now(UTC)
    status = public.to_domain()
    held = Held(Change(front.name, at, None, status), at + timedelta(minutes=7))
    today = at.astimezone(ZoneInfo("Europe/Paris")).date().isoformat()
    said_at = at - timedelta(minutes=3)
    state = PostingState(revision=1, day=today, spent=2, said_at=said_at, held=held)
    words = {"fr": Sentences(long="Des places libres.", short="s", shortest="s")}
    awaiting = Delivery(
        key="b" * 64,
        revision=1,
        state=DeliveryState.AWAITING,
        at=at - timedelta(minutes=9),
        text="Seats are free.",
        valid_until=at + timedelta(minutes=5),
    )
    memory = Memory(state=state, sentences=words)
    bucket = front.bus.bucket
    await bucket(subjects.POSTING).put(memory_key(front.name, "mastodon-branch"), memory.model_dump_json().encode())
    slot = subjects.delivery_key("mastodon-branch", front.name, "en")
    await bucket(subjects.DELIVERIES).put(slot, awaiting.model_dump_json().encode())
    gone = subjects.delivery_key("mastodon-old", front.name, "en")
    await bucket(subjects.DELIVERIES).put(gone, awaiting.model_dump_json().encode())
    answer = await until_async(lambda: front.desk(key), lambda answer: len(answer.json()["posts"]) == 3)
    first, *others = answer.json()["posts"]
    assert (first["key"], first["state"], first["language"], first["text"]) == (
        "b" * 64,
        "awaiting",
        "en",
        awaiting.text,
    )
    assert (datetime.fromisoformat(first["until"]), first["approved"]) == (awaiting.valid_until, None)
    assert {(each["key"], each["state"], each["language"], each["text"]) for each in others} == {
        ("", "held", "fr", "Des places libres."),
        ("", "held", "en", ""),
    }
    [budget] = answer.json()["budgets"]
    assert (budget["channel"], budget["spent"], budget["daily_budget"]) == ("mastodon-branch", 2, 6)
    assert datetime.fromisoformat(budget["next_at"]) == said_at + timedelta(minutes=10)
    await front.person()
    session = await front.session(key)
    body = {"library": front.name, "post": "b" * 64, "approve": False}
    await front.client.post("/v1/approvals", json=body, headers=bearer(session))
    await until_async(lambda: front.desk(key), lambda answer: answer.json()["posts"][0]["approved"] is False)


async def test_gates_are_told_in_plain_words_of_the_language_asked_for(front: Front) -> None:
    key = await front.tablet()
    since = datetime.now(UTC) - timedelta(minutes=30)
    gate = f"{front.name}-front"
    for language, words in DEVICE_WORDS.items():
        [shown] = (await front.desk(key, lang=language)).json()["gates"]
        assert (shown["name"], shown["words"], shown["is_well"]) == ("Front door", words.doors.unknown, True)
    for kind in FaultKind:
        await front.status(gate_faults=(GateFault(gate, kind, since),))
        answer = await until_async(lambda: front.desk(key, lang="nl"), lambda each, k=kind.value: faults(each) == [k])
        [shown] = answer.json()["gates"]
        clock = since.astimezone(ZoneInfo("Europe/Paris")).strftime("%H:%M")
        template = getattr(DEVICE_WORDS["nl"].doors, kind.value)
        assert shown["words"].startswith(template.partition("{time}")[0] + clock)
        assert not shown["is_well"]
        assert (shown["last_heard"] is not None) == (kind is FaultKind.SILENT)
    await front.status()
    answer = await until_async(lambda: front.desk(key), lambda each: faults(each) == [])
    assert answer.json()["gates"][0]["words"] == DEVICE_WORDS["en"].doors.counts
    await front.status(state=State.CLOSED)
    answer = await until_async(lambda: front.desk(key), lambda each: each.json()["public"]["state"] == "closed")
    assert answer.json()["gates"][0]["words"] == DEVICE_WORDS["en"].doors.closed


async def test_a_gate_s_box_that_is_unwell_says_so(front: Front) -> None:
    source = f"{front.name}-box"
    await front.configure(
        sources=[{"id": source, "type": "url", "token_sha256": sha256(source.encode()).hexdigest()}],
        devices=[{"id": "cam", "source": source, "lines": [{"gate": f"{front.name}-front"}]}],
    )
    key = await front.tablet()
    await front.status()
    answer = await until_async(lambda: front.desk(key), lambda each: each.json()["public"] is not None)
    assert answer.json()["gates"][0]["words"] == DEVICE_WORDS["en"].health.never_heard
    state = DeviceState(library=front.name, device="cam", source=source, last_seen=datetime.now(UTC), battery_percent=9)
    device_key = subjects.device_key(front.name, "cam")
    await front.bus.bucket(subjects.DEVICES).put(device_key, state.model_dump_json().encode())
    answer = await until_async(lambda: front.desk(key), lambda each: each.json()["gates"][0]["last_heard"] is not None)
    [shown] = answer.json()["gates"]
    assert shown["is_well"]
    assert shown["words"] != DEVICE_WORDS["en"].health.never_heard


async def test_what_is_tapped_of_a_simulated_day_is_of_its_own_time(front: Front) -> None:
    await front.configure(clock="simulated")
    await front.person()
    session = await front.session(await front.tablet())
    assert problem(await front.say(session)) == "forbidden"  # its time has not begun
    public = await front.status(
        as_of=NOON, valid_until=NOON + timedelta(minutes=10), clock=ClockKind.SIMULATED, speed=60.0
    )
    await until_async(lambda: front.desk(session), lambda each: each.json()["public"] is not None)
    entry = await front.bus.bucket(subjects.STATUS).get(front.name)
    assert entry is not None
    tapped = datetime.now(UTC) - timedelta(seconds=30)
    until_time = tapped + timedelta(minutes=15)
    answer = await front.say(
        session, kind="mute", people=None, id="m", time=tapped.isoformat(), until=until_time.isoformat()
    )
    assert answer.status_code == 422  # a mute has no people
    body = {
        "kind": "mute",
        "library": front.name,
        "id": "m",
        "time": tapped.isoformat(),
        "until": until_time.isoformat(),
    }
    headers = {**bearer(session), "Content-Type": "application/json"}
    assert (await front.client.post("/v1/readings", json=body, headers=headers)).status_code == 202
    [said] = await front.readings()
    assert said.time is not None
    assert isinstance(said, Mute)
    assert said.until - said.time == timedelta(minutes=15)
    expected = public.as_of + (tapped - entry.stored_at) * 60
    assert abs(said.time - expected) < timedelta(seconds=1)
    fields = (await front.desk(session)).json()
    assert fields["clock"] == "simulated"
    shown = datetime.fromisoformat(fields["library_now"]) - NOON
    real = datetime.fromisoformat(fields["now"]) - entry.stored_at
    assert abs(shown - real * 60) < timedelta(seconds=1)


async def test_a_recorded_day_takes_nothing_and_says_why(front: Front) -> None:
    await front.configure(clock="recorded")
    await front.person()
    session = await front.session(await front.tablet())
    answer = await front.say(session)
    assert problem(answer) == "forbidden"
    assert "plays back a day" in answer.json()["errors"][0]["reason"]


async def test_a_branch_sends_tablets_to_the_centre(standing: Bus, bus_server: BusServer) -> None:
    async with running(bus_server, standing, leaf="south") as front:
        code = await front.invite()
        assert problem(await front.enrol(code)) == "not-at-a-branch"
        credential = f"{front.name}.tablet.front-desk.{SECRET}"
        assert problem(await front.desk(credential)) == "not-at-a-branch"
        assert problem(await front.say(f"{front.name}.session.0.{SECRET}")) == "not-at-a-branch"


async def test_nobody_is_taken_for_unknown_before_the_staff_have_been_read(front: Front) -> None:
    key = await front.tablet()
    front.door.senders.staff.is_read = False
    answer = await front.desk(key)
    assert (answer.status_code, problem(answer)) == (503, "not-ready")
    front.door.senders.staff.is_read = True
    library = front.door.senders.libraries[front.name]
    front.door.senders.drop(front.name)
    assert problem(await front.desk(key)) == "not-ready"
    front.door.senders.put(library)
    assert (await front.desk(key)).status_code == 200


async def test_a_desk_that_nobody_looks_at_is_let_go_of(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    desks = front.door.desks
    assert desks is not None
    desk = await desks.of(front.name)
    monkeypatch.setattr(desk_watch, "IDLE_S", -1.0)
    desks.let_go_of_idle()
    await asyncio.wait(desk.tasks)
    assert await desks.of(front.name) is not desk


async def test_who_is_signed_in_may_claim_a_box_and_is_named(front: Front) -> None:
    source = f"{front.name}-box"
    await front.configure(
        sources=[{"id": source, "type": "url", "token_sha256": sha256(source.encode()).hexdigest()}],
    )
    await front.person()
    session = await front.session(await front.tablet())
    body = {"source": source, "serial": "S1", "name": "Front door", "lines": [{"gate": f"{front.name}-front"}]}
    answer = await front.client.post("/v1/claims", json=body, headers=bearer(session))
    assert answer.status_code == 201
    entry = await front.bus.bucket(subjects.CLAIMS).get(subjects.device_key(front.name, "front-door"))
    assert entry is not None
    assert json.loads(entry.value)["by"] == "ab"


async def test_what_cannot_be_read_is_not_echoed_and_what_is_large_is_not_read(front: Front) -> None:
    key = await front.tablet()
    odd = await front.sign_in(key, person="AB!", pin="12345678901")
    assert problem(odd) == "unreadable-body"
    assert "1234567890" not in odd.text
    large = await front.client.post("/v1/staff/sessions", content=b" " * 2000, headers=bearer(key))
    assert problem(large) == "body-too-large"


async def test_while_the_bus_is_away_what_is_known_is_shown_and_nothing_is_taken(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    code = await front.invite("another")
    assert (await front.desk(session)).status_code == 200
    front.door.bus = None
    assert (await front.desk(session)).status_code == 200
    for answer in (await front.sign_in(key), await front.enrol(code), await front.say(session)):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0


def faults(answer: httpx.Response) -> list[str] | None:
    public = answer.json()["public"]
    return None if public is None else [each["kind"] for each in public["gate_faults"]]


async def until_async(ask: Any, is_so: Any) -> httpx.Response:
    async with asyncio.timeout(10):
        while True:
            answer: httpx.Response = await ask()
            if is_so(answer):
                return answer
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("language", sorted(DEVICE_WORDS))
def test_every_language_has_the_words_of_gates_with_the_same_blanks(language: str) -> None:
    english, own = DEVICE_WORDS["en"].doors, DEVICE_WORDS[language].doors
    for name in type(english).__dataclass_fields__:
        text: str = getattr(own, name)
        assert ("{time}" in text) == ("{time}" in getattr(english, name)), name
        assert text.format(time="14:32").endswith(".")
