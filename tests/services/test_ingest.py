"""Ingest against the real bus: who may send, what is taken, what the answer promises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.ingest.bodies import UnreadableBody, parse
from services.ingest.main import create_app
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.posts import Approval
from shared.contracts.readings import Pack, Ticket
from shared.domain.reading import GateCount
from shared.runtime.bus import Bus, BusUnavailable, connected
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReader
from tests.conftest import settings_for

SECRET = "made-up-secret"
HASH = sha256(SECRET.encode()).hexdigest()
JSON = "application/json"


def library(library_id: str = "branch", **more: Any) -> LibraryConfig:
    keys = [
        {"id": f"{library_id}-gate", "sha256": HASH, "device": "box", "role": "gate"},
        {"id": f"{library_id}-one-gate", "sha256": HASH, "device": "box", "role": "gate", "gates": ["north"]},
        {"id": f"{library_id}-staff", "sha256": HASH, "device": "tablet", "role": "staff"},
        {
            "id": f"{library_id}-old",
            "sha256": HASH,
            "device": "box",
            "role": "gate",
            "expires": datetime(2020, 1, 1, tzinfo=UTC),
        },
    ]
    return LibraryConfig.model_validate(
        {
            "id": library_id,
            "name": "Branch",
            "time_zone": "Europe/Paris",
            "opening_hours": "24/7",
            "capacity": 100,
            "gates": [{"id": "north"}, {"id": "south"}, {"id": "light", "kind": "beam"}],
            "markers": [{"id": "pillar", "name": "Pillar", "people": 40}],
            "keys": keys,
            **more,
        }
    )


@dataclass
class Ingest:
    client: httpx.AsyncClient
    door: Door
    bus: Bus
    start: int

    async def post(self, content: Any, key: str = "branch-gate", **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes | str) else json.dumps(content)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        all_headers = {"Content-Type": JSON, "Authorization": f"Bearer {key}.{SECRET}", **names}
        return await self.client.post("/v1/readings", content=body, headers=all_headers)

    async def stored(self, stream: str = subjects.READINGS) -> list[dict[str, Any]]:
        """Return everything stored since the test began, by pack."""
        reader = LogReader(self.bus, stream, [">"], after=self.start if stream == subjects.READINGS else 0)
        packs: list[dict[str, Any]] = []
        async for batch in reader.batches():
            packs += [json.loads(message.data) for message in batch.messages]
            if batch.is_caught_up:
                break
        return packs


@pytest.fixture
async def ingest(operator: Bus, bus_server: BusServer) -> AsyncIterator[Ingest]:
    senders = Senders(simulation_key_sha256=HASH)
    senders.put(library())
    senders.put(library("other"))
    senders.put(library("played", clock="recorded"))
    door = Door(Settings(max_body_bytes=64 * 1024), senders)
    start = await operator.last_sequence(subjects.READINGS)
    async with connected([bus_server.url], settings_for(bus_server, "ingest").nats_seed, "ingest") as bus:
        door.bus = bus
        transport = httpx.ASGITransport(create_app(door, Readiness()))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            yield Ingest(client, door, operator, start)


def crossings(**more: Any) -> dict[str, Any]:
    return {"kind": "gate_count", "library": "branch", "gate": "light", "count": 4, **more}


def ticket(**more: Any) -> dict[str, Any]:
    return {"kind": "ticket", "library": "branch", **more}


def count(**more: Any) -> dict[str, Any]:
    return {"kind": "gate_count", "library": "branch", "gate": "north", "entries": 3, "exits": 1, **more}


async def test_an_accepted_reading_is_on_the_bus_complete(ingest: Ingest) -> None:
    answer = await ingest.post(count())
    assert answer.status_code == 202
    assert answer.json()["stored"] == 1
    [pack] = await ingest.stored()
    [reading] = Pack.model_validate_json(json.dumps(pack)).readings
    assert reading.device == "north"
    assert reading.id == answer.json()["readings"][0]["id"]
    assert reading.time is not None


async def test_a_request_repeated_gets_the_same_ids_and_is_stored_once(ingest: Ingest) -> None:
    at = datetime.now(UTC).isoformat()
    first = await ingest.post(count(time=at))
    second = await ingest.post(count(time=at))
    assert first.json()["readings"] == second.json()["readings"]
    assert len(await ingest.stored()) == 1


async def test_an_idempotency_key_makes_a_request_without_times_safe_to_repeat(ingest: Ingest) -> None:
    answers = [await ingest.post([count(), count()], Idempotency_Key="k-1") for _ in range(2)]
    ids = [each["id"] for answer in answers for each in answer.json()["readings"]]
    assert len(set(ids)) == 2
    assert len(await ingest.stored()) == 1


async def test_equal_readings_of_one_request_are_different_readings(ingest: Ingest) -> None:
    answer = await ingest.post([count(), count(), count()])
    assert len({each["id"] for each in answer.json()["readings"]}) == 3


async def test_two_readings_without_a_time_are_two_readings(ingest: Ingest) -> None:
    answers = [await ingest.post(count()) for _ in range(2)]
    ids = {answer.json()["readings"][0]["id"] for answer in answers}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (JSON, json.dumps([count(), count(gate="south")])),
        ("application/x-ndjson", json.dumps(count()) + "\n\n" + json.dumps(count(gate="south")) + "\n"),
        (
            "application/cloudevents-batch+json",
            json.dumps(
                [
                    {
                        "specversion": "1.0",
                        "id": str(number),
                        "source": "/gates/north",
                        "type": "org.placelibre.reading.gate_count",
                        "subject": "branch",
                        "data": {"gate": gate, "entries": 3, "exits": 1},
                    }
                    for number, gate in enumerate(["north", "south"])
                ]
            ),
        ),
    ],
)
async def test_several_readings_come_in_every_envelope(ingest: Ingest, media_type: str, body: str) -> None:
    answer = await ingest.post(body, Content_Type=media_type)
    assert answer.status_code == 202, answer.text
    [pack] = await ingest.stored()
    assert [reading["gate"] for reading in pack["readings"]] == ["north", "south"]


async def test_a_structured_cloudevent_is_known_by_its_source_and_id(ingest: Ingest) -> None:
    event = {
        "specversion": "1.0",
        "id": "17",
        "source": "/gates/north",
        "type": "org.placelibre.reading.gate_count",
        "time": datetime.now(UTC).isoformat(),
        "data": count(),
    }
    first = await ingest.post(event, Content_Type="application/cloudevents+json")
    again = await ingest.post(event, Content_Type="application/cloudevents+json")
    other = await ingest.post({**event, "source": "/gates/west"}, Content_Type="application/cloudevents+json")
    ids = [answer.json()["readings"][0]["id"] for answer in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]


async def test_a_binary_cloudevent_is_taken_from_its_headers(ingest: Ingest) -> None:
    answer = await ingest.post(
        {"gate": "north", "entries": 1, "exits": 0},
        ce_specversion="1.0",
        ce_id="1",
        ce_source="/gates/north",
        ce_type="org.placelibre.reading.gate_count",
        ce_subject="branch",
    )
    assert answer.status_code == 202, answer.text


async def test_one_bad_item_stops_the_whole_request_and_is_named(ingest: Ingest) -> None:
    answer = await ingest.post([count(), count(entries=-1), count(gate="west"), {"kind": "nonsense"}])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(each["index"], each["code"]) for each in answer.json()["errors"]] == [
        (1, "malformed"),
        (2, "unknown"),
        (3, "malformed"),
    ]
    assert "entries" in answer.json()["errors"][0]["reason"]
    assert "north, south" in answer.json()["errors"][1]["reason"]
    assert await ingest.stored() == []


async def test_a_lenient_request_stores_the_good_and_quarantines_the_rest(ingest: Ingest) -> None:
    answer = await ingest.post([count(), {"kind": "gate_count", "x": 1}], Prefer="handling=lenient")
    assert answer.status_code == 202
    assert answer.json()["stored"] == 1
    assert [each["index"] for each in answer.json()["quarantined"]] == [1]
    assert len(await ingest.stored()) == 1
    [kept] = await ingest.stored(subjects.QUARANTINE)
    assert kept["device"] == "box"
    assert kept["items"][0]["index"] == 1


@pytest.mark.parametrize(
    ("key", "reading", "status", "reason"),
    [
        ("branch-gate", count(library="other"), 403, "branch only"),
        ("branch-one-gate", count(gate="south"), 403, "may not report gate south"),
        ("branch-gate", {"kind": "head_count", "library": "branch", "people": 3}, 403, "role gate"),
        ("branch-staff", count(), 403, "role staff"),
        ("branch-staff", {"kind": "head_count", "library": "branch", "people": 3, "device": "box"}, 403, "tablet"),
        ("branch-gate", {"kind": "clock", "library": "branch"}, 403, "simulation"),
        ("simulation", count(), 403, "wall clock"),
        ("played-gate", count(library="played"), 403, "recorded clock"),
        ("simulation", count(library="played"), 422, "must say its time"),
        ("branch-staff", {"kind": "queue_at_marker", "library": "branch", "marker": "x"}, 422, "pillar"),
        ("branch-staff", {"kind": "head_count", "library": "branch", "people": 3, "zone": "x"}, 422, "zone"),
        ("branch-staff", {"kind": "head_count", "library": "branch", "people": 2500}, 422, "digit too many"),
        ("branch-one-gate", count(device="south"), 403, "its own gates"),
        ("branch-gate", count(time="2026-01-01T10:00:00"), 422, "such as 2026"),
        ("branch-gate", count(time="9999-12-31T00:00:00Z"), 422, "2199"),
        ("branch-gate", count(entries=1.5), 422, "entries"),
        ("branch-gate", count(surprise=1), 422, "a field that is not known here"),
        ("branch-gate", count(count=4), 422, "count alone where the gate is a beam"),
        ("branch-gate", {"kind": "gate_count", "library": "branch", "gate": "north"}, 422, "give entries and exits"),
        ("branch-gate", crossings(gate="north"), 422, "gate north tells directions"),
        ("branch-gate", crossings(gate="west"), 422, "it has north, south, light"),
        ("branch-gate", {"kind": "throttle", "library": "branch", "on": True}, 403, "role gate"),
        ("branch-gate", {"kind": "queue_at_marker", "library": "branch", "marker": "pillar"}, 403, "role gate"),
        ("branch-staff", ticket(joined="2026-11-23T02:00:00Z", time="2026-11-23T15:00:00Z"), 422, "more than 12 h"),
        ("branch-staff", ticket(joined="2026-11-23T16:00:00Z", time="2026-11-23T15:00:00Z"), 422, "after time"),
        ("branch-staff", ticket(joined="2190-01-01T00:00:00Z"), 422, "after time"),
        ("branch-staff", ticket(joined="2020-01-01T00:00:00Z"), 422, "more than 12 h"),
    ],
)
async def test_what_a_sender_may_not_say_is_refused_with_the_reason(
    ingest: Ingest, key: str, reading: dict[str, Any], status: int, reason: str
) -> None:
    answer = await ingest.post(reading, key=key)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["errors"][0]["reason"]
    assert await ingest.stored() == []


async def test_a_beam_sends_what_it_counts_or_both_directions(ingest: Ingest) -> None:
    answer = await ingest.post([crossings(), count(gate="light")])
    assert answer.status_code == 202, answer.text
    [pack] = await ingest.stored()
    readings = [reading.to_domain() for reading in Pack.model_validate_json(json.dumps(pack)).readings]
    counts = [(each.entries, each.exits) for each in readings if isinstance(each, GateCount)]
    assert counts == [(4, 0), (3, 1)]


async def test_of_a_request_with_a_count_in_two_forms_the_item_is_named(ingest: Ingest) -> None:
    answer = await ingest.post([crossings(), count(gate="light", count=4), crossings(gate="south")])
    assert answer.status_code == 422
    assert [(each["index"], each["code"], each["reason"]) for each in answer.json()["errors"]] == [
        (1, "malformed", "gate_count: give entries and exits, or count alone where the gate is a beam"),
        (
            2,
            "unknown",
            'count: gate south tells directions; give entries and exits, or configure it with kind = "beam"',
        ),
    ]


QUEUE_SENSOR = (
    {"kind": "queue_length", "library": "branch", "people": 30},
    {"kind": "queueing_time", "library": "branch", "minutes": 12},
)


@pytest.mark.parametrize("reading", QUEUE_SENSOR, ids=lambda reading: str(reading["kind"]))
@pytest.mark.parametrize("key", ["branch-gate", "branch-one-gate", "branch-staff"])
async def test_the_queue_is_told_by_sensors_and_by_staff(ingest: Ingest, key: str, reading: dict[str, Any]) -> None:
    assert (await ingest.post(reading, key=key)).status_code == 202
    [pack] = await ingest.stored()
    assert pack["readings"][0]["device"] == ("tablet" if key == "branch-staff" else "box")


@pytest.mark.parametrize("reading", QUEUE_SENSOR, ids=lambda reading: str(reading["kind"]))
async def test_a_sensor_of_the_queue_does_not_speak_with_the_voice_of_staff(
    ingest: Ingest, reading: dict[str, Any]
) -> None:
    answer = await ingest.post({**reading, "device": "tablet"}, key="branch-gate")
    assert answer.status_code == 403
    assert "tablet belongs to staff" in answer.json()["errors"][0]["reason"]
    assert await ingest.stored() == []
    assert (await ingest.post({**reading, "device": "camera"}, key="branch-gate")).status_code == 202


async def test_a_ticket_of_a_clock_that_is_fast_keeps_its_wait(ingest: Ingest) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    wait = timedelta(minutes=40)
    joined = (ahead - wait).isoformat()
    answer = await ingest.post(ticket(joined=joined, time=ahead.isoformat()), key="branch-staff")
    assert "future" in answer.json()["readings"][0]["remark"]
    [pack] = await ingest.stored()
    [reading] = Pack.model_validate_json(json.dumps(pack)).readings
    assert isinstance(reading, Ticket)
    assert reading.time == datetime.fromisoformat(pack["received_at"])
    assert reading.time - reading.joined == wait


async def test_a_ticket_without_a_time_has_got_in_now(ingest: Ingest) -> None:
    joined = datetime.now(UTC) + timedelta(seconds=10)  # this clock is a little fast
    answer = await ingest.post(ticket(joined=joined.isoformat()), key="branch-staff")
    assert answer.status_code == 202, answer.text
    [pack] = await ingest.stored()
    [reading] = Pack.model_validate_json(json.dumps(pack)).readings
    assert isinstance(reading, Ticket)
    assert reading.joined == reading.time


async def test_the_reason_of_a_correction_is_stored_with_it(ingest: Ingest) -> None:
    recount = {"kind": "head_count", "library": "branch", "people": 30, "note": "counted\ntwice"}
    assert (await ingest.post(recount, key="branch-staff")).status_code == 202
    [pack] = await ingest.stored()
    assert [(each["device"], each["note"]) for each in pack["readings"]] == [("tablet", "counted twice")]


@pytest.mark.parametrize("credential", ["", "Bearer branch-gate.wrong", "Bearer nobody.x", "Basic abc", "Bearer x"])
async def test_without_a_valid_key_nothing_is_taken(ingest: Ingest, credential: str) -> None:
    answer = await ingest.post(count(), Authorization=credential)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


async def test_an_expired_key_is_no_key(ingest: Ingest) -> None:
    assert (await ingest.post(count(), key="branch-old")).status_code == 401


async def test_a_time_in_the_future_is_taken_as_now_and_the_sender_is_told(ingest: Ingest) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = await ingest.post(count(time=ahead))
    assert "future" in answer.json()["readings"][0]["remark"]
    [pack] = await ingest.stored()
    assert pack["readings"][0]["time"] == pack["received_at"]


async def test_a_reading_too_old_to_count_is_stored_and_the_sender_is_told(ingest: Ingest) -> None:
    answer = await ingest.post(count(time=(datetime.now(UTC) - timedelta(days=2)).isoformat()))
    assert answer.status_code == 202
    assert "not counted" in answer.json()["readings"][0]["remark"]


async def test_a_request_over_many_partitions_is_stored_as_one(ingest: Ingest) -> None:
    for number in range(5):
        ingest.door.senders.put(library(f"played-{number}", clock="recorded"))
    at = datetime.now(UTC).isoformat()
    readings = [count(library=f"played-{number}", time=at) for number in range(5)]
    answer = await ingest.post(readings, key="simulation")
    assert answer.status_code == 202, answer.text
    partitions = {subjects.partition_of(reading["library"]) for reading in readings}
    assert len(partitions) > 1
    assert len(await ingest.stored()) == len(partitions)


async def test_a_request_refused_on_one_partition_is_stored_on_none(ingest: Ingest) -> None:
    assert ingest.door.bus is not None
    with pytest.raises(BusUnavailable):
        await ingest.door.bus.publish_together(
            [(subjects.readings(1), b"x", {}), ("changes.v1.1.x", b"x", {})], timeout_s=1
        )
    assert await ingest.bus.last_sequence(subjects.READINGS) == ingest.start


async def test_a_full_stream_is_a_503_to_come_back_to(ingest: Ingest) -> None:
    info = await ingest.bus.jetstream.stream_info(subjects.READINGS)
    original = info.config.max_bytes
    info.config.max_bytes = 400
    await ingest.bus.jetstream.update_stream(info.config)
    try:
        answers = [await ingest.post([count() for _ in range(20)]) for _ in range(3)]
    finally:
        info.config.max_bytes = original
        await ingest.bus.jetstream.update_stream(info.config)
    assert answers[-1].status_code == 503
    assert int(answers[-1].headers["retry-after"]) > 0
    assert (await ingest.post(count())).status_code == 202


async def test_without_a_bus_the_sender_is_told_when_to_come_back(ingest: Ingest) -> None:
    ingest.door.bus = None
    answer = await ingest.post(count())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_too_much_at_once_is_turned_away_not_queued(ingest: Ingest) -> None:
    ingest.door.in_hand = ingest.door.settings.max_requests_at_once
    assert (await ingest.post(count())).status_code == 503
    ingest.door.in_hand = 0
    answers = await asyncio.gather(*(ingest.post(count()) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert ingest.door.in_hand == 0


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 422),
        (b"[]", {}, 422),
        (b"{", {}, 422),
        (b'{"entries": NaN}', {}, 422),
        (b'"\\ud800"', {}, 422),
        (b"[" * 50_000, {}, 422),
        (b"\xff\xfe", {}, 422),
        (b"x" * 65 * 1024, {}, 413),
        (b"{},{}", {}, 422),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Encoding": "gzip"}, 415),
        (json.dumps([{}] * 1001).encode(), {}, 422),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_bad_body_gets_an_answer_and_no_echo(
    ingest: Ingest, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await ingest.post(body, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_secret_in_a_bad_body_does_not_come_back(ingest: Ingest) -> None:
    answer = await ingest.post({"kind": "notice", "library": "branch", "text": 7, "until": "canary-6151"})
    assert answer.status_code == 422
    assert "canary-6151" not in answer.text


async def test_staff_approve_a_post_of_their_own_library_only(ingest: Ingest) -> None:
    async def say(key: str, **fields: Any) -> int:
        body = {"library": "branch", "post": "a" * 64, "approve": True, **fields}
        headers = {"Authorization": f"Bearer {key}.{SECRET}"}
        return (await ingest.client.post("/v1/approvals", json=body, headers=headers)).status_code

    bucket = ingest.bus.bucket(subjects.APPROVALS)
    assert await say("branch-gate") == 403
    assert await say("other-staff") == 403
    assert await say("branch-staff", post="short") == 422
    assert await bucket.get(subjects.approval_key("branch", "a" * 64)) is None
    assert await say("branch-staff") == 202
    assert await say("branch-staff", approve=False) == 202
    entry = await bucket.get(subjects.approval_key("branch", "a" * 64))
    assert entry is not None
    word = Approval.model_validate_json(entry.value)
    assert (word.is_approved, word.by) == (False, "branch-staff")


async def test_the_routes_are_described_for_programs(ingest: Ingest) -> None:
    schema = (await ingest.client.get("/openapi.json")).json()
    assert "GateCount" in schema["components"]["schemas"]
    assert "202" in schema["paths"]["/v1/readings"]["post"]["responses"]


@given(st.binary(max_size=300), st.sampled_from([JSON, "application/x-ndjson", "application/cloudevents+json"]))
def test_any_bytes_are_either_readings_or_faults_never_a_crash(body: bytes, media_type: str) -> None:
    try:
        parsed = parse(body, media_type, {})
    except UnreadableBody:
        return
    assert parsed.readings or parsed.faults


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_is_either_readings_or_faults(value: Any) -> None:
    try:
        parsed = parse(json.dumps([value]).encode(), JSON, {})
    except UnreadableBody:
        return
    assert len(parsed.readings) + len(parsed.faults) == 1
