"""Which events have been taken already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cli.estimation.lines import Fields

KEPT_S: Final = 24 * 3600.0
"""As long as ingest takes readings; a double later than that comes after an empty house and changes nothing."""


@dataclass(slots=True)
class Seen:
    """The identities of events, each kept for one to two days of virtual time: weeks take no more memory than days."""

    since: float | None = None
    """When the younger set was begun, in Unix seconds."""
    younger: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)

    def __contains__(self, identity: str) -> bool:
        return identity in self.younger or identity in self.older

    def add(self, identity: str, now: float) -> None:
        """Remember an event at a time in Unix seconds."""
        if self.since is None:
            self.since = now
        elif now - self.since > KEPT_S:
            self.since, self.older, self.younger = now, self.younger, set()
        self.younger.add(identity)


def identity_of(event: Fields) -> str:
    """Return what makes an event the same as another: its id, or else all that it says but for its receipt."""
    value = event.get("id")
    if type(value) is str:
        return value
    if value is not None:
        return str(value)
    return repr(sorted((name, repr(each)) for name, each in event.items() if name not in {"id", "recv"}))
