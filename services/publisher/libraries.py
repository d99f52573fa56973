"""How each library speaks, as configured now."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from shared.contracts.configuration import LibraryConfig
from shared.domain.library import ChannelRule


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that posting needs to know of a library."""

    library: str
    time_zone: ZoneInfo
    rules: tuple[ChannelRule, ...]
    config: LibraryConfig


@dataclass(slots=True)
class Libraries:
    """The speakers by their library's id."""

    speakers: dict[str, Speaker] = field(default_factory=dict)

    def get(self, library: str) -> Speaker | None:
        """Return how a library speaks, or None for one that is not configured."""
        return self.speakers.get(library)

    def rule(self, library: str, channel: str) -> ChannelRule | None:
        """Return the rule of a library's channel by its name, or None."""
        speaker = self.speakers.get(library)
        rules = speaker.rules if speaker else ()
        return next((rule for rule in rules if rule.name == channel), None)

    def put(self, library: LibraryConfig) -> None:
        """Take over how a library speaks."""
        self.speakers[library.id] = Speaker(library.id, ZoneInfo(library.time_zone), library.channel_rules, library)

    def drop(self, library_id: str) -> None:
        """Forget a library."""
        self.speakers.pop(library_id, None)
