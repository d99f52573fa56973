"""The lines that a web editor copies: every value in them is one of ours, checked, and escaped for where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup

from services.api.pages.embed_choice import USUAL, Choice, Part, Size
from services.api.pages.embed_script import STABLE, Script
from services.api.qr_code import QUIET
from services.api.routes.qr import Target, path_to
from shared.domain.catalog.embeds.words import EmbedWords
from shared.runtime.badge import Badge, Shade, Style, What


class Kind(StrEnum):
    """What may be put onto a page."""

    FRAME = "frame"
    ELEMENT = "element"
    BADGE = "badge"
    QR = "qr"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Code:
    """A QR code's choices."""

    to: Target = Target.PAGE
    pixels: int = 320
    quiet: int = QUIET


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a web editor wants; `library`, its name and its zones' ids are as the status has them."""

    origin: str
    library: str
    name: str
    language: str
    """Empty for the reader's own."""
    words: EmbedWords
    """In the snippet's language, or in the library's first where the snippet leaves it to the reader."""
    kind: Kind
    choice: Choice
    badge: Badge
    code: Code


@dataclass(frozen=True, slots=True)
class Snippet:
    """What to copy: the key of its heading among the words, and the lines."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Made:
    """The snippets of one kind, the address of the thing itself, its size, and what a host's policy has to allow.

    `alternative` is said to those who do not see it, `attributes` are those of an element.
    """

    address: str
    snippets: tuple[Snippet, ...]
    csp: tuple[str, ...]
    width: int = 0
    height: int = 0
    alternative: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


FRAME_PX: Final = {Size.LINE: 92, Size.SMALL: 300, Size.CARD: 540}
"""The height of a frame with its size's usual parts, in the language that takes most: of a line in a column of 400
pixels, of the others in one of 320, as on a telephone."""
PART_PX: Final = {
    Size.LINE: dict.fromkeys(Part, 22),
    Size.SMALL: {
        Part.NAME: 30,
        Part.SEATS: 28,
        Part.WAIT: 40,
        Part.HOURS: 45,
        Part.ZONES: 115,
        Part.NOTICE: 65,
    },
    Size.CARD: {
        Part.NAME: 40,
        Part.SEATS: 80,
        Part.WAIT: 65,
        Part.HOURS: 50,
        Part.ZONES: 110,
        Part.NOTICE: 70,
    },
}
"""By how much a part more or less changes that; what does not fit can be scrolled to."""
SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~-])")


def made(wanted: Wanted, script: Script) -> Made:
    """Return what to copy for what is wanted."""
    makers = {
        Kind.FRAME: _frame,
        Kind.ELEMENT: _element,
        Kind.BADGE: _badge,
        Kind.QR: _code,
        Kind.LINK: _link,
    }
    return makers[wanted.kind](wanted, script)


def _frame(wanted: Wanted, script: Script) -> Made:
    del script
    address = _address(wanted, f"/embed/{wanted.library}", {**_language(wanted), **wanted.choice.query})
    height = frame_px(wanted.choice)
    alternative = wanted.words.live_status.format(name=wanted.name)
    # No style attribute, which a strict policy forbids: so the border goes by the old attribute.
    html = Markup(
        '<iframe src="{}" title="{}" width="100%" height="{}" frameborder="0" loading="lazy"'
        ' referrerpolicy="no-referrer"></iframe>'
    ).format(address, alternative, height)
    # A browser shows its own grey error where our server is away; the link is there whatever happens.
    link = Markup('<p><a href="{}">{}</a></p>').format(
        _page(wanted), wanted.words.is_there_a_seat.format(name=wanted.name)
    )
    return Made(
        address,
        (Snippet("html", f"{html}\n{link}"), Snippet("address", address)),
        (f"frame-src {wanted.origin}",),
        height=height,
        alternative=alternative,
    )


def _element(wanted: Wanted, script: Script) -> Made:
    attributes = {"library": wanted.library, **_language(wanted), **wanted.choice.query}
    given = Markup(" ").join(Markup('{}="{}"').format(key, value) for key, value in attributes.items())
    fallback = wanted.words.is_there_a_seat.format(name=wanted.name)
    element = Markup('<placelibre-status {}><a href="{}">{}</a></placelibre-status>').format(
        given, _page(wanted), fallback
    )
    stable = f"{wanted.origin}/embed/{STABLE}"
    loose = Markup('<script src="{}" async referrerpolicy="no-referrer"></script>').format(stable)
    pinned = Markup(
        '<script src="{}" integrity="{}" crossorigin="anonymous" async referrerpolicy="no-referrer"></script>'
    ).format(f"{wanted.origin}/embed/{script.name}", script.integrity)
    return Made(
        stable,
        (
            Snippet("html", f"{loose}\n{element}"),
            Snippet("html_pinned", f"{pinned}\n{element}"),
            Snippet("address", stable),
        ),
        (f"script-src {wanted.origin}", f"connect-src {wanted.origin}"),
        alternative=fallback,
        attributes=attributes,
    )


def _badge(wanted: Wanted, script: Script) -> Made:
    del script
    badge = wanted.badge
    asked = {
        "what": badge.what,
        "zone": badge.zone,
        "label": badge.label or "",
        "style": badge.style,
        "theme": badge.shade,
    }
    usual = {"what": What.STATE, "zone": "", "label": "", "style": Style.FLAT, "theme": Shade.LIGHT}
    query = {key: str(value) for key, value in asked.items() if value != usual[key]}
    path = f"/v1/libraries/{wanted.library}/badge"
    address = _address(wanted, f"{path}.svg", {**_language(wanted), **query})
    endpoint = _address(wanted, f"{path}.json", {**_language(wanted), **query})
    alternative = wanted.words.live_status.format(name=wanted.name)
    html = Markup('<a href="{}"><img src="{}" alt="{}" height="20" referrerpolicy="no-referrer"></a>').format(
        _page(wanted), address, alternative
    )
    markdown = f"[![{_plain(alternative)}]({address})]({_page(wanted)})"
    return Made(
        address,
        (
            Snippet("html", str(html)),
            Snippet("markdown", markdown),
            Snippet("address", address),
            Snippet("shields", f"https://img.shields.io/endpoint?{urlencode({'url': endpoint})}"),
        ),
        (f"img-src {wanted.origin}",),
        alternative=alternative,
    )


def _code(wanted: Wanted, script: Script) -> Made:
    del script
    code = wanted.code
    asked = {"to": str(code.to), "size": str(code.pixels), "margin": str(code.quiet)}
    usual = {"to": str(Target.PAGE), "size": "320", "margin": str(QUIET)}
    query = {key: value for key, value in asked.items() if value != usual[key]}
    address = _address(wanted, f"/v1/libraries/{wanted.library}/qr.svg", {**_language(wanted), **query})
    alternative = wanted.words.code_of.format(name=wanted.name)
    html = Markup('<img src="{}" alt="{}" width="{}" height="{}" referrerpolicy="no-referrer">').format(
        address, alternative, code.pixels, code.pixels
    )
    snippets = (
        Snippet("html", str(html)),
        Snippet("markdown", f"![{_plain(alternative)}]({address})"),
        Snippet("address", address),
    )
    side = code.pixels
    return Made(address, snippets, (f"img-src {wanted.origin}",), side, side, alternative)


def _link(wanted: Wanted, script: Script) -> Made:
    del script
    said = wanted.words.is_there_a_seat.format(name=wanted.name)
    html = Markup('<a href="{}">{}</a>').format(_page(wanted), said)
    snippets = (
        Snippet("html", str(html)),
        Snippet("markdown", f"[{_plain(said)}]({_page(wanted)})"),
        Snippet("address", _page(wanted)),
    )
    return Made(_page(wanted), snippets, (), alternative=said)


def frame_px(choice: Choice) -> int:
    """Return the height that a frame needs; it is as wide as its place."""
    usual, each = USUAL[choice.size], PART_PX[choice.size]
    more = sum(each[part] for part in choice.parts - usual) - sum(each[part] for part in usual - choice.parts)
    return FRAME_PX[choice.size] + (max(more, 0) if choice.size is Size.LINE else more)


def _page(wanted: Wanted) -> str:
    return wanted.origin + path_to(Target.PAGE, wanted.library, wanted.language)


def _address(wanted: Wanted, path: str, query: dict[str, str]) -> str:
    return f"{wanted.origin}{path}?{urlencode(query)}" if query else f"{wanted.origin}{path}"


def _language(wanted: Wanted) -> dict[str, str]:
    return {"lang": wanted.language} if wanted.language else {}


def _plain(text: str) -> str:
    """Return a text as Markdown shows it: nothing in a library's name is a sign of it."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
