"""Counters that are there from the start: Prometheus takes one that appears at 1 for one that has always been there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.publisher.outbox import LABELS
from shared.contracts.configuration import LibraryConfig
from shared.contracts.posts import DeliveryState
from shared.runtime import metrics

ENDS: Final = (DeliveryState.EXPIRED, DeliveryState.UNSURE, DeliveryState.REFUSED, DeliveryState.SUPERSEDED)
"""How an intent ends beside the outcomes of an attempt."""
KEPT: Final = ("post", "change")
"""What this service puts aside."""


@dataclass(slots=True)
class Counted:
    """Makes the counters of each channel that a library speaks on; a channel that is gone keeps its own."""

    def __post_init__(self) -> None:
        for what in KEPT:
            metrics.DEAD_LETTERS.labels(what)

    def put(self, library: LibraryConfig) -> None:
        """Take a library's channels over."""
        for channel in {each.type for each in library.channels}:
            for outcome in (*LABELS.values(), *(each.value for each in ENDS)):
                metrics.POST_DELIVERIES.labels(channel, outcome)
            metrics.POST_DECISIONS.labels(channel, "post")

    def drop(self, library_id: str) -> None:
        """Leave everything: what was counted stays counted."""
        del library_id
