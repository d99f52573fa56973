"""What every channel is: a way to send one post, to look up whether one is there, and the words for what came of it.

An adapter answers with an outcome and never with a bare exception: the outbox must know whether a post may be out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import regex  # type: ignore[import-untyped]  # publishes no types

from shared.contracts.posts import PostIntent

MARKER_LENGTH: Final = 12
"""Hex digits of a post's key in its address: 48 bits, so that two posts of one account never share it."""


@dataclass(frozen=True, slots=True)
class Done:
    """The post is out, under the channel's own id and address, with this text."""

    remote_id: str
    url: str
    text: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing has reached the channel: no connection, no name. Free to try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The channel may have made the post and its answer was lost. Look it up before trying again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The channel asks for patience; nothing was made."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """The channel will never take this post."""

    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """The channel does not let this account post; somebody must see to it."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """A look-up has found no such post."""


Outcome = Done | NotSent | Unknown | Throttled | Rejected | Blocked


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a text may be. `url_characters` is what the channel says an address counts for; None for its length."""

    characters: int
    url_characters: int | None = None


class NoCredentials(Exception):  # noqa: N818  named for what the operator should bring
    """An account's token cannot be had; the message names the file and nothing of what is in it."""


class Channel(Protocol):
    """One account on one channel. `send` and `look_up` are never called twice at a time for one post."""

    async def send(self, intent: PostIntent) -> Outcome:
        """Make a post of the longest text that fits."""
        ...

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say whether the post of this intent is there already: Done, NotFound, or why nobody can say."""
        ...


def marked_url(intent: PostIntent) -> str:
    """Return the library's address with a mark of its own for this post, or nothing without an address."""
    return f"{intent.url}#{mark(intent)}" if intent.url else ""


def mark(intent: PostIntent) -> str:
    """Return what tells this post from every other."""
    return f"e-{intent.key[:MARKER_LENGTH]}"


def forms(intent: PostIntent) -> tuple[str, ...]:
    """Return the whole text of a post, from the longest form to the shortest, each once."""
    url = marked_url(intent)
    texts = (intent.texts.long, intent.texts.short, intent.texts.shortest)
    return tuple(dict.fromkeys(f"{text}\n{url}" if url else text for text in texts))


def fitting(candidates: tuple[str, ...], limits: Limits) -> tuple[str, ...]:
    """Return those forms that fit however a server may count, the longest first."""
    return tuple(each for each in candidates if length(each, limits) <= limits.characters)


def length(text: str, limits: Limits) -> int:
    """Return the most that any server of the family would count.

    Some count grapheme clusters and some code points, some an address by its length and some by a fixed number:
    https://docs.joinmastodon.org/user/posting/#text, and GoToSocial's plain characters.
    """
    counts: tuple[Callable[[str], int], ...] = (len, lambda each: len(regex.findall(r"\X", each)))
    discounted = text if limits.url_characters is None else _URL.sub("x" * limits.url_characters, text)
    return max(count(each) for count in counts for each in (text, discounted))


_URL: Final = regex.compile(r"https?://\S+")
