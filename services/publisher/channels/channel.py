"""What every channel is, and the words for what came of an attempt.

A channel is one module of this package with a `CHANNEL`, a `ChannelType`, and a class below `Channel`. An adapter
answers with an outcome and never with a bare exception: the outbox must know whether a post may be out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import regex  # type: ignore[import-untyped]  # publishes no types
from pydantic import BaseModel, ConfigDict

from shared.contracts.posts import PostIntent

if TYPE_CHECKING:
    from services.publisher.channels.means import Means

MARKER_LENGTH: Final = 12
"""Hex digits of a post's key in its address: 48 bits, so that two posts of one account never share it."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is so, under the channel's own id and address, with this text; `twins` are further posts of the intent."""

    remote_id: str
    url: str
    text: str
    twins: tuple[str, ...] = ()

    def beside(self, made: Done) -> Done:
        """Return what a look-up found, given what was made just before it, which it may not show yet."""
        if made.remote_id in {self.remote_id, *self.twins}:
            return self
        return replace(self, twins=(*self.twins, made.remote_id))


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing has reached the channel: no connection, no name. Free to try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The channel may have done it and its answer was lost. Look before trying again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The channel asks for patience; nothing was done."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """The channel will never take this."""

    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """The channel does not let this account do it; somebody must see to it."""

    reason: str
    again_s: float = 300.0
    """How long the account is left alone; new credentials are noticed within that."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The post that was to be changed is not there any more."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """A look-up has found no such post."""


Outcome = Done | NotSent | Unknown | Throttled | Rejected | Blocked


class Live(StrEnum):
    """How a live post is kept true on a type of channel."""

    EDIT = "edit"
    REPLACE = "replace"
    """A new post takes its place in one step; its remote id changes."""
    RETAIN = "retain"
    """The channel holds the latest status itself and needs no announcement."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a type of channel can do."""

    live: Live = Live.NONE
    pins: bool = False
    finds: bool = True
    """Whether a post of unknown fate can be looked up, or repeated under a key that keeps it to one. Without it an
    attempt of unknown fate is repeated once, and the twin that this may make is documented."""
    announces: bool = True
    """Whether announcements are sent to it; not where it holds the status by itself, or tells each person alone."""

    @property
    def keeps_live_post(self) -> bool:
        """Whether a day's first announcement becomes a live post there."""
        return self.live in {Live.EDIT, Live.REPLACE}


class Options(BaseModel):
    """The keys of `libraries.toml` that a type of channel takes beside the common ones: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Target:
    """One account on one channel, as configured."""

    channel: str
    account: str
    server: str
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, intent: PostIntent) -> Target:
        """Return the account that an intent is for."""
        return cls(intent.channel, intent.account, intent.server, intent.options)

    @property
    def secret_name(self) -> str:
        """The name of the file with its credentials."""
        return f"{self.channel}-{self.account}"

    def base(self, platform: str) -> str:
        """Return the address of the one platform there is, or of a stand-in for it on this machine."""
        is_here = urlsplit(self.server).hostname in {"127.0.0.1", "localhost", "::1"}
        return self.server.rstrip("/") if is_here else platform


class Channel(ABC):
    """One account on one channel. No two of its operations run at a time, here or in another process."""

    @abstractmethod
    async def send(self, intent: PostIntent) -> Outcome:
        """Make a post of the longest text that fits."""

    @abstractmethod
    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say whether the post of this intent is there already: Done, NotFound, or why nobody can say."""

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Make a live post say what `intent` says; Done carries its id from now on.

        Asked again for the same intent it changes nothing more, and is Done.
        """
        del intent, remote_id
        return Rejected("this channel cannot change a post")

    async def retire(self, remote_id: str) -> Outcome:
        """Take a post down; one that is not there any more is Done."""
        del remote_id
        return Rejected("this channel cannot take a post down")

    async def pin(self, remote_id: str) -> Outcome:
        """Pin a post, and unpin what was pinned before by us. Asked again it is Done."""
        del remote_id
        return Rejected("this channel cannot pin")

    async def inspect(self) -> tuple[str, ...]:
        """Return what is wrong with the account, a sentence each, with what to do; asked once per start."""
        return ()


@dataclass(frozen=True, slots=True)
class ChannelType:
    """One type of channel: what `libraries.toml` and the reference say of it, and how to make one."""

    name: str
    title: str
    make: Callable[[Target, Means], Channel]
    """Raises NoCredentials, Misconfigured."""
    traits: Traits
    options: type[Options] = Options
    needs_account: bool = True
    needs_server: bool = False
    schemes: tuple[str, ...] = ("https",)
    local_schemes: tuple[str, ...] = ("http",)
    """Of `server`; the latter are taken for this machine only."""
    credentials: str = ""
    """What the file `<type>-<account>` holds; for the reference."""
    limits: str = ""
    lost_reply: str = ""
    """What a lost reply leads to, honestly."""
    finds_with: Callable[[Target], bool] | None = None
    """Where an account's options decide whether it finds its posts; else `traits.finds` holds for all."""

    def finds(self, target: Target) -> bool:
        """Tell whether an account can look up a post of unknown fate, or repeat it without a twin."""
        return self.traits.finds if self.finds_with is None else self.finds_with(target)


class NoCredentials(Exception):  # noqa: N818  named for what the operator should bring
    """An account's credentials cannot be had; the message names the file and nothing of what is in it."""


class Misconfigured(Exception):  # noqa: N818  named for what the operator should mend
    """A channel's options cannot be used; the message names the key and the reason."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a text may be. `url_characters` is what the channel says an address counts for; None for its length."""

    characters: int
    url_characters: int | None = None


def marked_url(intent: PostIntent) -> str:
    """Return the library's address with a mark of its own for this post, or nothing without an address."""
    return f"{intent.url}#{mark(intent)}" if intent.url else ""


def mark(intent: PostIntent) -> str:
    """Return what tells this post from every other."""
    return f"e-{intent.key[:MARKER_LENGTH]}"


def forms(intent: PostIntent, *, with_url: bool = True) -> tuple[str, ...]:
    """Return the whole text of a post, from the longest form to the shortest, each once.

    Address and hashtags stand on lines of their own at the end; the hashtags are the first to go.
    """
    url = marked_url(intent) if with_url else ""
    tags = " ".join(f"#{each}" for each in intent.hashtags)
    texts = (intent.texts.long, intent.texts.short, intent.texts.shortest)
    tagged = [_lines(text, url, tags) for text in texts[:2]] if tags else []
    plain = [_lines(text, url) for text in texts]
    longest = [tagged[0], plain[0], tagged[1], *plain[1:]] if tagged else plain
    return tuple(dict.fromkeys(longest))


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def fitting(candidates: tuple[str, ...], limits: Limits) -> tuple[str, ...]:
    """Return those forms that fit however a server may count, the longest first."""
    return tuple(each for each in candidates if length(each, limits) <= limits.characters)


def length(text: str, limits: Limits) -> int:
    """Return the most that any server of the family would count.

    Some count grapheme clusters and some code points, some an address by its length and some by a fixed number:
    https://docs.joinmastodon.org/user/posting/#text, and GoToSocial's plain characters.
    """
    counts: tuple[Callable[[str], int], ...] = (len, graphemes)
    discounted = text if limits.url_characters is None else _URL.sub("x" * limits.url_characters, text)
    return max(count(each) for count in counts for each in (text, discounted))


def graphemes(text: str) -> int:
    """Return the number of grapheme clusters (Unicode UAX 29)."""
    return len(regex.findall(r"\X", text))


_URL: Final = regex.compile(r"https?://\S+")
