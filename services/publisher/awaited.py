"""Which posts wait for staff's word, as this process sees it, for whoever runs this."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from shared.runtime import metrics
from shared.runtime.clock import now

FORGOTTEN_AFTER: Final = timedelta(minutes=2)
"""A post that waits comes back every few seconds. One that has not for so long is in another process's hands, which
counts it, or was ended there."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    decided_at: datetime
    seen_at: datetime


@dataclass(slots=True)
class Awaited:
    """The posts that wait. The gauges are worked out when they are asked for, so that they go on without a post."""

    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metrics.POSTS_AWAITING.set_function(lambda: len(self._present()))
        metrics.APPROVAL_AWAITED_S.set_function(self._longest_s)

    def wait(self, key: str, decided_at: datetime) -> None:
        """Note that a post has been seen waiting."""
        self._waiting[key] = _Waiting(decided_at, now())

    def go_on(self, key: str) -> None:
        """Note that a post waits no longer."""
        self._waiting.pop(key, None)

    def _present(self) -> dict[str, _Waiting]:
        since = now() - FORGOTTEN_AFTER
        self._waiting = {key: each for key, each in self._waiting.items() if each.seen_at >= since}
        return self._waiting

    def _longest_s(self) -> float:
        at = now()
        return max(((at - each.decided_at).total_seconds() for each in self._present().values()), default=0.0)
