"""What pages load: files under the hash of their content, the service worker, and the manifest of the home screen.

The service worker carries the list of what it keeps from the beginning, so that a new file makes a new worker.
"""

from __future__ import annotations

import json
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import respond, respond_packed
from services.api.pages import assets
from services.api.pages.language import choose
from services.api.pages.rendering import HTML, Renderer
from services.api.problems import ProblemRaised
from services.api.projection import etag_of
from shared.domain.catalog import CATALOGS

OFFLINE: Final = "/offline"
SHELL: Final = ("tones.css", "site.css", "curve.css", "offline.js", "icon.svg")
"""What the page without a connection is made of."""
PAGE_CACHING: Final = "public, max-age=3600"


def routes(renderer: Renderer) -> APIRouter:
    """Return the routes of the files."""
    router = APIRouter(include_in_schema=False)
    by_path = {asset.path: asset for asset in renderer.assets.values()}

    @router.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        """Return a file by its name with the hash; without it there is none."""
        asset = by_path.get(f"/static/{name}")
        if asset is None:
            raise ProblemRaised("not-found", "There is no such file.")
        etag = etag_of(asset.content)
        return respond_packed(request, asset.content, asset.packed, etag, assets.CACHING, asset.media_type)

    @router.get(OFFLINE)
    async def offline(request: Request, *, lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        """Return the page that a browser shows where it has no connection and had not been before."""
        language = choose(lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
        body = offline_page(renderer, language)
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        return respond(request, body, etag_of(body), PAGE_CACHING, HTML, headers)

    worker = service_worker_of(renderer)
    packed_worker = assets.pack(worker)

    @router.get("/sw.js")
    async def service_worker(request: Request) -> Response:
        """Return the service worker: at the root, for it may act for pages beside and below only."""
        media_type = renderer.assets["sw.js"].media_type
        return respond_packed(request, worker, packed_worker, etag_of(worker), "no-cache", media_type)

    @router.get("/manifest.webmanifest")
    async def manifest(request: Request) -> Response:
        """Return what makes a page one that can be put on a home screen, without which an iPhone takes no pushes.

        It names no start: that is the page it was added from.
        """
        icon = renderer.assets["icon.svg"]
        said = {
            "name": "Placelibre",
            "short_name": "Placelibre",
            "display": "standalone",
            "icons": [{"src": icon.path, "sizes": "any", "type": icon.media_type}],
        }
        body = json.dumps(said).encode()
        return respond(request, body, etag_of(body), "public, max-age=3600", "application/manifest+json")

    return router


def offline_page(renderer: Renderer, language: str) -> bytes:
    """Return the page without a connection in a language that there is."""
    return renderer.render("offline.html", language, OFFLINE, {}, links=[], stream="")


def service_worker_of(renderer: Renderer) -> bytes:
    """Return the worker's text behind the list of what it keeps, whose version changes with any of it."""
    script = renderer.assets["sw.js"].content
    pages = {f"{OFFLINE}?lang={each}": offline_page(renderer, each) for each in CATALOGS}
    shell = {
        "version": etag_of(b"".join([script, *pages.values()])).strip('"'),
        "languages": list(CATALOGS),
        "files": [*pages, *(renderer.assets[each].path for each in SHELL)],
    }
    return f"const SHELL = {json.dumps(shell)};\n".encode() + script
