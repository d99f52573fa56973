"""Forgetting a library or a person in the aggregator's fold: nothing of it is left, and no figure is another."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from services.aggregator.checkpoint import dump, restore
from services.aggregator.fold import Fold, Partition
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import READING, Configured, Forget, Pack
from shared.runtime.opening_hours import OsmOpeningHours

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
NUMBER = subjects.partition_of("branch")


def fold() -> Fold:
    return Fold([Partition(NUMBER)], OsmOpeningHours)


def configured(*, is_gone: bool = False, revision: int = 1) -> bytes:
    config = LibraryConfig.model_validate(
        {
            "id": "branch",
            "name": "Branch",
            "time_zone": "Europe/Paris",
            "opening_hours": "24/7",
            "capacity": 100,
            "gates": [{"id": "front"}],
        }
    )
    value = None if is_gone else config.model_dump(mode="json", by_alias=True)
    return Configured(library="branch", revision=revision, at=NOON, config=value).model_dump_json().encode()


def pack(minute: int, **reading: Any) -> bytes:
    at = NOON + timedelta(minutes=minute)
    whole = {"library": "branch", "device": "desk", "time": at.isoformat(), "id": f"r{minute}", **reading}
    body = Pack(received_at=at, readings=(READING.validate_json(json.dumps(whole)),))
    return body.model_dump_json(exclude_none=True).encode()


def forget(person: str | None = None) -> bytes:
    word = Forget(library="branch", person=person)
    return Pack(received_at=NOON, readings=(), forget=word).model_dump_json(exclude_none=True).encode()


def taught() -> Fold:
    each = fold()
    each.apply(subjects.configured(NUMBER), configured(), 1)
    each.apply(subjects.readings(NUMBER), pack(1, kind="head_count", people=30, by="ab", note="seen"), 2)
    each.apply(
        subjects.readings(NUMBER), pack(2, kind="notice", text="Film", until=str(NOON + timedelta(1)), by="cd"), 3
    )
    each.apply(subjects.readings(NUMBER), pack(3, kind="undo", target="r2", by="ab"), 4)
    each.covers(4)
    return each


def test_a_person_s_id_is_nowhere_in_the_state_and_every_figure_as_it_was() -> None:
    each = taught()
    kept = each.kept("branch")
    assert kept is not None
    before = kept.state.status
    assert b'"ab"' in _written(each)
    effects = each.apply(subjects.readings(NUMBER), forget("ab"), 5)
    assert [outcome.are_acts_new for _, outcome in effects.outcomes] == [True]
    assert kept.state.status == before
    assert b'"ab"' not in _written(each)
    assert b'"cd"' in _written(each)
    assert each.partitions[NUMBER].forgotten == 5


def test_what_a_forgotten_person_said_stays_a_double_on_the_tablet_it_came_from() -> None:
    each = taught()
    kept = each.kept("branch")
    assert kept is not None
    assert b'/ab"' in _written(each)  # what they said is known of them, too, whichever tablet says it again
    each.apply(subjects.readings(NUMBER), forget("ab"), 5)
    assert b'/ab"' not in _written(each)
    applied = kept.state.totals.applied
    each.apply(subjects.readings(NUMBER), pack(1, kind="head_count", people=30, by="cd", note="seen"), 6)
    assert (kept.state.totals.applied, kept.state.totals.duplicates) == (applied, 1)


def test_a_person_is_forgotten_in_what_waits_for_its_library_too() -> None:
    each = fold()
    each.apply(subjects.readings(NUMBER), pack(1, kind="head_count", people=30, by="ab", note="seen"), 1)
    each.apply(subjects.readings(NUMBER), pack(2, kind="head_count", people=31, by="cd"), 2)
    assert b'"ab"' in _written(each)
    each.apply(subjects.readings(NUMBER), forget("ab"), 3)
    assert b'"ab"' not in _written(each)
    assert b'"cd"' in _written(each)
    each.apply(subjects.configured(NUMBER), configured(), 4)
    kept = each.kept("branch")
    assert kept is not None
    assert kept.state.totals.applied == 2


def test_a_library_in_force_is_not_forgotten_and_one_that_is_gone_is_wholly() -> None:
    each = taught()
    each.apply(subjects.readings(NUMBER), forget(), 5)
    assert each.kept("branch") is not None
    assert each.partitions[NUMBER].forgotten == 0
    each.apply(subjects.configured(NUMBER), configured(is_gone=True, revision=2), 6)
    each.apply(subjects.readings(NUMBER), pack(4, kind="head_count", people=3), 7)
    assert b"branch" in _written(each)
    each.apply(subjects.readings(NUMBER), forget(), 8)
    assert b"branch" not in _written(each)


def test_that_something_was_forgotten_is_in_the_checkpoint_until_both_slots_are_written_over() -> None:
    each = taught()
    each.apply(subjects.readings(NUMBER), forget("ab"), 5)
    read = restore(NUMBER, 5, dump(each.partitions[NUMBER]), OsmOpeningHours)
    assert read is not None
    assert read.forgotten == 5


def test_what_was_forgotten_is_no_news_to_a_partition_that_covers_it() -> None:
    each = taught()
    each.covers(9)
    assert each.apply(subjects.readings(NUMBER), forget("ab"), 5).outcomes == []
    assert b'"ab"' in _written(each)


def _written(each: Fold) -> bytes:
    return zlib.decompress(dump(each.partitions[NUMBER]))
