"""POST /v1/staff/readings: what several people have said on one tablet, stored together, in its order.

Two colleagues at one desk take turns. What they tapped without a line goes in one request all the same, so that no
intermediate state is ever looked at, let alone announced.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.bodies import parse_each
from services.ingest.entrance import CHALLENGE, WORDS
from services.ingest.normalise import normalise_each
from services.ingest.problems import PROBLEMS
from services.ingest.routes import RETRY_AFTER_S, Door, clock_for, come_back, store_or_refuse
from services.ingest.senders import Refusal, Sender
from shared.runtime import metrics
from shared.runtime.bus import BusUnavailable
from shared.runtime.clock import now
from shared.runtime.problem import answer

TOGETHER_MAX: Final = 200
"""More than anybody taps in an hour without a line; some 60 kB."""
EXAMPLE: Final = {
    "readings": [
        {
            "session": "bpi.session.6ad0c1.kP3o-x_Qm2Vb8cT1",
            "reading": {
                "kind": "head_count",
                "library": "bpi",
                "people": 42,
                "id": "tap-1",
                "time": "2026-11-23T15:05:00+01:00",
            },
        }
    ]
}


class SaidItem(BaseModel):
    """One reading, and the session of the person who said it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Annotated[str, Field(max_length=300)]
    reading: dict[str, Any] = Field(description="As in POST /v1/readings.")


class SaidTogether(BaseModel):
    """What people said on one tablet, in the order in which they said it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    readings: Annotated[tuple[SaidItem, ...], Field(min_length=1, max_length=TOGETHER_MAX)]


def router(door: Door) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["staff"])

    @routes.post(
        "/v1/staff/readings",
        status_code=202,
        summary="Send what several people have said on a tablet",
        description="With the tablet's key, and with each reading the session of who said it. Answers as"
        " POST /v1/readings does; all are stored together, or none.",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _schema(), "example": EXAMPLE}},
            }
        },
        responses={
            401: {"description": "The tablet is not known; or, as `session-over`, those in `errors` are signed out."},
            403: {"description": "Not a tablet's key, or nobody may say this; nothing was stored."},
            422: {"description": "Items that are wrong, by index and reason; nothing was stored."},
            503: {"description": "The bus is away or full; come back after `Retry-After` with the same request."},
        },
        response_class=JSONResponse,
    )
    async def post_said(request: Request) -> Response:
        response = await _take(door, request.state.sender, await request.body())
        metrics.INGEST_REQUESTS.labels(str(response.status_code)).inc()
        return response

    return routes


async def _take(door: Door, tablet: Sender, body: bytes) -> Response:
    received_at = now()
    if tablet.tablet is None:
        return answer(PROBLEMS["forbidden"], "Only a tablet that was enrolled brings what several people have said.")
    try:
        said = SaidTogether.model_validate_json(body).readings
    except ValidationError as error:  # nothing of it is echoed: it holds secrets
        detail = f"1 to {TOGETHER_MAX} of a session and its reading are wanted; {error.error_count()} faults."
        return answer(PROBLEMS["unreadable-body"], detail)
    judged = {each: _speaker(door, tablet, each) for each in {each.session for each in said}}
    if Refusal.NOT_YET in judged.values():
        return answer(PROBLEMS["not-ready"], WORDS[Refusal.NOT_YET], retry_after_s=RETRY_AFTER_S)
    over = [{"index": index} for index, each in enumerate(said) if not isinstance(judged[each.session], Sender)]
    if over:
        detail = f"{len(over)} of the readings are of sessions that are over; nothing was stored."
        return answer(PROBLEMS["session-over"], detail, errors=over, headers=CHALLENGE)
    try:
        clock = await clock_for(door, tablet)
    except BusUnavailable:
        return come_back("bus-unavailable", RETRY_AFTER_S)
    parsed = parse_each([each.reading for each in said])
    speakers = [each for each in (judged[each.session] for each in said) if isinstance(each, Sender)]
    spoken = [(index, reading, speakers[index]) for index, reading in parsed.readings]
    accepted, refused = normalise_each(spoken, door.senders, received_at, clock=clock)
    faults = sorted([*parsed.faults, *refused], key=lambda fault: fault.index)
    return await store_or_refuse(door, tablet, accepted, faults, received_at)


def _speaker(door: Door, tablet: Sender, session: str) -> Sender | Refusal:
    """Return who speaks under a session, if it is one of this tablet."""
    found = door.senders.judge(session, now())
    if not isinstance(found, Sender):
        return found
    is_here = found.person is not None and found.key_id == tablet.key_id and found.tablet == tablet.tablet
    return found if is_here else Refusal.SESSION_OVER


def _schema() -> dict[str, Any]:
    schema = SaidTogether.model_json_schema()
    item = schema.pop("$defs")["SaidItem"]
    item["properties"]["reading"] = {"$ref": "#/components/schemas/Reading"}
    schema["properties"]["readings"]["items"] = item
    return schema
