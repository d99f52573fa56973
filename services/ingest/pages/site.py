"""What the staff's pages share: their words' language, their files under one version, and the devices page.

No page holds a figure: scripts ask for them with the tablet's key, or with that of who is signed in.
"""

from __future__ import annotations

import gzip
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from services.ingest.problems import PROBLEMS
from shared.domain.catalog.desk import DESK_WORDS
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.domain.catalog.devices.words import DeviceWords
from shared.runtime.problem import answer

USUAL: Final = "en"
RELATED: Final = {"no": "nb", "nn": "nb"}
"""Languages whose readers are served by one that there is."""
PREFERENCES_MAX: Final = 20
MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:;"
    " manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A picture may be a `blob:`, as which the tablet shows the card that it has fetched with its key."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Language, Accept-Encoding",
}
FOR_EVER: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the pages, as it is and packed."""

    content: bytes
    packed: bytes
    media_type: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Asset:
        """Return a file with its packed form, the same for the same content."""
        return cls(content, gzip.compress(content, mtime=0), media_type)

    def respond(self, request: Request, headers: dict[str, str]) -> Response:
        """Answer with it, packed for whoever takes that: on poor Wi-Fi a quarter is four times as fast."""
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.packed, media_type=self.media_type, headers={**headers, "Content-Encoding": "gzip"})
        return Response(self.content, media_type=self.media_type, headers=headers)


def router() -> APIRouter:
    """Return the routes of the devices page and of all pages' files; they are for people and in no description."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/devices")
    async def page(request: Request, lang: Annotated[str, Query(max_length=35)] = "") -> Response:
        words = words_of(lang, request.headers.get("accept-language", ""))
        return _devices(words.language).respond(request, HEADERS)

    @routes.get("/staff/files/{version}/{name}")
    async def asset(request: Request, version: str, name: str) -> Response:
        found = assets().get(name)
        if found is None or version != assets_version():
            return answer(PROBLEMS["not-found"], "There is no such file.")
        return found.respond(request, FOR_EVER)

    return routes


def language_of(asked: str, accept_language: str) -> str:
    """Return the language that was asked for if there is one, else the reader's, else English."""
    tags = [asked, *(part.partition(";")[0] for part in accept_language.split(",")[:PREFERENCES_MAX])]
    for tag in tags:  # browsers name the most wanted first
        primary = tag.strip().lower().partition("-")[0]
        language = RELATED.get(primary, primary)
        if language in DEVICE_WORDS:
            return language
    return USUAL


def words_of(asked: str, accept_language: str) -> DeviceWords:
    """Return the words about devices in the language that was asked for, else the reader's, else English."""
    return DEVICE_WORDS[language_of(asked, accept_language)]


@cache
def assets() -> dict[str, Asset]:
    """Return the files of the `static` folder by their names."""
    found = {}
    for file in sorted(files("services.ingest.pages").joinpath("static").iterdir(), key=lambda each: each.name):
        media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            found[file.name] = Asset.of(file.read_bytes(), media_type)
    return found


@cache
def assets_version() -> str:
    """Return the name of the folder in which the files are: another one as soon as any of them is another.

    Modules name each other by their plain names, so they can only change together.
    """
    digest = blake2b(digest_size=6)
    for name, each in assets().items():
        digest.update(f"{name} {len(each.content)}\n".encode() + each.content)
    return digest.hexdigest()


def asset_path(name: str) -> str:
    """Return where a file is, for ever."""
    if name not in assets():
        raise KeyError(name)
    return f"/staff/files/{assets_version()}/{name}"


def rendered(template: str, language: str, **values: Any) -> Asset:
    """Return a page in one language; it is the same for everybody."""
    text = (
        _templates()
        .get_template(template)
        .render(
            language=language,
            desk=DESK_WORDS[language],
            languages=[DESK_WORDS[each] for each in sorted(DESK_WORDS)],
            **values,
        )
    )
    return Asset.of(text.encode(), "text/html; charset=utf-8")


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("services.ingest.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["asset"] = asset_path
    return templates


@cache
def _devices(language: str) -> Asset:
    words = DEVICE_WORDS[language].page
    script_words = {name: value for name, value in asdict(words).items() if isinstance(value, str)}
    return rendered("devices.html", language, words=words, script_words=script_words)
