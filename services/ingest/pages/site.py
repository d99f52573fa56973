"""The staff page of devices and its two files. It holds no figure: its script asks for them with the staff's key."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from services.ingest.problems import PROBLEMS
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.domain.catalog.devices.words import DeviceWords
from shared.runtime.problem import answer

USUAL: Final = "en"
RELATED: Final = {"no": "nb", "nn": "nb"}
"""Languages whose readers are served by one that there is."""
PREFERENCES_MAX: Final = 20
MEDIA_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Language",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page, under a name with its content's hash, so that a browser may keep it for ever."""

    path: str
    content: bytes
    media_type: str


def router() -> APIRouter:
    """Return the routes of the page; they are for people and stand in no description."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/devices")
    async def page(request: Request, lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        words = words_of(lang, request.headers.get("accept-language", ""))
        return Response(_rendered(words.language), media_type="text/html", headers=HEADERS)

    @routes.get("/devices/{name}")
    async def asset(name: str) -> Response:
        for each in assets().values():
            if each.path == f"/devices/{name}":
                caching = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
                return Response(each.content, media_type=each.media_type, headers=caching)
        return answer(PROBLEMS["not-found"], "There is no such file.")

    return routes


def words_of(asked: str, accept_language: str) -> DeviceWords:
    """Return the words of the language that was asked for, else of the reader's, else English."""
    tags = [asked, *(part.partition(";")[0] for part in accept_language.split(",")[:PREFERENCES_MAX])]
    for tag in tags:  # browsers name the most wanted first
        primary = tag.strip().lower().partition("-")[0]
        words = DEVICE_WORDS.get(RELATED.get(primary, primary))
        if words is not None:
            return words
    return DEVICE_WORDS[USUAL]


@cache
def assets() -> dict[str, Asset]:
    """Return the files of the `static` folder by their plain names."""
    found = {}
    for file in files("services.ingest.pages").joinpath("static").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix in MEDIA_TYPES:
            content = file.read_bytes()
            digest = blake2b(content, digest_size=6).hexdigest()
            found[file.name] = Asset(f"/devices/{stem}.{digest}.{suffix}", content, MEDIA_TYPES[suffix])
    return found


@cache
def _rendered(language: str) -> bytes:
    """Return the page in one language; it is the same for everybody."""
    templates = Environment(
        loader=PackageLoader("services.ingest.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["asset"] = lambda name: assets()[name].path
    words = DEVICE_WORDS[language].page
    text = templates.get_template("devices.html").render(
        language=language,
        words=words,
        languages=list(DEVICE_WORDS.values()),
        script_words={name: value for name, value in asdict(words).items() if isinstance(value, str)},
    )
    return text.encode()
