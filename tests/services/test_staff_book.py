"""The staff as every ingest knows them: what is changed on one is so on all, and counts are kept over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from pydantic import BaseModel

from cli.bus_server import BusServer
from services.ingest.senders import Refusal, Sender, Senders
from services.ingest.sign_in import lock_after
from services.ingest.staff_book import StaffBook
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import LOCKED_FOR, LOCKED_FOR_AT_MOST, SESSION_FOR, TRIES, Person, Session, Tablet
from shared.runtime.bus import Bus, Entry
from shared.runtime.log_reader import Update
from tests.services.test_desk_routes import Front, problem, running, until

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
SECRET_SHA256 = "b" * 64


def put(book: StaffBook, what: str, value: BaseModel, revision: int = 1, library: str = "branch") -> None:
    name = getattr(value, "id", "")
    key = subjects.staff_key(library, what, name)
    book.take(Update(key, Entry(key, value.model_dump_json().encode(), revision, NOON), revision))


def person(since: datetime = NOON, name: str = "AB") -> Person:
    return Person(id="ab", name=name, pin="", since=since)


def tablet(at: datetime = NOON) -> Tablet:
    return Tablet(id="desk", name="Desk", sha256=SECRET_SHA256, enrolled_at=at)


def session(begun_at: datetime = NOON) -> Session:
    return Session(
        id="s",
        sha256=SECRET_SHA256,
        tablet="desk",
        person="ab",
        begun_at=begun_at,
        person_since=NOON,
        tablet_since=NOON,
    )


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    book = StaffBook()
    put(book, "person", person(name="New"), revision=5)
    put(book, "person", person(name="Old"), revision=4)
    book.take(Update("branch.person.ab", None, 3))
    found = book.person("branch", "ab")
    assert found is not None
    assert found.name == "New"
    book.take(Update("branch.person.ab", None, 6))
    assert book.person("branch", "ab") is None


@pytest.mark.parametrize("key", ["branch.person.ab", "branch.something.ab", "branch", "branch.tries.ab"])
def test_what_cannot_be_read_or_is_of_something_else_changes_nothing(key: str) -> None:
    book = StaffBook()
    book.take(Update(key, Entry(key, b"{", 1, NOON), 1))
    assert book.people("branch") == ()


def test_a_bucket_that_was_replaced_is_read_anew_whatever_its_revisions_are() -> None:
    book = StaffBook(is_read=True)
    put(book, "person", person(), revision=50)
    book.clear()
    assert (book.is_read, book.people("branch")) == (False, ())
    put(book, "person", person(), revision=1)
    assert len(book.people("branch")) == 1


def test_a_session_lasts_thirty_days_with_the_person_and_the_tablet_that_it_began_with() -> None:
    book = StaffBook()
    put(book, "person", person())
    put(book, "tablet", tablet())
    begun = session()
    assert book.signed_in("branch", begun, NOON + SESSION_FOR) == person()
    assert book.signed_in("branch", begun, NOON + SESSION_FOR + timedelta(seconds=1)) is None
    put(book, "tablet", tablet(NOON + timedelta(hours=1)), revision=2)
    assert book.signed_in("branch", begun, NOON) is None
    put(book, "tablet", tablet(), revision=3)
    put(book, "person", person(NOON - timedelta(hours=1)), revision=2)  # of an operator's clock that is behind
    assert book.signed_in("branch", begun, NOON) is None
    assert book.signed_in("other", begun, NOON) is None


def test_a_credential_is_judged_by_its_form_and_never_before_the_staff_are_known() -> None:
    senders = Senders()
    assert senders.judge("branch.tablet.desk.x", NOON) is Refusal.NOT_YET
    assert senders.judge("branch-key.x", NOON) is Refusal.UNKNOWN
    senders.staff.is_read = True
    for credential in ("branch.tablet.desk.x", "branch.tablet.", "..", "branch.person.ab.x", "simulation."):
        assert senders.judge(credential, NOON) is Refusal.UNKNOWN
    assert senders.judge("branch.session.s.x", NOON) is Refusal.SESSION_OVER
    assert not isinstance(senders.judge("branch.session.s." + "x" * 200 + ".y", NOON), Sender)


def test_a_sensor_may_not_take_a_tablet_s_name() -> None:
    senders = Senders()
    config = LibraryConfig.model_validate(
        {"id": "branch", "name": "B", "time_zone": "Europe/Paris", "opening_hours": "24/7", "capacity": 9}
    )
    assert not senders.is_of_staff(config, "desk")
    put(senders.staff, "tablet", tablet())
    assert senders.is_of_staff(config, "desk")


def test_the_pause_doubles_up_to_an_hour_and_no_number_of_tries_breaks_it() -> None:
    pauses = [lock_after(row * TRIES) for row in range(1, 9)]
    assert pauses[0] == LOCKED_FOR
    assert pauses[-1] == lock_after(10**6 * TRIES) == LOCKED_FOR_AT_MOST
    assert all(
        later == min(sooner * 2, LOCKED_FOR_AT_MOST) for sooner, later in pairwise(each for each in pauses if each)
    )
    assert [lock_after(each) for each in (0, 1, TRIES - 1, TRIES + 1)] == [None] * 4


@pytest.fixture
async def two(standing: Bus, bus_server: BusServer) -> AsyncIterator[tuple[Front, Front]]:
    """Two ingests of one library."""
    async with running(bus_server, standing) as one, running(bus_server, standing) as other:
        other.name = one.name
        await until(lambda: one.name in other.door.senders.libraries)
        yield one, other


async def test_wrong_pins_are_counted_over_all_processes_and_restarts(
    two: tuple[Front, Front], standing: Bus, bus_server: BusServer
) -> None:
    one, other = two
    await one.person()
    key = await one.tablet()
    await until(lambda: other.door.senders.staff.tablets(one.name) and other.door.senders.staff.people(one.name))
    left = [(await each.sign_in(key, pin="9999")).json()["left"] for each in (one, other, one, other)]
    assert left == [4, 3, 2, 1]
    assert problem(await one.sign_in(key, pin="9999")) == "locked"
    async with running(bus_server, standing) as third:
        await until(lambda: one.name in third.door.senders.libraries)
        for each in (one, other, third):
            assert problem(await each.sign_in(key)) == "locked"


async def test_what_is_revoked_or_removed_is_so_on_every_process_within_a_second(two: tuple[Front, Front]) -> None:
    one, other = two
    await one.person()
    key = await one.tablet()
    await until(lambda: other.door.senders.staff.tablets(one.name))
    session = await one.session(key)
    await until(lambda: other.door.senders.staff.sessions(one.name))
    assert (await other.say(session, id="t1")).status_code == 202
    await one.bus.bucket(subjects.STAFF).delete(subjects.staff_key(one.name, "person", "ab"))
    async with asyncio.timeout(1):
        while not all([problem(await each.say(session)) == "session-over" for each in two]):
            await asyncio.sleep(0.01)
    await one.bus.bucket(subjects.STAFF).delete(subjects.staff_key(one.name, "tablet", "front-desk"))
    async with asyncio.timeout(1):
        while not all([(await each.desk(key)).status_code == 401 for each in two]):
            await asyncio.sleep(0.01)


async def test_sessions_that_have_ended_are_cleared_away_when_somebody_signs_in(two: tuple[Front, Front]) -> None:
    front, _ = two
    await front.person("ab")
    await front.person("cd")
    key = await front.tablet()
    await front.session(key, "ab")
    await front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(front.name, "person", "ab"))
    await until(lambda: front.door.senders.staff.person(front.name, "ab") is None)
    await front.session(key, "cd")
    assert [each.person for each in front.door.senders.staff.sessions(front.name)] == ["cd"]


async def test_one_invitation_lets_one_tablet_in_whichever_process_is_asked(two: tuple[Front, Front]) -> None:
    code = await two[0].invite()
    answers = await asyncio.gather(*(each.enrol(code) for each in two * 3))
    assert sorted(each.status_code for each in answers) == [201, 403, 403, 403, 403, 403]
