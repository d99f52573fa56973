"""The sign: a status drawn for electronic paper of any size, in black and white or a few greys.

The smallest says the state, the number and its time; with every bit of room there is more: the name, the wait, the row
of seats, the zones, the notice, the hours, a QR code. A panel shows what was drawn until somebody draws anew, so a
figure stands with the time until which it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import resvg_py
import segno

from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.catalog.screens import SCREEN_WORDS
from shared.domain.catalog.screens.words import ScreenWords
from shared.domain.level import Level
from shared.domain.messages import (
    compose,
    headline,
    level_seen,
    level_words,
    opening_words,
    reason_words,
    wait_words,
    zone_level_seen,
)
from shared.domain.shortening import capitalised, one_line, stopped
from shared.domain.status import State, Status, ZoneStatus
from shared.runtime.card import free_seats, lettered, marker
from shared.runtime.formats import BabelFormats, formats_for
from shared.runtime.grey_png import grey_png
from shared.runtime.lettering import FAMILIES, FAMILY, FILES, fitted, width, writable

LEAST_WIDTH: Final = 100
LEAST_HEIGHT: Final = 50
MOST: Final = 2000
"""Pixels of a side."""
TURNS: Final = (0, 90, 180, 270)
BLACK: Final = "#000000"
WHITE: Final = "#ffffff"
GREY: Final = "#555555"
"""A level of two bits, so that words in it have even edges; in one bit it is black."""
DIGIT: Final = 0.73
"""Height of a figure by the size of the letters, and of what hangs below the line, in the project's font."""
TAIL: Final = 0.24
LEADING: Final = 1.2
SMALLEST: Final = 9.0
"""Pixels of letters; below, one bit a pixel does not tell them well from each other."""
TINIEST: Final = 5.5
"""What must be said whole is written smaller before it is cut: half of "no free seats" says the opposite."""
WIDE: Final = 1.25
"""Width by height from which on the wait stands beside the number instead of below."""
WIDE_LEAST: Final = 200
"""Pixels of width for that."""
ZONES_MAX: Final = 6
MODULE_LEAST: Final = 2
"""Pixels of a module of the QR code; cameras miss smaller ones."""
QUIET: Final = 4


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn on: pixels as the device has them, bits of grey, how far it is turned (clockwise), and colours.

    `zone` draws one zone of the library; `address` is what the QR code leads to, empty for none.
    """

    width: int
    height: int
    bits: int = 1
    turn: int = 0
    is_inverted: bool = False
    zone: str = ""
    address: str = ""


def sign_svg(status: Status, language: str, panel: Panel) -> str:
    """Return the sign as SVG. KeyError for a language, or a zone, that there is not."""
    words = SCREEN_WORDS[language]
    zone = _zone(status, panel.zone) if panel.zone else None
    sign = _Sign(status, zone, CATALOGS[language], words, formats_for(language, status.time_zone), panel)
    return sign.svg()


def sign_png(status: Status, language: str, panel: Panel) -> bytes:
    """Return the sign as PNG in grey. It takes some ten milliseconds to a second: not on an event loop."""
    rgba = resvg_py.svg_to_bytes(
        svg_string=sign_svg(status, language, panel),
        width=panel.width,
        skip_system_fonts=True,
        font_files=[str(file) for file in FILES.values()],
        font_family=FAMILY,
        sans_serif_family=FAMILY,
    )
    return grey_png(rgba, panel.bits)


def _zone(status: Status, zone_id: str) -> ZoneStatus:
    for each in status.zones:
        if each.id == zone_id:
            return each
    raise KeyError(zone_id)


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle in pixels."""

    x: float
    y: float
    wide: float
    high: float

    @property
    def right(self) -> float:
        return self.x + self.wide

    def columns(self, count: int, gap: float) -> list[_Box]:
        wide = (self.wide - gap * (count - 1)) / count
        return [_Box(self.x + number * (wide + gap), self.y, wide, self.high) for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the sign: the height it needs, how much of what is left it wants, and the most it can use."""

    name: str
    least: float
    weight: float
    most: float
    draw: Callable[[_Box], list[str]]


@dataclass(frozen=True, slots=True)
class _Sign:
    """One sign under way. Methods that take a box return elements of SVG."""

    status: Status
    zone: ZoneStatus | None
    catalog: Catalog
    words: ScreenWords
    formats: BabelFormats
    panel: Panel

    @property
    def is_turned(self) -> bool:
        return self.panel.turn in {90, 270}

    @property
    def wide(self) -> int:
        return self.panel.height if self.is_turned else self.panel.width

    @property
    def high(self) -> int:
        return self.panel.width if self.is_turned else self.panel.height

    @property
    def margin(self) -> int:
        return max(round(min(self.wide, self.high) * 0.04), 2)

    @property
    def gap(self) -> int:
        return max(round(self.high * 0.022), 1)

    @property
    def ink(self) -> str:
        return WHITE if self.panel.is_inverted else BLACK

    @property
    def paper(self) -> str:
        return BLACK if self.panel.is_inverted else WHITE

    @property
    def soft(self) -> str:
        if self.panel.bits == 1:
            return self.ink
        return "#aaaaaa" if self.panel.is_inverted else GREY

    @property
    def seats(self) -> int | None:
        """Free seats of what the sign is of; None where nobody can say."""
        if self.zone is None:
            return free_seats(self.status)
        if self.status.state is not State.OPEN or self.zone.people is None:
            return None
        return max(self.zone.capacity - self.zone.people.value, 0)

    @property
    def capacity(self) -> int:
        return self.status.capacity if self.zone is None else self.zone.capacity

    @property
    def has_queue(self) -> bool:
        """Whether one has to wait for the free seats: then the wait is what matters, and stands first."""
        wait = self.status.wait
        return self.zone is None and wait is not None and (wait.overflow or wait.bucket > 0)

    @property
    def title(self) -> str:
        if self.zone is not None and self.status.state is State.OPEN:
            if self.zone.level is Level.FULL and self.seats:
                return self.catalog.headline_almost_full
            return level_words(zone_level_seen(self.zone), self.catalog)
        return headline(self.status, self.catalog)

    @property
    def is_barred(self) -> bool:
        """Whether the state stands white on black: nobody finds a seat, and that is to be seen from afar."""
        if self.status.state is State.NOT_ADMITTING:
            return True
        level = level_seen(self.status) if self.zone is None else zone_level_seen(self.zone)
        return self.status.state is State.OPEN and level is Level.FULL

    def svg(self) -> str:
        panel = self.panel
        name = f"{one_line(self.status.name)}: {self.title}"
        spoken = compose(self.status, self.catalog, self.formats).long
        turns = {
            0: "",
            90: f' transform="translate({panel.width} 0) rotate(90)"',
            180: f' transform="translate({panel.width} {panel.height}) rotate(180)"',
            270: f' transform="translate(0 {panel.height}) rotate(270)"',
        }
        identity = f"sign-{self.status.library}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{panel.width}" height="{panel.height}"'
            f' viewBox="0 0 {panel.width} {panel.height}" role="img" aria-labelledby="{identity}-title {identity}-desc"'
            f" xml:lang={quoteattr(self.catalog.language)} font-family={quoteattr(FAMILIES)}>"
            f'<title id="{identity}-title">{escape(writable(name))}</title>'
            f'<desc id="{identity}-desc">{escape(writable(spoken))}</desc>'
            f'<rect width="{panel.width}" height="{panel.height}" fill="{self.paper}"/>'
            f"<g{turns[panel.turn]}>{''.join(self.drawn())}</g></svg>"
        )

    def drawn(self) -> list[str]:
        """Lay the rows out from the top, the height left over given out by weight."""
        rows = self.rows()
        room = self.high - 2 * self.margin - self.gap * (len(rows) - 1)
        heights = _shared([(row.least, row.weight, row.most) for row in rows], room)
        code, code_side = self.code(rows, heights)
        elements = list(code)
        y = float(self.margin)
        left = room - sum(heights)
        aside = max(left / max(len(rows) - 1, 1), 0) if len(rows) > 1 else 0
        if len(rows) == 1:
            y += left / 2
        for row, high in zip(rows, heights, strict=True):
            wide = self.wide - 2 * self.margin
            if code_side and row.name in {"name", "state"}:
                wide -= code_side + self.margin
            elements += row.draw(_Box(self.margin, y, wide, high))
            y += high + self.gap + aside
        return elements

    def rows(self) -> list[_Row]:
        """Choose what there is room for, the most needed first, and return it in the order of the sign."""
        high = self.high
        has_number = self.seats is not None
        is_wide = self.wide >= WIDE * high and self.wide >= WIDE_LEAST
        has_wait = self.zone is None and self.status.state in {State.OPEN, State.NOT_ADMITTING}
        zones = self.zones()
        lines = -(-len(zones) // self.zone_columns())
        least = max(17, min(0.24 * high, 120))
        is_main_wait = has_wait and not has_number and self.status.wait is not None
        if has_number:
            main = _Row("main", least, 40, 0.5 * high, self.number_and_wait if is_wide and has_wait else self.number)
        else:
            main = _Row("main", least, 34, 0.5 * high, self.wait if is_main_wait else self.why)
        # By need. What stands behind is left out first.
        wanted = [
            _Row("state", self.state_least(), 18, 0.2 * high, self.state),
            main,
            _Row("foot", 10, 5, max(0.075 * high, 10), self.foot),
            _Row("name", 11, 8, max(0.12 * high, 11), self.name),
        ]
        if has_wait and not is_main_wait and not (is_wide and has_number):
            wanted.append(_Row("wait", 22, 16, 0.2 * high, self.wait))
        if has_number:
            wanted.append(_Row("row", 9, 6, 0.1 * high, self.row))
        if self.notice():
            wanted.append(_Row("notice", 14 if high < 200 else 26, 10, 0.14 * high, self.noticed))
        if zones and has_number:
            wanted.append(_Row("zones", 15 * lines, 7 * lines, 0.08 * high * lines, self.zoned))
        if self.hours():
            wanted.append(_Row("hours", 12, 5, max(0.075 * high, 12), self.open_today))
        first, second = ("wait", "main") if self.has_queue else ("main", "wait")
        order = ("name", "state", first, second, "row", "zones", "notice", "hours", "foot")
        room = high - 2.0 * self.margin + self.gap
        chosen: dict[str, _Row] = {}
        for row in wanted:
            # The first three are what a sign is for, however small.
            if row.least + self.gap <= room or len(chosen) < 3:
                chosen[row.name] = row
                room -= row.least + self.gap
        return [chosen[name] for name in order if name in chosen]

    # Rows

    def name(self, box: _Box) -> list[str]:
        text = self.status.name if self.zone is None else f"{self.zone.name} · {self.status.name}"
        return self.text(box, text, lines=2 if box.high >= 2 * SMALLEST * LEADING else 1, bold=True)

    def state_least(self) -> float:
        """Return the height that the state needs: of one line, or of two where it is too long for one."""
        room = self.wide - 2 * self.margin - 6
        if width(self.title, SMALLEST, bold=True) <= room:
            return 14
        return 17 if self.high < 64 else 20

    def state(self, box: _Box) -> list[str]:
        lines = 2 if box.high > 50 or self.state_least() > 14 else 1
        if not self.is_barred:
            return self.text(box, self.title, bold=True, lines=lines, smallest=TINIEST)
        # Capitals stand in the middle of the band; what hangs below the line still has room.
        inner = _Box(box.x + box.high * 0.2, box.y + box.high * 0.18, box.wide - box.high * 0.4, box.high * 0.82)
        rect = (
            f'<rect x="{round(box.x)}" y="{round(box.y)}" width="{round(box.wide)}" height="{round(box.high)}"'
            f' rx="{round(box.high * 0.12)}" fill="{self.ink}"/>'
        )
        return [
            rect,
            *self.text(inner, self.title, bold=True, colour=self.paper, lines=lines, smallest=TINIEST),
        ]

    def number(self, box: _Box) -> list[str]:
        """The number of free seats, with what it counts beside or, in a high box, below."""
        assert self.seats is not None
        number = self.formats.number(self.seats)
        label = self.catalog.card.seats(self.seats)
        of = self.catalog.pages.of_seats(self.capacity).format(capacity=self.formats.number(self.capacity))
        between = self.between()
        wide_at_one = max(width(number, 1, bold=True), 0.1)
        if box.high < 70:
            size = min(box.high / DIGIT * 0.98, 0.5 * box.wide / wide_at_one)
            wide = wide_at_one * size
            base = box.y + (box.high + DIGIT * size) / 2
            beside = _Box(box.x + wide + size * 0.12, box.y, box.wide - wide - size * 0.12, box.high)
            drawn = [lettered(box.x, base, number, size, self.ink, bold=True)]
            if box.high < 2.3 * SMALLEST * LEADING:
                return drawn + self.text(beside, label, bold=True, most=box.high, lines=2, if_whole=True)
            upper, lower = self.halves(beside)
            if upper.wide < width(label, SMALLEST, bold=True):
                return drawn + self.text(beside, label, bold=True, lines=2, smallest=7)
            lines = self.text(upper, label, bold=True, most=0.12 * self.wide)
            return lines + drawn + self.first_that_fits(lower, (between or of, of), bold=False, is_needed=False)
        under = min(max(0.13 * box.high, 12), 0.09 * box.wide, 44)
        has_range = bool(between) and box.high >= 100
        below = under * (2.7 if has_range else 1.5)
        size = min((box.high - below) / DIGIT, 0.98 * box.wide / wide_at_one)
        top = box.y + (box.high - below - DIGIT * size) / 2
        drawn = [lettered(box.x, top + DIGIT * size, number, size, self.ink, bold=True)]
        line = _Box(box.x, box.y + box.high - below + 0.2 * under, box.wide, 1.25 * under)
        drawn += self.first_that_fits(line, (f"{label} {of}", label), bold=True)
        if has_range:
            last = _Box(box.x, box.y + box.high - 1.2 * under, box.wide, 1.2 * under)
            drawn += self.text(last, between, most=under, if_whole=True, colour=self.soft)
        return drawn

    def number_and_wait(self, box: _Box) -> list[str]:
        left, right = box.columns(2, self.margin * 1.5)
        first, second = (self.wait, self.number) if self.has_queue else (self.number, self.wait)
        line = f'<rect x="{round(right.x - self.margin * 0.75)}" y="{round(box.y)}" width="{self.stroke}"'
        parts = [f'{line} height="{round(box.high)}" fill="{self.soft}"/>'] if box.high > 40 else []
        return [*first(left), *parts, *second(right)]

    def wait(self, box: _Box) -> list[str]:
        """The wait in words, under its label; its interval below where there is room."""
        words = wait_words(self.status.wait, self.catalog, self.formats)
        label, between = self.catalog.card.wait, self.wait_between()
        if box.high < 2.3 * SMALLEST * LEADING:
            # Cut, it would say another wait; so all of it, or nothing.
            wait = self.status.wait
            is_time = wait is not None and (wait.overflow or wait.bucket > 0)
            forms = (capitalised(self.catalog.wait_brief.format(wait=words)) if is_time else words, words)
            written = self.first_that_fits(box, forms, bold=True, is_needed=False)
            return written or self.text(box, capitalised(words), bold=True, lines=2, smallest=TINIEST, if_whole=True)
        words = capitalised(words)
        small = min(max(0.16 * box.high, SMALLEST + 1), 40)
        has_range = bool(between) and box.high >= 5 * small
        upper = _Box(box.x, box.y, box.wide, small * 1.15)
        bottom = small * 1.25 if has_range else 0
        middle = _Box(box.x, box.y + small * 1.3, box.wide, box.high - small * 1.3 - bottom)
        lines = 1 if middle.high < 2 * SMALLEST * LEADING else 2
        drawn = self.text(middle, words, bold=True, lines=lines, most=0.13 * self.wide, smallest=TINIEST, if_whole=True)
        if drawn:
            drawn += self.text(upper, label, most=small, colour=self.soft, smallest=TINIEST, if_whole=True)
        if drawn and has_range:
            lower = _Box(box.x, box.y + box.high - bottom, box.wide, bottom)
            drawn += self.text(lower, between, most=small, if_whole=True, colour=self.soft)
        return drawn

    def why(self, box: _Box) -> list[str]:
        """Why nobody can say, or go in, and when that ends."""
        status, catalog, formats = self.status, self.catalog, self.formats
        lines = max(min(int(box.high / (SMALLEST * LEADING)), 6), 1)
        if status.state is State.NOT_ADMITTING:
            forms = [stopped(capitalised(catalog.not_admitting))]
        else:
            opening = opening_words(status, catalog, formats)
            forms = [" ".join(each for each in (reason_words(status, catalog, formats), opening) if each), opening]
            if status.reason is not None and status.reason.since is not None:
                since = catalog.moment.format(time=formats.time(status.reason.since))
                forms.append(stopped(capitalised(catalog.no_data_since.format(moment=since))))
        # The state is said above; half of a sentence would add nothing to it.
        for form in forms:
            drawn = self.text(box, form, lines=lines, most=0.09 * self.wide, if_whole=True) if form else []
            if drawn:
                return drawn
        return []

    def row(self, box: _Box) -> list[str]:
        """Seats in a row, the taken ones filled."""
        people = self.status.people if self.zone is None else self.zone.people
        if people is None or self.seats is None:
            return []
        # As wide as high, roughly, and never so many that they run into each other.
        count = next((each for each in (20, 10, 5) if self.wide / each >= 1.1 * box.high), 5)
        count = 20 if self.wide >= 240 and count < 20 else count
        share = min(people.value / self.capacity, 1)
        full = count if not self.seats else count - 1
        taken = min(max(round(share * count), 1 if people.value else 0), full)
        step = box.wide / count
        stroke = self.stroke
        high = min(box.high, step * 1.2)
        top = box.y + (box.high - high) / 2
        drawn = []
        for number in range(count):
            x, after = round(box.x + number * step), round(box.x + (number + 1) * step)
            wide = after - x - max(round(step * 0.16), 1)
            shape = f'x="{x}" y="{round(top)}" width="{wide}" height="{round(high)}"'
            drawn.append(f'<rect {shape} fill="{self.ink}"/>')
            if number >= taken:
                inner = f'x="{x + stroke}" y="{round(top) + stroke}" width="{wide - 2 * stroke}"'
                drawn.append(f'<rect {inner} height="{round(high) - 2 * stroke}" fill="{self.paper}"/>')
        return drawn

    def zoned(self, box: _Box) -> list[str]:
        zones = self.zones()
        columns = self.zone_columns()
        lines = -(-len(zones) // columns)
        drawn = []
        for place, zone in enumerate(zones):
            column = box.columns(columns, self.margin * 1.5)[place // lines]
            line = _Box(column.x, box.y + (place % lines) * box.high / lines, column.wide, box.high / lines)
            drawn += self.zone_line(line, zone)
        return drawn

    def zone_columns(self) -> int:
        """Return in how many columns the zones stand: two, where their names have room."""
        zones = self.zones()
        room = (self.wide - 3.5 * self.margin) / 2
        size = max(11, 0.03 * min(self.wide, self.high))
        seats = width(f"99 {self.catalog.card.seats(99)}", size, bold=True)
        is_narrow = any(width(each.name, size) + seats > room for each in zones)
        return 1 if len(zones) < 2 or is_narrow else 2

    def zone_line(self, box: _Box, zone: ZoneStatus) -> list[str]:
        if zone.people is None:
            said = level_words(None, self.catalog)
        else:
            free = max(zone.capacity - zone.people.value, 0)
            said = f"{self.formats.number(free)} {self.catalog.card.seats(free)}"
        most = min(box.high * 0.72, 30)
        size = fitted(said, box.wide * 0.55, most, smallest=SMALLEST, bold=True).size
        wide = width(said, size, bold=True)
        right = _Box(box.right - wide, box.y, wide, box.high)
        left = _Box(box.x, box.y, box.wide - wide - self.margin / 2, box.high)
        return [*self.text(left, zone.name, most=most), *self.text(right, said, bold=True, most=size)]

    def noticed(self, box: _Box) -> list[str]:
        """Staff's words, where all of them have room: half of them could say something else."""
        lines = max(min(int(box.high / (SMALLEST * LEADING)), 3), 1)
        return self.text(box, self.notice(), lines=lines, most=min(0.055 * self.wide, 34), if_whole=True)

    def open_today(self, box: _Box) -> list[str]:
        hours = capitalised(self.hours())
        return self.first_that_fits(box, (f"{self.catalog.pages.hours_today} {hours}", hours), bold=False)

    def foot(self, box: _Box) -> list[str]:
        """The time the status is of, the end of its validity where it has figures, and whether it is of now at all."""
        status, formats, catalog = self.status, self.formats, self.catalog
        time, until = formats.time(status.as_of), formats.time(status.valid_until)
        mark = marker(status, catalog)
        # With the day: a panel without power goes on showing what it showed, at the same time tomorrow, too.
        day = formats.short_date(status.as_of)
        if status.state is State.CLOSED:
            # No figure, no minute: a closed house is drawn once, not every minute of the night.
            forms = [capitalised(formats.date(status.as_of)), ""]
        elif status.state is State.UNKNOWN:
            forms = [capitalised(catalog.pages.as_of.format(time=f"{day}, {time}")), f"{day}, {time}"]
        else:
            span = f"{day}, {time}\u2013{until}"
            forms = [self.words.holds_until.format(time=f"{day}, {time}", until=until), span]
        if mark:
            forms = [f"{capitalised(mark)} · {each}" if each else capitalised(mark) for each in forms]
            if status.state is not State.CLOSED:  # no day of theirs is one of ours
                span = time if status.state is State.UNKNOWN else f"{time}\u2013{until}"
                forms.append(f"{capitalised(mark)} · {span}")
        return self.first_that_fits(box, forms, bold=True)

    # Words

    def zones(self) -> tuple[ZoneStatus, ...]:
        if self.zone is not None or self.status.state is not State.OPEN or len(self.status.zones) < 2:
            return ()
        return self.status.zones[:ZONES_MAX]

    def notice(self) -> str:
        text = one_line(self.status.notice)
        if text:
            return self.catalog.notice.format(notice=stopped(text))
        is_less = self.zone is None and self.seats is not None and self.seats != self.status.free_seats
        return self.catalog.held_seats if is_less else ""

    def hours(self) -> str:
        status, words = self.status, self.catalog.pages
        if not status.hours_today:
            return ""
        time = self.formats.time
        spans = [(time(begin), time(end)) for begin, end in status.hours_today]
        if ("00:00", "00:00") in spans:
            return words.open_all_day
        return ", ".join(f"{begin}\u2013{end}" for begin, end in spans)

    def between(self) -> str:
        people = self.status.people if self.zone is None else self.zone.people
        if people is None or self.seats is None:
            return ""
        held = max(self.capacity - people.value, 0) - self.seats
        low, high = (max(self.capacity - each - held, 0) for each in (people.high, people.low))
        if low == high:
            return ""
        return self.catalog.pages.between.format(low=self.formats.number(low), high=self.formats.number(high))

    def wait_between(self) -> str:
        wait = self.status.wait
        if wait is None or wait.overflow or wait.bucket == 0 or wait.low == wait.high:
            return ""
        low, high = self.formats.duration(wait.low), self.formats.duration(wait.high)
        return self.catalog.pages.wait_between.format(low=low, high=high)

    # Drawing

    @property
    def stroke(self) -> int:
        return max(round(min(self.wide, self.high) / 200), 1)

    def halves(self, box: _Box) -> tuple[_Box, _Box]:
        half = box.high / 2
        return _Box(box.x, box.y, box.wide, half), _Box(box.x, box.y + half, box.wide, half)

    def text(  # noqa: PLR0913  how a text may stand in its box
        self,
        box: _Box,
        text: str,
        *,
        bold: bool = False,
        lines: int = 1,
        most: float = 400,
        smallest: float = SMALLEST,
        colour: str = "",
        if_whole: bool = False,
    ) -> list[str]:
        """Write a text as large as its box lets it, from the left, in the middle of the box's height."""
        if box.wide < SMALLEST or box.high < 1 or not text:
            return []
        best = None
        for count in range(1, lines + 1):
            size = min(most, box.high / (DIGIT + TAIL + LEADING * (count - 1)))
            found = fitted(text, box.wide, size, smallest=min(smallest, size), lines=count, bold=bold)
            if best is None or (found.is_whole, found.size) > (best.is_whole, best.size):
                best = found
        if best is None or (if_whole and not best.is_whole):
            return []
        high = best.size * (DIGIT + LEADING * (len(best.lines) - 1))
        # Room for what hangs below the line, unless there is none.
        base = box.y + max((box.high - high - TAIL * best.size) / 2, 0) + DIGIT * best.size
        return [
            lettered(box.x, base + number * best.size * LEADING, line, best.size, colour or self.ink, bold=bold)
            for number, line in enumerate(best.lines)
        ]

    def first_that_fits(self, box: _Box, forms: Sequence[str], *, bold: bool, is_needed: bool = True) -> list[str]:
        """Write the first of several forms that has room; if none has, the last, smaller, where it `is_needed`."""
        for form in forms:
            drawn = self.text(box, form, bold=bold, if_whole=True)
            if drawn:
                return drawn
        return self.text(box, forms[-1], bold=bold, smallest=TINIEST) if is_needed else []

    def code(self, rows: Sequence[_Row], heights: Sequence[float]) -> tuple[list[str], int]:
        """Return the QR code in the upper right corner, beside name and state, and its side; nothing without room."""
        if not self.panel.address:
            return [], 0
        room = sum(high + self.gap for row, high in zip(rows, heights, strict=True) if row.name in {"name", "state"})
        modules = [bytes(row) for row in segno.make(self.panel.address, error="m", micro=False).matrix]
        count = len(modules) + 2 * QUIET
        module = int(min(room, 0.3 * self.wide) / count)
        if module < MODULE_LEAST:
            return [], 0
        side = module * count
        x, y = self.wide - self.margin - side, self.margin
        path = "".join(
            f"M{x + (QUIET + column) * module} {y + (QUIET + line) * module}h{module}v{module}h-{module}z"
            for line, row in enumerate(modules)
            for column, is_dark in enumerate(row)
            if is_dark
        )
        # Dark on light whatever the sign is: scanners want it so.
        tile = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{WHITE}"/>'
        return [tile, f'<path d="{path}" fill="{BLACK}"/>'], side


def _shared(rows: Sequence[tuple[float, float, float]], room: float) -> list[float]:
    """Return heights from (least, weight, most) of each row: the least, and a share of what is left up to the most."""
    heights = [least for least, _, _ in rows]
    left = room - sum(heights)
    open_ones = set(range(len(rows)))
    while left > 0.5 and open_ones:
        weight = sum(rows[place][1] for place in open_ones)
        given = 0.0
        for place in sorted(open_ones):
            share = left * rows[place][1] / weight
            taken = min(share, max(rows[place][2] - heights[place], 0))
            heights[place] += taken
            given += taken
            if taken < share:
                open_ones.discard(place)
        left -= given
        if given <= 0:
            break
    return heights
