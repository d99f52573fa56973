"""POST /v1/readings: who is it, what is it, is it stored. 202 means that the bus has it on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.ingest.bodies import MEDIA_TYPES, Fault, UnreadableBody, UnsupportedMediaType, parse
from services.ingest.desk_watch import Desks, clock_of
from services.ingest.intake import Intake
from services.ingest.library_clock import LibraryClock
from services.ingest.limits import Limits
from services.ingest.normalise import Accepted, normalise
from services.ingest.problems import PROBLEMS
from services.ingest.registry import Registry
from services.ingest.senders import Sender, Senders
from services.ingest.settings import Settings
from services.ingest.sources.keeper import Trouble
from services.ingest.store import quarantine, size_in_quarantine, store
from shared.contracts.readings import READING
from shared.domain.library import ClockKind
from shared.runtime import metrics
from shared.runtime.audit import AuditTrail
from shared.runtime.bus import Bus, BusFull, BusUnavailable
from shared.runtime.clock import monotonic_s, now
from shared.runtime.problem import answer

RETRY_AFTER_S: Final = 5
"""How soon a sender may come back when the bus is away; it is usually back by then."""
RETRY_AFTER_FULL_S: Final = 60
MAX_NAMED: Final = 100
"""Faults named in one answer; a sender mends a kind of fault, not a thousand of them."""
MAX_IDEMPOTENCY_KEY: Final = 128
LENIENT: Final = re.compile(r"(^|[,;\s])handling\s*=\s*\"?lenient\"?($|[,;\s])", re.IGNORECASE)


@dataclass(slots=True)
class Door:
    """What the route needs: the bus once it is connected, who may send, and how many are in hand."""

    settings: Settings
    senders: Senders
    bus: Bus | None = None
    in_hand: int = 0
    registry: Registry = field(default_factory=Registry)
    desks: Desks | None = None
    """What staff are shown, once the bus is connected; at a branch nothing is."""
    source_troubles: Mapping[str, Trouble] = field(default_factory=dict)
    """What is wrong with sources that are fetched, by their ids."""
    audit: AuditTrail = field(default_factory=lambda: AuditTrail("ingest"))
    intake: Intake = field(init=False)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        """Give devices' bodies the same limits."""
        self.limits = Limits.of(self.settings)
        self.intake = Intake(self.registry, self.settings.store_timeout_s, self.limits.quarantine)


def router(door: Door) -> APIRouter:
    """Return the routes of ingest."""
    routes = APIRouter()

    @routes.post(
        "/v1/readings",
        status_code=202,
        summary="Send readings",
        description="One reading, an array, NDJSON, or CloudEvents 1.0 (binary, structured or batch). Answers 202"
        " once the bus has stored them. Repeating a request is safe where its readings have an id, a sequence or a"
        " time, or under an `Idempotency-Key`. A request is taken as a whole or not at all, unless it says"
        " `Prefer: handling=lenient`: then what is good is stored and the rest is quarantined and listed.",
        openapi_extra=_request_body(),
        responses=_responses(),
        response_class=JSONResponse,
    )
    async def post_readings(request: Request) -> Response:
        response = await _take(door, request)
        metrics.INGEST_REQUESTS.labels(str(response.status_code)).inc()
        return response

    return routes


async def _take(door: Door, request: Request) -> Response:
    received_at = now()
    sender: Sender = request.state.sender  # the front lets nobody through without
    if request.headers.get("content-encoding", "identity") != "identity":
        return answer(PROBLEMS["unsupported-encoding"], "The request has a Content-Encoding.")
    try:
        parsed = parse(await request.body(), request.headers.get("content-type", ""), request.headers)
    except UnsupportedMediaType as error:
        return answer(PROBLEMS["unsupported-media-type"], str(error))
    except UnreadableBody as error:
        return answer(PROBLEMS["unreadable-body"], str(error))
    idempotency_key = request.headers.get("idempotency-key", "")[:MAX_IDEMPOTENCY_KEY]
    try:
        clock = await clock_for(door, sender)
    except BusUnavailable:
        return come_back("bus-unavailable", RETRY_AFTER_S)
    accepted, refused = normalise(parsed.readings, sender, door.senders, received_at, idempotency_key, clock)
    faults = sorted([*parsed.faults, *refused], key=lambda fault: fault.index)
    return await store_or_refuse(door, sender, accepted, faults, received_at, is_lenient=_is_lenient(request))


async def clock_for(door: Door, sender: Sender) -> LibraryClock | None:
    """Return the clock of a library that does not live now, for what is said on a tablet of it.

    Raises:
        BusUnavailable: it cannot be known just now.
    """
    library = sender.library
    if sender.tablet is None or library is None or library.clock is not ClockKind.SIMULATED:
        return None
    if door.desks is None:
        raise BusUnavailable("not connected to the bus")
    return clock_of(library, await door.desks.of(library.id))


async def store_or_refuse(
    door: Door,
    sender: Sender,
    accepted: list[Accepted],
    faults: list[Fault],
    received_at: datetime,
    *,
    is_lenient: bool = False,
) -> Response:
    """Return the answer to readings: stored together, or none of them with what is wrong; `sender` brought them."""
    if faults and (not is_lenient or not accepted):
        _count(accepted, "withheld")
        _count_faults(faults)
        return _refusal(faults)
    bus = door.bus
    if bus is None or not bus.is_connected:
        return come_back("bus-unavailable", RETRY_AFTER_S)
    started = monotonic_s()
    if faults:
        retry_after_s = door.limits.quarantine.retry_after_s(f"key {sender.key_id}", size_in_quarantine(faults))
        if retry_after_s:
            return come_back("quarantine-full", retry_after_s)
    try:
        if faults:
            device = sender.key.device if sender.key else sender.key_id
            library = sender.library.id if sender.library else ""
            await quarantine(bus, faults, library, device, received_at, door.settings.store_timeout_s)
        await store(bus, accepted, received_at, door.settings.store_timeout_s)
    except BusFull:
        return come_back("bus-full", RETRY_AFTER_FULL_S)
    except BusUnavailable:
        return come_back("bus-unavailable", RETRY_AFTER_S)
    metrics.INGEST_STORE.observe(monotonic_s() - started)
    _count(accepted, "stored")
    _count_faults(faults)
    return JSONResponse(_receipt(accepted, faults), status_code=202, headers={"Cache-Control": "no-store"})


def _receipt(accepted: list[Accepted], faults: list[Fault]) -> dict[str, Any]:
    readings = []
    for each in accepted:
        row: dict[str, Any] = {"index": each.index, "library": each.reading.library, "id": each.reading.id}
        if each.remark:
            row["remark"] = each.remark
        readings.append(row)
    return {"stored": len(accepted), "readings": readings, "quarantined": [_fault(each) for each in faults]}


def _refusal(faults: list[Fault]) -> Response:
    is_forbidden = any(fault.code == "forbidden" for fault in faults)
    named = faults[:MAX_NAMED]
    more = f" The first {MAX_NAMED} are named." if len(faults) > MAX_NAMED else ""
    detail = f"{len(faults)} of the readings cannot be taken; nothing was stored.{more}"
    return answer(
        PROBLEMS["forbidden" if is_forbidden else "invalid-readings"], detail, errors=[_fault(each) for each in named]
    )


def _fault(fault: Fault) -> dict[str, str | int]:
    return {"index": fault.index, "code": fault.code, "reason": fault.reason}


def come_back(code: str, after_s: int) -> Response:
    """Return the answer to what cannot be stored just now."""
    return answer(PROBLEMS[code], "Nothing was acknowledged.", retry_after_s=after_s)


def _is_lenient(request: Request) -> bool:
    return any(LENIENT.search(value) for value in request.headers.getlist("prefer"))


def _count(accepted: list[Accepted], outcome: str) -> None:
    for each in accepted:
        metrics.INGEST_READINGS.labels(each.reading.kind, outcome).inc()


def _count_faults(faults: list[Fault]) -> None:
    for fault in faults:
        metrics.INGEST_READINGS.labels("unknown", fault.code).inc()


def _request_body() -> dict[str, Any]:
    schema = READING.json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    reading = {"$ref": "#/components/schemas/Reading"}
    content: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES}
    content["application/json"] = {
        "schema": {"oneOf": [reading, {"type": "array", "items": reading, "minItems": 1, "maxItems": 1000}]},
        "examples": {
            "gate": {
                "summary": "Three in, one out, just now",
                "value": {"kind": "gate_count", "library": "quartier", "gate": "front", "entries": 3, "exits": 1},
            },
            "recount": {
                "summary": "Staff counted heads",
                "value": {"kind": "head_count", "library": "quartier", "people": 42, "note": "counted twice"},
            },
            "throttle": {
                "summary": "The house is full: one in for one out",
                "value": {"kind": "throttle", "library": "bpi", "on": True},
            },
            "queueing-time": {
                "summary": "A sensor says how long who joins now will wait",
                "value": {"kind": "queueing_time", "library": "bpi", "minutes": 12},
            },
            "ticket": {
                "summary": "Somebody has got in who joined the queue at twenty past two",
                "value": {
                    "kind": "ticket",
                    "library": "bpi",
                    "joined": "2026-11-23T14:20:00+01:00",
                    "time": "2026-11-23T15:05:00+01:00",
                },
            },
        },
    }
    return {"requestBody": {"required": True, "content": content}}


def _responses() -> dict[int | str, dict[str, Any]]:
    described = {
        202: "Stored. `remark` says what is special about a reading; `quarantined` lists what was not stored.",
        401: "No valid key.",
        403: "The key may not send this; nothing was stored.",
        413: "The body is too large.",
        415: "A media type or an encoding that is not read here.",
        422: "Items that are wrong, by index and reason; nothing was stored.",
        429: "This key or address sends too often or too much; come back after `Retry-After` with the same request.",
        503: "The bus is away or full, or too much is in hand; come back after `Retry-After` with the same request.",
    }
    return {status: {"description": words} for status, words in described.items()}
