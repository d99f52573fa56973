"""Feeds that readers fetch by themselves: the API serves them as Atom and JSON Feed, a WebSub hub may tell of them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator

from services.publisher.channels import rest
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Target,
    Traits,
    Unknown,
)
from services.publisher.channels.means import Means, options_of
from shared.contracts import subjects
from shared.contracts.feeds import Feed, FeedEntry, feed_key, feed_path
from shared.contracts.posts import PostIntent
from shared.runtime.bus import BusFull, BusUnavailable, Conflict
from shared.runtime.logs import logger

log = logger(__name__)

ROUNDS: Final = 5
"""How often a feed that somebody else has changed meanwhile is read again."""
PING_S: Final = 5.0
"""A hub that says nothing for longer is told of the next entry."""

Address = Annotated[
    str,
    StringConstraints(max_length=200, pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?)?$"),
]


class FeedOptions(Options):
    """What a feed can be told beside the common keys."""

    site: Address = Field(
        default="",
        description="The https address under which readers reach this Placelibre, such as https://seats.example; the"
        " feed names itself by it.",
    )
    hub: Address = Field(
        default="", description="The address of a WebSub hub to tell of each entry; it needs `site`, too."
    )

    @field_validator("hub")
    @classmethod
    def _knows_the_feed(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("site"):
            raise ValueError("it needs `site`: a hub must know the address of the feed")
        return value


class FeedChannel(Channel):
    """The feeds of all libraries with the same options, in the FEEDS bucket."""

    def __init__(self, options: FeedOptions, means: Means) -> None:
        """Keep feeds on the bus of `means`."""
        self._options = options
        self._means = means
        self._bucket = means.bus.bucket(subjects.FEEDS)
        self._site = options.site.rstrip("/")

    async def send(self, intent: PostIntent) -> Outcome:
        """Put an entry into the feed, then tell the hub."""
        key = feed_key(intent.library, intent.language)
        for _ in range(ROUNDS):
            read = await self._read(key)
            if isinstance(read, NotSent | Blocked):
                return read
            before, revision = read
            begun = before or Feed.begun(intent, self._site)
            feed, entry = begun.having(intent, site=self._site, hub=self._options.hub)
            if feed != before:
                try:
                    await self._bucket.update(key, feed.model_dump_json().encode(), revision=revision)
                except Conflict:
                    continue
                except BusFull:
                    return NotSent("the FEEDS bucket is full")
                except BusUnavailable:
                    return Unknown("the bus has not said whether it has the entry")
            await self._tell(feed)
            return self._done(feed, entry)
        return NotSent("others keep changing this feed")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say whether the feed has the entry, and tell the hub of it: the attempt may have ended before that."""
        read = await self._read(feed_key(intent.library, intent.language))
        if isinstance(read, NotSent | Blocked):
            return read
        feed, _ = read
        entry = feed.entry(intent.key) if feed else None
        if feed is None or entry is None:
            return NotFound()
        await self._tell(feed)
        return self._done(feed, entry)

    async def _read(self, key: str) -> tuple[Feed | None, int] | NotSent | Blocked:
        try:
            found = await self._bucket.get(key)
        except BusUnavailable:
            return NotSent("the bus cannot be asked")
        try:
            return (Feed.model_validate_json(found.value), found.revision) if found else (None, 0)
        except ValidationError:
            return Blocked(f"the feed {key} in the bucket FEEDS cannot be read; delete it to begin it anew")

    async def _tell(self, feed: Feed) -> None:
        """Tell the hub that the feed has changed (https://www.w3.org/TR/websub/#publishing).

        A hub that cannot be told fetches the feed at the next entry: a ping is of the feed, not of an entry.
        """
        if not feed.hub:
            return
        for kind in ("atom", "json"):
            form = {"hub.mode": "publish", "hub.url": feed.site + feed_path(feed.library, kind, feed.language)}
            answer = await rest.call(self._means.client, "POST", feed.hub, data=form, timeout=PING_S)
            if isinstance(answer, NotSent | Unknown) or not answer.is_success:
                reason = answer.reason if isinstance(answer, NotSent | Unknown) else f"HTTP {answer.status_code}"
                log.warning("hub_not_told", library=feed.library, language=feed.language, reason=reason)
                return

    def _done(self, feed: Feed, entry: FeedEntry) -> Done:
        address = self._site and self._site + feed_path(feed.library, "atom", feed.language)
        return Done(entry.id, address, entry.text)


def _make(target: Target, means: Means) -> Channel:
    return FeedChannel(options_of(target, FeedOptions), means)


CHANNEL: Final = ChannelType(
    name="feed",
    title="Feeds (Atom, JSON Feed, WebSub)",
    make=_make,
    traits=Traits(finds=True),
    options=FeedOptions,
    needs_account=False,
    limits="the 50 latest announcements per library and language, for 90 days after the last one. The API serves them"
    " at `/v1/libraries/<id>/feed.atom` and `feed.json`; a reader that asks sees a new entry within half a"
    " minute, a hub at once.",
    lost_reply="nothing: the feed is read again, and an entry has one id however often it is written",
)
