"""An error as a page, for people."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from services.api.pages.language import choose
from services.api.pages.rendering import HTML, Renderer
from services.api.problems import ProblemRaised
from shared.domain.catalog import CATALOGS


def error_page(renderer: Renderer, request: Request, raised: ProblemRaised) -> Response | None:
    """Return an error as a page to a person who asked for one; None to a program."""
    if request.url.path.startswith("/v1/") or HTML not in request.headers.get("accept", ""):
        return None
    language = choose(request.query_params.get("lang", ""), request.headers.get("accept-language", ""), tuple(CATALOGS))
    words = CATALOGS[language].pages
    title = words.page_not_found if raised.problem.status == 404 else CATALOGS[language].headline_unknown
    body = renderer.render(
        "error.html", language, "/", {}, links=[], title=title, status=raised.problem.status, stream=""
    )
    response = raised.response()
    headers = {key: value for key, value in response.headers.items() if not key.startswith("content-")}
    return Response(
        body, status_code=response.status_code, headers={**headers, "Content-Language": language}, media_type=HTML
    )
