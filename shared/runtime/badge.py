"""The status on a badge: one line for a page or a read-me, as SVG and in the form that shields.io reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.level import Level
from shared.domain.messages import Formats, compose, headline, level_seen, level_words, wait_words, zone_level_seen
from shared.domain.shortening import capitalised, one_line, shortened
from shared.domain.status import State, Status, ZoneStatus
from shared.runtime.card import LEVELS, REST, Tone, free_seats, lettered, marker, tone_of
from shared.runtime.formats import formats_for
from shared.runtime.lettering import FAMILIES, drawable, width, writable

HEIGHT: Final = 20
SIZE: Final = 11
ASIDE: Final = 8
"""Beside and between the words; pixels, as are the two above."""
NAME_MAX: Final = 48
SHIELDS_CACHE_S: Final = 300
"""The least that shields.io keeps a badge, whatever is asked for."""


class What(StrEnum):
    """What a badge says beside the time."""

    STATE = "state"
    SEATS = "seats"
    WAIT = "wait"


class Style(StrEnum):
    """The corners, in the words of shields.io."""

    FLAT = "flat"
    SQUARE = "flat-square"


class Shade(StrEnum):
    """The ground that a badge is made for; `auto` is that of the reader's device."""

    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Badge:
    """What a web editor may choose. `label` None is the name; an empty one leaves only the message."""

    what: What = What.STATE
    zone: str = ""
    label: str | None = None
    style: Style = Style.FLAT
    shade: Shade = Shade.LIGHT


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of a badge: the label's ground and letters, the message's ground and letters."""

    label: str
    label_ink: str
    message: str
    message_ink: str


WHITE: Final = "#ffffff"
LABEL: Final = "#3a4247"
DARK_LABEL: Final = "#343b3f"
DARK_LABEL_INK: Final = "#eceae5"
DARK_INK: Final = "#14181a"
DARK_TONES: Final = {LEVELS[level]: ink for level, ink in zip(LEVELS, ("#7fd3ab", "#f0b962", "#f4978e"), strict=True)}
DARK_REST: Final = "#b4bec6"
"""The tones of the pages in the dark, on which dark letters stand."""

USUAL: Final = Badge()


def badge_svg(status: Status, language: str, badge: Badge = USUAL) -> str:
    """Return the badge: a label, what it says, and the time.

    Raises KeyError for a language that there is not, ValueError for a zone that there is not.
    """
    catalog, formats = CATALOGS[language], formats_for(language, status.time_zone)
    zone = zone_of(status, badge.zone)
    label, message = drawable(label_of(status, badge)), drawable(message_of(status, catalog, formats, badge))
    first, second = (round(width(each, SIZE)) + 2 * ASIDE if each else 0 for each in (label, message))
    name = "-".join(each for each in ("badge", status.library, badge.zone, badge.what) if each)
    whole = compose(status, catalog, formats).long
    title = ": ".join(each for each in (one_line(status.name), one_line(zone.name) if zone else "", message) if each)
    tone = _tone(status, zone)
    paint = _dark(tone) if badge.shade is Shade.DARK else _light(tone)
    corner = 0 if badge.style is Style.SQUARE else 4
    # Where a policy forbids the style, the attributes hold: the light colours, which can be read on any ground.
    style = f"<style>{_in_the_dark(_dark(tone))}</style>" if badge.shade is Shade.AUTO else ""
    left = lettered(first / 2, 14, label, SIZE, paint.label_ink, anchor="middle") if label else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="{HEIGHT}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc" xml:lang={quoteattr(language)} font-family={quoteattr(FAMILIES)}>'
        f'<title id="{name}-title">{escape(writable(title))}</title>'
        f'<desc id="{name}-desc">{escape(writable(whole))}</desc>{style}'
        f'<clipPath id="{name}-clip"><rect width="{first + second}" height="{HEIGHT}" rx="{corner}"/></clipPath>'
        f'<g clip-path="url(#{name}-clip)"><rect width="{first}" height="{HEIGHT}" fill="{paint.label}"/>'
        f'<rect x="{first}" width="{second}" height="{HEIGHT}" fill="{paint.message}"/></g>'
        f"{left}{lettered(first + second / 2, 14, message, SIZE, paint.message_ink, anchor='middle')}</svg>"
    )


def endpoint_json(status: Status, language: str, badge: Badge = USUAL) -> str:
    """Return the badge as shields.io's "endpoint" badge takes it (https://shields.io/badges/endpoint-badge).

    It refuses an object with any other key. Raises as `badge_svg` does.
    """
    catalog, formats = CATALOGS[language], formats_for(language, status.time_zone)
    zone = zone_of(status, badge.zone)
    tone = _tone(status, zone)
    paint = _dark(tone) if badge.shade is Shade.DARK else _light(tone)
    endpoint = {
        "schemaVersion": 1,
        "label": label_of(status, badge),
        "message": message_of(status, catalog, formats, badge),
        "color": paint.message.removeprefix("#"),
        "labelColor": paint.label.removeprefix("#"),
        "isError": tone is REST and status.state is State.UNKNOWN,
        "cacheSeconds": SHIELDS_CACHE_S,
        **({} if badge.style is Style.FLAT else {"style": badge.style.value}),
    }
    return json.dumps(endpoint, ensure_ascii=False)


def zone_of(status: Status, zone_id: str) -> ZoneStatus | None:
    """Return a zone by its id, None for no id. Raises ValueError if the library has none with this id."""
    if not zone_id:
        return None
    for zone in status.zones:
        if zone.id == zone_id:
            return zone
    raise ValueError("the library has no zone with this id")


def label_of(status: Status, badge: Badge = USUAL) -> str:
    """Return the label: the editor's own, else the zone's or the library's name, cut at a word where it is long."""
    if badge.label is not None:
        return shortened(one_line(badge.label), NAME_MAX)
    zone = zone_of(status, badge.zone)
    return shortened(one_line(zone.name if zone else status.name), NAME_MAX)


def message_of(status: Status, catalog: Catalog, formats: Formats, badge: Badge = USUAL) -> str:
    """Return what the badge says, and the time; marked where that is not now."""
    zone = zone_of(status, badge.zone)
    if status.state is not State.OPEN:
        words = headline(status, catalog)
    elif badge.what is What.SEATS:
        words = capitalised(_seats(status, zone, catalog, formats))
        wait = status.wait
        if zone is None and wait is not None and (wait.overflow or wait.bucket > 0):
            # Free seats beside a queue are not free for who comes now.
            words = f"{words}, {_wait(status, catalog, formats)}"
    elif badge.what is What.WAIT:
        words = capitalised(_wait(status, catalog, formats))
    elif zone is not None and zone.level is Level.FULL and _seats_of(zone):
        words = catalog.headline_almost_full
    elif zone is not None:
        words = level_words(zone_level_seen(zone), catalog)
    else:
        words = _state(status, catalog, formats)
    return " · ".join(part for part in (words, formats.time(status.as_of), marker(status, catalog)) if part)


def _state(status: Status, catalog: Catalog, formats: Formats) -> str:
    """Return the state in words, and the wait where there is no seat."""
    words = headline(status, catalog)
    if level_seen(status) is Level.FULL and status.wait is not None:
        words = f"{words}, {_wait(status, catalog, formats)}"
    return words


def _seats(status: Status, zone: ZoneStatus | None, catalog: Catalog, formats: Formats) -> str:
    seats = free_seats(status)
    if zone is not None:
        seats = _seats_of(zone)
    if seats is None:
        return catalog.headline_unknown
    template = catalog.seats_brief.many(seats) if seats else catalog.seats_brief.none
    return template.format(seats=formats.number(seats))


def _seats_of(zone: ZoneStatus) -> int | None:
    return None if zone.people is None else max(zone.capacity - zone.people.value, 0)


def _wait(status: Status, catalog: Catalog, formats: Formats) -> str:
    if status.wait is None:
        return catalog.wait_unknown_brief
    wait = wait_words(status.wait, catalog, formats)
    return wait if wait == catalog.wait_none else catalog.wait_brief.format(wait=wait)


def _tone(status: Status, zone: ZoneStatus | None) -> Tone:
    if zone is None or status.state is not State.OPEN:
        return tone_of(status)
    level = zone_level_seen(zone)
    return REST if level is None else LEVELS[level]


def _light(tone: Tone) -> Paint:
    return Paint(LABEL, WHITE, tone.ink, WHITE)


def _dark(tone: Tone) -> Paint:
    return Paint(DARK_LABEL, DARK_LABEL_INK, DARK_TONES.get(tone, DARK_REST), DARK_INK)


def _in_the_dark(paint: Paint) -> str:
    """Return the style of a badge in the dark: the label's rectangle and letters stand first, the message's last."""
    rules = (
        ("g>rect:first-child", paint.label),
        ("g>rect:last-child", paint.message),
        ("text", paint.label_ink),
        ("text:last-of-type", paint.message_ink),
    )
    inner = "".join(f"{selector}{{fill:{colour}}}" for selector, colour in rules)
    return f"@media(prefers-color-scheme:dark){{{inner}}}"
