"""The records of live posts, in DELIVERIES beside those of the announcements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from services.publisher.channels.channel import Done
from shared.contracts import subjects
from shared.contracts.posts import LivePost, PostIntent
from shared.runtime.bus import Bus
from shared.runtime.logs import logger

log = logger(__name__)

FORGOTTEN: Final = b"{}"
"""A record that is there and says nothing: the next one can be stored over it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A live post and the revision of the bucket that it was read at; 0 where there is none yet."""

    post: LivePost | None
    revision: int


async def forget(bus: Bus, key: str, revision: int) -> None:
    """Store that there is no live post any more. Raises Conflict, BusUnavailable."""
    await bus.bucket(subjects.DELIVERIES).update(key, FORGOTTEN, revision=revision)


async def load(bus: Bus, key: str) -> Record:
    """Return the record of one live post. Raises BusUnavailable."""
    entry = await bus.bucket(subjects.DELIVERIES).get(key)
    return Record(read(key, entry.value), entry.revision) if entry else Record(None, 0)


async def save(bus: Bus, key: str, post: LivePost, revision: int) -> int:
    """Store a live post over the record read at `revision`. Raises Conflict, BusUnavailable."""
    return await bus.bucket(subjects.DELIVERIES).update(key, post.model_dump_json().encode(), revision=revision)


def read(key: str, value: bytes) -> LivePost | None:
    """Return a stored live post; None for one that was forgotten, or cannot be read, and begins anew."""
    if value == FORGOTTEN:
        return None
    try:
        return LivePost.model_validate_json(value)
    except ValidationError:
        log.error("live_post_unreadable", key=key)  # noqa: TRY400  the trace would say no more
        return None


async def is_first_of_day(bus: Bus, intent: PostIntent) -> bool:
    """Tell whether no live post of the intent's local day is there yet, or only its own."""
    post = (await load(bus, intent.live_key)).post
    return post is None or post.made_key == intent.key or post.made_at.date() != intent.at.date()


async def begin(bus: Bus, intent: PostIntent, done: Done) -> None:
    """Note that an announcement is out as the day's live post; earlier ones are to be taken down.

    Called again for the same intent it changes nothing. Raises Conflict, BusUnavailable.
    """
    key = intent.live_key
    record = await load(bus, key)
    before = record.post
    if before is not None and before.made_key == intent.key:
        return
    retiring = () if before is None else (*before.retiring, before.remote_id)
    post = LivePost(
        intent=intent,
        made_key=intent.key,
        remote_id=done.remote_id,
        remote_url=done.url,
        text=done.text,
        made_at=intent.at,
        edited_at=intent.at,
        retiring=retiring,
    )
    await save(bus, key, post, record.revision)
