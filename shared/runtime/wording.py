"""The ready-made sentences of a status, in every language its library speaks."""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.status import Sentences
from shared.domain.catalog import CATALOGS
from shared.domain.messages import compose
from shared.domain.status import Status
from shared.runtime.formats import formats_for


def sentences_for(status: Status, languages: Iterable[str] | None = None) -> dict[str, Sentences]:
    """Return a status in words, by language: its own ones, or those given; KeyError for one without a catalog."""
    return {
        language: _sentences(status, language) for language in (status.languages if languages is None else languages)
    }


def _sentences(status: Status, language: str) -> Sentences:
    message = compose(status, CATALOGS[language], formats_for(language, status.time_zone))
    return Sentences(long=message.long, short=message.short, shortest=message.shortest)
