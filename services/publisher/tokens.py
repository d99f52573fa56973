"""When the tokens of channels end, as libraries.toml has it: most platforms tell nobody, least of all in time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from shared.contracts.configuration import LibraryConfig
from shared.runtime import metrics


@dataclass(slots=True)
class Tokens:
    """Keeps the gauge at the first end of each type of channel; without any there is none."""

    _ends: dict[str, dict[str, date]] = field(default_factory=dict)
    """The first end by library, then by type of channel."""

    def put(self, library: LibraryConfig) -> None:
        """Take a library's channels over."""
        ends: dict[str, date] = {}
        for channel in library.channels:
            if channel.token_expires is not None:
                ends[channel.type] = min(channel.token_expires, ends.get(channel.type, date.max))
        self._change(library.id, ends)

    def drop(self, library_id: str) -> None:
        """Forget a library."""
        self._change(library_id, {})

    def _change(self, library: str, ends: dict[str, date]) -> None:
        gone = self._ends.pop(library, {})
        if ends:
            self._ends[library] = ends
        for channel in gone.keys() | ends.keys():
            first = min((each[channel] for each in self._ends.values() if channel in each), default=None)
            if first is None:
                with suppress(KeyError):
                    metrics.CHANNEL_TOKEN_EXPIRES_AT.remove(channel)
            else:
                # Nobody knows at which hour; its last day is not to be counted on.
                begins = datetime.combine(first, time.min, UTC)
                metrics.CHANNEL_TOKEN_EXPIRES_AT.labels(channel).set(begins.timestamp())
