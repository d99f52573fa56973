"""Reminders of events: once each, in time, none of what does not take place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.configuration import LANGUAGES
from shared.domain.catalog import CATALOGS
from shared.domain.events import Event, compose_reminder, due
from shared.domain.messages import SHORT_MAX, SHORTEST_MAX
from shared.domain.status import Reason, ReasonCode, State
from shared.runtime.formats import formats_for
from tests.domain.test_messages import AT, FULL, MANY

LEAD = timedelta(minutes=60)
START = datetime(2026, 9, 28, 18, 0, tzinfo=UTC)
TALK = Event("talk", "2026-09-28T18:00:00+00:00", "Reading aloud", "Room 2", START)


def found(event: Event = TALK, minutes_before: float = 60, **more: object) -> list[Event]:
    now = START - timedelta(minutes=minutes_before)
    arguments = {"status": MANY, "reminded": frozenset(), "left": 3, **more}
    return due([event], arguments["status"], now, LEAD, arguments["reminded"], arguments["left"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("minutes_before", "is_due"), [(61, False), (60, True), (45, True), (6, True), (4, False), (-1, False)]
)
def test_an_event_is_due_an_hour_before_and_until_nobody_would_get_there(
    minutes_before: float, *, is_due: bool
) -> None:
    assert bool(found(minutes_before=minutes_before)) is is_due


def test_a_cancelled_event_is_not_reminded_of() -> None:
    assert found(replace(TALK, is_cancelled=True)) == []


def test_each_is_reminded_of_once_and_no_more_than_the_days_budget() -> None:
    assert found(reminded=frozenset({TALK.id})) == []
    assert found(left=0) == []


def test_a_moved_occurrence_is_the_same_and_another_one_is_not() -> None:
    assert replace(TALK, starts_at=START + timedelta(hours=1)).id == TALK.id
    assert replace(TALK, recurrence="2026-10-05T18:00:00+00:00").id != TALK.id


@pytest.mark.parametrize("code", [ReasonCode.CLOSED_EXCEPTIONALLY, ReasonCode.EVACUATED])
def test_nobody_is_called_before_a_door_that_is_locked_against_its_hours(code: ReasonCode) -> None:
    assert found(status=replace(MANY, state=State.CLOSED, reason=Reason(code))) == []


def test_an_event_after_hours_is_reminded_of_and_a_muted_library_says_nothing() -> None:
    assert found(status=replace(MANY, state=State.CLOSED, reason=Reason(ReasonCode.CLOSED_BY_HOURS))) == [TALK]
    assert found(status=replace(MANY, muted=True)) == []
    assert found(status=None) == [TALK]


def test_a_reminder_says_how_full_the_house_is() -> None:
    event = replace(TALK, starts_at=AT + timedelta(hours=1))
    message = compose_reminder(event, FULL, AT, "Alexandria", CATALOGS["en"], formats_for("en", "Europe/Paris"))
    assert message.long == (
        "Alexandria: Reading aloud, today at 15:05. Where: Room 2. Right now: full, wait about 20 minutes."
    )


def test_an_event_of_tomorrow_names_its_day() -> None:
    event = replace(TALK, starts_at=AT + timedelta(hours=20), place="")
    message = compose_reminder(event, None, AT, "Alexandria", CATALOGS["fr"], formats_for("fr", "Europe/Paris"))
    assert message.long == "Alexandria\u00a0: Reading aloud, mardi 29 septembre à 10:05."


@pytest.mark.parametrize("language", LANGUAGES)
@given(title=st.text(min_size=1, max_size=200), name=st.text(min_size=1, max_size=120), place=st.text(max_size=200))
def test_a_reminder_fits_at_every_length(language: str, title: str, name: str, place: str) -> None:
    event = replace(TALK, title=title, place=place)
    formats = formats_for(language, "Europe/Paris")
    message = compose_reminder(event, FULL, AT, name, CATALOGS[language], formats)
    assert len(message.shortest) <= SHORTEST_MAX
    assert "\n" not in message.long
    assert len(message.short) <= max(SHORT_MAX, len(message.long))
