"""A day in a few sentences: the word that a channel for digests says when the library closes."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.catalog import Catalog
from shared.domain.day_summary import DaySummary
from shared.domain.library import ClockKind
from shared.domain.messages import LONG_MAX, SHORT_MAX, SHORTEST_MAX, Formats, Message, opening_words
from shared.domain.queue_wait import WAIT_BUCKETS_MIN
from shared.domain.shortening import one_line, shortened
from shared.domain.status import Status

MINUTE_S: Final = 60


def compose_digest(summary: DaySummary, status: Status, catalog: Catalog, formats: Formats) -> Message:
    """Return a day in words. `status` is that of the closing.

    Of the sentences those that people plan by stand first; a shorter form leaves whole sentences out. `shortest` is at
    most 140 characters: it alone shortens the library's name.
    """
    sentences = _sentences(summary, status, catalog, formats)
    name = one_line(status.name)

    def said(name: str, count: int) -> str:
        words = " ".join(sentences[:count])
        marker = {ClockKind.SIMULATED: f"{catalog.simulated} ", ClockKind.RECORDED: f"{catalog.recorded} "}
        date = formats.date(summary.opened_at or status.as_of)
        return marker.get(status.clock, "") + catalog.digest.lead.format(name=name, date=date, words=words)

    def fitting(limit: int) -> str:
        counts = range(len(sentences), 0, -1)
        return next((text for count in counts if len(text := said(name, count)) <= limit), "")

    bare = SHORTEST_MAX - len(said("", 1))
    shortest = fitting(SHORTEST_MAX) or said(shortened(name, max(bare, 1)), 1)
    return Message(fitting(LONG_MAX) or shortest, fitting(SHORT_MAX) or shortest, shortest)


def _sentences(summary: DaySummary, status: Status, catalog: Catalog, formats: Formats) -> list[str]:
    words = catalog.digest
    sentences = []
    if summary.first_full_at is None and not summary.is_unsure:
        sentences.append(words.never_full)
    elif summary.first_full_at is not None:
        still = status.as_of - summary.full_since if summary.full_since else None
        lasted = summary.full_for if still is None else summary.full_for + still
        minutes = max(round(lasted.total_seconds() / MINUTE_S), 1)
        time = formats.time(summary.first_full_at)
        sentences.append(words.full.format(time=time, duration=formats.duration(minutes)))
    if summary.longest_wait_at is not None:
        sentences.append(words.longest_wait.format(wait=_wait(summary, catalog, formats), time=_at(summary, formats)))
    elif summary.first_full_at is not None and not summary.is_unsure:
        sentences.append(words.no_wait)
    if (opening := opening_words(status, catalog, formats)) != "":
        sentences.append(opening)
    if summary.visits:
        sentences.append(words.visits(summary.visits).format(people=formats.number(summary.visits)))
    if summary.opened_at is not None:
        # By its hours where they are known: what was heard first may have come later.
        begin = status.hours_today[0][0] if status.hours_today else summary.opened_at
        opens, closes = formats.time(begin), formats.time(status.as_of)
        sentences.append(words.hours.format(opens=opens, closes=closes))
    return sentences


def _wait(summary: DaySummary, catalog: Catalog, formats: Formats) -> str:
    if summary.is_wait_over:
        return catalog.wait_over.format(duration=formats.duration(WAIT_BUCKETS_MIN[-1]))
    return catalog.wait_about.format(duration=formats.duration(summary.longest_wait))


def _at(summary: DaySummary, formats: Formats) -> str:
    return "" if summary.longest_wait_at is None else formats.time(summary.longest_wait_at)
