"""The ready-made sentences of a status, in every language its library speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import Sentences
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.catalog.wording import with_wording
from shared.domain.day_summary import DaySummary
from shared.domain.digest import compose_digest
from shared.domain.events import Event, compose_reminder
from shared.domain.messages import Message, compose, compose_live
from shared.domain.status import Status
from shared.runtime.formats import formats_for

Wording = Mapping[str, Mapping[str, str]]
"""A library's own words: by language, then by name."""
NO_WORDING: Final[Wording] = MappingProxyType({})


def sentences_for(
    status: Status, languages: Iterable[str] | None = None, wording: Wording = NO_WORDING
) -> dict[str, Sentences]:
    """Return a status in words, by language: its own ones, or those given; KeyError for one without a catalog."""
    return {
        language: _wire(compose(status, catalog_for(language, wording), formats_for(language, status.time_zone)))
        for language in (status.languages if languages is None else languages)
    }


def live_sentences_for(status: Status, language: str, wording: Wording = NO_WORDING) -> Sentences:
    """Return a status in the words of a live post, which says it too when staff want nothing said."""
    return _wire(compose_live(status, catalog_for(language, wording), formats_for(language, status.time_zone)))


def digest_sentences_for(
    summary: DaySummary, status: Status, language: str, wording: Wording = NO_WORDING
) -> Sentences:
    """Return a day in words, as of `status`, with which it closed."""
    formats = formats_for(language, status.time_zone)
    return _wire(compose_digest(summary, status, catalog_for(language, wording), formats))


def reminder_sentences_for(
    event: Event, status: Status | None, at: datetime, library: LibraryConfig, language: str
) -> Sentences:
    """Return the reminder of an event in words as of `at`; `status` is the library's newest one, if it still holds."""
    formats = formats_for(language, library.time_zone)
    catalog = catalog_for(language, library.own_words)
    return _wire(compose_reminder(event, status, at, library.name, catalog, formats))


def catalog_for(language: str, wording: Wording = NO_WORDING) -> Catalog:
    """Return the words of a language, with a library's own in place of some; KeyError for one without a catalog."""
    own = wording.get(language)
    return with_wording(CATALOGS[language], own) if own else CATALOGS[language]


def _wire(message: Message) -> Sentences:
    return Sentences(long=message.long, short=message.short, shortest=message.shortest)
