"""POST /v1/approvals: staff's word on a post that waits for it, stored where the publisher looks."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.problems import PROBLEMS, faults_of
from services.ingest.routes import RETRY_AFTER_S, Door
from services.ingest.senders import Sender
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.posts import POST_KEY, Approval
from shared.contracts.readings import Slug
from shared.runtime.bus import BusUnavailable
from shared.runtime.clock import now
from shared.runtime.problem import answer


class ApprovalRequest(BaseModel):
    """Which post, and whether it may go out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    library: Slug
    post: str = Field(pattern=POST_KEY, description="The post's key, as `placelibre posts waiting --json` gives it.")
    approve: bool


def router(door: Door) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    @routes.post(
        "/v1/approvals",
        status_code=202,
        summary="Approve a post, or refuse it",
        description="For channels with `approval = true`: a post waits until staff have said yes, and is dropped when"
        " they say no, or nothing until it is too late. The last word before it goes out counts. Needs a staff key.",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": ApprovalRequest.model_json_schema()}},
            }
        },
        response_class=JSONResponse,
    )
    async def post_approval(request: Request) -> Response:
        return await _take(door, request)

    return routes


async def _take(door: Door, request: Request) -> Response:
    sender: Sender = request.state.sender  # the front lets nobody through without
    try:
        asked = ApprovalRequest.model_validate_json(await request.body())
    except ValidationError as error:
        return answer(PROBLEMS["unreadable-body"], f"Wrong or missing: {faults_of(error)}.")
    is_staff = sender.key is not None and sender.key.role == "staff"
    if not is_staff or sender.library is None or sender.library.id != asked.library:
        return answer(PROBLEMS["forbidden"], f"Key {sender.key_id} may not decide on posts of {asked.library}.")
    if door.bus is None or not door.bus.is_connected:
        return answer(PROBLEMS["bus-unavailable"], "Nothing was acknowledged.", retry_after_s=RETRY_AFTER_S)
    word = Approval(is_approved=asked.approve, by=sender.who, at=now())
    key = subjects.approval_key(asked.library, asked.post)
    try:
        await door.bus.bucket(subjects.APPROVALS).put(key, word.model_dump_json().encode())
    except BusUnavailable:
        return answer(PROBLEMS["bus-unavailable"], "Nothing was acknowledged.", retry_after_s=RETRY_AFTER_S)
    act = Act.POST_APPROVED if asked.approve else Act.POST_REFUSED
    await door.audit.note(act, sender.role, who=sender.who, library=asked.library, subject=asked.post)
    return JSONResponse(
        {"post": asked.post, "approved": asked.approve}, status_code=202, headers={"Cache-Control": "no-store"}
    )
