"""The API's reads: what is served is the newest there is, and nothing past its validity without saying so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.api.freshness import expired_form, library_now
from services.api.front import POLICY
from services.api.problems import PROBLEMS
from services.api.projection import Projection
from shared.contracts import subjects
from shared.contracts.status import Correction, PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.estimation.gates import FaultKind
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.status import GateFault, Reason, ReasonCode, State, WaitIfLeaving
from shared.runtime.bus import Bus, Entry
from shared.runtime.log_reader import Update
from tests.services.api_running import NOON, USUAL, RunningApi, Wall, day, public, running_api

MINUTE = timedelta(minutes=1)
CLOSED = {
    "library": "closed",
    "state": State.CLOSED,
    "reason": Reason(ReasonCode.CLOSED_BY_HOURS),
    "level": None,
    "people": None,
    "queue": None,
    "wait": None,
    "trend": None,
}


FORETOLD = {
    "gate_faults": (GateFault("east", FaultKind.NO_EXITS, NOON - 40 * MINUTE),),
    "wait_if_leaving": (WaitIfLeaving(15, 20, 9, 31), WaitIfLeaving(60, 35, 5, 90)),
    "last_useful_arrival": NOON + timedelta(hours=5),
    "wait_error_min": 4.5,
    "waits_checked": 31,
    "corrected_entries_today": 221,
    "corrected_exits_today": 113,
    "rule_version": "2",
}


async def put(operator: Bus, *statuses: PublicStatus) -> None:
    for status in statuses:
        await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer, wall: Wall) -> AsyncIterator[RunningApi]:
    await put(operator, public(**FORETOLD))
    async with running_api(bus_server, wall) as running:
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as opened:
        yield opened


# What is served


async def test_a_status_is_served_as_the_bus_has_it(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/libraries/tilleuls")).json()
    assert body.pop("expired") is False
    assert PublicStatus.model_validate(body) == public(**FORETOLD)


async def test_a_new_status_takes_the_place_of_the_one_before(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient
) -> None:
    await put(operator, public(revision=2, level=Level.FULL))
    await api.seen("tilleuls", 2)
    assert (await client.get("/v1/libraries/tilleuls")).json()["level"] == "full"


async def test_a_removed_library_is_gone(operator: Bus, api: RunningApi, client: httpx.AsyncClient) -> None:
    await operator.bucket(subjects.STATUS).delete("tilleuls")
    await api.seen("tilleuls", None)
    assert (await client.get("/v1/libraries/tilleuls")).status_code == 404
    assert (await client.get("/v1/libraries")).json() == {"libraries": [], "next": None}


@pytest.mark.parametrize("broken", [b"", b"{}", b"\xff", b"null", public(library="another").model_dump_json().encode()])
async def test_a_broken_value_leaves_the_status_before_it_in_place(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient, broken: bytes
) -> None:
    await operator.bucket(subjects.STATUS).put("tilleuls", broken)
    await put(operator, public(library="after"))
    await api.seen("after", 1)
    assert (await client.get("/v1/libraries/tilleuls")).json()["state"] == "open"


async def test_a_library_that_is_closed_has_no_figures_rather_than_zeros(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient
) -> None:
    await put(operator, public(**CLOSED))
    await api.seen("closed", 1)
    body = (await client.get("/v1/libraries/closed")).json()
    assert body["state"] == "closed"
    assert [body[key] for key in ("people", "free_seats", "percent", "level", "wait", "queue")] == [None] * 6


async def test_the_list_is_filtered_and_paged(operator: Bus, api: RunningApi, client: httpx.AsyncClient) -> None:
    await put(operator, *(public(library=f"lib-{number}") for number in range(5)), public(**CLOSED))
    await api.seen("closed", 1)
    names: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await client.get("/v1/libraries", params={"limit": 2, "after": after, "state": "open"})).json()
        assert len(page["libraries"]) <= 2
        names += [each["library"] for each in page["libraries"]]
        after = page["next"]
    assert names == ["lib-0", "lib-1", "lib-2", "lib-3", "lib-4", "tilleuls"]
    assert (await client.get("/v1/libraries", params={"level": "full"})).json()["libraries"] == []


async def test_zones_are_served_by_themselves(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/libraries/tilleuls/zones")).json()
    assert [(zone["id"], zone["level"], zone["free_seats"]) for zone in body["zones"]] == [
        ("ground", "full", 0),
        ("first", "many_seats", 15),
    ]


# Validity


async def test_past_its_validity_a_status_says_so_and_has_no_figures(client: httpx.AsyncClient, wall: Wall) -> None:
    wall.at = NOON + 10 * MINUTE
    assert (await client.get("/v1/libraries/tilleuls")).json()["expired"] is False
    wall.at += timedelta(microseconds=1)
    body = (await client.get("/v1/libraries/tilleuls")).json()
    assert body["expired"] is True
    assert (body["state"], body["reason"]["code"]) == ("unknown", "expired")
    seats = ("level", "people", "free_seats", "usable_seats", "percent", "trend")
    assert [body[key] for key in (*seats, "wait", "queue", "entries_today", "exits_today")] == [None] * 10
    corrected = ("corrected_entries_today", "corrected_exits_today", "last_useful_arrival")
    assert [body[key] for key in corrected] == [None] * 3
    assert (body["gate_faults"], body["wait_if_leaving"]) == ([], [])
    assert [(zone["people"], zone["free_seats"]) for zone in body["zones"]] == [(None, None), (None, None)]
    assert "15" not in body["sentences"]["en"]["long"].replace("13:15", "")
    listed = (await client.get("/v1/libraries")).json()["libraries"]
    assert [each["expired"] for each in listed] == [True]
    assert (await client.get("/v1/libraries/tilleuls/zones")).json()["expired"] is True


@pytest.mark.parametrize(
    ("later", "caching"),
    [
        (timedelta(0), "public, max-age=15"),
        (9 * MINUTE + timedelta(seconds=50), "public, max-age=10"),
        (10 * MINUTE - timedelta(milliseconds=500), "no-cache"),
        (11 * MINUTE, "no-cache"),
    ],
)
async def test_a_cache_may_keep_a_status_no_longer_than_it_holds(
    client: httpx.AsyncClient, wall: Wall, later: timedelta, caching: str
) -> None:
    wall.at = NOON + later
    for path in ("/v1/libraries/tilleuls", "/v1/libraries/tilleuls/zones", "/l/tilleuls"):
        assert (await client.get(path)).headers["cache-control"] == caching, path


@given(
    kind=st.sampled_from(ClockKind),
    speed=st.floats(0, 1000),
    passed=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_nothing_expires_that_holds_and_nothing_holds_that_has_expired(
    kind: ClockKind, speed: float, passed: timedelta
) -> None:
    projection = Projection()
    status = public(clock=kind, speed=speed)
    projection.apply(Update("tilleuls", _entry(status, 1), 1))
    held = projection.get("tilleuls")
    assert held is not None
    now = library_now(status, NOON, NOON + passed)
    margin = timedelta(seconds=1 + speed / 1000)  # a clock at such speed rounds
    if abs(now - status.valid_until) > margin:
        assert held.is_expired(NOON + passed) == (now > status.valid_until)
        assert held.served(NOON + passed).status.expired == (now > status.valid_until)


def test_time_stands_still_for_a_recording() -> None:
    status = public(clock=ClockKind.RECORDED)
    assert library_now(status, NOON, NOON + timedelta(days=400)) == status.as_of


@pytest.mark.parametrize(("written", "read"), [(("fr", "tlh"), ["fr"]), (("tlh",), [])])
def test_what_is_left_of_a_status_is_said_in_those_of_its_languages_that_are_spoken_here(
    written: tuple[str, ...], read: list[str]
) -> None:
    words = public().sentences["fr"]
    status = public().model_copy(update={"languages": written, "sentences": dict.fromkeys(written, words)})
    assert list(expired_form(status, NOON + timedelta(hours=1)).sentences) == read


@given(
    asked_min=st.lists(st.integers(0, 3 * 24 * 60), min_size=1, max_size=8),
    next_change_min=st.none() | st.integers(-60, 3 * 24 * 60),
    notice_min=st.none() | st.integers(-60, 3 * 24 * 60),
    zone=st.sampled_from(["Europe/Paris", "Pacific/Auckland", "America/Havana", "UTC"]),
    speed=st.none() | st.sampled_from([0.5, 60.0]),
)
def test_whoever_asked_before_what_is_left_of_an_expired_status_is_what_holds_now(
    asked_min: list[int],
    next_change_min: int | None,
    notice_min: int | None,
    zone: str,
    speed: float | None,
) -> None:
    start = datetime(2026, 3, 7, 18, 0, tzinfo=UTC)  # the clocks of Havana change at the next midnight
    times = {
        key: None if minutes is None else start + minutes * MINUTE
        for key, minutes in {"next_change": next_change_min, "notice_until": notice_min}.items()
    }
    status = public(
        as_of=start,
        valid_until=start + 10 * MINUTE,
        time_zone=zone,
        notice="Café closed",
        clock=ClockKind.WALL if speed is None else ClockKind.SIMULATED,
        speed=speed or 1.0,
        **times,
    )
    update = Update("tilleuls", Entry("tilleuls", status.model_dump_json().encode(), 1, start), 1)
    asked_before = Projection()
    asked_before.apply(update)
    for minutes in sorted(asked_min):
        now = start + minutes * MINUTE / (speed or 1.0)
        asked_first = Projection()
        asked_first.apply(update)
        held, fresh = asked_before.get("tilleuls"), asked_first.get("tilleuls")
        assert held is not None
        assert fresh is not None
        assert held.served(now) == fresh.served(now)


async def test_what_is_left_of_an_expired_status_ends_with_its_day_and_has_another_etag_then(
    client: httpx.AsyncClient, wall: Wall
) -> None:
    wall.at = NOON + 11 * MINUTE
    before = await client.get("/v1/libraries/tilleuls")
    assert before.json()["next_change"] is not None
    page = (await client.get("/l/tilleuls?lang=en")).text
    wall.at = NOON + timedelta(days=3)
    after = await client.get("/v1/libraries/tilleuls", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert (after.json()["hours_today"], after.json()["next_change"]) == ([], None)
    assert CATALOGS["en"].pages.hours_today in page
    assert CATALOGS["en"].pages.hours_today not in (await client.get("/l/tilleuls?lang=en")).text


# The projection


def _entry(status: PublicStatus, sequence: int) -> Entry:
    return Entry(status.library, status.model_dump_json().encode(), sequence, NOON)


@given(st.data())
def test_whatever_is_seen_twice_or_between_others_the_newest_of_each_library_is_kept(data: st.DataObject) -> None:
    sequence = 0
    logs: dict[str, list[Update]] = {}
    for library in ("a", "b", "c"):
        logs[library] = []
        for revision in range(1, data.draw(st.integers(1, 5)) + 1):
            sequence += 1
            is_removal = data.draw(st.booleans()) and revision > 1
            entry = None if is_removal else _entry(public(library=library, revision=revision), sequence)
            logs[library].append(Update(library, entry, sequence))
    latest = {library: log[-1].entry for library, log in logs.items()}
    projection = Projection()
    remaining = {library: list(log) for library, log in logs.items()}
    while any(remaining.values()):
        library = data.draw(st.sampled_from([each for each, log in remaining.items() if log]))
        projection.apply(remaining[library].pop(0))
        if data.draw(st.booleans()):  # read again from an earlier place on
            for update in logs[library][: len(logs[library]) - len(remaining[library])]:
                assert not projection.apply(update)
    held = {library: projection.get(library) for library in logs}
    assert {library: each and each.sequence for library, each in held.items()} == {
        library: entry and entry.revision for library, entry in latest.items()
    }
    assert projection.ids == sorted(library for library, entry in latest.items() if entry)


def test_a_status_older_than_the_one_held_is_left_aside() -> None:
    projection = Projection()
    assert projection.apply(Update("tilleuls", _entry(public(revision=5), 1), 1))
    assert not projection.apply(Update("tilleuls", _entry(public(revision=4), 2), 2))
    assert not projection.apply(Update("tilleuls", _entry(public(revision=6, as_of=NOON - MINUTE), 3), 3))
    assert projection.apply(Update("tilleuls", _entry(public(revision=5, people=None), 4), 4))


def test_a_younger_status_is_taken_though_its_library_counts_its_changes_anew() -> None:
    projection = Projection()
    assert projection.apply(Update("tilleuls", _entry(public(revision=500), 1), 1))
    assert projection.apply(Update("tilleuls", _entry(public(revision=3, as_of=NOON + MINUTE), 2), 2))
    assert not projection.apply(Update("tilleuls", _entry(public(revision=501), 3), 3))


def test_a_library_removed_and_added_again_may_begin_earlier_but_what_was_before_its_removal_stays_gone() -> None:
    projection = Projection()
    recorded = {"clock": ClockKind.RECORDED}
    assert projection.apply(Update("tilleuls", _entry(public(revision=5, **recorded), 1), 1))
    assert projection.apply(Update("tilleuls", None, 2))
    assert not projection.apply(Update("tilleuls", _entry(public(revision=5, **recorded), 1), 1))
    earlier = public(revision=1, as_of=NOON - timedelta(days=400), **recorded)
    assert projection.apply(Update("tilleuls", _entry(earlier, 3), 3))
    assert not projection.apply(Update("tilleuls", None, 2))
    assert projection.ids == ["tilleuls"]


def test_another_bucket_replaces_everything_whatever_its_numbers_say() -> None:
    projection = Projection()
    for number, library in enumerate(("gone", "stays"), start=7):
        projection.apply(Update(library, _entry(public(library=library, revision=9), number), number))
    projection.start_over()
    assert projection.get("stays") is not None
    projection.apply(Update("stays", _entry(public(library="stays", revision=1), 1), 1))
    assert projection.caught_up() == ["gone"]
    held = projection.get("stays")
    assert held is not None
    assert held.fresh.status.revision == 1
    assert projection.ids == ["stays"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30)), min_size=1, max_size=40))
def test_every_expiry_is_told_once_and_none_too_early(steps: list[tuple[str, int]]) -> None:
    projection = Projection()
    now, told = NOON, []
    holds_until: dict[str, datetime] = {}
    for sequence, (library, minutes) in enumerate(steps, start=1):
        status = public(library=library, revision=sequence, valid_until=now + minutes * MINUTE)
        projection.apply(Update(library, _entry(status, sequence), sequence))
        holds_until[library] = status.valid_until
        now += 7 * MINUTE
        expired = [each for each, _ in projection.expired_by(now)]
        assert len(expired) == len(set(expired))
        assert all(holds_until.pop(each) < now for each in expired)
        told += expired
    assert all(until >= now for until in holds_until.values())


# Conditional requests


async def test_who_has_the_bytes_gets_none(client: httpx.AsyncClient) -> None:
    first = await client.get("/v1/libraries/tilleuls")
    etag = first.headers["etag"]
    assert etag.startswith('"')
    for condition in (etag, f"W/{etag}", "*", f'"other", {etag}'):
        again = await client.get("/v1/libraries/tilleuls", headers={"If-None-Match": condition})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await client.get("/v1/libraries/tilleuls", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_the_etag_changes_when_the_status_expires(client: httpx.AsyncClient, wall: Wall) -> None:
    before = (await client.get("/v1/libraries/tilleuls")).headers["etag"]
    wall.at = NOON + 11 * MINUTE
    assert (await client.get("/v1/libraries/tilleuls", headers={"If-None-Match": before})).status_code == 200


@pytest.mark.parametrize("path", ["/v1/libraries", "/v1/libraries/tilleuls", "/v1/stream", "/", "/livez"])
async def test_head_answers_like_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


# History


async def test_days_are_read_from_the_bus_and_those_that_are_not_there_are_named(
    operator: Bus, client: httpx.AsyncClient
) -> None:
    known = day("tilleuls", "2026-03-01", [1, None, 3])
    await operator.bucket(subjects.HISTORY).put("tilleuls.2026-03-01", known.model_dump_json().encode())
    await operator.bucket(subjects.HISTORY).put("tilleuls.2026-03-02", b"{broken")
    body = (await client.get("/v1/libraries/tilleuls/history?from=2026-02-28")).json()
    assert body["days"] == [known.model_dump(mode="json")]
    assert body["missing"] == ["2026-02-28", "2026-03-02"]
    assert (await client.get("/v1/libraries/tilleuls/history?date=2026-03-01")).json()["missing"] == []
    assert (await client.get("/v1/libraries/tilleuls/history")).json()["missing"] == ["2026-03-02"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("date=yesterday", "invalid-request"),
        ("date=2026-02-30", "invalid-request"),
        ("date=2026-03-01&from=2026-03-01", "invalid-request"),
        ("to=2026-03-01", "invalid-request"),
        ("from=2026-03-02&to=2026-03-01", "invalid-request"),
        ("from=2026-01-01&to=2026-02-01", "span-too-long"),
        ("from=0001-01-01&to=9999-12-31", "span-too-long"),
    ],
)
async def test_a_span_that_makes_no_sense_is_refused(client: httpx.AsyncClient, query: str, code: str) -> None:
    answer = await client.get(f"/v1/libraries/tilleuls/history?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{code}")


async def test_the_corrections_of_a_day_are_public_but_not_who_made_them_nor_their_words(
    client: httpx.AsyncClient, operator: Bus
) -> None:
    corrections = (
        Correction(
            at=NOON,
            kind=CorrectionKind.COUNTED,
            source="desk/7",
            before=90,
            after=99,
            said=100,
            who="desk",
            why="Mme A",
        ),
        Correction(at=NOON, kind=CorrectionKind.SWAPPED, source="east", before=99, after=103),
    )
    corrected = day("tilleuls", "2026-03-02", [10]).model_copy(
        update={"corrected_entries": 221, "corrected_exits": 113, "corrections": corrections}
    )
    key = subjects.history_key("tilleuls", "2026-03-02")
    await operator.bucket(subjects.HISTORY).put(key, corrected.model_dump_json().encode())
    answer = await client.get("/v1/libraries/tilleuls/history")
    [found] = answer.json()["days"]
    assert (found["corrected_entries"], found["corrected_exits"]) == (221, 113)
    assert [(each["kind"], each["after"], each["source"]) for each in found["corrections"]] == [
        ("counted", 99, ""),
        ("swapped", 103, "east"),
    ]
    assert "desk" not in answer.text
    assert "Mme A" not in answer.text


def test_a_status_with_everything_in_it_comes_back_from_the_wire_as_it_was() -> None:
    wired = PublicStatus.model_validate_json(public(**FORETOLD).model_dump_json())
    assert wired.to_domain() == replace(USUAL, **FORETOLD)  # type: ignore[arg-type]  # fields by name


def test_a_status_of_an_older_writer_claims_nothing_that_it_did_not_say() -> None:
    body = public(**FORETOLD).model_dump(mode="json")
    for key in FORETOLD:
        del body[key]
    old = PublicStatus.model_validate(body)
    assert (old.gate_faults, old.wait_if_leaving, old.corrected_entries_today, old.wait_error_min) == (
        (),
        (),
        None,
        None,
    )


async def test_a_history_that_cannot_be_read_is_no_empty_history(wall: Wall) -> None:
    async with running_api(None, wall) as api, httpx.AsyncClient(base_url=api.url) as client:
        api.parts.projection.apply(Update("tilleuls", _entry(public(), 1), 1))
        api.parts.readiness.has("statuses")
        answer = await client.get("/v1/libraries/tilleuls/history")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/history-unavailable")
        assert int(answer.headers["retry-after"]) > 0


# Errors


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/libraries/nope", 404, "unknown-library"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/docs", 404, "not-found"),
        ("GET", "/static/site.css", 404, "not-found"),
        ("GET", "/problems/unheard-of", 404, "not-found"),
        ("GET", "/v1/stream?library=nope", 404, "unknown-library"),
        ("GET", f"/v1/stream?{'library=a&' * 300}", 422, "too-many-libraries"),
        ("POST", "/v1/libraries", 405, "method-not-allowed"),
        ("DELETE", "/v1/libraries/tilleuls", 405, "method-not-allowed"),
        ("PUT", "/v1/stream", 405, "method-not-allowed"),
        ("GET", "/v1/libraries?limit=0", 422, "invalid-request"),
        ("GET", "/v1/libraries?limit=9999", 422, "invalid-request"),
        ("GET", "/v1/libraries?limit=nan", 422, "invalid-request"),
        ("GET", "/v1/libraries?state=%ED%A0%80", 422, "invalid-request"),
        ("GET", f"/v1/libraries/{'x' * 65}", 422, "invalid-request"),
    ],
)
async def test_every_error_is_a_problem_that_can_be_looked_up(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    body = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (status, status, f"/problems/{code}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    if code in PROBLEMS and status != 404:
        assert (await client.get(body["type"])).json()["title"] == body["title"]


async def test_an_error_never_repeats_what_was_sent(client: httpx.AsyncClient) -> None:
    for query in ("limit=canary", "state=canary", "level=canary&limit=canary"):
        answer = await client.get(f"/v1/libraries?{query}")
        assert answer.status_code == 422
        assert "canary" not in answer.text
        assert {each["where"].partition(".")[0] for each in answer.json()["errors"]} == {"query"}


async def test_a_body_sent_along_with_a_read_is_refused(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"

    for content in (b"x" * 2000, endless()):
        answer = await client.request("GET", "/v1/libraries", content=content)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-not-wanted")
    assert (await client.request("GET", "/v1/libraries", content=b"{}")).status_code == 200


async def test_a_fault_inside_is_a_problem_too(client: httpx.AsyncClient, api: RunningApi) -> None:
    api.parts.projection._ids.append("ghost")  # a fault nobody foresaw
    answer = await client.get("/v1/libraries")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert "ghost" not in answer.text


async def test_a_person_gets_an_error_as_a_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/l/nope?lang=fr", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert '<html lang="fr"' in answer.text


# What every answer carries

EVERY_PATH = [
    "/",
    "/l/tilleuls",
    "/l/tilleuls?fragment=1",
    "/l/nope",
    "/v1/libraries",
    "/v1/libraries/tilleuls",
    "/v1/libraries/tilleuls/zones",
    "/v1/libraries/tilleuls/history",
    "/v1/libraries/nope",
    "/v1/libraries?limit=0",
    "/openapi.json",
    "/problems/not-found",
    "/livez",
    "/readyz",
    "/metrics",
    "/nothing",
]


async def test_every_answer_carries_the_policy(client: httpx.AsyncClient) -> None:
    answers = [await client.get(path) for path in EVERY_PATH]
    answers += [
        await client.post("/v1/libraries"),
        await client.options("/v1/libraries"),
        await client.head("/v1/stream"),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY, answer.url
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_any_page_elsewhere_may_read_and_none_may_write(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/libraries", headers={"Origin": "https://example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    asked = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "last-event-id",
    }
    preflight = await client.options("/v1/stream", headers=asked)
    assert preflight.status_code == 204
    assert "Last-Event-ID" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "access-control-allow-origin" not in (await client.get("/")).headers


async def test_requests_are_counted_by_pattern_not_by_path(client: httpx.AsyncClient) -> None:
    for path in ("/v1/libraries/tilleuls", "/v1/libraries/nope", "/an-odd-path"):
        await client.get(path)
    text = (await client.get("/metrics")).text
    assert 'placelibre_api_requests_total{route="/v1/libraries/{library}",status="200"}' in text
    assert 'placelibre_api_requests_total{route="/v1/libraries/{library}",status="404"}' in text
    assert "odd-path" not in text


async def test_the_description_names_every_route_and_the_form_of_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/v1/compatible/fill-rate/{library}",
        "/v1/compatible/fillRate",
        "/v1/compatible/getdata.php",
        "/v1/compatible/live",
        "/v1/compatible/live/{library}",
        "/v1/libraries",
        "/v1/libraries.csv",
        "/v1/libraries/{library}",
        "/v1/libraries/{library}/badge.json",
        "/v1/libraries/{library}/badge.svg",
        "/v1/libraries/{library}/card.png",
        "/v1/libraries/{library}/card.svg",
        "/v1/libraries/{library}/feed.atom",
        "/v1/libraries/{library}/feed.json",
        "/v1/libraries/{library}/history",
        "/v1/libraries/{library}/hours",
        "/v1/libraries/{library}/hours.ics",
        "/v1/libraries/{library}/occupancy.json",
        "/v1/libraries/{library}/qr.png",
        "/v1/libraries/{library}/qr.svg",
        "/v1/libraries/{library}/schema.json",
        "/v1/libraries/{library}/sign.png",
        "/v1/libraries/{library}/sign.svg",
        "/v1/libraries/{library}/spaceapi.json",
        "/v1/libraries/{library}/statistics",
        "/v1/libraries/{library}/statistics.csv",
        "/v1/libraries/{library}/today",
        "/v1/libraries/{library}/zones",
        "/v1/libraries/{library}/zones.csv",
        "/v1/occupancy.json",
        "/v1/push/{library}",
        "/v1/push/{library}/{wish}",
        "/v1/stream",
    }
    for path in document["paths"].values():
        problems = [answer for status, answer in path["get"]["responses"].items() if status >= "400"]
        assert problems
        assert all("application/problem+json" in answer["content"] for answer in problems)
    assert {"ProblemBody", "FieldError", "ServedStatus"} <= set(document["components"]["schemas"])


# Without a bus


async def test_without_a_bus_it_is_alive_says_what_it_waits_for_and_makes_nothing_up(wall: Wall) -> None:
    async with running_api(None, wall) as api, httpx.AsyncClient(base_url=api.url) as client:
        assert (await client.get("/livez")).status_code == 200
        waiting = await client.get("/readyz")
        assert waiting.status_code == 503
        assert "statuses" in waiting.json()["waiting"]
        for path in ("/v1/libraries", "/v1/libraries/tilleuls"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/starting")
            assert int(answer.headers["retry-after"]) > 0
