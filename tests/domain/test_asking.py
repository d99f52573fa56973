"""What somebody asked to be told is told when it is so, and never on a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.asking import (
    SETTLED,
    Drop,
    Keep,
    Over,
    Tell,
    Want,
    Wish,
    answer,
    holds,
    lasts_until,
    seats_left,
    told,
)
from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import NO_WAIT, Wait
from shared.domain.status import Reason, ReasonCode, State, Status, ZoneStatus
from shared.runtime.formats import formats_for

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CLOSES = NOON + timedelta(hours=7)
MINUTE = timedelta(minutes=1)
SEAT = Wish(Want.SEAT, 5)
QUEUE = Wish(Want.QUEUE, 15)
OPENING = Wish(Want.OPENING)
STATUS = Status(
    library="bib",
    name="Bibliothèque des Tilleuls",
    time_zone="Europe/Paris",
    languages=("fr", "en"),
    revision=1,
    state=State.OPEN,
    reason=None,
    level=Level.FEW_SEATS,
    people=Estimate(90, 86, 94),
    capacity=100,
    usable_seats=None,
    trend=None,
    queue=Estimate(0, 0, 0),
    wait=NO_WAIT,
    zones=(
        ZoneStatus("ground", "Rez-de-chaussée", 60, Level.FULL, Estimate(60, 58, 62)),
        ZoneStatus("first", "Premier étage", 40, Level.MANY_SEATS, Estimate(30, 28, 32)),
    ),
    hours_today=((NOON - timedelta(hours=4), CLOSES),),
    next_change=CLOSES,
    notice="",
    notice_until=None,
    muted=False,
    as_of=NOON,
    valid_until=NOON + 10 * MINUTE,
    last_recount=None,
    entries_today=0,
    exits_today=0,
    clock=ClockKind.WALL,
    speed=1.0,
)
"""Ten seats are free, all of them on the first floor; simulated figures."""


def status(people: int | None = 90, at: datetime = NOON, **changes: object) -> Status:
    estimate = None if people is None else Estimate(people, people, people)
    return replace(STATUS, people=estimate, as_of=at, valid_until=at + 10 * MINUTE, **changes)  # type: ignore[arg-type]


def waiting(minutes: int, queue: int = 30) -> Status:
    wait = Wait(minutes, minutes, minutes, minutes, overflow=False)
    return status(100, queue=Estimate(queue, queue, queue), wait=wait)


def closed(code: ReasonCode = ReasonCode.CLOSED_BY_HOURS, **changes: object) -> Status:
    shut = status(None, state=State.CLOSED, reason=Reason(code), level=None, wait=None, queue=None)
    return replace(shut, **changes)  # type: ignore[arg-type]  # a test says which fields it means


# When it is so


@pytest.mark.parametrize(
    ("wish", "seen", "expected"),
    [
        (SEAT, status(90), True),
        (SEAT, status(95), True),
        (SEAT, status(96), False),
        (SEAT, status(120), False),
        (SEAT, status(None), False),
        (SEAT, status(90, usable_seats=4), False),
        (SEAT, status(90, state=State.NOT_ADMITTING), False),
        (SEAT, status(90, muted=True), False),
        (SEAT, status(90, clock=ClockKind.RECORDED), False),
        (Wish(Want.SEAT, 0), status(100), False),
        (Wish(Want.SEAT, 5, "ground"), status(90), False),
        (Wish(Want.SEAT, 5, "first"), status(90), True),
        (Wish(Want.SEAT, 11, "first"), status(90), False),
        (Wish(Want.SEAT, 5, "attic"), status(90), False),
        (QUEUE, waiting(15), True),
        (QUEUE, waiting(20), False),
        (QUEUE, status(90), True),
        (QUEUE, status(90, wait=None), False),
        (QUEUE, status(90, wait=Wait(0, 0, 300, 0, overflow=True)), False),
        (OPENING, status(100), True),
        (OPENING, closed(), False),
        (OPENING, status(90, state=State.UNKNOWN), False),
    ],
)
def test_it_is_so_only_where_a_status_says_it(wish: Wish, seen: Status, *, expected: bool) -> None:
    assert holds(wish, seen, NOON + MINUTE) is expected


def test_those_who_queue_come_before_those_who_ask() -> None:
    assert seats_left(status(90, queue=Estimate(6, 3, 9))) == 4
    assert seats_left(status(90, queue=Estimate(30, 20, 40)), "first") == 0
    assert not holds(SEAT, status(90, queue=Estimate(6, 3, 9)), NOON)
    assert holds(SEAT, status(10, queue=Estimate(60, 50, 70)), NOON)


@given(st.sampled_from([SEAT, QUEUE, OPENING]), st.integers(1, 10_000))
def test_a_status_past_its_validity_says_nothing(wish: Wish, late_s: int) -> None:
    now = STATUS.valid_until + timedelta(seconds=late_s)
    assert not holds(wish, STATUS, now)
    assert not isinstance(answer(wish, NOON - timedelta(hours=1), STATUS, now), Tell)


# When it is told


def test_a_figure_must_have_held_for_a_minute() -> None:
    first = answer(SEAT, None, status(90), NOON)
    assert first == Keep(NOON)
    assert answer(SEAT, NOON, status(90), NOON + MINUTE - timedelta(seconds=1)) == Keep(NOON)
    assert answer(SEAT, NOON, status(90, NOON + MINUTE), NOON + MINUTE) == Tell()


def test_a_burst_at_the_door_begins_the_minute_anew() -> None:
    since = None
    for people, at_s in ((90, 0), (98, 30), (90, 50), (90, 70), (90, 100)):
        at = NOON + timedelta(seconds=at_s)
        said = answer(SEAT, since, status(people, at), at)
        assert isinstance(said, Keep), at_s
        since = said.since
    assert answer(SEAT, since, status(90, NOON + 2 * MINUTE), NOON + 2 * MINUTE) == Tell()


def test_open_doors_need_no_minute() -> None:
    assert answer(OPENING, None, status(100), NOON) == Tell()


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 120)), st.integers(1, 90)), min_size=1, max_size=80),
    st.integers(1, 30),
)
def test_it_is_told_only_after_a_minute_in_which_every_look_saw_it(
    seen: list[tuple[int | None, int]], threshold: int
) -> None:
    wish, since, at = Wish(Want.SEAT, threshold), None, NOON
    held_from: datetime | None = None
    for people, step_s in seen:
        at += timedelta(seconds=step_s)
        is_so = people is not None and 100 - people >= threshold
        held_from = (held_from or at) if is_so else None
        said = answer(wish, since, status(people, at), at)
        is_settled = held_from is not None and at - held_from >= SETTLED
        assert isinstance(said, Tell) == is_settled
        since = held_from if isinstance(said, Tell) else said.since if isinstance(said, Keep) else None


# When it is over


def test_a_wish_lasts_until_the_days_last_closing() -> None:
    lunch = ((NOON - timedelta(hours=4), NOON), (NOON + timedelta(hours=2), CLOSES))
    assert lasts_until(status(), NOON) == CLOSES
    assert lasts_until(closed(hours_today=lunch), NOON + MINUTE) == CLOSES
    assert lasts_until(closed(), CLOSES) is None
    assert lasts_until(closed(hours_today=()), NOON) is None


def test_without_todays_hours_it_lasts_until_midnight_where_the_library_is() -> None:
    old = status(at=NOON - timedelta(days=1))
    assert lasts_until(old, NOON) == datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
    assert lasts_until(replace(old, time_zone="Pacific/Auckland"), NOON) == datetime(2026, 3, 3, 11, 0, tzinfo=UTC)


def test_after_closing_a_wish_is_over() -> None:
    assert answer(SEAT, NOON, closed(), CLOSES + MINUTE) == Drop(Over.CLOSED)


def test_an_evacuation_ends_no_wish() -> None:
    assert answer(SEAT, NOON, closed(ReasonCode.EVACUATED), NOON + MINUTE) == Keep()


def test_a_zone_that_is_gone_ends_the_wish_for_it() -> None:
    assert answer(Wish(Want.SEAT, 5, "attic"), None, status(), NOON) == Drop(Over.NO_ZONE)


# What is said


@pytest.mark.parametrize("language", sorted(CATALOGS))
@pytest.mark.parametrize("wish", [SEAT, Wish(Want.SEAT, 5, "first"), QUEUE, OPENING], ids=str)
def test_a_notification_names_the_library_the_time_and_the_figure(language: str, wish: Wish) -> None:
    said = told(wish, STATUS, CATALOGS[language], formats_for(language, "Europe/Paris"))
    assert "Bibliothèque des Tilleuls" in said.title
    assert said.title != said.late_title == "Bibliothèque des Tilleuls"
    assert "13:00" in said.body
    assert "13:00" in said.late_body
    assert "10" in said.body
    assert ("Premier étage" in said.body) == (wish.zone == "first")
    assert "{" not in f"{said}".replace("Told(", "")


def test_long_names_are_shortened_and_kept_on_one_line() -> None:
    zones = (replace(STATUS.zones[1], name="Salle\n" + "de lecture " * 40),)
    long = replace(STATUS, name="Bibliothèque\nmunicipale " * 20, zones=zones)
    said = told(Wish(Want.SEAT, 1, "first"), long, CATALOGS["fr"], formats_for("fr", "Europe/Paris"))
    assert "\n" not in said.title + said.body
    assert len(said.title) < 120
    assert len(said.body.encode()) < 2000


def test_a_simulated_figure_says_so() -> None:
    said = told(SEAT, status(clock=ClockKind.SIMULATED), CATALOGS["en"], formats_for("en", "Europe/Paris"))
    assert CATALOGS["en"].simulated in said.body
