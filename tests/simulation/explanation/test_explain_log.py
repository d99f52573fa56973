"""The log read again up to a time, and what comes of it beside what was published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cli.explanation.account import explain
from cli.explanation.from_file import past_of
from cli.explanation.local_moment import instant, midnight_before
from cli.explanation.past import Past
from cli.explanation.publication import Comparison, compare
from cli.explanation.reread import Rereading
from cli.explanation.words import lines_of
from cli.recorded.playback import requests, steps
from cli.terminal import Trouble
from cli.wire import WireFields
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import READING, Configured, Pack, Tick
from shared.contracts.status import StatusChanged
from shared.domain.library import Library
from tests.simulation.explanation.hall import LIBRARY, ZONE, at, time_of

Messages = list[tuple[str, bytes]]


def configured(config: LibraryConfig, when: datetime) -> tuple[str, bytes]:
    fields = config.model_dump(mode="json", by_alias=True)
    body = Configured(library=config.id, revision=1, at=when, config=fields)
    return subjects.configured(subjects.partition_of(config.id)), body.model_dump_json().encode()


def packed(readings: Sequence[WireFields], received_at: datetime) -> tuple[str, bytes]:
    whole = tuple(READING.validate_json(json.dumps(each)) for each in readings)
    pack = Pack(received_at=received_at, readings=whole)
    return subjects.readings(subjects.partition_of("hall")), pack.model_dump_json(exclude_none=True).encode()


def log_of(config: LibraryConfig, day: Sequence[WireFields], size: int) -> Messages:
    """Return a day's log, with many minutes in one pack and another library's readings among them."""
    stranger: WireFields = {"kind": "head_count", "library": "other", "device": "desk", "people": 3}
    first = time_of(day[0])
    bodies = [
        [*body, stranger | {"id": f"x{number}", "time": first.isoformat()}]
        for number, body in enumerate(requests(steps(day), size))
    ]
    return [configured(config, first), *(packed(body, first) for body in bodies)]


def read_again(config: LibraryConfig, messages: Messages, until: datetime, *, is_whole: bool = True) -> Past | None:
    rereading = Rereading(config, until, midnight_before(until, ZONE), is_whole=is_whole)
    for number, (subject, data) in enumerate(messages, start=1):
        if not rereading.take(subject, data, number):
            break
    return rereading.past()


@pytest.mark.parametrize("size", [7, 400])
def test_the_log_read_again_stops_at_the_time_asked_for_even_within_a_pack(
    config: LibraryConfig, hall: Library, day: list[WireFields], size: int
) -> None:
    past = read_again(config, log_of(config, day, size), at("14:12"))
    assert past is not None
    assert past.state == past_of(hall, day, at("14:12"), at("00:00")).state
    assert past.state.now == at("14:12")
    assert set(past.notes.faults) == set()


def test_a_log_that_forgot_the_configuration_borrows_the_one_in_force_and_says_so(
    config: LibraryConfig, day: list[WireFields]
) -> None:
    messages = log_of(config, day, 50)[1:]
    assert read_again(config, messages, at("14:00")) is None
    past = read_again(config, messages, at("14:00"), is_whole=False)
    assert past is not None
    assert past.is_lent
    assert "today's configuration stood in" in "\n".join(lines_of(explain(past, at("14:00"), None)))


def test_what_nobody_can_read_in_the_log_is_counted_and_changes_nothing(
    config: LibraryConfig, day: list[WireFields]
) -> None:
    messages = log_of(config, day, 50)
    broken = (messages[1][0], b'{"library": "hall"')
    past, calm = (read_again(config, each, at("14:00")) for each in ([messages[0], broken, *messages[1:]], messages))
    assert past is not None
    assert calm is not None
    assert (past.unreadable, past.state) == (1, calm.state)


def test_a_library_on_the_wall_clock_is_read_by_ticks_and_times_of_receipt() -> None:
    wall = LibraryConfig.model_validate(LIBRARY | {"clock": "wall"})
    start = at("11:50")
    messages = [configured(wall, start)]
    for minute in range(60):
        when = start + timedelta(minutes=minute)
        count: WireFields = {"kind": "gate_count", "library": "hall", "gate": "north", "device": "north", "exits": 0}
        own: WireFields = {"id": f"n{minute}", "time": when.isoformat(), "entries": 1}
        messages += [packed([count | own], when), (subjects.TICKS, Tick(at=when).model_dump_json().encode())]
    past = read_again(wall, messages, start + timedelta(minutes=30, seconds=20))
    assert past is not None
    assert past.state.now == start + timedelta(minutes=30)
    assert past.state.totals.entries == 31
    explanation = explain(past, start + timedelta(minutes=45), None)
    assert explanation.is_expired
    assert "nothing newer had come" in "\n".join(lines_of(explanation))
    assert read_again(wall, messages, start - timedelta(hours=1)) is None


def test_another_published_status_is_named_field_by_field(hall: Library, day: list[WireFields]) -> None:
    past = past_of(hall, day, at("16:30"), at("00:00"))
    change = past.notes.change
    assert change is not None
    published = StatusChanged.of(change, {})
    assert compare(past, published).comparison is Comparison.AS_PUBLISHED
    assert compare(past, None).comparison is Comparison.NOT_KEPT
    status = change.status
    assert status.people is not None
    wrong = replace(change, status=replace(status, people=replace(status.people, value=7)))
    publication = compare(past, StatusChanged.of(wrong, {}))
    assert publication.comparison is Comparison.DIFFERS
    assert publication.worked_out_at == publication.at
    assert {"people", "percent", "free_seats"} == {each.name for each in publication.differences}
    text = "\n".join(lines_of(explain(past, at("16:30"), publication)))
    assert "NOT as published" in text
    assert "not published: the aggregator is behind" not in text


def test_a_change_that_was_never_published_is_told(hall: Library, day: list[WireFields]) -> None:
    first = past_of(hall, day, at("12:05"), at("00:00")).notes.change
    past = past_of(hall, day, at("16:30"), at("00:00"))
    assert first is not None
    publication = compare(past, StatusChanged.of(first, {}))
    assert publication.comparison is Comparison.DIFFERS
    assert "level" in {each.name for each in publication.differences}
    text = "\n".join(lines_of(explain(past, at("16:30"), publication)))
    assert "not published: the aggregator is behind" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-25T16:30:00+01:00"),
        ("14:30", "2026-11-25T14:30:00+01:00"),
        ("2026-11-22T14:30", "2026-11-22T14:30:00+01:00"),
        ("2026-10-25T02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_a_time_is_the_library_s_own(text: str, expected: str) -> None:
    assert instant(text, ZONE, at("16:30")) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("text", ["noon", "25:00", "2026-03-29T02:30", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Trouble, match="--at"):
        instant(text, ZONE, at("16:30"))
