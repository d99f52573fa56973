"""From a decision to the intents that carry it: one per language, under keys that anybody derives again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.contracts.posts import PostIntent, PostKind, live_slot
from shared.contracts.status import Clock, PublicStatus, Sentences
from shared.domain.library import ChannelRule, ClockKind
from shared.domain.library_time import real_time
from shared.domain.posting import Edit, Post, post_key
from shared.runtime.wording import NO_WORDING, Wording, digest_sentences_for, live_sentences_for, sentences_for


def intents_of(
    post: Post,
    rule: ChannelRule,
    sentences: Mapping[str, Sentences],
    seen: datetime,
    stored_at: datetime,
    wording: Wording = NO_WORDING,
) -> tuple[PostIntent, ...]:
    """Return the intents of a decision to post on one channel, one per language of its rule.

    `seen` is the library's time that led to the decision and `stored_at` the bus's when it stored that; together they
    say what time it is for a simulated library.
    """
    status = post.change.status
    clock = Clock(kind=status.clock, speed=status.speed)
    zone = ZoneInfo(status.time_zone)
    kind = PostKind.DIGEST if post.summary else PostKind.ANNOUNCEMENT
    public = PublicStatus.of(status, {})
    return tuple(
        PostIntent(
            key=post_key(post.change.id, rule.name, language),
            kind=kind,
            library=status.library,
            channel=rule.channel,
            account=rule.account,
            server=rule.server,
            options=dict(rule.options),
            language=language,
            slot=_slot(kind, language, status.revision, status.clock),
            revision=status.revision,
            at=post.at.astimezone(zone),
            valid_until=post.valid_until.astimezone(zone),
            clock=clock,
            texts=_texts(post, sentences, language, wording),
            hashtags=rule.hashtags,
            url=status.url,
            needs_approval=rule.needs_approval,
            status=public,
            changed_at=post.change.at.astimezone(zone),
            decided_at=real_time(post.at, seen, stored_at, clock.kind, clock.speed),
        )
        for language in rule.languages
    )


def live_intent(
    rule: ChannelRule, language: str, told: PublicStatus, edit: Edit, real_now: datetime, wording: Wording = NO_WORDING
) -> PostIntent:
    """Return what a live post is to say from now on; whoever decides the same edit again says the same.

    `told` is the newest status as published, whose library's time is `edit.at` at `real_now`.
    """
    status = edit.status
    zone = ZoneInfo(status.time_zone)
    at = edit.at.astimezone(zone)
    return PostIntent(
        key=post_key(f"{status.library}.{status.revision}.{edit.at.isoformat()}", rule.name, live_slot(language)),
        kind=PostKind.LIVE,
        library=status.library,
        channel=rule.channel,
        account=rule.account,
        server=rule.server,
        options=dict(rule.options),
        language=language,
        slot=live_slot(language),
        revision=status.revision,
        at=at,
        valid_until=max(status.valid_until.astimezone(zone), at),
        clock=told.clock,
        texts=live_sentences_for(status, language, wording),
        hashtags=rule.hashtags,
        url=status.url,
        status=PublicStatus.of(status, {}),
        changed_at=at,
        decided_at=real_now,
    )


def _slot(kind: PostKind, language: str, revision: int, clock: ClockKind) -> str:
    # A playback says everything, so that none of its statements takes another's place.
    slot = f"digest-{language}" if kind is PostKind.DIGEST else language
    return f"{slot}-{revision}" if clock is ClockKind.RECORDED else slot


def _texts(post: Post, sentences: Mapping[str, Sentences], language: str, wording: Wording) -> Sentences:
    if post.summary is not None:
        return digest_sentences_for(post.summary, post.change.status, language, wording)
    if language in sentences:
        return sentences[language]
    return sentences_for(post.change.status, (language,), wording)[language]
