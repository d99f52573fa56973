"""/v1/staff: letting tablets and people in, and what they are shown of their library, as soon as it changes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.desk_answer import answer_for, etag_of, public_now
from services.ingest.desk_view import DeskAnswer
from services.ingest.desk_watch import Desk, clock_of
from services.ingest.entrance import AT_THE_CENTRE, sender_of
from services.ingest.pages.site import words_of
from services.ingest.pins import PinCheck
from services.ingest.problems import PROBLEMS
from services.ingest.routes import RETRY_AFTER_S, Door
from services.ingest.senders import Sender
from services.ingest.sign_in import Attempt, Locked, SignedIn, TooManyAtOnce, WrongPin, enrol, sign_in, sign_out
from shared.contracts.audit import Act, Outcome, Role
from shared.contracts.desk import PIN_PATTERN, Tablet
from shared.contracts.readings import Slug
from shared.domain.catalog import CATALOGS
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.card import card_svg
from shared.runtime.clock import monotonic_s, now
from shared.runtime.logs import logger
from shared.runtime.problem import answer

log = logger(__name__)

NO_STORE: Final = {"Cache-Control": "no-store"}
WAIT_AT_MOST_S: Final = 25
"""Below the half minute after which proxies give up."""
LOOK_AGAIN_S: Final = 1.0
"""How often a waiting request sees whether its sender may still see anything."""
TIME_PASSES_S: Final = 5.0
"""How often what follows from time alone (a silence, a budget's day) is worked out for it."""
WAITING_MAX: Final = 512
WAITING_OF_ONE: Final = 4
"""Requests that wait; further ones are told at once to come back, unless there is something new for them."""
ETAG: Final = r'^"[0-9a-f]{24}"$'
UNKNOWN_CODE: Final = "Nothing can be enrolled with this code."
"""The same for one that never was, was used or is too old."""


_Asked = TypeVar("_Asked", bound="Asked")


class Asked(BaseModel):
    """What a tablet sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EnrolmentRequest(Asked):
    """The code of an invitation, as it stands in the QR code behind the #."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\.[A-Za-z0-9_-]{16,100}$")]
    nonce: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{16,64})?$")] = Field(
        default="", description="Made by the tablet; with the same one it gets the same key again if an answer is lost."
    )


class SignInRequest(Asked):
    """Who signs in, and their PIN."""

    person: Slug
    pin: Annotated[str, Field(pattern=PIN_PATTERN)]


@dataclass(slots=True)
class Waiting:
    """Requests that wait, by their sender."""

    by_sender: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def place(self, sender: Sender) -> Iterator[bool]:
        """Hold a place until the end of the block; say whether there is one."""
        name = f"{sender.key_id}/{sender.session}"
        if self.by_sender.total() >= WAITING_MAX or self.by_sender[name] >= WAITING_OF_ONE:
            yield False
            return
        self.by_sender[name] += 1
        try:
            yield True
        finally:
            self.by_sender[name] -= 1
            if not self.by_sender[name]:
                del self.by_sender[name]


def router(door: Door) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["staff"])
    pins, waiting = PinCheck(), Waiting()

    @routes.post(
        "/v1/staff/enrolments",
        status_code=201,
        summary="Enrol a tablet",
        description="With the code of an invitation (`placelibre staff enrol`), which is used once. Answers with the"
        " tablet's key. Whoever sends the same `nonce` gets the same answer again as long as the invitation lasts;"
        " without one the key is shown this once.",
        openapi_extra=_body(
            EnrolmentRequest, {"code": "bpi.kP3o-x_Qm2Vb8cT1yZ7uJ4rLs0fWnEaD", "nonce": "fWnEaD7uJ4rLs0kP3o-x"}
        ),
        responses=_responses({403: "The code is unknown, used or too old.", 429: "Too many tries of one address."}),
        response_class=JSONResponse,
    )
    async def post_enrolment(request: Request) -> Response:
        return await _enrol(door, await request.body())

    @routes.post(
        "/v1/staff/sessions",
        status_code=201,
        summary="Sign in",
        description="With the tablet's key. The session goes into `Authorization: Bearer` from then on; it ends after"
        " 30 days, with a new PIN, and with the person or the tablet.",
        openapi_extra=_body(SignInRequest, {"person": "ab", "pin": "4711"}),
        responses=_responses({403: "The PIN is wrong; `left` tries are left.", 429: "Too many wrong PINs."}),
        response_class=JSONResponse,
    )
    async def post_session(request: Request) -> Response:
        return await _sign_in(door, pins, request.state.sender, await request.body())

    @routes.delete(
        "/v1/staff/sessions/current",
        status_code=204,
        summary="Sign out",
        responses=_responses({}),
    )
    async def delete_session(request: Request) -> Response:
        return await _sign_out(door, request.state.sender)

    @routes.get(
        "/v1/staff/desk",
        response_model=DeskAnswer,
        summary="What staff see of their library",
        description="With a tablet's key or a session. Has an ETag; with `after` (the last ETag) and `wait` (seconds)"
        " it answers as soon as something is different, or 304 after that time.",
        responses=_responses({304: "Nothing is different."}),
    )
    async def get_desk(
        request: Request,
        lang: Annotated[str, Query(max_length=35)] = "",
        after: Annotated[str, Query(pattern=ETAG)] = "",
        wait: Annotated[int, Query(ge=0, le=60)] = 0,
    ) -> Response:
        known = after or request.headers.get("if-none-match", "").removeprefix("W/")
        return await _desk(door, waiting, request, lang, known, min(wait, WAIT_AT_MOST_S))

    @routes.get(
        "/v1/staff/card.svg",
        summary="The card that the public sees now",
        responses=_responses({404: "Nothing is known of the library yet."}),
        response_class=Response,
    )
    async def get_card(request: Request, lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        return await _card(door, request, lang)

    return routes


async def _enrol(door: Door, body: bytes) -> Response:
    if door.settings.leaf:
        return answer(PROBLEMS["not-at-a-branch"], AT_THE_CENTRE)
    asked = _read(body, EnrolmentRequest)
    if asked is None:
        return answer(PROBLEMS["invitation-over"], UNKNOWN_CODE)
    bus = _connected(door)
    if bus is None or not door.senders.staff.is_read:
        return _come_back()
    library = door.senders.libraries.get(asked.code.partition(".")[0])
    try:
        enrolled = None if library is None else await enrol(bus, door.senders.staff, asked.code, now(), asked.nonce)
    except BusUnavailable:
        return _come_back()
    if library is None or enrolled is None:
        known = "" if library is None else library.id  # what else was sent may be anything
        await door.audit.note(Act.TABLET_ENROLLED, Role.NOBODY, library=known, outcome=Outcome.REFUSED)
        return answer(PROBLEMS["invitation-over"], UNKNOWN_CODE)
    log.info("tablet_enrolled", library=library.id, tablet=enrolled.tablet.id)
    await door.audit.note(
        Act.TABLET_ENROLLED, Role.TABLET, who=enrolled.tablet.id, library=library.id, subject=enrolled.tablet.id
    )
    content = {
        "library": {"id": library.id, "name": library.name},
        "tablet": {"id": enrolled.tablet.id, "name": enrolled.tablet.name},
        "key": enrolled.key,
    }
    return JSONResponse(content, status_code=201, headers=NO_STORE)


async def _sign_in(door: Door, pins: PinCheck, sender: Sender, body: bytes) -> Response:
    if sender.tablet is None or sender.library is None:
        return answer(PROBLEMS["forbidden"], "Only a tablet that was enrolled lets people sign in.")
    asked = _read(body, SignInRequest)
    if asked is None:
        return answer(PROBLEMS["unreadable-body"], "A person's id and a PIN of 4 to 8 digits are wanted.")
    bus = _connected(door)
    if bus is None:
        return _come_back()
    book, at = door.senders.staff, now()
    try:
        found = await sign_in(bus, book, pins, Attempt(sender.library.id, sender.tablet, asked.person, asked.pin), at)
    except BusUnavailable:
        return _come_back()
    except TooManyAtOnce:
        return answer(PROBLEMS["busy"], "Others try for the same person.", retry_after_s=1)
    await _note_sign_in(door, sender.library.id, sender.tablet, asked.person, found)
    if isinstance(found, SignedIn):
        person = {"id": found.person.id, "name": found.person.name}
        return JSONResponse({"session": found.session, "person": person}, status_code=201, headers=NO_STORE)
    if isinstance(found, Locked):
        log.warning("too_many_wrong_pins", library=sender.library.id, tablet=sender.tablet.id)
        return _locked(found.until, at)
    return _wrong_pin(found.left)


async def _note_sign_in(
    door: Door, library: str, tablet: Tablet, person: str, found: SignedIn | WrongPin | Locked
) -> None:
    """Note who signed in or tried to; a name that nobody has is not written down, for it may be anybody's."""
    who = person if door.senders.staff.person(library, person) else ""
    match found:
        case SignedIn():
            role, outcome = Role.STAFF, Outcome.DONE
        case WrongPin():
            role, outcome = Role.TABLET, Outcome.REFUSED
        case Locked():
            role, outcome = Role.TABLET, Outcome.LOCKED
    await door.audit.note(Act.SIGNED_IN, role, who=who, library=library, subject=tablet.id, outcome=outcome)


async def _sign_out(door: Door, sender: Sender) -> Response:
    if not sender.session or sender.library is None:
        return answer(PROBLEMS["forbidden"], "No session came with the request.")
    bus = _connected(door)
    if bus is None:
        return _come_back()
    try:
        await sign_out(bus, door.senders.staff, sender.library.id, sender.session, sender.session_sha256)
    except BusUnavailable:
        return _come_back()
    await door.audit.note(
        Act.SIGNED_OUT,
        sender.role,
        who=sender.who,
        library=sender.library.id,
        subject=sender.tablet.id if sender.tablet else "",
    )
    return Response(status_code=204, headers=NO_STORE)


async def _desk(door: Door, waiting: Waiting, request: Request, lang: str, known: str, wait_s: int) -> Response:
    found = await _seen(door, request)
    if isinstance(found, Response):
        return found
    sender, desk = found
    words = words_of(lang, request.headers.get("accept-language", ""))
    with waiting.place(sender) as is_free:
        deadline = monotonic_s() + wait_s
        while True:
            version, looked_s = desk.version, monotonic_s()
            staff, claims = door.senders.staff, door.registry.claims
            assert sender.library is not None
            shown = answer_for(sender, desk, staff.people(sender.library.id), claims, words, now())
            etag = etag_of(shown)
            if etag != known:
                headers = {**NO_STORE, "ETag": etag, "Vary": "Authorization, Accept-Language"}
                return Response(shown.model_dump_json(), media_type="application/json", headers=headers)
            if wait_s and not is_free:
                return answer(PROBLEMS["waiting"], "Nothing is different.", retry_after_s=RETRY_AFTER_S)
            while desk.version == version and monotonic_s() - looked_s < TIME_PASSES_S:
                left_s = deadline - monotonic_s()
                if left_s <= 0:
                    return Response(status_code=304, headers={**NO_STORE, "ETag": etag})
                await desk.changed(version, min(left_s, LOOK_AGAIN_S))
                again = sender_of(door, request.headers)
                if not isinstance(again, Sender):
                    return again
                if await request.is_disconnected():
                    return Response(status_code=304)  # to nobody; its place is free for who asks again
                if again != sender:  # another configuration, another name
                    sender = again
                    break


async def _card(door: Door, request: Request, lang: str) -> Response:
    found = await _seen(door, request)
    if isinstance(found, Response):
        return found
    sender, desk = found
    library, at = sender.library, now()
    assert library is not None
    clock = clock_of(library, desk)
    public = public_now(library, desk, at if clock is None else clock.at(at))
    if public is None:
        return answer(PROBLEMS["not-found"], "Nothing is known of the library yet.")
    language = lang if lang in CATALOGS else next((each for each in public.languages if each in CATALOGS), "en")
    headers = {**NO_STORE, "Content-Language": language, "X-Content-Type-Options": "nosniff"}
    return Response(card_svg(public.to_domain(), language), media_type="image/svg+xml", headers=headers)


async def _seen(door: Door, request: Request) -> tuple[Sender, Desk] | Response:
    """Return who looks and at what, or the answer to who may not or cannot."""
    sender = sender_of(door, request.headers)  # the front lets every GET through
    if not isinstance(sender, Sender):
        return sender
    if sender.tablet is None or sender.library is None:
        return answer(PROBLEMS["forbidden"], "Only a tablet that was enrolled is shown this.")
    if door.desks is None:
        return _come_back()
    try:
        return sender, await door.desks.of(sender.library.id)
    except BusUnavailable:
        return _come_back()


def _wrong_pin(left: int) -> Response:
    response = answer(PROBLEMS["wrong-pin"], "That is not the PIN of this person.")
    fields = {**json.loads(bytes(response.body)), "left": left}
    return Response(json.dumps(fields), status_code=403, headers=NO_STORE, media_type=response.media_type)


def _locked(until: datetime, at: datetime) -> Response:
    return answer(
        PROBLEMS["locked"], "Nobody may try for a while.", retry_after_s=max(ceil((until - at).total_seconds()), 1)
    )


def _connected(door: Door) -> Bus | None:
    return door.bus if door.bus is not None and door.bus.is_connected else None


def _come_back() -> Response:
    return answer(PROBLEMS["not-now"], "Nothing was done.", retry_after_s=RETRY_AFTER_S)


def _read(body: bytes, model: type[_Asked]) -> _Asked | None:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None  # nothing of it is echoed: it may be a secret


def _body(model: type[BaseModel], example: dict[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _responses(more: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    described = {
        401: "The tablet is not known, or was revoked; or, as `session-over`, nobody is signed in any more.",
        503: "The bus is away, or nothing has been read yet; come back after `Retry-After`.",
        **more,
    }
    return {status: {"description": words} for status, words in described.items()}
