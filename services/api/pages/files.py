"""What pages load: files under the hash of their content, the service worker, and the manifest of the home screen."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.api.conditional import respond
from services.api.pages import assets
from services.api.pages.rendering import Renderer
from services.api.problems import ProblemRaised
from services.api.projection import etag_of


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
        return respond(request, asset.content, etag_of(asset.content), assets.CACHING, asset.media_type)

    @router.get("/sw.js")
    async def service_worker(request: Request) -> Response:
        """Return the service worker: at the root, for it may act for pages beside and below only."""
        asset = renderer.assets["sw.js"]
        return respond(request, asset.content, etag_of(asset.content), "no-cache", asset.media_type)

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
