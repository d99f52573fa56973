"""The latest announcements as feeds, for readers that fetch by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.api.conditional import respond
from services.api.feeds import Feeds, FeedsUnavailable
from services.api.pages.language import offered_by
from services.api.problems import ProblemRaised
from services.api.projection import etag_of
from services.api.routes.cards import Language, language_for
from services.api.routes.libraries import LibraryId, problem_responses
from services.api.shelf import Shelf
from services.api.syndication import Served, atom, json_feed

ATOM: Final = "application/atom+xml"
JSON_FEED: Final = "application/feed+json"
CACHING: Final = "public, max-age=15"
CACHING_WITH_HUB: Final = "no-cache"
"""A cache that still had the feed of before would give it to the hub, which would tell nobody anything."""
RETRY_AFTER_S: Final = 5


def routes(shelf: Shelf, feeds: Feeds) -> APIRouter:
    """Return the routes of the feeds."""
    router = APIRouter(prefix="/v1/libraries", tags=["feeds"])

    async def answer(
        request: Request, library: str, lang: str, media_type: str, write: Callable[[Served], bytes], kind: str
    ) -> Response:
        """Return a feed in one of the forms, and where it and its hub are, as WebSub wants it."""
        status = shelf.held(library).fresh.status
        # Who asks for no language gets the first one that there is a feed in.
        languages = (language_for(lang, status.languages),) if lang else offered_by(status.languages)
        try:
            feed = await feeds.first(library, languages)
        except FeedsUnavailable as error:
            detail = "The bus that keeps the feeds does not answer."
            raise ProblemRaised("feed-unavailable", detail, retry_after_s=RETRY_AFTER_S) from error
        if feed is None:
            raise ProblemRaised("no-feed", "Nothing has been announced in this language yet, or no feed is kept.")
        served = Served(feed, status, str(request.base_url).rstrip("/"))
        body = write(served)
        links = [f'<{served.address(kind)}>; rel="self"', *([f'<{feed.hub}>; rel="hub"'] if feed.hub else [])]
        headers = {"Content-Language": feed.language, "Link": ", ".join(links)}
        caching = CACHING_WITH_HUB if feed.hub else CACHING
        return respond(request, body, etag_of(body), caching, media_type, headers)

    @router.get("/{library}/feed.atom", **_described(ATOM, "The latest announcements as Atom"))
    async def as_atom(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the latest 50 announcements of a library that has a channel of the type `feed`."""
        return await answer(request, library, lang, f"{ATOM}; charset=utf-8", atom, "atom")

    @router.get("/{library}/feed.json", **_described(JSON_FEED, "The latest announcements as JSON Feed"))
    async def as_json(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the same in the form of JSON Feed 1.1."""
        return await answer(request, library, lang, JSON_FEED, json_feed, "json")

    return router


def _described(media_type: str, summary: str) -> dict[str, Any]:
    """Return what OpenAPI says of a feed's route."""
    responses = {200: {"description": summary, "content": {media_type: {}}}, **problem_responses(404, 422, 503)}
    return {"response_class": Response, "responses": responses, "summary": summary}
