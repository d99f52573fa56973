"""The sentences that every language must have; a language that leaves one out does not pass the type checker.

Three kinds of text. A *clause* follows the library's name and the time: it begins small and ends without a stop. A
*sentence* stands alone, with its capital and its stop. *Words* stand in a clause, a heading or a table. Blanks are
named and filled with `str.format`; every language has the blanks of the English one. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Counted = Callable[[int], str]
"""Takes a number and returns the template in the grammatical number that goes with it."""


@dataclass(frozen=True, slots=True)
class PageWords:
    """The words of the web pages. Headings and labels begin with a capital, parts of a line do not."""

    title: str
    libraries: str
    all_libraries: str
    search: str
    nothing_found: str
    page_not_found: str
    language: str
    labelled: str
    """{label}: for the ear, before what it is the label of."""
    skip_to_content: str
    live: str
    connection_lost: str
    simulated_banner: str
    recorded_banner: str
    as_of: str
    """{time}"""
    as_of_on: str
    """{date}, {time}: the same on another day."""
    stale: str
    """{time}: when the newest data came; follows figures, in a notification that is read late."""
    no_figures: str
    """{time}: the same where the figures are gone."""
    hours_today: str
    hours_span: str
    """{opens}, {closes}: one open span of a day."""
    closed_today: str
    open_all_day: str
    closes_at: str
    """{time}"""
    open_until: str
    """{time}: stands under the headline of an open library, as do the next two."""
    open_until_other_day: str
    """{date}, {time}"""
    last_entry: str
    """{time}: follows until when it is open, where nobody is let in for the last minutes of the day."""
    entry_over: str
    """A sentence: these minutes have come."""
    hours: str
    """A heading: the week ahead."""
    hours_ahead: str
    """A heading: days after this week, holidays and those with hours of their own."""
    hours_subscribe: str
    """A link to a calendar that keeps itself up to date."""
    hours_other: str
    """Stands beside a day's hours, as does the next."""
    public_holiday: str
    days: str
    """{first}, {last}: days in a row."""
    hours_calendar: str
    """A link to the same as a file."""
    seats_free: str
    """The label of the number of free seats."""
    seats_for_queue: str
    """A sentence: there are free seats, and there is a queue."""
    of_seats: Counted
    """{capacity}: follows the number of free seats."""
    percent_taken: str
    """{percent}"""
    people_inside: Counted
    """{people}: stands alone, with its number."""
    people_fewer: str
    """{people}: how few are not told more exactly; at least two."""
    counted_at: str
    """{time}: when staff counted the people, as is the next; both follow the number of people."""
    counted_on: str
    """{date}, {time}"""
    between: str
    """{low}, {high}: the interval of an estimate."""
    not_known: str
    """Stands where a number would."""
    waiting_time: str
    wait_between: str
    """{low}, {high}: the interval of a wait, in durations."""
    queue_length: Counted
    """{people}: rounded."""
    wait_error: str
    """{duration}: a sentence, how far off the waits of the last thirty days were."""
    join_by: str
    """{time}: a sentence, the latest time at which joining the queue leads in."""
    too_late: str
    """A sentence: there is a queue, and its end does not get in before closing."""
    leaving: str
    """A heading: the waits that those find who set out now."""
    leaving_in: str
    """{duration}: how long they are on their way; the wait follows."""
    zones: str
    zones_with_bags: str
    """A sentence: of the whole library they are taken off."""
    nearby: str
    """A heading: other libraries with seats."""
    nearby_km: str
    """{distance}: a number."""
    nearby_m: str
    """{distance}: a number."""
    trend: str
    today: str
    """The heading of the day's curve."""
    notice: str
    notice_until: str
    """{time}"""
    last_recount: str
    about_data: str
    """A heading, over the next six."""
    gate: str
    """{gate}: how a gate without a name is called."""
    gate_silent: str
    """{gate}, {moment}: a sentence that begins with the gate's name, as are the next four: what is wrong with it."""
    gate_stuck: str
    """{gate}, {moment}"""
    gate_no_entries: str
    """{gate}, {moment}"""
    gate_no_exits: str
    """{gate}, {moment}"""
    gate_swapped: str
    """{gate}"""
    time: str
    people: str
    waiting_minutes: str
    chart_alt: str
    """{library}, {date}, {peak}, {peak_time}: the day's curve for those who do not see it."""
    chart_empty: str
    follow: str
    """A heading."""
    follow_freely: str
    """A sentence."""
    follow_handle: str
    """A sentence: follows the name of an account of the fediverse."""
    feed: str
    place: str
    """A heading."""
    address: str
    """A label, as are the next three."""
    phone: str
    email: str
    website: str
    on_map: str
    """A link, as is the next."""
    in_map_app: str
    leaves: str
    """For the ear: follows a link."""
    statistics: str
    """A link, as are the next two."""
    on_your_site: str
    on_a_screen: str
    footer: str
    push: str
    """The button that opens the form of the next ten."""
    push_what: str
    push_seat: str
    """What to be told, as are the next two: follows push_what."""
    push_queue: str
    push_opening: str
    push_zone: str
    """A label, as are push_seats and push_minutes."""
    push_anywhere: str
    push_seats: str
    push_minutes: str
    push_ask: str
    """A button, as is the next."""
    push_undo: str
    push_waiting: str
    """{time}: a sentence, as are the next eight; until when it is waited for."""
    push_told: str
    push_undone: str
    push_so_already: str
    push_closed: str
    push_blocked: str
    push_too_many: str
    push_failed: str
    push_privacy: str
    push_told_seat: str
    """{name}: a notification's title, as are the next two."""
    push_told_queue: str
    push_told_opening: str


@dataclass(frozen=True, slots=True)
class DigestWords:
    """The day in a few sentences, said when the library closes."""

    lead: str
    """{name}, {date}, {words}: words are sentences."""
    hours: str
    """{opens}, {closes}: a sentence, as are the next five."""
    visits: Counted
    """{people}"""
    full: str
    """{time}, {duration}: when it was full first, and for how long in all."""
    never_full: str
    longest_wait: str
    """{wait}, {time}: wait_about or wait_over, and when."""
    no_wait: str


@dataclass(frozen=True, slots=True)
class EventWords:
    """Reminders of events in the library."""

    today: str
    """{name}, {title}, {time}: a sentence without its stop, as is the next."""
    other_day: str
    """{name}, {title}, {date}, {time}"""
    place: str
    """{place}: a sentence."""
    inside: str
    """{words}: a clause about seats and the wait, as of now."""


@dataclass(frozen=True, slots=True)
class CardWords:
    """The status card: a picture, and what it says to those who do not see it."""

    alt: str
    """{message}: the status in words."""
    seats: Counted
    """The label under the number of free seats."""
    wait: str
    """The label over the wait."""
    as_of: str
    """{time}"""


@dataclass(frozen=True, slots=True)
class SeatWords:
    """Clauses that say how many seats are free. The number counted by is {seats}."""

    many: Counted
    """{seats}, {capacity}"""
    few: Counted
    """{seats}, {capacity}"""
    nearly_full: Counted
    """{seats}, {capacity}: full as people say it, with a few single seats left."""
    none: str
    """{capacity}: no full house, and yet no seat; bags hold the rest."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a language writes dates and durations, beyond what CLDR says by itself."""

    locale: str
    """CLDR's locale: `en_GB`."""
    date: str
    """Weekday, day and month, as a CLDR pattern."""
    first_of_month: str
    """The same for the first day of a month, which some languages write another way."""
    hours_and_minutes: str
    """{hours}, {minutes}: how the two are joined."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every sentence about a library's status in one language."""

    language: str
    """BCP 47, as in `lang` of HTML."""
    language_name: str
    """The language's own name for itself."""
    manner: Manner

    simulated: str
    recorded: str
    """What a message begins with when its time is not now."""
    lead: str
    """{name}, {time}, {words}: words is a clause."""
    moment: str
    """{time}: a time of today, after "since"."""
    moment_other_day: str
    """{date}, {time}: a time of another day, after "since"."""

    headline_many: str
    headline_few: str
    headline_full: str
    headline_almost_full: str
    """The level is full, but a few seats are free: between two readers, or held back at the door."""
    headline_not_admitting: str
    headline_closed: str
    headline_unknown: str

    seats: SeatWords
    seats_brief: SeatWords
    """For the shortest messages: {capacity} is left out."""
    full: str
    """A clause."""
    held_seats: str
    """A sentence: seats held by bags have been taken off."""

    wait_none: str
    """Words, as are the next three; also a short clause."""
    wait_about: str
    """{duration}"""
    wait_over: str
    """{duration}"""
    wait_unknown: str
    wait_sentence: str
    """{wait}: wait_about or wait_over."""
    wait_none_sentence: str
    wait_unknown_sentence: str
    wait_brief: str
    """{wait}. A short clause, as is the next."""
    wait_unknown_brief: str

    rising: str
    """Words, as are the next two: the last half hour."""
    steady: str
    falling: str
    rising_sentence: str
    falling_sentence: str

    not_admitting: str
    """A clause, as are the next four."""
    closed: str
    closed_exceptionally: str
    closed_because: str
    """{reason}: staff's words."""
    evacuated: str
    outside_hours: str
    """A sentence, as are the next two."""
    opens_today: str
    """{time}"""
    opens_other_day: str
    """{date}, {time}"""

    no_data: str
    """A clause, as are the next two."""
    no_data_yet: str
    no_data_since: str
    """{moment}"""
    gate_silent: str
    """A sentence, as are the next four: why nobody knows."""
    gate_never_heard: str
    never_known: str
    recount_old: str
    too_unsure: str
    """There is a figure, but it could be far off."""

    notice: str
    """{notice}: staff's words."""
    not_updated: str
    """A clause: staff want nothing said."""

    digest: DigestWords
    event: EventWords
    card: CardWords
    pages: PageWords
