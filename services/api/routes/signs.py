"""The status drawn for electronic paper: a sign of any size, and when it is worth to look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.api.conditional import cache_control, respond
from services.api.documents import Documents
from services.api.freshness import ServedStatus
from services.api.origin import origin_of
from services.api.problems import ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import Held
from services.api.routes.cards import PNG, SVG, language_for
from services.api.routes.libraries import LibraryId, problem_responses
from services.api.shelf import Shelf
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.status import State, Trend
from shared.runtime.sign import LEAST_HEIGHT, LEAST_WIDTH, MOST, Panel, sign_png, sign_svg

KEPT_MAX: Final = 256
"""Signs kept: about 5 kB each in one bit, some 60 kB of the largest in eight."""
WAITING_MAX: Final = 32
"""Signs under way at the same time; the largest takes a second."""
PIXELS_MOST: Final = 1872 * 1404
"""The panels of ten inches. While a sign becomes pixels nothing else is served: a third of a second for so many."""
RETRY_AFTER_S: Final = 10
NEXT_LOOK: Final = "Next-Look"
"""The header that says after how many seconds another look is worth its battery."""
MOVING_S: Final = 180
CALM_S: Final = 600
UNKNOWN_S: Final = 300
CLOSED_S_MAX: Final = 3 * 3600
"""Staff may open, close and say something at any time."""
LEAST_S: Final = 60
MARGIN_S: Final = 30
"""After an opening the first figures take a moment."""


class Bits(IntEnum):
    """Bits of grey of a pixel."""

    ONE = 1
    TWO = 2
    FOUR = 4
    EIGHT = 8


class Turn(IntEnum):
    """Degrees, clockwise."""

    NONE = 0
    QUARTER = 90
    HALF = 180
    THREE_QUARTERS = 270


class SignQuery(BaseModel):
    """What a device asks for."""

    width: int = Field(default=800, ge=LEAST_WIDTH, le=MOST, description="Pixels, as the device has them.")
    height: int = Field(default=480, ge=LEAST_HEIGHT, le=MOST, description="Pixels, as the device has them.")
    lang: str = Field(
        default="", max_length=35, description="The language of the words; the library's first if left out."
    )
    bits: Bits = Field(
        default=Bits.ONE, description="Bits of grey of a pixel; 1 is black and white alone. An SVG has greys anyway."
    )
    zone: str = Field(default="", max_length=64, description="One zone of the library instead of all of it.")
    rotate: Turn = Field(
        default=Turn.NONE, description="Degrees, clockwise, by which the sign stands turned in the picture."
    )
    invert: bool = Field(default=False, description="White on black.")
    qr: bool = Field(default=True, description="Whether a code leads to the library's page where it has room.")

    def panel(self, address: str) -> Panel:
        """Return what is drawn on."""
        return Panel(
            self.width,
            self.height,
            int(self.bits),
            int(self.rotate),
            self.invert,
            self.zone,
            address if self.qr else "",
        )


def routes(shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of the signs of a library's status."""
    del profiles
    router = APIRouter(prefix="/v1/libraries", tags=["signs"])
    signs = Documents(KEPT_MAX, WAITING_MAX, "signs-busy", RETRY_AFTER_S)

    async def answer(
        request: Request, library: str, query: SignQuery, draw: Callable[[ServedStatus, str, Panel], bytes]
    ) -> Response:
        """Return what is drawn of the status as it may be said now."""
        if query.width * query.height > PIXELS_MOST:
            fault = {"where": "query.height", "reason": f"width times height is more than {PIXELS_MOST} pixels"}
            raise ProblemRaised("invalid-request", "The sign is too large.", errors=[fault])
        held = shelf.held(library)
        now = shelf.now()
        prepared = held.served(now)
        status = prepared.status
        if query.zone and query.zone not in {each.id for each in status.zones}:
            raise ProblemRaised("not-found", "This library has no zone with this id.")
        language = language_for(query.lang, status.languages)
        panel = query.panel(f"{origin_of(request)}/l/{library}")
        picture = await signs.get((draw, prepared.etag, language, panel), lambda: draw(status, language, panel))
        headers = {"Content-Language": language, NEXT_LOOK: str(next_look_s(held, status, now))}
        caching = cache_control(held.remaining_s(now))
        return respond(request, picture.body, picture.etag, caching, PNG if draw is _png else SVG, headers)

    @router.get("/{library}/sign.png", **_described(PNG, "The status as a sign for electronic paper, PNG"))
    async def png(request: Request, library: LibraryId, query: Annotated[SignQuery, Query()]) -> Response:
        """Return the status as large as there is room for, in grey; figures say until when they hold.

        `Next-Look` says in how many seconds something new is likely.
        """
        return await answer(request, library, query, _png)

    @router.get("/{library}/sign.svg", **_described(SVG, "The status as a sign for electronic paper, SVG"))
    async def svg(request: Request, library: LibraryId, query: Annotated[SignQuery, Query()]) -> Response:
        """Return the same drawing before it becomes pixels, with a grey for what matters less."""
        return await answer(request, library, query, _svg)

    return router


def next_look_s(held: Held, status: ServedStatus, now: datetime) -> int:
    """Return after how many seconds a device should look again: sooner where seats come and go, late while closed.

    Never past the end of what the sign shows, but for a closed library, where staff alone could change something.
    """
    if status.expired or status.state is State.UNKNOWN or status.clock.kind is not ClockKind.WALL:
        return UNKNOWN_S
    change_s = CLOSED_S_MAX
    if status.next_change is not None:
        change_s = max(int((status.next_change - now) / timedelta(seconds=1)) + MARGIN_S, LEAST_S)
    if status.state is State.CLOSED:
        return min(change_s, CLOSED_S_MAX)
    is_calm = status.level is Level.MANY_SEATS and status.trend in {Trend.STEADY, None}
    usual_s = CALM_S if is_calm else MOVING_S
    remaining_s = held.remaining_s(now)
    holds_s = usual_s if remaining_s is None else max(int(remaining_s), LEAST_S)
    return min(usual_s, change_s, holds_s)


def _png(status: ServedStatus, language: str, panel: Panel) -> bytes:
    return sign_png(status.to_domain(), language, panel)


def _svg(status: ServedStatus, language: str, panel: Panel) -> bytes:
    return sign_svg(status.to_domain(), language, replace(panel, bits=8)).encode()


def _described(media_type: str, summary: str) -> dict[str, Any]:
    """Return what OpenAPI says of a sign's route."""
    header = {NEXT_LOOK: {"description": "Seconds until another look is worth it.", "schema": {"type": "integer"}}}
    responses = {
        200: {"description": summary, "content": {media_type: {}}, "headers": header},
        **problem_responses(404, 422, 503),
    }
    return {"response_class": Response, "responses": responses, "summary": summary}
