"""The posts that changes would have brought about, decided as the publisher decides: pure, no bus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from shared.domain.library import ChannelRule, Library
from shared.domain.posting import Post, PostingState, Reached, advance
from shared.domain.status import Change
from shared.runtime.wording import sentences_for


@dataclass(frozen=True, slots=True)
class OfflinePost:
    """One post: when it would have gone out, on which channel, in which language, and its words."""

    at: datetime
    channel: str
    language: str
    text: str


def posts_of(library: Library, changes: Iterable[Change], end: datetime) -> list[OfflinePost]:
    """Return the posts on all of the library's channels in order of time; `end` is when the library's time ends."""
    told = tuple(changes)
    posts = chain.from_iterable(_posts_on(library, rule, told, end) for rule in library.channels)
    return sorted(posts, key=lambda post: (post.at, post.channel))


def _posts_on(library: Library, rule: ChannelRule, changes: tuple[Change, ...], end: datetime) -> Iterator[OfflinePost]:
    state = PostingState()
    events: list[Change | Reached] = list(changes)
    if changes:
        events.append(Reached(end, changes[-1].status.revision))
    for event in events:
        state, decisions = advance(state, event, rule, library.time_zone)
        for decision in decisions:
            if isinstance(decision, Post):
                words = sentences_for(replace(decision.change.status, languages=rule.languages))
                for language in rule.languages:
                    at = decision.at.astimezone(library.time_zone)
                    yield OfflinePost(at, rule.name, language, words[language].long)
