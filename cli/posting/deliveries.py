"""What the bus knows of posts: what was said, what waits, what was given up on, and how that is tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from cli.explanation.from_bus import batches_of
from cli.operator_audit import note_act
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.posts import Approval, Delivery, DeliveryState, LivePost, PostIntent
from shared.runtime.bus import Bus


@dataclass(frozen=True, slots=True)
class Spoken:
    """One statement and what became of it."""

    key: str
    library: str
    channel: str
    slot: str
    state: DeliveryState
    at: datetime
    text: str
    url: str
    reason: str
    is_live: bool = False
    """Whether this is a live post as it stands, which has a record of its own beside its announcement's."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A post that was given up on."""

    intent: PostIntent
    reason: str
    at: datetime


async def spoken(bus: Bus, libraries: Collection[str]) -> list[Spoken]:
    """Return what became of the newest statement of every slot, the newest first. Raises BusUnavailable."""
    found = []
    async for key, value in _bucket(bus):
        channel, _, rest = key.partition(".")
        library, _, slot = rest.partition(".")
        if libraries and library not in libraries:
            continue
        each = _spoken(channel, library, slot, value)
        if each is not None:
            found.append(each)
    return sorted(found, key=lambda each: each.at, reverse=True)


async def decide_on(bus: Bus, key: str, by: str, at: datetime, *, is_approved: bool) -> Spoken | None:
    """Store staff's word on the one waiting post whose key begins so; None if there is none, or several."""
    waiting = [
        each for each in await spoken(bus, ()) if each.state is DeliveryState.AWAITING and each.key.startswith(key)
    ]
    if len(waiting) != 1:
        return None
    body = Approval(is_approved=is_approved, by=by, at=at).model_dump_json().encode()
    await bus.bucket(subjects.APPROVALS).put(subjects.approval_key(waiting[0].library, waiting[0].key), body)
    act = Act.POST_APPROVED if is_approved else Act.POST_REFUSED
    await note_act(bus, act, library=waiting[0].library, subject=waiting[0].key)
    return waiting[0]


async def dead_letters(bus: Bus) -> list[Letter]:
    """Return the posts that were given up on, the newest first; not those that something newer has overtaken since."""
    letters: dict[str, Letter] = {}
    if await bus.last_sequence(subjects.DEAD):
        async for batch in batches_of(bus, subjects.DEAD, [subjects.dead_letter("publisher", "post")]):
            for message in batch.messages:
                with suppress(ValidationError):  # of a newer version
                    intent = PostIntent.model_validate_json(message.data)
                    reason = message.headers.get("placelibre-reason", "")
                    letters[intent.key] = Letter(intent, reason, message.stored_at)
    still = [each for each in letters.values() if await _is_still_dead(bus, each.intent)]
    return sorted(still, key=lambda each: each.at, reverse=True)


async def replayed(bus: Bus, key: str, at: datetime) -> list[tuple[Letter, str]]:
    """Publish dead letters whose key begins so again, and say what was done with each. Raises BusUnavailable.

    Its record says from then on that it may be out, so whoever sends it looks first.
    """
    done = []
    for letter in await dead_letters(bus):
        intent = letter.intent
        if not intent.key.startswith(key):
            continue
        if intent.valid_until <= at:
            done.append((letter, f"not sent again: it was to go out before {intent.valid_until:%Y-%m-%d %H:%M}"))
            continue
        bucket = bus.bucket(subjects.DELIVERIES)
        entry = await bucket.get(intent.delivery_key)
        record = Delivery.model_validate_json(entry.value) if entry else None
        begun = record or Delivery(key=intent.key, revision=intent.revision, state=DeliveryState.SENDING, at=at)
        update = {"state": DeliveryState.SENDING, "at": at, "lease_until": at, "unsure_sends": 0, "reason": ""}
        again = begun.model_copy(update=update)
        await bucket.update(
            intent.delivery_key, again.model_dump_json().encode(), revision=entry.revision if entry else 0
        )
        message_id = f"replay:{intent.key}:{at.isoformat()}"
        await bus.publish(intent.subject, intent.model_dump_json().encode(), message_id=message_id)
        await note_act(bus, Act.POST_REPLAYED, library=intent.library, subject=intent.key)
        done.append((letter, "tried again"))
    return done


async def _is_still_dead(bus: Bus, intent: PostIntent) -> bool:
    entry = await bus.bucket(subjects.DELIVERIES).get(intent.delivery_key)
    if entry is None:
        return True
    try:
        record = Delivery.model_validate_json(entry.value)
    except ValidationError:
        return True
    return record.key == intent.key and record.state not in {DeliveryState.DONE, DeliveryState.SENDING}


def _spoken(channel: str, library: str, slot: str, value: bytes) -> Spoken | None:
    try:
        if slot.startswith("live-"):
            live = LivePost.model_validate_json(value)
            return Spoken(
                live.intent.key,
                library,
                channel,
                slot,
                DeliveryState.SENDING if live.begun else DeliveryState.DONE,
                live.edited_at,
                live.text,
                live.remote_url,
                "",
                is_live=True,
            )
        record = Delivery.model_validate_json(value)
    except ValidationError:
        return None  # a record of another kind, or of a newer version
    return Spoken(
        record.key, library, channel, slot, record.state, record.at, record.text, record.remote_url, record.reason
    )


async def _bucket(bus: Bus) -> AsyncIterator[tuple[str, bytes]]:
    for key in await bus.bucket(subjects.DELIVERIES).keys():
        entry = await bus.bucket(subjects.DELIVERIES).get(key)
        if entry is not None:
            yield key, entry.value
