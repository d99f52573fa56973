"""Is it what the public was told? The status worked out again beside the one that was published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cli.explanation.past import Past
from shared.contracts.status import PublicStatus, StatusChanged
from shared.domain.small_numbers import in_bands


class Comparison(StrEnum):
    """What comes of holding the two side by side."""

    AS_PUBLISHED = "as_published"
    DIFFERS = "differs"
    NOT_KEPT = "not_kept"
    """No published status of that time is there to compare with."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that was published otherwise; both values as JSON."""

    name: str
    published: str
    worked_out: str


@dataclass(frozen=True, slots=True)
class Publication:
    """The last published change before a time, and how it differs from what the log comes to."""

    comparison: Comparison
    at: datetime | None = None
    revision: int | None = None
    differences: tuple[Difference, ...] = ()
    worked_out_at: datetime | None = None
    """When the log led to its latest change; later than `at`, it is not published."""


NUMBERED: Final = frozenset({"revision", "sentences"})
"""Not compared: a log that has forgotten its beginning counts anew, and the words follow from the rest."""


def compare(past: Past, published: StatusChanged | None) -> Publication:
    """Hold the latest change worked out again against the latest one published up to the same time.

    Where both are of one moment every field is compared, else what is worth telling of the situation that holds.
    """
    change, status = past.notes.change, past.state.status
    if published is None or change is None or status is None:
        return Publication(Comparison.NOT_KEPT)
    if published.at == change.at:
        told, again = published.status, PublicStatus.of(in_bands(change.status, past.library.small_numbers_below), {})
        names = [name for name in PublicStatus.model_fields if name not in NUMBERED]
        pairs = [(name, getattr(told, name), getattr(again, name)) for name in names]
    else:
        one, other = published.status.to_domain().situation, status.situation
        pairs = [(name, getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__]
    found = tuple(Difference(name, _said(one), _said(other)) for name, one, other in pairs if one != other)
    verdict = Comparison.DIFFERS if found else Comparison.AS_PUBLISHED
    return Publication(verdict, published.at, published.status.revision, found, change.at)


def _said(value: object) -> str:
    return str(value) if not hasattr(value, "model_dump_json") else value.model_dump_json()
