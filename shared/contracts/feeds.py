"""A library's feed in one language as the bus keeps it: the publisher writes it, the API serves it as Atom and JSON."""

from __future__ import annotations

from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime

from shared.contracts.posts import PostIntent
from shared.contracts.status import Wire

ENTRIES_MAX: Final = 50
"""The oldest entry goes when one more comes."""


class FeedEntry(Wire):
    """One announcement. `id` is derived from the intent's key, so that a repetition is the same entry."""

    id: str
    key: str
    at: AwareDatetime
    """In the library's time, and its time zone."""
    title: str
    text: str
    url: str = ""
    hashtags: tuple[str, ...] = ()


class Feed(Wire):
    """The latest announcements, the newest first."""

    id: str
    """Given when the feed is begun, and kept: readers know it by this."""
    library: str
    language: str
    site: str = ""
    """The address under which readers reach this Placelibre, without a slash at the end; empty if nobody said."""
    hub: str = ""
    """The WebSub hub that tells subscribers; empty for none."""
    entries: tuple[FeedEntry, ...] = ()

    @classmethod
    def begun(cls, intent: PostIntent, site: str) -> Feed:
        """Return the empty feed for a first entry."""
        name = f"{site or intent.url or 'placelibre'}/{intent.library}/{intent.language}"
        return cls(id=uuid5(NAMESPACE_URL, name).urn, library=intent.library, language=intent.language)

    def entry(self, key: str) -> FeedEntry | None:
        """Return the entry of an intent's key."""
        return next((each for each in self.entries if each.key == key), None)

    def having(self, intent: PostIntent, *, site: str, hub: str) -> tuple[Feed, FeedEntry]:
        """Return the feed with an intent's entry, once however often it is given, and that entry."""
        entries, entry = self.entries, self.entry(intent.key)
        if entry is None:
            entry = FeedEntry(
                id=uuid5(UUID(self.id), intent.key).urn,
                key=intent.key,
                at=intent.at,
                title=intent.texts.shortest,
                text=intent.texts.long,
                url=intent.url,
                hashtags=intent.hashtags,
            )
            entries = (entry, *entries)[:ENTRIES_MAX]
        return self.model_copy(update={"entries": entries, "site": site, "hub": hub}), entry


def feed_key(library: str, language: str) -> str:
    """Return the key of a feed in its bucket."""
    return f"{library}.{language}"


def feed_path(library: str, kind: str, language: str) -> str:
    """Return the path and query under which the API serves a feed; `kind` is `atom` or `json`."""
    return f"/v1/libraries/{library}/feed.{kind}?lang={language}"
