"""One look at a library: everything of a moment that a status is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.estimation.core import Core
from shared.domain.estimation.estimator import Answer
from shared.domain.library import Library
from shared.domain.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Glance:
    """A library at one moment: its hours then, the people allowed in, and what the estimator knows by then."""

    library: Library
    now: datetime
    capacity: int
    timetable: Timetable
    core: Core
    """Settled."""
    answer: Answer
