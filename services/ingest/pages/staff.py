"""The staff's tablet: a shell in five languages, the worker that opens it offline, and what makes it installable."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from functools import cache
from hashlib import blake2b
from typing import Annotated, Final

import resvg_py
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.ingest.pages.site import (
    HEADERS,
    Asset,
    asset_path,
    assets,
    language_of,
    rendered,
)
from services.ingest.problems import PROBLEMS
from shared.domain.catalog.desk import DESK_WORDS
from shared.runtime.problem import answer

ICON_SIZES: Final = (192, 512)
"""What Android asks of a page before it offers to install it."""
ICON_FILES: Final = {"icon": "icon.svg", "maskable": "icon-maskable.svg"}
WORKER: Final = "staff-sw.js"
WORKER_POLICY: Final = (
    "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOT_OF_THE_TABLET: Final = {"devices.css", "devices.js", WORKER}
"""Files that the tablet does not need without a connection."""
ONE_DAY: Final = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}


def router() -> APIRouter:
    """Return the routes; they are for people and stand in no description."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/staff")
    async def page(request: Request, lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        return shell(language_of(lang, request.headers.get("accept-language", ""))).respond(request, HEADERS)

    @routes.get("/staff/sw.js")
    async def service_worker(request: Request) -> Response:
        """Return the worker; it lies below the page it serves, so it has to be allowed a level up."""
        headers = {
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Service-Worker-Allowed": "/staff",
            # A worker fetches under the policy that its own script came with, not under its page's.
            "Content-Security-Policy": WORKER_POLICY,
        }
        return worker().respond(request, headers)

    @routes.get("/staff/manifest.webmanifest")
    async def manifest(lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        body = json.dumps(manifest_of(language_of(lang, "")), ensure_ascii=False).encode()
        return Response(body, media_type="application/manifest+json", headers=ONE_DAY)

    @routes.get("/staff/{name}-{size}.png")
    async def picture(name: str, size: int) -> Response:
        if name not in ICON_FILES or size not in ICON_SIZES:
            return answer(PROBLEMS["not-found"], "There is no such picture.")
        content = await asyncio.to_thread(icon, name, size)
        return Response(content, media_type="image/png", headers=ONE_DAY)

    return routes


@cache
def shell(language: str) -> Asset:
    """Return the page in one language."""
    names = {each: DESK_WORDS[each].language_name for each in sorted(DESK_WORDS)}
    return rendered("staff.html", language, script_words=asdict(DESK_WORDS[language]), language_names=names)


@cache
def worker() -> Asset:
    """Return the service worker, which names every file and is another one as soon as any of them is."""
    paths = [asset_path(name) for name in assets() if name not in NOT_OF_THE_TABLET]
    shells = [f"/staff?lang={language}" for language in sorted(DESK_WORDS)]
    digest = blake2b(digest_size=6)
    for each in [*(shell(language).content for language in sorted(DESK_WORDS)), assets()[WORKER].content]:
        digest.update(each)
    head = (
        f"const VERSION = {json.dumps(digest.hexdigest())};\n"
        f"const FILES = {json.dumps([*shells, *paths], indent=2)};\n\n"
    )
    return Asset.of(head.encode() + assets()[WORKER].content, "text/javascript; charset=utf-8")


def manifest_of(language: str) -> dict[str, object]:
    """Return what makes the page one that can be put on a home screen."""
    words = DESK_WORDS[language]
    icons = [
        {"src": f"/staff/{name}-{size}.png", "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        for name, purpose in (("icon", "any"), ("maskable", "maskable"))
        for size in ICON_SIZES
    ]
    return {
        "id": "/staff",
        "name": f"Placelibre · {words.title}",
        "short_name": words.title,
        "lang": language,
        "start_url": "/staff",  # in whatever language was chosen last
        "scope": "/staff",
        "display": "standalone",
        "background_color": "#f5f3ee",
        "theme_color": "#f5f3ee",
        "icons": icons,
    }


@cache
def icon(name: str, size: int) -> bytes:
    """Return a picture for the home screen as PNG. It takes some milliseconds: not on an event loop."""
    drawing = assets()[ICON_FILES[name]].content.decode()
    return resvg_py.svg_to_bytes(svg_string=drawing, width=size, skip_system_fonts=True)
