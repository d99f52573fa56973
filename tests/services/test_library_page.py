"""What a library's page says beside its status: hours, where to follow, how to reach it, and who else has seats."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.resources import files
from secrets import token_hex

import httpx
import pytest

from cli.bus_server import BusServer
from services.api.pages.assets import lean
from services.api.pages.neighbourhood import _distance
from services.api.pages.place_card import Tap, place_card
from services.api.pages.where_to_follow import places
from services.api.profiles import Profile
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.push import Offer, offer_key
from shared.contracts.status import PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import NO_WAIT, Wait
from shared.domain.status import State, WaitIfLeaving
from shared.runtime.bus import Bus
from tests.services.api_running import NOON, RunningApi, Wall, day, eventually, public, running_api
from tests.services.test_api_pages import Text

ALL = tuple(CATALOGS)
EN = CATALOGS["en"].pages
WEIGHT_BYTES_MAX = 60_000
FULL_HOUSE = Estimate(120, 117, 123)


def config(library: str = "x", **changes: object) -> LibraryConfig:
    whole: dict[str, object] = {
        "id": library,
        "name": "Bibliothèque des Tilleuls",
        "time_zone": "Europe/Paris",
        "country": "FR",
        "languages": ALL,
        "capacity": 120,
        "opening_hours": "Mo-Fr 09:00-20:00; Sa 10:00-18:00; PH off",
        "exceptions": [{"dates": "2026-03-05", "hours": "09:00-14:00", "reason": "Réunion </script>"}],
        "url": "https://www.library.example/tilleuls/",
        "address": {"street": "12 rue des Tilleuls", "postal_code": "75004", "city": "Paris"},
        "location": {"lat": 48.8607, "lon": 2.3523},
        "contact": {"email": "desk@library.example", "phone": "+33 (0)1 44 78 12 75"},
        "channels": [
            {"type": "mastodon", "account": "a", "page": "https://social.example/@tilleuls", "languages": ALL},
            {"type": "bluesky", "account": "a", "page": "https://bsky.app/profile/t.example", "languages": ["fr"]},
            {"type": "mastodon", "account": "b", "server": "https://social.example"},
            {"type": "webhook", "account": "c", "page": "https://www.forum.example/t"},
            {"type": "activitypub", "account": "tilleuls", "server": "https://places.example"},
        ],
        **changes,
    }
    return LibraryConfig.model_validate(whole)


async def put(bus: Bus, *statuses: PublicStatus) -> None:
    for status in statuses:
        await bus.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


@pytest.fixture
def library() -> str:
    return f"l-{token_hex(4)}"


@pytest.fixture
def wall() -> Wall:
    return Wall(NOON + timedelta(seconds=30))


@pytest.fixture
async def api(standing: Bus, bus_server: BusServer, library: str, wall: Wall) -> AsyncIterator[RunningApi]:
    await put(standing, public(library=library, languages=ALL))
    async with running_api(bus_server, wall) as running:
        running.parts.profiles.put(config(library))
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as opened:
        yield opened


async def read(client: httpx.AsyncClient, address: str) -> Text:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return Text(answer.text)


# The whole page


@pytest.mark.parametrize("language", ALL)
async def test_a_page_says_when_it_is_open_and_how_to_reach_and_follow_it(
    client: httpx.AsyncClient, library: str, language: str
) -> None:
    page = await read(client, f"/l/{library}?lang={language}")
    words = CATALOGS[language].pages
    for expected in (
        words.open_until.format(time="20:00"),
        words.hours,
        words.hours_ahead,
        "Réunion </script>",
        words.public_holiday,
        words.follow,
        "@tilleuls@places.example",
        words.follow_handle,
        words.place,
        "12 rue des Tilleuls",
        "+33 (0)1 44 78 12 75",
        "library.example/tilleuls",
        words.on_map,
        words.statistics,
        words.on_your_site,
        words.on_a_screen,
    ):
        assert expected in page.words, expected
    assert words.hours_today not in page.words  # the week has it
    links = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    for link in (
        "tel:+33144781275",
        "mailto:desk@library.example",
        "geo:48.860700,2.352300",
        f"/v1/libraries/{library}/hours.ics?lang={language}",
        f"/l/{library}/statistics?lang={language}",
        f"/embed?library={library}&lang={language}",
        f"/display/{library}?lang={language}",
    ):
        assert link in links


async def test_whoever_follows_a_link_away_is_not_named_to_the_other_side(
    client: httpx.AsyncClient, library: str
) -> None:
    page = await read(client, f"/l/{library}?lang=en")
    away = [a for tag, a in page.tags if tag == "a" and str(a["href"]).startswith("http")]
    assert len(away) == 5
    assert all("noreferrer" in str(each["rel"]) for each in away)
    assert sum("me " in str(each["rel"]) for each in away) == 3


async def test_a_page_is_whole_while_nothing_is_known_of_its_configuration(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient
) -> None:
    bare = f"l-{token_hex(4)}"
    await put(standing, public(library=bare, languages=ALL))
    await api.seen(bare, 1)
    page = await read(client, f"/l/{bare}?lang=en")
    assert EN.hours_today in page.words
    for absent in (EN.hours, EN.follow_handle, EN.place, EN.nearby):
        assert absent not in page.words.replace(EN.hours_today, "")


async def test_a_change_of_the_configuration_is_on_the_next_page(
    api: RunningApi, client: httpx.AsyncClient, library: str
) -> None:
    assert "12 rue des Tilleuls" in (await read(client, f"/l/{library}?lang=en")).words
    api.parts.profiles.put(config(library, address={"street": "Place Neuve 1"}))
    assert "Place Neuve 1" in (await read(client, f"/l/{library}?lang=en")).words


async def test_today_moves_on_at_midnight(client: httpx.AsyncClient, library: str, wall: Wall) -> None:
    async def today() -> str:
        html = (await client.get(f"/l/{library}?lang=en")).text
        found = re.search(r'aria-current="date"><time datetime="([0-9-]+)"', html)
        assert found is not None
        return found[1]

    assert await today() == "2026-03-02"
    wall.at = NOON + timedelta(hours=11, minutes=1)  # a minute past midnight in Paris
    assert await today() == "2026-03-03"


async def test_a_preview_elsewhere_says_the_status(client: httpx.AsyncClient, library: str, api: RunningApi) -> None:
    page = await read(client, f"/l/{library}?lang=fr")
    said = {
        a.get("property") or a.get("name"): a["content"] for tag, a in page.tags if tag == "meta" and "content" in a
    }
    assert said["og:locale"] == "fr_FR"
    assert set(
        re.findall(r'og:locale:alternate" content="(\w+)"', (await client.get(f"/l/{library}?lang=fr")).text)
    ) == {
        "en_GB",
        "nb_NO",
        "nl_NL",
        "uk_UA",
    }
    # Kept elsewhere for days: the title says nothing that passes, and the sentence has its date.
    assert said["og:title"] == "Bibliothèque des Tilleuls"
    assert "État du lundi 2 mars à 13:00." in str(said["og:description"])
    assert said["og:description"] in [a["content"] for _, a in page.tags if a.get("name") == "description"]
    assert "15" in str(said["og:description"])
    assert str(said["og:image"]).startswith(api.url)


async def test_before_closing_nobody_is_invited_to_a_door_that_lets_nobody_in(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient, library: str, wall: Wall
) -> None:
    api.parts.profiles.put(config(library, last_entry_min=15))
    assert EN.entry_over not in (await read(client, f"/l/{library}?lang=en")).words
    assert "Open until 20:00 · last entry 19:45" in (await read(client, f"/l/{library}?lang=en")).words
    late = NOON + timedelta(hours=6, minutes=50)
    many = {"level": Level.MANY_SEATS, "people": Estimate(40, 38, 42)}
    await put(
        standing,
        public(
            library=library, languages=ALL, revision=2, as_of=late, valid_until=late + timedelta(minutes=20), **many
        ),
    )
    await api.seen(library, 2)
    wall.at = late + timedelta(seconds=5)
    page = await read(client, f"/l/{library}?lang=en")
    sign, _, _ = page.words.partition(" Today ")
    assert EN.entry_over in sign
    assert "Open until 20:00" in sign
    assert "40 people inside" in sign
    for inviting in (EN.seats_free, EN.waiting_time, "80"):
        assert inviting not in sign
    (said,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("property") == "og:description"]
    assert said == "Nobody is let in any more today. As of 19:50 on Monday 2 March."


async def test_a_language_that_is_asked_for_is_spoken_and_kept_even_where_the_library_does_not_offer_it(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient
) -> None:
    french = f"l-{token_hex(4)}"
    await put(standing, public(library=french, languages=("fr",)))
    await api.seen(french, 1)
    answer = await client.get(f"/l/{french}?lang=nl")
    assert answer.headers["content-language"] == "nl"
    page = Text(answer.text)
    assert CATALOGS["nl"].pages.seats_free in page.words
    leads = [str(a["href"]) for tag, a in page.tags if tag == "a" and "lang=" in str(a.get("href"))]
    assert {link.rpartition("lang=")[2] for link in leads} == {"nl", "fr"}
    assert (await client.get(f"/l/{french}", headers={"accept-language": "nl"})).headers["content-language"] == "fr"
    assert (await client.get(f"/l/{french}?lang=xx")).headers["content-language"] == "fr"


async def test_where_people_queue_the_wait_comes_first_and_the_seats_are_theirs(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient, library: str
) -> None:
    queue = {"wait": Wait(110, 90, 130, 120, overflow=False), "queue": Estimate(612, 550, 690)}
    name = f"The {library}"
    await put(standing, public(library=library, name=name, languages=ALL, revision=2, **queue))
    await api.seen(library, 2)
    for path in (f"/l/{library}?lang=en", f"/?lang=en&q={name}"):
        words = (await read(client, path)).words
        assert words.index("About 2 hours") < words.index("15 of 120 seats")
        assert EN.seats_for_queue in words
    assert "About 600 people in the queue between 550 and 690" in (await read(client, f"/l/{library}?lang=en")).words


async def test_the_hours_can_be_subscribed_to(client: httpx.AsyncClient, library: str, api: RunningApi) -> None:
    html = (await client.get(f"/l/{library}?lang=en")).text
    address = f"webcal:{api.url.partition(':')[2]}/v1/libraries/{library}/hours.ics?lang=en"
    assert f'<a href="{address}">{EN.hours_subscribe}</a>' in html


async def test_what_machines_read_of_the_page_is_one_block_that_no_name_can_end(
    client: httpx.AsyncClient, library: str
) -> None:
    html = (await client.get(f"/l/{library}?lang=en")).text
    (block,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', html, re.DOTALL)
    assert json.loads(block)["telephone"] == "+33 (0)1 44 78 12 75"
    assert "ld+json" not in (await client.get(f"/l/{library}?lang=en&fragment=1")).text


async def test_the_fragment_is_a_part_of_the_page_with_its_hours(client: httpx.AsyncClient, library: str) -> None:
    whole = (await client.get(f"/l/{library}?lang=uk")).text
    part = (await client.get(f"/l/{library}?lang=uk&fragment=1")).text
    assert part.strip() in whole
    assert CATALOGS["uk"].pages.hours in part


@pytest.mark.parametrize("language", ALL)
async def test_the_page_weighs_little_even_at_its_fullest(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient, library: str, language: str
) -> None:
    """HTML, styles and scripts, not compressed: a full house with a queue, neighbours, push and a day's curve."""
    curve = day(library, "2026-03-02", [*range(5, 105, 5), None, *range(100, 124)])
    await standing.bucket(subjects.HISTORY).put(f"{library}.2026-03-02", curve.model_dump_json().encode())
    await standing.bucket(subjects.SUBSCRIPTIONS).put(
        offer_key(library), Offer(public_key="B" * 87).model_dump_json().encode()
    )
    outlook = (WaitIfLeaving(30, 55, 35, 80), WaitIfLeaving(90, 130, 70, 250))
    full = {"level": Level.FULL, "people": FULL_HOUSE, "wait": Wait(40, 30, 55, 45, overflow=False)}
    await put(standing, public(library=library, languages=ALL, revision=2, wait_if_leaving=outlook, **full))
    for number in range(3):
        near = f"{library}-{number}"
        await put(standing, public(library=near, languages=ALL, name="Bibliothèque du Port"))
        await api.seen(near, 1)
        api.parts.profiles.put(config(near, location={"lat": 48.87, "lon": 2.36}))
    await api.seen(library, 2)
    await eventually(lambda: library in api.parts.wishes.offers)
    page = await read(client, f"/l/{library}?lang={language}")
    words = CATALOGS[language].pages
    for part in (words.nearby, words.leaving):
        assert part in page.words
    assert "push-form" in str(page.tags)
    sizes = {"page": len((await client.get(f"/l/{library}?lang={language}")).content)}
    for tag, attributes in page.tags:
        address = attributes.get("src") or attributes.get("href")
        if tag in {"script", "link"} and address and address.startswith("/static/"):
            sizes[address] = len((await client.get(address)).content)
    assert sum(sizes.values()) < WEIGHT_BYTES_MAX, sizes


def test_files_go_out_without_notes_and_mean_the_same() -> None:
    css = lean(
        '/* why\n * so */\n.a::before {\n  content: " · ";\n  gap: 0 1rem;\n}\n\n.b > .c { color: red }\n', "css"
    )
    assert css == '.a::before{content: " · ";gap: 0 1rem;}.b > .c{color: red}'
    assert lean('// why\n\nif (a) {\n  b("// no note"); // kept\n}\n', "js") == 'if (a) {\nb("// no note"); // kept\n}'


def test_no_script_has_a_text_over_several_lines_that_indentation_would_be_part_of() -> None:
    for file in files("services.api.pages").joinpath("static").iterdir():
        if file.name.endswith(".js"):
            assert all(line.count("`") % 2 == 0 for line in file.read_text("utf-8").splitlines()), file.name


# Less busy nearby


async def test_a_full_house_offers_the_nearest_that_have_seats(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient, library: str
) -> None:
    await put(standing, public(library=library, languages=ALL, revision=2, level=Level.FULL, people=FULL_HOUSE))
    many = {"level": Level.MANY_SEATS, "people": Estimate(40, 38, 42), "queue": Estimate(0, 0, 0), "wait": NO_WAIT}
    spots = {"b": 48.90, "a": 48.87, "shut": 48.865, "far": 49.9}
    for name, lat in spots.items():
        state: dict[str, object] = {"state": State.NOT_ADMITTING, "wait": None} if name == "shut" else many
        await put(standing, public(library=f"{library}-{name}", name=f"The {name}", languages=("nb",), **state))
        await api.seen(f"{library}-{name}", 1)
        api.parts.profiles.put(config(f"{library}-{name}", location={"lat": lat, "lon": 2.3523}))
    await api.seen(library, 2)
    answer = await client.get(f"/l/{library}?lang=en")
    page = Text(answer.text)
    shown = [a["data-library"] for tag, a in page.tags if tag == "li" and "data-library" in a]
    assert shown == [f"{library}-a", f"{library}-b"]
    for expected in (EN.nearby, "The a", "1 km away", "4.4 km away", "80 of 120 seats", "No queue"):
        assert expected in page.words
    watched = {a["data-library"]: a["data-situation"] for _, a in page.tags if "data-situation" in a}
    assert watched == {f"{library}-shut": "not_admitting few_seats seats 2026-03-02T20:00:00+01:00"}
    (stream,) = {a["data-stream"] for tag, a in page.tags if tag == "article" and "data-stream" in a}
    assert stream == f"/v1/stream?library={library}" + "".join(
        f"&library={library}-{each}" for each in ("shut", "a", "b")
    )
    # What is near has news: the page has other bytes.
    await put(standing, public(library=f"{library}-a", name="The a", revision=2, level=Level.FULL, people=FULL_HOUSE))
    await api.seen(f"{library}-a", 2)
    again = Text((await client.get(f"/l/{library}?lang=en")).text)
    assert [a["data-library"] for tag, a in again.tags if tag == "li" and "data-library" in a] == [f"{library}-b"]


async def test_with_many_seats_nobody_is_sent_away(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient, library: str
) -> None:
    many = {"level": Level.MANY_SEATS, "people": Estimate(40, 38, 42)}
    await put(
        standing, public(library=library, languages=ALL, revision=2, **many), public(library=f"{library}-a", **many)
    )
    await api.seen(f"{library}-a", 1)
    await api.seen(library, 2)
    api.parts.profiles.put(config(f"{library}-a"))
    page = await read(client, f"/l/{library}?lang=en")
    assert EN.nearby not in page.words
    assert f'/v1/stream?library={library}"' in (await client.get(f"/l/{library}?lang=en")).text


async def test_a_page_is_kept_no_longer_than_what_it_offers_holds(
    standing: Bus, api: RunningApi, client: httpx.AsyncClient, library: str, wall: Wall
) -> None:
    near = public(library=f"{library}-a", valid_until=NOON + timedelta(minutes=5), level=Level.MANY_SEATS)
    await put(standing, near)
    await api.seen(f"{library}-a", 1)
    api.parts.profiles.put(config(f"{library}-a"))
    wall.at = NOON + timedelta(minutes=4, seconds=53)
    assert (await client.get(f"/l/{library}?lang=en")).headers["cache-control"] == "public, max-age=7"
    wall.at = NOON + timedelta(minutes=5, seconds=1)
    assert EN.nearby not in (await read(client, f"/l/{library}?lang=en")).words


@pytest.mark.parametrize(
    ("km", "said"),
    [
        (None, ""),
        (0.0, "50 m away"),
        (0.33, "350 m away"),
        (0.949, "950 m away"),
        (0.95, "1 km away"),
        (4.44, "4.4 km away"),
        (12.6, "13 km away"),
    ],
)
def test_a_distance_is_said_as_people_say_it(km: float | None, said: str) -> None:
    assert _distance(km, "en") == said


# Where to follow, how to reach


def test_accounts_go_by_the_names_people_know_and_none_is_guessed() -> None:
    found = places(Profile.of(config()), "nb")
    assert [(each.name, each.host, each.language) for each in found.follows] == [
        ("Mastodon", "social.example", ""),
        ("Bluesky", "bsky.app", "fr"),
        ("forum.example", "forum.example", "en"),
    ]
    assert found.handles == ("@tilleuls@places.example",)
    assert places(None, "en").follows == ()


def test_the_name_of_credentials_stays_where_it_is() -> None:
    profile = Profile.of(config())
    assert {each.name for each in profile.accounts if each.type != "activitypub"} == {""}


def test_the_way_to_a_library_is_what_can_be_tapped() -> None:
    card = place_card(Profile.of(config()), "https://www.library.example/tilleuls/")
    assert card is not None
    assert card.lines == ("12 rue des Tilleuls", "75004 Paris")
    assert card.map == "https://www.openstreetmap.org/?mlat=48.860700&mlon=2.352300#map=17/48.860700/2.352300"
    assert card.websites == (Tap("library.example/tilleuls", "https://www.library.example/tilleuls/"),)


def test_nothing_known_is_no_card_and_our_own_page_no_website() -> None:
    assert place_card(None, "https://places.example/l/x") is None
    assert place_card(None, "https://library.example/") is not None
