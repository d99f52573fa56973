"""What several people have said on one tablet goes in one request, and is stored as one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cli.bus_server import BusServer
from services.ingest.desk_readings import TOGETHER_MAX
from shared.contracts import subjects
from shared.contracts.readings import Pack
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogReader
from tests.services.test_desk_routes import SECRET, SIMULATION, Front, bearer, problem, running, until


@pytest.fixture
async def front(standing: Bus, bus_server: BusServer) -> AsyncIterator[Front]:
    async with running(bus_server, standing) as found:
        yield found


async def together(front: Front, key: str, *said: tuple[str, dict[str, Any]]) -> httpx.Response:
    readings = [
        {"session": session, "reading": {"kind": "head_count", "library": front.name, "people": 40, **reading}}
        for session, reading in said
    ]
    return await front.client.post("/v1/staff/readings", json={"readings": readings}, headers=bearer(key))


async def packs(front: Front) -> list[list[tuple[str | None, str]]]:
    """Return what is in the log of this library: ids and persons, pack by pack."""
    found = []
    async for batch in LogReader(front.bus, subjects.READINGS, [subjects.ANY_READINGS]).batches():
        for message in batch.messages:
            readings = [each for each in Pack.model_validate_json(message.data).readings if each.library == front.name]
            found += [[(each.id, getattr(each, "by", "")) for each in readings]] if readings else []
        if batch.is_caught_up:
            break
    return found


async def test_two_colleagues_of_one_tablet_are_stored_as_one_in_their_order(front: Front) -> None:
    await front.person("ab")
    await front.person("cd")
    key = await front.tablet()
    ab, cd = await front.session(key, "ab"), await front.session(key, "cd")
    at = datetime.now(UTC) - timedelta(hours=1)
    said = [
        (who, {"id": f"tap-{number}", "time": (at + number * timedelta(minutes=9)).isoformat()})
        for number, who in enumerate((ab, cd, ab, cd))
    ]
    for _ in range(2):
        answer = await together(front, key, *said)
        assert answer.status_code == 202, answer.text
        assert answer.json()["stored"] == 4
        assert [each["id"] for each in answer.json()["readings"]] == ["tap-0", "tap-1", "tap-2", "tap-3"]
    assert await packs(front) == [[("tap-0", "ab"), ("tap-1", "cd"), ("tap-2", "ab"), ("tap-3", "cd")]]


async def test_whose_session_is_over_is_named_and_nothing_is_stored(front: Front) -> None:
    await front.person("ab")
    await front.person("cd")
    key = await front.tablet()
    ab, cd = await front.session(key, "ab"), await front.session(key, "cd")
    elsewhere = await front.session(await front.tablet("back-desk"), "ab")
    await front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(front.name, "person", "cd"))
    await until(lambda: front.door.senders.staff.person(front.name, "cd") is None)
    answer = await together(front, key, (ab, {}), (cd, {}), (elsewhere, {}), ("nonsense", {}), (key, {}), (ab, {}))
    assert (answer.status_code, problem(answer)) == (401, "session-over")
    assert [each["index"] for each in answer.json()["errors"]] == [1, 2, 3, 4]
    assert not await packs(front)


async def test_what_is_wrong_is_named_by_its_place_and_nothing_is_stored(front: Front) -> None:
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    answer = await together(front, key, (session, {}), (session, {"people": "many"}), (session, {"people": 201}))
    assert (answer.status_code, problem(answer)) == (422, "invalid-readings")
    assert [each["index"] for each in answer.json()["errors"]] == [1, 2]
    forbidden = await together(front, key, (session, {}), (session, {"library": "elsewhere"}))
    assert (forbidden.status_code, [each["index"] for each in forbidden.json()["errors"]]) == (403, [1])
    assert (await together(front, key, (session, {"people": 200}), (session, {"by": "cd"}))).status_code == 403
    for number in (0, TOGETHER_MAX + 1):
        assert problem(await together(front, key, *[(session, {})] * number)) == "unreadable-body"
    secret = await front.client.post("/v1/staff/readings", json={"readings": [session]}, headers=bearer(key))
    assert problem(secret) == "unreadable-body"
    assert session not in secret.text
    assert not await packs(front)


async def test_only_a_tablet_brings_what_several_have_said(front: Front) -> None:
    await front.person()
    session = await front.session(await front.tablet())
    for key in (f"{front.name}-staff.{SECRET}", f"simulation.{SIMULATION}"):
        assert problem(await together(front, key, (session, {}))) == "forbidden"
    assert (await together(front, "nobody.1", (session, {}))).status_code == 401
