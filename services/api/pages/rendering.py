"""Templates and what every page has: languages, files under their hashes, and renderings kept for who asks next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from services.api.conditional import cache_control, respond
from services.api.pages import assets
from services.api.pages.view import freshness
from services.api.projection import Held, etag_of
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.curve import CURVE_WORDS

HTML: Final = "text/html"
RENDERED_BYTES_MAX: Final = 64 * 2**20
"""Bytes of renderings kept; what was asked for longest ago goes first. A page is about 10 kB."""
TYPED_BYTES_MAX: Final = 4 * 2**20
"""The same for pages of what somebody typed: there is no end of those, and none may cost the others their place."""
RELOAD_S: Final = 60
"""How often a page without a script loads itself anew."""


@dataclass(frozen=True, slots=True)
class Link:
    """A page's address in one language."""

    language: str
    name: str
    href: str


@dataclass(slots=True)
class Kept:
    """Renderings under what they depend on, at most `bytes_max` of them; what was used longest ago goes first."""

    bytes_max: int
    size: int = 0
    """In bytes, of the renderings alone."""
    _bodies: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._bodies

    def get(self, key: Hashable, render: Callable[[], bytes]) -> bytes:
        """Return the rendering under a key, made by `render` if there is none."""
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
            return body
        body = self._bodies[key] = render()
        self.size += len(body)
        while self.size > self.bytes_max:
            self.size -= len(self._bodies.popitem(last=False)[1])
        return body


@dataclass(slots=True)
class Renderer:
    """The templates and files of all pages."""

    assets: dict[str, assets.Asset] = field(default_factory=assets.load)
    """By their plain names."""
    _templates: Environment = field(init=False)
    _rendered: Kept = field(default_factory=lambda: Kept(RENDERED_BYTES_MAX))
    _typed: Kept = field(default_factory=lambda: Kept(TYPED_BYTES_MAX))

    def __post_init__(self) -> None:
        """Load the templates; one that asks for what is not there fails, rather than leaving a blank."""
        self._templates = Environment(
            loader=PackageLoader("services.api.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["asset"] = lambda name: self.assets[name].path
        self._templates.globals["reload_s"] = RELOAD_S

    def render(self, template: str, language: str, path: str, query: dict[str, str], **values: object) -> bytes:
        """Return a page, or a part of one, in a language that there is; `path` and `query` are its own address."""
        catalog = CATALOGS[language]
        fragment = f"{path}?{urlencode({**query, 'lang': language, 'fragment': '1'})}"
        rendered = self._templates.get_template(template).render(
            language=language,
            catalog=catalog,
            words=catalog.pages,
            curve=CURVE_WORDS[language],
            path=path,
            fragment=fragment,
            **values,
        )
        return rendered.encode()

    def answer(
        self,
        request: Request,
        key: Hashable,
        render: Callable[[], bytes],
        language: str,
        remaining_s: float | None,
        *,
        is_typed: bool = False,
    ) -> Response:
        """Answer with a rendering, made anew unless there is one under `key`, which names all that it depends on.

        `remaining_s` is for how long what it says holds; None for ever. `is_typed` tells that the key holds what
        anybody may make up, such as the words of a search.
        """
        body = (self._typed if is_typed else self._rendered).get(key, render)
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        return respond(request, body, etag_of(body), cache_control(remaining_s), HTML, headers)


def state_of(held: Held, language: str, now: datetime) -> Hashable:
    """Return what a rendering of a library's status depends on."""
    return held.sequence, held.served(now).etag, language, freshness(held, language, now)


def links_to(path: str, query: dict[str, str], languages: tuple[str, ...]) -> list[Link]:
    """Return a page's addresses in each of these languages."""
    return [
        Link(each, CATALOGS[each].language_name, f"{path}?{urlencode({**query, 'lang': each})}") for each in languages
    ]


def stream_of(libraries: Sequence[str]) -> str:
    """Return the address of the stream of these libraries; empty for none."""
    return f"/v1/stream?{urlencode([('library', library) for library in libraries])}" if libraries else ""
