"""The status on a badge: one line for a page or a read-me, as SVG and in the form that shields.io reads."""

from __future__ import annotations

import json
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.level import Level
from shared.domain.messages import Formats, compose, headline, wait_words
from shared.domain.shortening import one_line, shortened
from shared.domain.status import State, Status
from shared.runtime.card import REST, lettered, marker, tone_of
from shared.runtime.formats import formats_for
from shared.runtime.lettering import FAMILIES, drawable, width, writable

HEIGHT: Final = 20
SIZE: Final = 11
ASIDE: Final = 8
"""Beside and between the words; pixels, as are the two above."""
NAME_MAX: Final = 48
WHITE: Final = "#ffffff"
LABEL: Final = "#3a4247"


def badge_svg(status: Status, language: str) -> str:
    """Return the badge: the library's name, its state in words, and the time; KeyError for a language there is not."""
    catalog, formats = CATALOGS[language], formats_for(language, status.time_zone)
    label, message = drawable(label_of(status)), drawable(message_of(status, catalog, formats))
    first, second = (round(width(each, SIZE)) + 2 * ASIDE for each in (label, message))
    name = f"badge-{status.library}"
    whole = compose(status, catalog, formats).long
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="{HEIGHT}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc" xml:lang={quoteattr(language)} font-family={quoteattr(FAMILIES)}>'
        f'<title id="{name}-title">{escape(writable(f"{label}: {message}"))}</title>'
        f'<desc id="{name}-desc">{escape(writable(whole))}</desc>'
        f'<clipPath id="{name}-clip"><rect width="{first + second}" height="{HEIGHT}" rx="4"/></clipPath>'
        f'<g clip-path="url(#{name}-clip)"><rect width="{first}" height="{HEIGHT}" fill="{LABEL}"/>'
        f'<rect x="{first}" width="{second}" height="{HEIGHT}" fill="{tone_of(status).ink}"/></g>'
        f"{lettered(first / 2, 14, label, SIZE, WHITE, anchor='middle')}"
        f"{lettered(first + second / 2, 14, message, SIZE, WHITE, anchor='middle')}</svg>"
    )


def endpoint_json(status: Status, language: str) -> str:
    """Return the badge as shields.io's "endpoint" badge takes it (https://shields.io/badges/endpoint-badge)."""
    catalog, formats = CATALOGS[language], formats_for(language, status.time_zone)
    tone = tone_of(status)
    badge = {
        "schemaVersion": 1,
        "label": label_of(status),
        "message": message_of(status, catalog, formats),
        "color": tone.ink.removeprefix("#"),
        "labelColor": LABEL.removeprefix("#"),
        "isError": tone is REST and status.state is State.UNKNOWN,
    }
    return json.dumps(badge, ensure_ascii=False)


def label_of(status: Status) -> str:
    """Return the library's name, cut at a word where it is long."""
    return shortened(one_line(status.name), NAME_MAX)


def message_of(status: Status, catalog: Catalog, formats: Formats) -> str:
    """Return the state in words, the wait where there is no seat, and the time; marked where that is not now."""
    words = headline(status, catalog)
    if status.level is Level.FULL and status.wait is not None:
        wait = wait_words(status.wait, catalog, formats)
        is_none = wait == catalog.wait_none
        words = f"{words}, {wait if is_none else catalog.wait_brief.format(wait=wait)}"
    mark = marker(status, catalog)
    return " · ".join(part for part in (words, formats.time(status.as_of), mark) if part)
