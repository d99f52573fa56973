"""Posts that wait, for staff's word or for their interval to end, and what each channel may still say today. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.ingest.desk_view import Budget, WaitingPost
from services.ingest.desk_watch import Desk
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.posting import Memory, memory_key
from shared.contracts.posts import Approval, Delivery, DeliveryState
from shared.domain.library import ChannelRule

HELD: Final = "held"
AWAITING: Final = DeliveryState.AWAITING.value


def waiting_posts(library: LibraryConfig, desk: Desk) -> tuple[WaitingPost, ...]:
    """Return what waits on the channels that are configured, the oldest first."""
    found = [*_awaiting(library, desk), *_held(library, desk)]
    return tuple(sorted(found, key=lambda each: (each.since, each.channel, each.language)))


def budgets(library: LibraryConfig, desk: Desk, at: datetime) -> tuple[Budget, ...]:
    """Return what each channel that decides may still say, at `at` of the library's own time."""
    today = at.astimezone(ZoneInfo(library.time_zone)).date().isoformat()
    return tuple(_budget(rule, memory, today, at) for rule, memory in _memories(library, desk))


def _awaiting(library: LibraryConfig, desk: Desk) -> Iterator[WaitingPost]:
    rules = {rule.name: rule for rule in library.channel_rules}
    for key, record in desk.each(subjects.DELIVERIES, Delivery):
        channel, slot = key.partition(".")[0], key.rpartition(".")[2]
        if record.state is not DeliveryState.AWAITING or channel not in rules:
            continue
        word = desk.one(subjects.APPROVALS, subjects.approval_key(library.id, record.key), Approval)
        yield WaitingPost(
            key=record.key,
            channel=channel,
            language=_language(slot, rules[channel]),
            state=AWAITING,
            text=record.text,
            since=record.at,
            until=record.valid_until,
            approved=None if word is None else word.is_approved,
        )


def _held(library: LibraryConfig, desk: Desk) -> Iterator[WaitingPost]:
    for rule, memory in _memories(library, desk):
        held = memory.state.held
        if held is None:
            continue
        for language in rule.languages:
            sentences = memory.sentences.get(language)
            yield WaitingPost(
                key="",
                channel=rule.name,
                language=language,
                state=HELD,
                text=sentences.long if sentences else "",
                since=held.change.at,
                until=held.until,
            )


def _memories(library: LibraryConfig, desk: Desk) -> Iterator[tuple[ChannelRule, Memory]]:
    """Yield the channels that have decided something; one that merely holds the status decides nothing."""
    for rule in library.channel_rules:
        memory = desk.one(subjects.POSTING, memory_key(library.id, rule.name), Memory)
        if memory is not None:
            yield rule, memory


def _budget(rule: ChannelRule, memory: Memory, today: str, at: datetime) -> Budget:
    state = memory.state
    next_at = None if state.said_at is None else state.said_at + rule.min_interval
    return Budget(
        channel=rule.name,
        spent=state.spent if state.day == today else 0,
        daily_budget=rule.daily_budget,
        next_at=next_at if next_at is not None and next_at > at else None,
    )


def _language(slot: str, rule: ChannelRule) -> str:
    """Return the language of a slot, which stands in it as a part of its own: `fr`, `digest-fr`, `event-7-fr`."""
    parts = slot.split("-")
    return next((each for each in rule.languages if each in parts), rule.languages[0])
