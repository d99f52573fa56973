"""A feed as feed readers take it: Atom (RFC 4287) and JSON Feed 1.1. The same entries, the same bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any, Final

from feedgenerator import Atom1Feed  # type: ignore[import-untyped]  # publishes no types

from shared.contracts.feeds import Feed, feed_path
from shared.contracts.status import PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.library import ClockKind

CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What XML cannot hold."""


@dataclass(frozen=True, slots=True)
class Served:
    """A feed, the library it is of, and the site's address, which is the reader's own where the feed names none."""

    feed: Feed
    status: PublicStatus
    origin: str

    @property
    def site(self) -> str:
        """The address under which the feed is known."""
        return self.feed.site or self.origin

    @property
    def title(self) -> str:
        """The library's name, marked where its time is not now."""
        catalog = CATALOGS[self.feed.language]
        markers = {ClockKind.SIMULATED: catalog.simulated, ClockKind.RECORDED: catalog.recorded, ClockKind.WALL: ""}
        return f"{markers[self.status.clock.kind]} {self.status.name}".strip()

    @property
    def page(self) -> str:
        """The page of the library here."""
        return f"{self.site}/l/{self.feed.library}?lang={self.feed.language}"

    def address(self, kind: str) -> str:
        """Return the feed's own address; `kind` is `atom` or `json`."""
        return self.site + feed_path(self.feed.library, kind, self.feed.language)


def atom(served: Served) -> bytes:
    """Return a feed as Atom."""
    feed = served.feed
    document = _Atom(
        title=_clean(served.title),
        link=served.page,
        description=None,
        language=feed.language,
        author_name=_clean(served.status.name),
        author_link=served.status.url or None,
        feed_url=served.address("atom"),
        feed_guid=feed.id,
        hub=feed.hub,
    )
    for entry in feed.entries:
        document.add_item(
            title=_clean(entry.title),
            link=entry.url or served.page,
            description=None,
            content=f"<p>{escape(_clean(entry.text), quote=False)}</p>",
            unique_id=entry.id,
            pubdate=entry.at,
            updateddate=entry.at,
            categories=entry.hashtags,
        )
    written = StringIO()
    document.write(written, "utf-8")
    return written.getvalue().encode()


def json_feed(served: Served) -> bytes:
    """Return a feed as JSON Feed (https://www.jsonfeed.org/version/1.1/)."""
    feed, status = served.feed, served.status
    author = {"name": status.name, **({"url": status.url} if status.url else {})}
    document: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": served.title,
        "home_page_url": served.page,
        "feed_url": served.address("json"),
        "language": feed.language,
        "authors": [author],
        "items": [
            {
                "id": entry.id,
                "url": entry.url or served.page,
                "title": entry.title,
                "content_text": entry.text,
                "date_published": entry.at.isoformat(),
                "date_modified": entry.at.isoformat(),
                **({"tags": list(entry.hashtags)} if entry.hashtags else {}),
            }
            for entry in feed.entries
        ],
    }
    if feed.hub:
        document["hubs"] = [{"type": "WebSub", "url": feed.hub}]
    return json.dumps(document, ensure_ascii=False).encode()


class _Atom(Atom1Feed):  # type: ignore[misc]
    """The library's Atom, with the hub."""

    def add_root_elements(self, handler: Any) -> None:
        """Write what stands before the entries."""
        super().add_root_elements(handler)
        if self.feed["hub"]:
            handler.addQuickElement("link", "", {"rel": "hub", "href": self.feed["hub"]})


def _clean(text: str) -> str:
    return CONTROL.sub("", text)
