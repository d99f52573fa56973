"""What a library would say on its channels, decided as the publisher decides: pure, no bus, no server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from services.publisher import channels
from shared.domain.library import ChannelRule, Library, Says
from shared.domain.live_post import Shown, keep
from shared.domain.posting import Decision, Edit, Hold, Post, PostingState, Reached, advance
from shared.domain.status import Change, Status
from shared.runtime.wording import digest_sentences_for, live_sentences_for, sentences_for

Verdict = Literal["post", "edit", "hold", "skip"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A status of the library as it was published, at a time of the library."""

    at: datetime
    status: Status


@dataclass(frozen=True, slots=True)
class Said:
    """One decision on one channel: words in one language, or, where nothing is said, why not (in no language)."""

    at: datetime
    channel: str
    verdict: Verdict
    language: str = ""
    text: str = ""
    reason: str = ""
    is_live: bool = False
    """Whether it is the live post that is begun or edited."""
    change: str = ""
    """The change behind it; empty for an edit, which follows the newest status."""


def speech_of(library: Library, past: Sequence[Change | Seen]) -> list[Said]:
    """Return everything that would be said on the library's channels, and why not, in order of time."""
    said = [each for rule in library.channels for each in _on(library, rule, past)]
    return sorted(said, key=lambda each: (each.at, each.channel))


@dataclass(slots=True)
class _Live:
    """The live post of one channel: what it says and the day on which it was begun."""

    shown: Shown
    day: str


def _on(library: Library, rule: ChannelRule, past: Sequence[Change | Seen]) -> Iterator[Said]:
    if rule.channel in channels.silent():
        return
    keeps_live_post = channels.type_of(rule.channel).traits.keeps_live_post and rule.says is Says.ANNOUNCEMENTS
    state = PostingState()
    live: _Live | None = None
    for event in past:
        as_told = event if isinstance(event, Change) else Reached(event.status.as_of, event.status.revision)
        state, decisions = advance(state, as_told, rule, library.time_zone)
        for decision in decisions:
            begun = _begun(library, decision, live) if keeps_live_post else None
            live = begun or live
            yield from _told(library, rule, decision, is_live=begun is not None)
        if live is not None and isinstance(event, Seen):
            edit = keep(live.shown, event.status, event.at, rule)
            if isinstance(edit, Edit):
                shown = live.shown
                live.shown = Shown.of(edit.status, edit.at, shown.edits + 1)
                yield from _edited(library, rule, edit)


def _begun(library: Library, decision: Decision, live: _Live | None) -> _Live | None:
    """Return the live post that a decision begins, if it is the first announcement of its day."""
    if not isinstance(decision, Post):
        return None
    day = decision.at.astimezone(library.time_zone).date().isoformat()
    if live is not None and live.day == day:
        return None
    return _Live(Shown.of(decision.change.status, decision.at, 0), day)


def _told(library: Library, rule: ChannelRule, decision: Decision, *, is_live: bool) -> Iterator[Said]:
    change = decision.change
    if isinstance(decision, Post):
        at = decision.at.astimezone(library.time_zone)
        for language in rule.languages:
            yield Said(at, rule.name, "post", language, _words(library, decision, language), "", is_live, change.id)
        return
    at = change.at.astimezone(library.time_zone)
    if isinstance(decision, Hold):
        until = decision.until.astimezone(library.time_zone)
        reason = f"too soon after the last one; held until {until:%H:%M}"
        yield Said(at, rule.name, "hold", reason=reason, change=change.id)
    else:
        yield Said(at, rule.name, "skip", reason=decision.reason, change=change.id)


def _edited(library: Library, rule: ChannelRule, edit: Edit) -> Iterator[Said]:
    at = edit.at.astimezone(library.time_zone)
    for language in rule.languages:
        text = live_sentences_for(edit.status, language, library.wording).long
        yield Said(at, rule.name, "edit", language, text, is_live=True)


def _words(library: Library, post: Post, language: str) -> str:
    status = replace(post.change.status, languages=(language,))
    if post.summary is not None:
        return digest_sentences_for(post.summary, status, language, library.wording).long
    return sentences_for(status, wording=library.wording)[language].long
