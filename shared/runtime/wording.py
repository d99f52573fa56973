"""The ready-made sentences of a status, in every language its library speaks."""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.status import Sentences
from shared.domain.catalog import CATALOGS
from shared.domain.day_summary import DaySummary
from shared.domain.digest import compose_digest
from shared.domain.messages import Message, compose, compose_live
from shared.domain.status import Status
from shared.runtime.formats import formats_for


def sentences_for(status: Status, languages: Iterable[str] | None = None) -> dict[str, Sentences]:
    """Return a status in words, by language: its own ones, or those given; KeyError for one without a catalog."""
    return {
        language: _sentences(status, language) for language in (status.languages if languages is None else languages)
    }


def live_sentences_for(status: Status, language: str) -> Sentences:
    """Return a status in the words of a live post, which says it too when staff want nothing said."""
    return _wire(compose_live(status, CATALOGS[language], formats_for(language, status.time_zone)))


def digest_sentences_for(summary: DaySummary, status: Status, language: str) -> Sentences:
    """Return a day in words, as of `status`, with which it closed."""
    return _wire(compose_digest(summary, status, CATALOGS[language], formats_for(language, status.time_zone)))


def _sentences(status: Status, language: str) -> Sentences:
    return _wire(compose(status, CATALOGS[language], formats_for(language, status.time_zone)))


def _wire(message: Message) -> Sentences:
    return Sentences(long=message.long, short=message.short, shortest=message.shortest)
