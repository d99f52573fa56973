"""Feeds as a stranger's reader takes them: stable, deterministic, in their language, and cheap to ask for again."""

from __future__ import annotations

import json
from calendar import timegm
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import feedparser  # type: ignore[import-untyped]  # publishes no types
import httpx
import pytest

from cli.bus_server import BusServer
from services.api.feeds import Feeds, FeedsUnavailable
from services.api.syndication import Served, atom, json_feed
from services.publisher import channels
from services.publisher.channels.channel import Done, Target
from services.publisher.channels.means import Means
from shared.contracts import subjects
from shared.contracts.feeds import Feed, feed_key
from shared.contracts.posts import PostIntent
from shared.contracts.status import Clock, PublicStatus, Sentences
from shared.domain.catalog import CATALOGS
from shared.domain.library import ClockKind
from shared.runtime.bus import Bus, BusUnavailable
from tests.fakes.announcements import intent_of
from tests.fakes.http_server import listening
from tests.fakes.websub_hub import FakeHub
from tests.services.api_running import NOON, RunningApi, Wall, public, running_api

ATOM = "{http://www.w3.org/2005/Atom}"
URL = "https://bib.example/"
KINDS = {"atom": "application/atom+xml", "json": "application/feed+json"}


@dataclass
class Publisher:
    """The channel as the publisher has it."""

    bus: Bus
    client: httpx.AsyncClient
    options: dict[str, object]

    async def post(self, revision: int, language: str = "fr", **changes: Any) -> PostIntent:
        """Put an entry into the feed and return its intent."""
        intent = intent_of(revision, library="tilleuls", channel="feed", account="", server="", language=language)
        at = NOON + timedelta(minutes=revision)
        said = Sentences(long=f"Texte {revision} <b> & c.", short=f"Texte {revision}", shortest=f"Titre {revision}")
        update = {"at": at, "changed_at": at, "texts": said, "url": URL, "options": self.options, **changes}
        intent = intent.model_copy(update=update)
        channel = channels.make(Target.of(intent), Means(self.client, Path(), self.bus))
        assert isinstance(await channel.send(intent), Done)
        return intent


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer, wall: Wall) -> AsyncIterator[RunningApi]:
    await operator.bucket(subjects.STATUS).put("tilleuls", public().model_dump_json().encode())
    async with running_api(bus_server, wall) as running:
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as opened:
        yield opened


@pytest.fixture
async def publisher(operator: Bus, client: httpx.AsyncClient) -> Publisher:
    return Publisher(operator, client, {})


async def test_a_reader_finds_every_entry_with_its_words_time_and_id(
    client: httpx.AsyncClient, publisher: Publisher, api: RunningApi
) -> None:
    for revision in (1, 2, 3):
        await publisher.post(revision, hashtags=("bibliothèque",))
    answer = await client.get("/v1/libraries/tilleuls/feed.atom")
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = feedparser.parse(answer.content, response_headers=dict(answer.headers))
    assert not feed.bozo
    assert feed.version == "atom10"
    assert feed.feed.title == "Bibliothèque des Tilleuls"
    assert feed.feed.author == "Bibliothèque des Tilleuls"
    assert [entry.title for entry in feed.entries] == ["Titre 3", "Titre 2", "Titre 1"]
    assert feed.entries[0].content[0].value == "<p>Texte 3 &lt;b&gt; &amp; c.</p>"
    assert feed.entries[0].content[0].language == "fr"
    assert feed.entries[0].link == URL
    assert feed.entries[0].tags[0].term == "bibliothèque"
    assert len({entry.id for entry in feed.entries} | {feed.feed.id}) == 4
    assert all(entry.id.startswith("urn:uuid:") for entry in feed.entries)
    for entry, revision in zip(feed.entries, (3, 2, 1), strict=True):
        at = NOON + timedelta(minutes=revision)
        assert timegm(entry.updated_parsed) == at.timestamp()
        assert timegm(entry.published_parsed) == at.timestamp()
    assert feed.feed.updated == feed.entries[0].updated
    links = {link.rel: link.href for link in feed.feed.links}
    assert links == {
        "self": f"{api.url}/v1/libraries/tilleuls/feed.atom?lang=fr",
        "alternate": f"{api.url}/l/tilleuls?lang=fr",
    }


async def test_the_json_feed_says_the_same(client: httpx.AsyncClient, publisher: Publisher) -> None:
    for revision in (1, 2):
        await publisher.post(revision, hashtags=("bib",))
    answer = await client.get("/v1/libraries/tilleuls/feed.json")
    assert answer.headers["content-type"] == "application/feed+json"
    feed = answer.json()
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["language"] == "fr"
    assert feed["authors"] == [{"name": "Bibliothèque des Tilleuls"}]
    assert [item["content_text"] for item in feed["items"]] == ["Texte 2 <b> & c.", "Texte 1 <b> & c."]
    assert feed["items"][0]["tags"] == ["bib"]
    assert datetime.fromisoformat(feed["items"][0]["date_published"]) == NOON + timedelta(minutes=2)
    parsed = feedparser.parse((await client.get("/v1/libraries/tilleuls/feed.atom")).content)
    assert [entry.id for entry in parsed.entries] == [item["id"] for item in feed["items"]]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_entries_are_the_same_bytes_until_one_more_comes(
    client: httpx.AsyncClient, publisher: Publisher, wall: Wall, kind: str
) -> None:
    path = f"/v1/libraries/tilleuls/feed.{kind}"
    await publisher.post(1)
    first = await client.get(path)
    assert first.headers["cache-control"] == "public, max-age=15"
    wall.at += timedelta(hours=1)
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(path)).content == first.content
    await publisher.post(2)
    wall.at += timedelta(seconds=14)
    assert (await client.get(path)).content == first.content
    wall.at += timedelta(seconds=2)
    changed = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert (await client.head(path)).headers["etag"] == changed.headers["etag"]


async def test_each_language_has_its_feed(client: httpx.AsyncClient, publisher: Publisher) -> None:
    await publisher.post(1, "en")
    english = await client.get("/v1/libraries/tilleuls/feed.atom?lang=en")
    assert ET.fromstring(english.content).attrib["{http://www.w3.org/XML/1998/namespace}lang"] == "en"
    assert english.headers["content-language"] == "en"
    # Without a word of the language, the first that there is a feed in.
    assert (await client.get("/v1/libraries/tilleuls/feed.atom")).content == english.content
    french = await client.get("/v1/libraries/tilleuls/feed.atom?lang=fr")
    assert (french.status_code, french.json()["type"]) == (404, "/problems/no-feed")
    await publisher.post(1)
    assert (await client.get("/v1/libraries/tilleuls/feed.atom?lang=fr")).headers["content-language"] == "fr"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unknown_library_has_no_feed(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.get(f"/v1/libraries/nowhere/feed.{kind}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-library")
    answer = await client.get(f"/v1/libraries/tilleuls/feed.{kind}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-feed")


async def test_a_hub_and_a_site_are_named_as_websub_wants_it(client: httpx.AsyncClient, publisher: Publisher) -> None:
    async with listening(FakeHub()) as hub:
        publisher.options = {"site": hub.site, "hub": f"{hub.base}/hub"}
        await publisher.post(1)
        for kind in KINDS:
            topic = f"{hub.site}/v1/libraries/tilleuls/feed.{kind}?lang=fr"
            answer = await client.get(f"/v1/libraries/tilleuls/feed.{kind}")
            assert {link["rel"]: link["url"] for link in answer.links.values()} == {
                "self": topic,
                "hub": f"{hub.base}/hub",
            }
            # What the hub is told of is what the feed calls itself.
            assert hub.told[topic] == 1
        # A hub that was told fetches at once: no cache on the way may give it the feed of before.
        await publisher.post(2)
        answer = await client.get("/v1/libraries/tilleuls/feed.atom")
        assert answer.headers["cache-control"] == "no-cache"
        feed = feedparser.parse(answer.content)
        assert [entry.title for entry in feed.entries] == ["Titre 2", "Titre 1"]
        assert {link.rel: link.href for link in feed.feed.links}["hub"] == f"{hub.base}/hub"
        document = (await client.get("/v1/libraries/tilleuls/feed.json")).json()
        assert document["hubs"] == [{"type": "WebSub", "url": f"{hub.base}/hub"}]


async def test_the_page_names_its_feeds_once_there_are_some(
    client: httpx.AsyncClient, publisher: Publisher, wall: Wall
) -> None:
    assert "feed.atom" not in (await client.get("/l/tilleuls?lang=fr")).text
    await publisher.post(1)
    wall.at += timedelta(seconds=20)
    page = (await client.get("/l/tilleuls?lang=fr")).text
    assert 'type="application/atom+xml"' in page
    assert 'href="/v1/libraries/tilleuls/feed.atom?lang=fr"' in page
    assert 'href="/v1/libraries/tilleuls/feed.json?lang=fr"' in page
    assert "feed.atom" not in (await client.get("/l/tilleuls?lang=en")).text


async def test_what_nobody_can_read_is_no_feed(client: httpx.AsyncClient, operator: Bus) -> None:
    await operator.bucket(subjects.FEEDS).put(feed_key("tilleuls", "fr"), b"{}")
    answer = await client.get("/v1/libraries/tilleuls/feed.atom?lang=fr")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-feed")


# Without a bus


async def test_a_bus_that_is_away_leaves_what_was_known(operator: Bus, client: httpx.AsyncClient, wall: Wall) -> None:
    feeds = Feeds(wall)
    with pytest.raises(FeedsUnavailable):
        await feeds.feed("tilleuls", "fr")
    assert not await feeds.has("tilleuls", "fr")
    await Publisher(operator, client, {}).post(1)
    feeds.bus = operator
    known = await feeds.feed("tilleuls", "fr")
    assert known is not None
    assert await feeds.has("tilleuls", "fr")
    feeds.bus = None
    wall.at += timedelta(hours=1)
    assert await feeds.first("tilleuls", ("fr", "en")) == known
    feeds.bus = Silent(operator.client, "operator")
    assert await feeds.feed("tilleuls", "fr") == known
    with pytest.raises(FeedsUnavailable):
        await feeds.feed("tilleuls", "en")


class Silent(Bus):
    """A connection on which nothing is answered."""

    def bucket(self, name: str) -> Any:
        raise BusUnavailable(name)


async def test_a_feed_that_cannot_be_read_now_is_a_problem_with_a_time_to_come_back(
    client: httpx.AsyncClient, api: RunningApi, operator: Bus
) -> None:
    api.parts.feeds.bus = Silent(operator.client, "operator")
    answer = await client.get("/v1/libraries/tilleuls/feed.atom")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/feed-unavailable")
    assert answer.headers["retry-after"] == "5"
    assert (await client.get("/l/tilleuls")).status_code == 200


# The bytes


def test_a_day_that_is_not_now_is_marked_and_odd_characters_do_no_harm() -> None:
    intent = intent_of(1, library="bib", channel="feed", account="", server="")
    said = Sentences(long="Wifi \x0b \U0001f4da ]]> & <", short="", shortest="Titre \x00 & <")
    feed, _ = Feed.begun(intent, "").having(intent.model_copy(update={"texts": said, "at": NOON}), site="", hub="")
    for kind in (ClockKind.SIMULATED, ClockKind.RECORDED):
        status = public().model_copy(update={"clock": Clock(kind=kind, speed=1.0), "name": "Bib & <Co>"})
        served = Served(feed, status, "https://seats.example")
        catalog = CATALOGS["fr"]
        marker = {ClockKind.SIMULATED: catalog.simulated, ClockKind.RECORDED: catalog.recorded}[kind]
        document = ET.fromstring(atom(served))
        assert document.findtext(f"{ATOM}title") == f"{marker} Bib & <Co>"
        assert document.findtext(f"{ATOM}entry/{ATOM}title") == "Titre  & <"
        assert document.findtext(f"{ATOM}entry/{ATOM}content") == "<p>Wifi  \U0001f4da ]]&gt; &amp; &lt;</p>"
        assert json.loads(json_feed(served))["title"] == f"{marker} Bib & <Co>"
        assert atom(served) == atom(Served(feed, PublicStatus.model_validate(status.model_dump()), served.origin))


def test_entries_keep_their_order_and_their_ids_whatever_is_posted() -> None:
    feed = None
    ids: list[str] = []
    for revision in range(1, 60):
        intent = intent_of(revision, library="bib", channel="feed", account="", server="")
        feed, entry = (feed or Feed.begun(intent, "")).having(intent, site="", hub="")
        assert feed.having(intent, site="", hub="")[0] == feed
        ids.insert(0, entry.id)
        assert [each.id for each in feed.entries] == ids[:50]
    assert feed is not None
    assert all(one.id != other.id for one, other in pairwise(feed.entries))
