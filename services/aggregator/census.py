"""The totals over all libraries for the metrics, added up when somebody scrapes them and not before."""

from __future__ import annotations

from collections.abc import Callable

from services.aggregator.fold import Fold, Kept
from shared.domain.status import State
from shared.runtime import metrics


def count_at_scrape(fold: Fold) -> None:
    """Let the gauges of readings, crossings and libraries ask `fold`."""

    def total(of: Callable[[Kept], int]) -> Callable[[], float]:
        return lambda: float(sum(of(kept) for kept in fold.all_kept()))

    outcomes: dict[str, Callable[[Kept], int]] = {
        "applied": lambda kept: kept.state.totals.applied,
        "duplicate": lambda kept: kept.state.totals.duplicates,
        "too_late": lambda kept: kept.state.totals.too_late,
        "ignored": lambda kept: kept.state.totals.ignored,
    }
    for outcome, of in outcomes.items():
        metrics.AGGREGATOR_READINGS.labels(outcome).set_function(total(of))
    metrics.AGGREGATOR_CROSSINGS.labels("entries").set_function(total(lambda kept: kept.state.totals.entries))
    metrics.AGGREGATOR_CROSSINGS.labels("exits").set_function(total(lambda kept: kept.state.totals.exits))
    metrics.AGGREGATOR_IN_GAPS.set_function(total(lambda kept: kept.state.totals.in_gaps))
    metrics.AGGREGATOR_NOT_BELIEVED.set_function(total(lambda kept: kept.state.totals.not_believed))
    for state in State:
        metrics.AGGREGATOR_LIBRARIES.labels(state.value).set_function(total(_is_in(state)))


def _is_in(state: State) -> Callable[[Kept], int]:
    return lambda kept: int(kept.state.status is not None and kept.state.status.state is state)
