"""GET /v1/devices and /v1/claims: what staff see of their library's devices, and the one step that claims one."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.claiming import claim, claim_of, device_id, fault_of_claim, release
from services.ingest.device_overview import hours_of, look, overview, values_of
from services.ingest.device_view import view
from services.ingest.entrance import sender_of
from services.ingest.pages.site import words_of
from services.ingest.preview import Preview, preview
from services.ingest.problems import PROBLEMS, faults_of
from services.ingest.quarantined import Waiting, bodies_of
from services.ingest.routes import RETRY_AFTER_S, Door
from services.ingest.senders import Sender
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import MAX_LINES, Claim, Device, Line, Serial
from shared.contracts.readings import Slug
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import now
from shared.runtime.formats import formats_for
from shared.runtime.opening_hours import OsmOpeningHours
from shared.runtime.problem import answer

LOOKS_AT_ONCE: Final = 2
"""Each reads some thousands of bodies; a tablet that asks every fifteen seconds must not keep ingest from its work."""
PREVIEWS_MAX: Final = 20
"""Boxes of one library whose bodies are read; the others are listed."""
BODIES_READ: Final = 200
"""Of each box: the newest, some hours of them."""
NO_STORE: Final = {"Cache-Control": "no-store"}


class ClaimRequest(BaseModel):
    """Which box, and where its lines go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Slug | None = Field(default=None, description="Its name in the log; made from its name if left out.")
    source: Slug
    serial: Serial = ""
    name: Annotated[str, Field(max_length=120)] = Field(default="", description="In words, for staff.")
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=MAX_LINES)]


def router(door: Door) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    free = asyncio.Semaphore(LOOKS_AT_ONCE)

    @routes.get(
        "/v1/devices",
        summary="The devices of a library",
        description="For a staff key, of its own library: every device that counts with what is wrong with it in words,"
        " and the boxes that nobody has claimed, with what would be counted of each. `lang` chooses the words.",
        responses={
            200: {"description": "The devices."},
            401: {"description": "No valid key."},
            403: {"description": "Not a key of staff."},
            503: {"description": "The bus is away; come back after `Retry-After`."},
        },
        response_class=JSONResponse,
    )
    async def get_devices(request: Request, lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        sender = sender_of(door, request.headers)  # the front lets every GET through
        if not isinstance(sender, Sender):
            return sender
        library = _library_of(sender)
        if library is None:
            return _not_staff(sender)
        async with free:
            return await _devices(door, library, lang, request.headers.get("accept-language", ""))

    @routes.post(
        "/v1/claims",
        status_code=201,
        summary="Claim a device",
        description="A box that nobody has claimed counts from now on, and so does what it sent before, as far as that"
        " is in quarantine and not older than a day. Needs a staff key; the gates, zones and sources are those of its"
        " library. Claiming the same device again leads it elsewhere.",
        openapi_extra=_request_body(),
        responses={
            401: {"description": "No valid key."},
            403: {"description": "Not a key of staff, or a source of another library."},
            409: {"description": "It cannot be claimed so; `detail` says why."},
            422: {"description": "The body cannot be read."},
            503: {"description": "The bus is away; send the same again after `Retry-After`."},
        },
        response_class=JSONResponse,
    )
    async def post_claim(request: Request) -> Response:
        return await _claim(door, request)

    @routes.delete(
        "/v1/claims/{device}",
        status_code=204,
        summary="Release a device",
        description="From now on it counts nowhere, and its bodies go to quarantine. Needs a staff key of its library.",
        responses={
            401: {"description": "No valid key."},
            403: {"description": "Not a key of staff."},
            404: {"description": "The library has claimed no such device; one in `libraries.toml` is released there."},
            503: {"description": "The bus is away; send the same again after `Retry-After`."},
        },
    )
    async def delete_claim(request: Request, device: str) -> Response:
        return await _release(door, request, device)

    return routes


async def _devices(door: Door, library: LibraryConfig, lang: str, accept_language: str) -> Response:
    bus = _connected(door)
    if bus is None:
        return _come_back()
    at = now()
    libraries = door.senders.libraries
    try:
        found = await look(bus, library.id)
        seen = overview(libraries, found, hours_of({library.id: library}), at)
        own = [each for each in seen.unclaimed if each.library == library.id]
        previews = await _previews(bus, library, own[:PREVIEWS_MAX], at)
    except BusUnavailable:
        return _come_back()
    words = words_of(lang, accept_language)
    formats = formats_for(words.language, library.time_zone)
    fields = view(library, seen, previews, words, formats, at, troubles=door.source_troubles)
    return JSONResponse(fields, headers=NO_STORE)


async def _previews(
    bus: Bus, library: LibraryConfig, boxes: list[Waiting], at: datetime
) -> dict[tuple[str, str], Preview]:
    sources = {each.id: each for each in library.sources}
    domain = library.to_domain(OsmOpeningHours)
    found: dict[tuple[str, str], Preview] = {}
    for box in boxes:
        source = sources.get(box.source)
        if source is None:  # it came while its source stood in this library; another one has it now
            continue
        bodies = await bodies_of(bus, box.library, box.source, box.token, newest=BODIES_READ)
        by_serial = await asyncio.to_thread(preview, bodies, source, domain, at)
        seen = by_serial.get(box.last.serial)
        if seen is not None:
            found[box.source, box.token] = seen
    return found


async def _claim(door: Door, request: Request) -> Response:
    sender: Sender = request.state.sender  # the front lets nobody through without
    library = _library_of(sender)
    if library is None:
        return _not_staff(sender)
    try:
        asked = ClaimRequest.model_validate_json(await request.body())
    except ValidationError as error:
        return answer(PROBLEMS["unreadable-body"], f"Wrong or missing: {faults_of(error)}.")
    if not any(source.id == asked.source for source in library.sources):
        return answer(PROBLEMS["forbidden"], f"{library.id} has no source {asked.source}.")
    bus = _connected(door)
    if bus is None:
        return _come_back()
    try:
        claims = await values_of(bus, subjects.CLAIMS, ">", Claim)
        wanted = claim_of(library.id, _device(asked, library, claims), sender.who, now())
        fault = fault_of_claim(wanted, door.senders.libraries, claims)
        if fault:
            return answer(PROBLEMS["claim-refused"], f"{fault[:1].upper()}{fault[1:]}.")
        await claim(bus, wanted)
        await door.audit.note(
            Act.DEVICE_CLAIMED, sender.role, who=sender.who, library=library.id, subject=wanted.device.id
        )
    except BusUnavailable:
        return _come_back()
    content = {"library": library.id, "device": wanted.device.id, "name": wanted.device.name}
    return JSONResponse(content, status_code=201, headers=NO_STORE)


async def _release(door: Door, request: Request, device: str) -> Response:
    sender: Sender = request.state.sender
    library = _library_of(sender)
    if library is None:
        return _not_staff(sender)
    bus = _connected(door)
    if bus is None:
        return _come_back()
    try:
        claims = await values_of(bus, subjects.CLAIMS, subjects.device_key(library.id, "*"), Claim)
        if subjects.device_key(library.id, device) not in claims:
            return answer(PROBLEMS["not-claimed"], "The library has claimed no device of this name.")
        await release(bus, library.id, device)
        await door.audit.note(Act.DEVICE_RELEASED, sender.role, who=sender.who, library=library.id, subject=device)
    except BusUnavailable:
        return _come_back()
    return Response(status_code=204, headers=NO_STORE)


def _device(asked: ClaimRequest, library: LibraryConfig, claims: dict[str, Claim]) -> Device:
    """Return the device that is asked for; without an id it has that of its last claim, or a new one."""
    own = [each.device for each in claims.values() if each.library == library.id]
    same = next((each.id for each in own if (each.source, each.serial) == (asked.source, asked.serial)), None)
    taken = [each.id for each in (*own, *library.devices)] + [key.device for key in library.keys]
    chosen = asked.id or same or device_id(asked.source, asked.serial, taken, asked.name)
    return Device(id=chosen, source=asked.source, serial=asked.serial, name=asked.name, lines=asked.lines)


def _library_of(sender: Sender) -> LibraryConfig | None:
    """Return the library of a key of staff; None for every other key."""
    return sender.library if sender.key is not None and sender.key.role == "staff" else None


def _not_staff(sender: Sender) -> Response:
    return answer(PROBLEMS["forbidden"], f"Key {sender.key_id} is not one of staff.")


def _connected(door: Door) -> Bus | None:
    return door.bus if door.bus is not None and door.bus.is_connected else None


def _come_back() -> Response:
    return answer(PROBLEMS["bus-unavailable"], "Nothing was done.", retry_after_s=RETRY_AFTER_S)


def _request_body() -> dict[str, Any]:
    schema = ClaimRequest.model_json_schema()
    parts = schema.pop("$defs", {})
    example = {
        "source": "front-door",
        "serial": "6537F28545220003",
        "name": "Front door, left",
        "lines": [{"line": "1", "gate": "front", "invert": False}],
    }
    content = {"application/json": {"schema": _whole(schema, parts), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _whole(value: Any, parts: dict[str, Any]) -> Any:
    """Return a schema with its parts in place of the references to them: in a document they would lead nowhere."""
    if isinstance(value, list):
        return [_whole(each, parts) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _whole(parts[value["$ref"].rpartition("/")[2]], parts)
    return {name: _whole(each, parts) for name, each in value.items()}
