"""How each library speaks, as configured now. A broken configuration is reported and the old one kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.domain.library import ChannelRule
from shared.runtime.bus import Bus
from shared.runtime.health import Readiness
from shared.runtime.log_reader import watch
from shared.runtime.logs import logger

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that posting needs to know of a library."""

    library: str
    time_zone: ZoneInfo
    rules: tuple[ChannelRule, ...]


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

    def apply(self, library: str, value: bytes | None) -> None:
        """Take over a library's configuration; None removes it, a broken one changes nothing."""
        if value is None:
            self.speakers.pop(library, None)
            return
        try:
            config = LibraryConfig.model_validate_json(value)
        except ValidationError as error:
            where = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            kept = "the old one stays" if library in self.speakers else "there is no old one: it stays silent"
            log.error("configuration_refused", library=library, reason=where, kept=kept)  # noqa: TRY400
            return
        self.speakers[library] = Speaker(library, ZoneInfo(config.time_zone), config.channel_rules)


async def follow(bus: Bus, libraries: Libraries, readiness: Readiness) -> None:
    """Keep `libraries` as the LIBRARIES bucket says, for ever; `readiness` hears when all have been read once."""
    readiness.needs("libraries", "the configuration has not been read yet")
    async for updates in watch(bus, subjects.LIBRARIES):
        for update in updates.updates:
            libraries.apply(update.key, update.entry.value if update.entry else None)
        if updates.is_caught_up:
            readiness.has("libraries")
