"""A status' ready-made sentences in one language, whether or not they came with it."""

from __future__ import annotations

from services.api.freshness import ServedStatus
from shared.contracts.status import Sentences
from shared.domain.catalog import CATALOGS
from shared.domain.library import ClockKind
from shared.runtime.wording import sentences_for


def sentences_of(status: ServedStatus, language: str) -> Sentences:
    """Return the sentences that came with a status, or such as we make; KeyError for a language without a catalog."""
    ready = status.sentences.get(language)
    return ready if ready is not None else sentences_for(status.to_domain(), [language])[language]


def marked_name(name: str, clock: ClockKind, language: str) -> str:
    """Return a library's name, marked where its time is not now."""
    catalog = CATALOGS[language]
    markers = {ClockKind.SIMULATED: catalog.simulated, ClockKind.RECORDED: catalog.recorded, ClockKind.WALL: ""}
    return f"{markers[clock]} {name}".strip()
