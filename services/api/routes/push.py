"""Asking to be told of a seat: what a library offers, a wish, and taking it back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from services.api.freshness import library_now
from services.api.models import Answer
from services.api.problems import ProblemRaised
from services.api.routes.libraries import JSON, LibraryId, problem_responses
from services.api.shelf import Shelf
from services.api.wishes import AsksTooMuch, HasEnough, NoRoom, Wishes
from shared.contracts.push import ID_PATTERN, Ask, StoredWish, wish_id
from shared.domain.asking import Want, holds, lasts_until
from shared.domain.catalog import CATALOGS
from shared.runtime.bus import BusUnavailable
from shared.runtime.formats import formats_for

RETRY_AFTER_S: Final = 5
FULL_S: Final = 60
NOT_KEPT: Final = {"Cache-Control": "no-store"}
"""What is said of one browser is for it alone."""

WishId = Annotated[str, Path(description="The wish's id, as it was answered.", pattern=ID_PATTERN)]


class PushOffer(Answer):
    """What it takes to ask: the key with which a browser subscribes (`applicationServerKey`), and the zones."""

    library: str
    public_key: str
    zones: list[str] = Field(description="Ids that a wish for seats may name.")


class KeptWish(Answer):
    """A wish that is kept until it is told, taken back, or over."""

    id: str
    library: str
    want: Want
    threshold: int
    zone: str | None
    until: AwareDatetime = Field(description="After this it is forgotten, told or not.")
    said: str = Field(description="That it is kept, in the wish's language.")


def routes(shelf: Shelf, wishes: Wishes) -> APIRouter:
    """Return the routes of notifications."""
    router = APIRouter(prefix="/v1/push", tags=["push"])

    @router.get(
        "/{library}",
        response_model=PushOffer,
        responses=problem_responses(404, 422, 503),
        summary="Whether a library tells of free seats",
    )
    async def offer(library: LibraryId) -> Response:
        """Return the key to subscribe with; 404 `push-not-offered` for a library that tells nobody."""
        status = shelf.held(library).fresh.status
        answer = PushOffer(
            library=library, public_key=_public_key(wishes, library), zones=[each.id for each in status.zones]
        )
        return Response(answer.model_dump_json(), media_type=JSON, headers={"Cache-Control": "public, max-age=60"})

    @router.post(
        "/{library}",
        status_code=201,
        response_model=KeptWish,
        responses=problem_responses(404, 409, 413, 422, 429, 503),
        summary="Ask to be told",
    )
    async def ask(request: Request, library: LibraryId, asked: Ask) -> Response:
        """Keep a wish: one notification once it is so, and nothing after the day's last closing.

        Of the person there is the subscription that the browser made, and nothing else; it is deleted with the wish.
        The same wish of the same browser is kept once. A browser may have five.
        """
        held = shelf.held(library)
        _public_key(wishes, library)
        status = held.fresh.status.to_domain()
        now = library_now(held.fresh.status, held.stored_at, shelf.now())
        if asked.zone is not None and asked.zone not in {each.id for each in status.zones}:
            raise _invalid("body.zone", "unknown_zone")
        until = lasts_until(status, now)
        if until is None:
            raise ProblemRaised("closed-for-today", "The library does not open any more today.")
        if holds(asked.wish, status, now):
            raise ProblemRaised("already-so", "It is so now; nothing is kept.")
        stored = _stored(library, asked, now, until)
        await _keep(wishes, stored, request.client.host if request.client else "")
        return _kept(stored, status.time_zone, 201)

    @router.get(
        "/{library}/{wish}",
        response_model=KeptWish,
        responses=problem_responses(404, 422, 503),
        summary="A wish that is kept",
    )
    async def wish(library: LibraryId, wish: WishId) -> Response:
        """Return a wish; 404 `unknown-wish` once it is told, taken back, or over."""
        time_zone = shelf.held(library).fresh.status.time_zone
        try:
            stored = await wishes.get(library, wish)
        except BusUnavailable as error:
            raise _unavailable() from error
        if stored is None:
            raise ProblemRaised("unknown-wish", "There is no such wish, or it is over.")
        return _kept(stored, time_zone, 200)

    @router.delete(
        "/{library}/{wish}", status_code=204, responses=problem_responses(422, 503), summary="Take a wish back"
    )
    async def forget(library: LibraryId, wish: WishId) -> Response:
        """Forget a wish and the subscription in it; 204 also where there is none any more."""
        try:
            await wishes.forget(library, wish)
        except BusUnavailable as error:
            raise _unavailable() from error
        return Response(status_code=204, headers=NOT_KEPT)

    return router


async def _keep(wishes: Wishes, stored: StoredWish, address: str) -> None:
    """Keep a wish that somebody at an address has. Raises ProblemRaised."""
    try:
        wishes.may_ask(address)
        fault = await wishes.fault_of(stored.endpoint)
        if fault is not None:
            raise _invalid("body.subscription.endpoint", fault)
        await wishes.keep(stored)
    except AsksTooMuch as error:
        detail = "This address has asked as often as it may in an hour."
        raise ProblemRaised("too-many-wishes-here", detail, retry_after_s=error.retry_after_s) from error
    except HasEnough as error:
        raise ProblemRaised("too-many-wishes", "This browser waits for as many things as it may.") from error
    except NoRoom as error:
        raise ProblemRaised("push-unavailable", "As many people wait as may.", retry_after_s=FULL_S) from error
    except BusUnavailable as error:
        raise _unavailable() from error


def _public_key(wishes: Wishes, library: str) -> str:
    offer = wishes.offers.get(library)
    if offer is None:
        raise ProblemRaised("push-not-offered", "This library sends no notifications.")
    return offer.public_key


def _stored(library: str, asked: Ask, now: datetime, until: datetime) -> StoredWish:
    wish = asked.wish
    return StoredWish(
        library=library,
        want=wish.want,
        threshold=wish.threshold,
        zone=wish.zone,
        language=asked.language,
        endpoint=asked.subscription.endpoint,
        p256dh=asked.subscription.keys.p256dh,
        auth=asked.subscription.keys.auth,
        made_at=now,
        expires_at=until,
    )


def _kept(stored: StoredWish, time_zone: str, status_code: int) -> Response:
    until = stored.expires_at.astimezone(ZoneInfo(time_zone))
    words = CATALOGS[stored.language].pages
    answer = KeptWish(
        id=wish_id(stored.endpoint, stored.wish),
        library=stored.library,
        want=stored.want,
        threshold=stored.threshold,
        zone=stored.zone or None,
        until=until,
        said=words.push_waiting.format(time=formats_for(stored.language, time_zone).time(until)),
    )
    return Response(answer.model_dump_json(), status_code=status_code, media_type=JSON, headers=NOT_KEPT)


def _invalid(where: str, reason: str) -> ProblemRaised:
    detail = "One part of the wish cannot be used."
    return ProblemRaised("invalid-request", detail, errors=[{"where": where, "reason": reason}])


def _unavailable() -> ProblemRaised:
    detail = "The bus that keeps the wishes does not answer."
    return ProblemRaised("push-unavailable", detail, retry_after_s=RETRY_AFTER_S)
