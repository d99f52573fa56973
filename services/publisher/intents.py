"""From a decision to the intents that carry it: one per language, under keys that anybody derives again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.contracts.posts import PostIntent
from shared.contracts.status import Clock, Sentences
from shared.domain.library import ChannelRule, ClockKind
from shared.domain.library_time import real_time
from shared.domain.posting import Post, post_key
from shared.runtime.wording import sentences_for


def intents_of(
    post: Post, rule: ChannelRule, sentences: Mapping[str, Sentences], seen: datetime, stored_at: datetime
) -> tuple[PostIntent, ...]:
    """Return the intents of a decision to post on one channel, one per language of its rule.

    `seen` is the library's time that led to the decision and `stored_at` the bus's when it stored that; together they
    say what time it is for a simulated library.
    """
    status = post.change.status
    clock = Clock(kind=status.clock, speed=status.speed)
    zone = ZoneInfo(status.time_zone)
    return tuple(
        PostIntent(
            key=post_key(post.change.id, rule.name, language),
            library=status.library,
            channel=rule.channel,
            account=rule.account,
            server=rule.server,
            language=language,
            slot=_slot(language, status.revision, status.clock),
            revision=status.revision,
            at=post.at.astimezone(zone),
            valid_until=post.valid_until.astimezone(zone),
            clock=clock,
            texts=_texts(post, sentences, language),
            url=status.url,
            changed_at=post.change.at.astimezone(zone),
            decided_at=real_time(post.at, seen, stored_at, clock.kind, clock.speed),
        )
        for language in rule.languages
    )


def _slot(language: str, revision: int, clock: ClockKind) -> str:
    # A playback says everything, so that none of its statements takes another's place.
    return f"{language}-{revision}" if clock is ClockKind.RECORDED else language


def _texts(post: Post, sentences: Mapping[str, Sentences], language: str) -> Sentences:
    if language in sentences:
        return sentences[language]
    return sentences_for(replace(post.change.status, languages=(language,)))[language]
