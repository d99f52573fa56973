"""The status card: a status as a picture, for posts, previews of links and screens. The same status, the same SVG.

Words and the row of seats say everything that colour says. A state without an honest number has no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import resvg_py

from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.messages import Formats, compose, headline, level_seen, opening_words, reason_words, wait_words
from shared.domain.shortening import capitalised, one_line, stopped
from shared.domain.status import State, Status
from shared.runtime.formats import formats_for
from shared.runtime.lettering import FAMILIES, FAMILY, FILES, Fitted, drawable, fitted, width, writable

WIDTH: Final = 1200
HEIGHT: Final = 630
"""The size that previews of links are made for."""
LEFT: Final = 72
RIGHT: Final = WIDTH - LEFT
ROOM: Final = RIGHT - LEFT
MIDDLE: Final = 660
"""Where the wait begins, beside the number of free seats."""
GAP: Final = 32
INK: Final = "#1c2124"
SOFT: Final = "#4d5559"
UNIT: Final = re.compile(r"(?<=\d) ")
"""The space between a number and what it counts: no line ends there."""
SEATS: Final = 20
"""In the row that shows how much is taken."""


@dataclass(frozen=True, slots=True)
class Tone:
    """The colour of a state, and the paper it stands on; 4.5:1 at least, like every colour of words here."""

    ink: str
    paper: str


MANY: Final = Tone("#1b6a4c", "#edf5f0")
FEW: Final = Tone("#804d00", "#fdf3e2")
FULL: Final = Tone("#a12b2b", "#fceeec")
REST: Final = Tone("#3f4a54", "#f2f3f4")
LEVELS: Final = {Level.MANY_SEATS: MANY, Level.FEW_SEATS: FEW, Level.FULL: FULL}


def card_svg(status: Status, language: str) -> str:
    """Return the card, 1200 by 630; KeyError for a language that there is not."""
    return _Card(status, CATALOGS[language], formats_for(language, status.time_zone)).svg()


def card_png(status: Status, language: str, width: int = WIDTH) -> bytes:
    """Return the card as PNG, so many pixels wide. It takes some ten milliseconds: not on an event loop."""
    return resvg_py.svg_to_bytes(
        svg_string=card_svg(status, language),
        width=width,
        skip_system_fonts=True,
        font_files=[str(file) for file in FILES.values()],
        font_family=FAMILY,
        sans_serif_family=FAMILY,
    )


def card_alt(status: Status, language: str) -> str:
    """Return what the card says, for those who do not see it."""
    catalog = CATALOGS[language]
    message = compose(status, catalog, formats_for(language, status.time_zone))
    return catalog.card.alt.format(message=message.long)


def tone_of(status: Status) -> Tone:
    """Return the colours of a status."""
    match status.state:
        case State.OPEN if (level := level_seen(status)) is not None:
            return LEVELS[level]
        case State.NOT_ADMITTING:
            return FULL
        case _:
            return REST


def marker(status: Status, catalog: Catalog) -> str:
    """Return the word for a time that is not now, as it stands in a picture; empty for now."""
    markers = {ClockKind.SIMULATED: catalog.simulated, ClockKind.RECORDED: catalog.recorded, ClockKind.WALL: ""}
    return markers[status.clock].strip("[]")


def free_seats(status: Status) -> int | None:
    """Return the number of seats that the words say, too: without those held by bags; None where nobody can say."""
    if status.state is not State.OPEN:
        return None
    return status.seats_left


def lettered(
    x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False, anchor: str = "start"
) -> str:
    """Return a text of an SVG; `y` is its baseline."""
    weight = ' font-weight="700"' if bold else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    # A text keeps its spaces, so that it is as wide as it was measured.
    return (
        f'<text x="{_number(x)}" y="{_number(y)}" font-size="{_number(size)}"{weight}{where} fill="{colour}"'
        f' xml:space="preserve">{escape(drawable(text))}</text>'
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True, slots=True)
class _Card:
    """One card under way. Every method returns elements of SVG."""

    status: Status
    catalog: Catalog
    formats: Formats

    @property
    def tone(self) -> Tone:
        return tone_of(self.status)

    @property
    def seats(self) -> int | None:
        return free_seats(self.status)

    @property
    def has_queue(self) -> bool:
        wait = self.status.wait
        return wait is not None and (wait.bucket > 0 or wait.overflow)

    def svg(self) -> str:
        status, catalog = self.status, self.catalog
        names = f"card-{status.library}"
        title = f"{one_line(status.name)}: {headline(status, catalog)}"
        spoken = compose(status, catalog, self.formats).long
        notice = self.notice()
        body = self.number(notice=bool(notice)) if self.seats is not None else self.words(notice=bool(notice))
        parts = [*self.top(), *body, *notice, *self.bottom()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
            f' role="img" aria-labelledby="{names}-title {names}-desc" xml:lang={quoteattr(catalog.language)}'
            f" font-family={quoteattr(FAMILIES)}>"
            f'<title id="{names}-title">{escape(writable(title))}</title>'
            f'<desc id="{names}-desc">{escape(writable(spoken))}</desc>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{self.tone.paper}"/>'
            f'<rect width="20" height="{HEIGHT}" fill="{self.tone.ink}"/>{"".join(parts)}</svg>'
        )

    def top(self) -> list[str]:
        """The library's name, and beside it the mark of a day that is not now."""
        room: float = ROOM
        parts = []
        mark = capitalised(marker(self.status, self.catalog))
        if mark:
            size = 28
            wide = width(mark, size, bold=True) + 44
            room -= wide + GAP
            parts.append(
                f'<rect x="{_number(RIGHT - wide)}" y="54" width="{_number(wide)}" height="52" rx="26" fill="none"'
                f' stroke="{INK}" stroke-width="3" stroke-dasharray="9 6"/>'
            )
            parts.append(lettered(RIGHT - wide / 2, 90, mark, size, INK, bold=True, anchor="middle"))
        name = fitted(self.status.name, room, 42, smallest=30, lines=2, squeeze=0.8, bold=True)
        if not name.is_whole:
            name = fitted(self.status.name, room, 28, smallest=19, lines=3, bold=True)
        return parts + _lines(name, LEFT, 62 + 0.76 * name.size, INK, bold=True)

    def number(self, *, notice: bool) -> list[str]:
        """The state, and the number of free seats with the wait beside it; or the wait alone where there is no seat."""
        status, catalog, seats = self.status, self.catalog, self.seats
        assert seats is not None
        down = 0 if notice else 22
        state = fitted(headline(status, catalog), ROOM, 62, smallest=40, bold=True)
        parts = _lines(state, LEFT, 208 + down, self.tone.ink, bold=True)
        has_wait = status.wait is not None or status.level is Level.FULL
        if seats == 0 and status.level is Level.FULL:
            parts += self.wait(LEFT, 392 + down, 104, lines=1)
            return [*parts, *self.row(438 + 1.5 * down)]
        # Where people queue, the wait comes first: nobody walks up to a free seat.
        seats_at = MIDDLE if self.has_queue else LEFT
        room = (MIDDLE - GAP if has_wait and not self.has_queue else RIGHT) - seats_at
        size = 84 if self.has_queue else 140
        number = fitted(self.formats.number(seats), room, size, smallest=60, bold=True)
        parts += _lines(number, seats_at, 360 + down, INK, bold=True)
        after = seats_at + width(number.lines[0], number.size, bold=True) + 18
        parts += self.range(after, 360 + down, seats_at + room)
        label = catalog.card.seats(seats)
        of = catalog.pages.of_seats(status.capacity).format(capacity=self.formats.number(status.capacity))
        parts += self.pair(label, of, seats_at, room, 411 + down)
        if self.has_queue:
            parts += self.wait(LEFT, 411 + down, 60, lines=2, end=MIDDLE - GAP)
        elif has_wait:
            parts += self.wait(MIDDLE, 411 + down, 52, lines=2)
        return [*parts, *self.row(438 + 1.5 * down)]

    def range(self, x: float, y: float, end: float) -> list[str]:
        """The interval of the number of free seats, beside it where there is room."""
        people, free, seats = self.status.people, self.status.free_seats, self.seats
        if people is None or free is None or seats is None or people.low == people.high:
            return []
        held = free - seats
        low, high = (max(self.status.capacity - each - held, 0) for each in (people.high, people.low))
        number = self.formats.number
        words = self.catalog.pages.between.format(low=number(low), high=number(high))
        fits = fitted(words, max(end - x, 0), 26, smallest=20)
        return _lines(fits, x, y, SOFT) if low != high and fits.is_whole and len(fits.lines) == 1 else []

    def wait(self, x: float, y: float, size: float, *, lines: int, end: float = RIGHT) -> list[str]:
        """The wait in words, its last line at `y`, under its label."""
        words = capitalised(wait_words(self.status.wait, self.catalog, self.formats))
        words = UNIT.sub("\u00a0", words)
        wait = fitted(words, end - x, size, smallest=30, lines=lines, squeeze=0.6, bold=True)
        first = y - (len(wait.lines) - 1) * wait.size * LEADING
        label = lettered(x, first - 0.76 * wait.size - 24, self.catalog.card.wait, 32, SOFT)
        return [label, *_lines(wait, x, first, INK, bold=True)]

    def pair(self, label: str, more: str, x: float, room: float, y: float) -> list[str]:
        """A label, and beside it what makes it more exact, in one line."""
        size = 32.0
        while size > 20 and width(f"{label} ", size, bold=True) + width(more, size) > room:
            size *= 0.95
        return [
            lettered(x, y, label, size, INK, bold=True),
            lettered(x + width(f"{label} ", size, bold=True), y, more, size, SOFT),
        ]

    def words(self, *, notice: bool) -> list[str]:
        """The state alone, in large letters, and why."""
        status, catalog, formats = self.status, self.catalog, self.formats
        down = 0 if notice else 22
        state = fitted(headline(status, catalog), ROOM, 100, smallest=60, bold=True)
        parts = _lines(state, LEFT, 262 + down, self.tone.ink, bold=True)
        why = " ".join(each for each in (self.why(), opening_words(status, catalog, formats)) if each)
        if why:
            parts += _lines(fitted(why, ROOM, 38, smallest=22, lines=3), LEFT, 328 + down, INK)
        return [*parts, *self.row(438 + 1.5 * down)]

    def why(self) -> str:
        """Why nobody can say, or go in; nothing where the state says it all."""
        if self.status.state is State.NOT_ADMITTING:
            return stopped(capitalised(self.catalog.not_admitting))
        return reason_words(self.status, self.catalog, self.formats)

    def row(self, y: float) -> list[str]:
        """Seats in a row, the taken ones filled; dashed where nobody can say, and a bar where nobody gets in."""
        if self.status.state in {State.CLOSED, State.NOT_ADMITTING}:
            middle = _number(y + 26)
            path = f'<path d="M{LEFT + 6} {middle}H{RIGHT - 6}" stroke="{self.tone.ink}" stroke-width="12"'
            return [f'{path} stroke-linecap="round"/>']
        percent = self.status.percent
        taken = 0
        if percent is not None and self.status.people is not None:
            # A free seat is never drawn as taken, nor anybody inside as nobody.
            full = SEATS if not self.status.free_seats else SEATS - 1
            taken = min(max(round(percent * SEATS / 100), 1 if self.status.people.value else 0), full)
        return [self.seat(number, y, is_taken=number < taken) for number in range(SEATS)]

    def seat(self, number: int, y: float, *, is_taken: bool) -> str:
        step = (ROOM + 10) / SEATS
        dashes = "" if self.status.percent is not None else ' stroke-dasharray="6 5"'
        fill = self.tone.ink if is_taken else "none"
        x, wide = LEFT + number * step, step - 10
        return (
            f'<g transform="translate({_number(x)} {_number(y)})" fill="{fill}" stroke="{self.tone.ink}"'
            f' stroke-width="3"{dashes}><rect x="1.5" y="1.5" width="{_number(wide - 3)}" height="33" rx="9"/>'
            f'<rect x="1.5" y="40.5" width="{_number(wide - 3)}" height="10" rx="5"/></g>'
        )

    def notice(self) -> list[str]:
        """Staff's words, where they are short, for half of them could say something else; or a word on the free seats.

        It says why they are so few, or who they are for.
        Seats held by bags are taken off the number, and not off the share that is taken by people.
        """
        text = one_line(self.status.notice)
        if text:
            whole = self.catalog.notice.format(notice=stopped(text))
        elif self.seats is not None and self.seats != self.status.free_seats:
            whole = self.catalog.held_seats
        elif self.seats and self.has_queue:
            whole = self.catalog.pages.seats_for_queue
        else:
            return []
        words = fitted(whole, ROOM, 26, smallest=24, lines=2)
        if not words.is_whole:
            return []
        return _lines(words, LEFT, 534 if len(words.lines) == 1 else 521, INK)

    def bottom(self) -> list[str]:
        """The time that the status is of, and how much is taken."""
        status, formats = self.status, self.formats
        right = ""
        if status.state is State.OPEN and status.percent is not None:
            right = self.catalog.pages.percent_taken.format(percent=formats.percent(status.percent))
        time = capitalised(self.catalog.card.as_of.format(time=formats.time(status.as_of)))
        room = ROOM - (width(right, 28) + GAP if right else 0)
        time_wide = width(time, 28, bold=True) + 8
        parts = [lettered(LEFT, 598, time, 28, INK, bold=True)]
        date = fitted(f"· {formats.date(status.as_of)}", room - time_wide, 28, smallest=20)
        parts += _lines(date, LEFT + time_wide, 598, SOFT)
        if right:
            parts.append(lettered(RIGHT, 598, right, 28, INK, anchor="end"))
        return parts


LEADING: Final = 1.2
"""From one line to the next, by the size of the letters."""


def _lines(text: Fitted, x: float, y: float, colour: str, *, bold: bool = False) -> list[str]:
    return [
        lettered(x, y + number * text.size * LEADING, line, text.size, colour, bold=bold)
        for number, line in enumerate(text.lines)
    ]
