"""A status in words: picks the sentences of one language and knows no channel.

What is said is written as a person would say it ("about 2 hours"), so that it can be read out as it stands. Nothing
here shortens a number: where a message must be short, whole sentences are left out and names lose words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from shared.domain.catalog.catalog import Catalog, SeatWords
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.queue_wait import WAIT_BUCKETS_MIN, Wait
from shared.domain.shortening import capitalised, one_line, shortened, stopped
from shared.domain.status import ReasonCode, State, Status, Trend, ZoneStatus

LONG_MAX: Final = 300
"""Characters of a long message: a post on Bluesky. Only staff's own words, kept whole there, take it further."""
SHORT_MAX: Final = 200
SHORTEST_MAX: Final = 140
"""Characters of the shortest message, always: a text message with room for an address."""
EXCERPT_MIN: Final = 12
"""Less than this of staff's words tells nobody anything; they are left out then."""


class Formats(Protocol):
    """Numbers and times as one language writes them, in one library's time zone. Datetimes are aware."""

    def number(self, value: int) -> str:
        """Return a whole number with the language's grouping."""
        ...

    def percent(self, value: int) -> str:
        """Return whole percent with the language's sign and spacing; 85 is 85 %."""
        ...

    def time(self, at: datetime) -> str:
        """Return the time of day on the 24-hour clock."""
        ...

    def date(self, at: datetime) -> str:
        """Return weekday, day and month."""
        ...

    def duration(self, minutes: int) -> str:
        """Return hours and minutes as they are said: "1 hour 30 minutes"."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One status in one language, at three lengths; each names the library and the time."""

    long: str
    short: str
    shortest: str


def compose(status: Status, catalog: Catalog, formats: Formats) -> Message:
    """Return a status in words.

    `shortest` is at most 140 characters whatever the names: it alone shortens the library's name and staff's words,
    at a word, with "…". For names of up to 60 characters `short` is at most 200 and `long` at most 300; where staff's
    words do not fit, `short` leaves them out and `long` grows.
    """
    frame = _Frame(status, catalog, formats)
    name = one_line(status.name)
    reason = _staff_reason(status)
    notice = frame.notice(one_line(status.notice))
    body = _body(status, catalog, formats, reason)

    extended = body
    for extra in _extras(status, catalog):
        if len(frame.around(name, f"{extended} {extra}", notice)) <= LONG_MAX:
            extended = f"{extended} {extra}"
    long = frame.around(name, extended, notice)

    shorts = (
        frame.around(name, body, notice),
        frame.around(name, _brief(status, catalog, formats, reason), notice),
        frame.around(name, body),
        frame.around(name, _body(status, catalog, formats)),
    )
    short = next((each for each in shorts if len(each) <= SHORT_MAX), shorts[-1])
    return Message(long, short, _shortest(status, catalog, formats, frame))


def in_sentences(status: Status, catalog: Catalog, formats: Formats) -> str:
    """Return what `long` says without name and time, for a place that says these itself."""
    frame = _Frame(status, catalog, formats)
    body = _joined(" ", _body(status, catalog, formats, _staff_reason(status)), *_extras(status, catalog))
    return frame.alone(capitalised(body), frame.notice(one_line(status.notice)))


def compose_live(status: Status, catalog: Catalog, formats: Formats) -> Message:
    """Return what a live post says: the status, or, where staff want nothing said, that it is not kept up to date."""
    if not status.muted:
        return compose(status, catalog, formats)
    frame = _Frame(status, catalog, formats)
    words = stopped(catalog.not_updated)
    name = one_line(status.name)
    whole = frame.around(name, words)
    shortest = frame.around(shortened(name, SHORTEST_MAX - len(frame.around("", words))), words)
    return Message(whole, whole, shortest)


def brief_words(status: Status, catalog: Catalog, formats: Formats) -> str:
    """Return a status in the fewest words, without name and time, as a clause with its stop."""
    return _brief(status, catalog, formats)


def headline(status: Status, catalog: Catalog) -> str:
    """Return the state, or the level where the library is open, in two or three words."""
    match status.state:
        case State.CLOSED:
            return catalog.headline_closed
        case State.NOT_ADMITTING:
            return catalog.headline_not_admitting
        case State.UNKNOWN:
            return catalog.headline_unknown
        case State.OPEN:
            level = level_seen(status)
            if level is Level.FULL and status.seats_left:
                return catalog.headline_almost_full
            return level_words(level, catalog)


def level_seen(status: Status) -> Level | None:
    """Return the level as somebody sees it who looks for a seat: with none left it is full, whatever holds them."""
    return Level.FULL if status.level is not None and status.seats_left == 0 else status.level


def zone_level_seen(zone: ZoneStatus) -> Level | None:
    """Return the same of a zone."""
    is_none_left = zone.people is not None and zone.people.value >= zone.capacity
    return Level.FULL if zone.level is not None and is_none_left else zone.level


def level_words(level: Level | None, catalog: Catalog) -> str:
    """Return a level, of a library or of a zone, in two or three words; None is no data."""
    match level:
        case Level.MANY_SEATS:
            return catalog.headline_many
        case Level.FEW_SEATS:
            return catalog.headline_few
        case Level.FULL:
            return catalog.headline_full
        case None:
            return catalog.headline_unknown


def wait_words(wait: Wait | None, catalog: Catalog, formats: Formats) -> str:
    """Return the expected wait in words: "no queue", "about 20 minutes", "more than 2 hours", "not known"."""
    if wait is None:
        return catalog.wait_unknown
    if wait.overflow:
        return catalog.wait_over.format(duration=formats.duration(WAIT_BUCKETS_MIN[-1]))
    if wait.bucket == 0:
        return catalog.wait_none
    return catalog.wait_about.format(duration=formats.duration(wait.bucket))


def trend_words(trend: Trend | None, catalog: Catalog) -> str:
    """Return where the number of people went in the last half hour; empty where nobody can say."""
    match trend:
        case Trend.RISING:
            return catalog.rising
        case Trend.STEADY:
            return catalog.steady
        case Trend.FALLING:
            return catalog.falling
        case None:
            return ""


def opening_words(status: Status, catalog: Catalog, formats: Formats) -> str:
    """Return when a closed library opens, as a sentence; empty if it is not closed or no opening is known."""
    opening = status.next_change
    if status.state is not State.CLOSED or opening is None:
        return ""
    if _is_same_day(status, opening):
        return catalog.opens_today.format(time=formats.time(opening))
    return catalog.opens_other_day.format(date=formats.date(opening), time=formats.time(opening))


def reason_words(status: Status, catalog: Catalog, formats: Formats) -> str:
    """Return why a status is unknown or closed, in full sentences; empty where there is nothing to explain."""
    if status.state is State.UNKNOWN:
        return capitalised(_body(status, catalog, formats))
    if status.state is not State.CLOSED or status.reason is None:
        return ""
    if status.reason.code in {ReasonCode.CLOSED_EXCEPTIONALLY, ReasonCode.EVACUATED}:
        return capitalised(_closed(status, catalog, _staff_reason(status)))
    return catalog.outside_hours


class _Frame:
    """Marker, name, time and notice: what stands around the words of one message at every length."""

    def __init__(self, status: Status, catalog: Catalog, formats: Formats) -> None:
        self._catalog = catalog
        self._time = formats.time(status.as_of)
        self._marker = ""
        if status.clock is ClockKind.SIMULATED:
            self._marker = f"{catalog.simulated} "
        elif status.clock is ClockKind.RECORDED:
            self._marker = f"{catalog.recorded} "

    def around(self, name: str, body: str, notice: str = "") -> str:
        lead = self._catalog.lead.format(name=name, time=self._time, words=body)
        return f"{self._marker}{lead} {notice}" if notice else f"{self._marker}{lead}"

    def alone(self, body: str, notice: str = "") -> str:
        return _joined(" ", f"{self._marker}{body}", notice)

    def notice(self, text: str) -> str:
        return self._catalog.notice.format(notice=stopped(text)) if text else ""


def _shortest(status: Status, catalog: Catalog, formats: Formats, frame: _Frame) -> str:
    """Return the form that always fits. The reason of a closing is heard before a notice; one of them must do."""
    reason = _staff_reason(status)

    def said(name: str, words: str) -> str:
        if reason:
            return frame.around(name, _brief(status, catalog, formats, words))
        return frame.around(name, _brief(status, catalog, formats), frame.notice(words))

    name = one_line(status.name)
    words = reason or one_line(status.notice)
    if words:
        room = SHORTEST_MAX - len(said("", "x")) + 1
        short_name = shortened(name, room - min(len(words), room // 2))
        excerpt = shortened(words, room - len(short_name))
        if excerpt == words or len(excerpt) >= EXCERPT_MIN:
            return said(short_name, excerpt)
    return said(shortened(name, SHORTEST_MAX - len(said("", ""))), "")


def _body(status: Status, catalog: Catalog, formats: Formats, reason: str = "") -> str:
    """Return what follows name and time in the long and the short form."""
    match status.state:
        case State.CLOSED:
            return _joined(" ", _closed(status, catalog, reason), opening_words(status, catalog, formats))
        case State.NOT_ADMITTING:
            return stopped(catalog.not_admitting)
        case State.UNKNOWN:
            return _joined(" ", stopped(_no_data(status, catalog, formats)), _why_unknown(status, catalog))
        case State.OPEN:
            seats = _seats(status, catalog, catalog.seats, formats)
            return _joined(" ", stopped(seats), _wait_sentence(status, catalog, formats))


def _brief(status: Status, catalog: Catalog, formats: Formats, reason: str = "") -> str:
    """Return what follows name and time in the shortest form."""
    match status.state:
        case State.CLOSED | State.NOT_ADMITTING:
            return _body(status, catalog, formats, reason)
        case State.UNKNOWN:
            return stopped(_no_data(status, catalog, formats))
        case State.OPEN:
            seats = _seats(status, catalog, catalog.seats_brief, formats)
            return stopped(_joined(", ", seats, _wait_clause(status, catalog, formats)))


def _extras(status: Status, catalog: Catalog) -> list[str]:
    """Return sentences worth adding to the long form while there is room, the weightiest first."""
    if status.state is not State.OPEN:
        return []
    extras = []
    if status.usable_seats is not None and status.usable_seats != status.free_seats:
        extras.append(catalog.held_seats)
    if status.trend is Trend.FALLING:
        extras.append(catalog.falling_sentence)
    elif status.trend is Trend.RISING and status.level is not Level.FULL:
        extras.append(catalog.rising_sentence)
    return extras


def _seats(status: Status, catalog: Catalog, words: SeatWords, formats: Formats) -> str:
    seats = status.seats_left
    if seats is None:
        return catalog.no_data
    if seats == 0:
        template = catalog.full if status.level is Level.FULL else words.none
    else:
        by_level = {Level.MANY_SEATS: words.many, Level.FEW_SEATS: words.few, Level.FULL: words.nearly_full}
        template = by_level[status.level or Level.MANY_SEATS](seats)
    return template.format(seats=formats.number(seats), capacity=formats.number(status.capacity))


def _wait_sentence(status: Status, catalog: Catalog, formats: Formats) -> str:
    if status.wait is None:
        return catalog.wait_unknown_sentence if status.level is Level.FULL else ""
    if status.wait.bucket == 0 and not status.wait.overflow:
        return catalog.wait_none_sentence
    return catalog.wait_sentence.format(wait=wait_words(status.wait, catalog, formats))


def _wait_clause(status: Status, catalog: Catalog, formats: Formats) -> str:
    if status.wait is None:
        return catalog.wait_unknown_brief if status.level is Level.FULL else ""
    if status.wait.bucket == 0 and not status.wait.overflow:
        return catalog.wait_none
    return catalog.wait_brief.format(wait=wait_words(status.wait, catalog, formats))


def _closed(status: Status, catalog: Catalog, reason: str) -> str:
    if status.reason is not None and status.reason.code is ReasonCode.EVACUATED:
        return stopped(catalog.evacuated)
    if status.reason is None or status.reason.code is not ReasonCode.CLOSED_EXCEPTIONALLY:
        return stopped(catalog.closed)
    if not reason:
        return stopped(catalog.closed_exceptionally)
    return catalog.closed_because.format(reason=stopped(reason))


def _no_data(status: Status, catalog: Catalog, formats: Formats) -> str:
    reason = status.reason
    if reason is not None and reason.since is not None:
        template = catalog.moment if _is_same_day(status, reason.since) else catalog.moment_other_day
        moment = template.format(time=formats.time(reason.since), date=formats.date(reason.since))
        return catalog.no_data_since.format(moment=moment)
    if reason is not None and reason.code is ReasonCode.NEVER_KNOWN:
        return catalog.no_data_yet
    return catalog.no_data


def _why_unknown(status: Status, catalog: Catalog) -> str:
    code = None if status.reason is None else status.reason.code
    if code is ReasonCode.GATE_SILENT:
        # Silent since no time at all: it has never been heard of.
        return catalog.gate_silent if status.reason and status.reason.since else catalog.gate_never_heard
    if code is ReasonCode.RECOUNT_OLD:
        return catalog.recount_old
    if code is ReasonCode.TOO_UNSURE:
        return catalog.too_unsure
    return catalog.never_known if code is ReasonCode.NEVER_KNOWN else ""


def _staff_reason(status: Status) -> str:
    if status.reason is None or status.reason.code is not ReasonCode.CLOSED_EXCEPTIONALLY:
        return ""
    return one_line(status.reason.text)


def _is_same_day(status: Status, at: datetime) -> bool:
    zone = ZoneInfo(status.time_zone)
    return at.astimezone(zone).date() == status.as_of.astimezone(zone).date()


def _joined(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)
