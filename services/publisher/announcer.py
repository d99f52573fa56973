"""Deciding on changes and on those held back, and publishing the intents that follow.

The intents go out before the memory of the decision is stored. A crash in between decides the same thing again, under
the same keys; a crash the other way round would lose a post.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from services.publisher import channels
from services.publisher.intents import intents_of
from services.publisher.libraries import Libraries, Speaker
from services.publisher.memory import load, read, save
from shared.contracts import subjects
from shared.contracts.posting import Memory, memory_key
from shared.contracts.status import PublicStatus, Sentences, StatusChanged
from shared.domain.library import ChannelRule, ClockKind
from shared.domain.library_time import library_time
from shared.domain.posting import Held, Hold, Post, Reached, Skip, advance
from shared.domain.status import Change, State
from shared.runtime import metrics, tracing
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import now, wait_s
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger
from shared.runtime.pulse import Work, turned

log = logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How often held changes are looked at; a post may be late by that."""
UNHEARD_OF: Final = timedelta(minutes=2)
"""How far beyond the end of an interval a closed library's time must be reckoned to be, which is not published anew:
long enough for a reopening that happened before it to have come through."""
STAYS_TRUE: Final = frozenset({State.CLOSED, State.UNKNOWN})
TRIES: Final = 5
"""Of one memory against another writer, which changes it at most once per change."""


class Announcer:
    """Decides for every configured channel of every library."""

    def __init__(self, bus: Bus, libraries: Libraries) -> None:
        """Decide as `libraries` says, which somebody else keeps up to date."""
        self._bus = bus
        self._libraries = libraries
        self._held: dict[str, Held] = {}

    async def on_change(self, event: StatusChanged, stored_at: datetime) -> None:
        """Decide on a change that the bus stored at `stored_at`. Raises BusUnavailable; then try the change again."""
        speaker = self._libraries.get(event.library)
        if speaker is None:
            log.debug("change_of_unknown_library", library=event.library)
            return
        change = event.to_domain()
        for rule in speaker.rules:
            if rule.channel in channels.silent():
                continue  # it holds the latest status itself, and hears of every one
            await self._advance(speaker, rule, change, event.status.sentences, event.at, stored_at)

    async def follow_held(self, readiness: Readiness) -> None:
        """Know what is held back, by this replica or another, for ever."""
        readiness.needs("memory", "what is held back has not been read yet")
        while True:
            try:
                async for updates in watch(self._bus, subjects.POSTING):
                    for update in updates.updates:
                        self._note(update)
                    if updates.is_caught_up:
                        readiness.has("memory")
            except LogReset:
                # What the lost bucket held back is known to nobody else, so it is not released either.
                log.warning("posting_bucket_replaced")
                self._held.clear()

    def _note(self, update: Update) -> None:
        held = read(update.key, update.entry.value).state.held if update.entry else None
        if held is None:
            self._held.pop(update.key, None)
        else:
            self._held[update.key] = held

    async def release_held(self) -> None:
        """Look again and again whether the time of a held change has come, for ever."""
        while True:
            await wait_s(LOOK_EVERY_S)
            turned(Work.HELD)
            for key, held in tuple(self._held.items()):
                try:
                    await self._look_at(key, held)
                except BusUnavailable as error:
                    log.debug("held_later", key=key, reason=str(error))
                    break

    async def _look_at(self, key: str, held: Held) -> None:
        library, _, channel = key.partition(".")
        speaker, rule = self._libraries.get(library), self._libraries.rule(library, channel)
        status = held.change.status
        if speaker is None or rule is None or (status.clock is ClockKind.WALL and now() < held.until):
            return
        entry = await self._bus.bucket(subjects.STATUS).get(library)
        newest = _status(library, entry.value) if entry else None
        if entry is None or newest is None:
            return
        time = time_of(newest, entry.stored_at, held.until, now())
        if time >= held.until:
            reached = Reached(time, newest.revision)
            await self._advance(speaker, rule, reached, {}, time, entry.stored_at)

    async def _advance(
        self,
        speaker: Speaker,
        rule: ChannelRule,
        event: Change | Reached,
        sentences: Mapping[str, Sentences],
        seen: datetime,
        stored_at: datetime,
    ) -> None:
        key = memory_key(speaker.library, rule.name)
        for _ in range(TRIES):
            remembered = await load(self._bus, key)
            before = remembered.memory
            state, decisions = advance(before.state, event, rule, speaker.time_zone)
            words: Mapping[str, Sentences] = {}
            for decision in decisions:
                metrics.POST_DECISIONS.labels(rule.channel, type(decision).__name__.lower()).inc()
                # The state before knows the words of what was held, the event those of the change it brings.
                is_new = isinstance(event, Change) and decision.change.id == event.id
                spoken = sentences if is_new else before.sentences
                match decision:
                    case Post():
                        for intent in intents_of(decision, rule, spoken, seen, stored_at, speaker.config.own_words):
                            payload = intent.model_dump_json().encode()
                            await self._bus.publish(
                                intent.subject, payload, message_id=intent.key, headers=tracing.into({})
                            )
                    case Hold():
                        words = spoken
                    case Skip(_, reason):
                        log.debug("post_skipped", change=decision.change.id, channel=rule.name, reason=reason)
            if state == before.state:
                return
            try:
                await save(self._bus, key, Memory(state=state, sentences=dict(words)), revision=remembered.revision)
            except Conflict:
                continue  # another replica decided; what it remembered decides anew
            return
        raise BusUnavailable(f"the memory {key} is always changed by somebody else")


def _status(library: str, value: bytes) -> PublicStatus | None:
    try:
        return PublicStatus.model_validate_json(value)
    except ValidationError as error:
        log.error("status_unreadable", library=library, fields=error.error_count())  # noqa: TRY400
        return None


def time_of(status: PublicStatus, stored_at: datetime, until: datetime, at: datetime) -> datetime:
    """Return the time a library is known to have reached at real time `at`, judged by its newest status."""
    if status.as_of >= until or status.state not in STAYS_TRUE:
        return status.as_of.astimezone(UTC)
    reckoned = library_time(status.as_of, stored_at, status.clock.kind, status.clock.speed, at)
    if reckoned is None or reckoned < until + UNHEARD_OF:
        return status.as_of.astimezone(UTC)
    return reckoned.astimezone(UTC)
