"""A tap on its way through the whole house: on record in a moment, and the same record whatever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.staffing.people import add_person, invite
from shared.contracts import subjects
from shared.contracts.desk import DeskRecord
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.house import House

pytestmark = pytest.mark.slow
LIBRARY: dict[str, Any] = {
    "id": "branch",
    "name": "Branch",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 100,
    "gates": [{"id": "front"}],
}


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await ask():
            await asyncio.sleep(0.05)


async def record_in(bus: Bus) -> DeskRecord | None:
    entry = await bus.bucket(subjects.DESK).get("branch")
    return None if entry is None else DeskRecord.model_validate_json(entry.value)


async def signed_in(bus: Bus, client: httpx.AsyncClient) -> dict[str, str]:
    await add_person(bus, "branch", "AB", "", "2580", now())
    invited = await invite(bus, "branch", "Front desk", now(), replaces=False)
    enrolled = await client.post("/v1/staff/enrolments", json={"code": invited.code})
    key = {"Authorization": f"Bearer {enrolled.json()['key']}"}
    answer = await client.post("/v1/staff/sessions", json={"person": "ab", "pin": "2580"}, headers=key)
    return {"Authorization": f"Bearer {answer.json()['session']}"}


async def test_taps_are_on_record_once_and_in_order_whatever_is_killed(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        await house.start("ingest", "aggregator")
        await house.apply(LIBRARY)
        async with house.operator() as bus, httpx.AsyncClient(base_url=house.url("ingest"), trust_env=False) as client:
            await until(lambda: _is_there(bus))
            session = await signed_in(bus, client)
            first = datetime.now(UTC)
            await asyncio.sleep(0.5)  # all of them lie in the past when the first is sent
            taps = [
                {
                    "kind": "head_count",
                    "library": "branch",
                    "id": f"t{number}",
                    "time": (first + number * timedelta(milliseconds=20)).isoformat(),
                    "people": 30 + number,
                }
                for number in range(20)
            ]
            back = {"kind": "undo", "library": "branch", "id": "u", "target": "t19"}
            for batch in (taps[:8], taps[4:12], taps[8:], [back], [back], taps):  # answers that were lost
                answer = await client.post("/v1/readings", json=batch, headers=session)
                assert answer.status_code == 202
                if batch is taps:
                    break
                await house.kill("aggregator")
                await house.start("aggregator")
            await house.caught_up()

            async def is_whole() -> bool:
                record = await record_in(bus)
                return record is not None and record.acts[0].taken_back_by == "ab" and len(record.acts) == 20

            await until(is_whole)
            before = await record_in(bus)
            assert before is not None
            assert [each.id for each in before.acts] == [f"t{number}" for number in range(19, -1, -1)]
            assert [each.state.value for each in before.acts[:3]] == ["taken_back", "holds", "past"]
            assert {(each.by, each.device) for each in before.acts} == {("ab", "front-desk")}
            desk = (await client.get("/v1/staff/desk", headers=session)).json()
            assert [each["id"] for each in desk["acts"]] == [each.id for each in before.acts]
            assert desk["public"]["state"] in {"open", "unknown"}

            # The whole log once more, from nothing: the same record.
            await house.kill("aggregator")
            for name in await bus.bucket(subjects.CHECKPOINTS).keys():
                await bus.bucket(subjects.CHECKPOINTS).delete(name)
            await bus.bucket(subjects.DESK).delete("branch")
            await house.start("aggregator")
            await house.caught_up()
            await until(is_whole)
            again = await record_in(bus)
            assert again is not None
            assert again.acts == before.acts

            # What is tapped now is seen at once by whoever waits for it.
            etag = (await client.get("/v1/staff/desk", headers=session)).headers["etag"]
            waiting = asyncio.create_task(
                client.get("/v1/staff/desk", params={"after": etag, "wait": 25}, headers=session, timeout=40)
            )
            notice = {
                "kind": "notice",
                "library": "branch",
                "id": "n",
                "text": "Lift broken",
                "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            }
            await client.post("/v1/readings", json=notice, headers=session)
            seen = (await waiting).json()
            while not any(each["id"] == "n" for each in seen["acts"]):
                seen = (await client.get("/v1/staff/desk", headers=session)).json()
            assert seen["acts"][0]["state"] == "holds"
    finally:
        await house.stop()


async def _is_there(bus: Bus) -> bool:
    return await bus.bucket(subjects.STATUS).get("branch") is not None
