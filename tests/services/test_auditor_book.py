"""The streams' own book: what is gone before its age is noticed, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.auditor import figures
from services.auditor.book import LOSSES_MAX, MARKS_MAX, Book, LossKind, Rule, Sight, merged
from shared.contracts import subjects

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = timedelta(days=30)


def sight(
    first: int, last: int, *, rule: Rule = Rule.LOG, missing: int = 0, created: str = "a", age: timedelta = MONTH
) -> Sight:
    messages = max(last - first + 1, 0) - missing
    return Sight("LOG", rule, age if rule is Rule.LOG else timedelta(0), created, messages, first, last, missing)


def of_the_bus(name: str, first: int, last: int, days: int) -> Sight:
    """Return a stream as the bus's own word of it is read, which keeps things for so long."""
    state = {"first_seq": first, "last_seq": last, "messages": max(last - first + 1, 0)}
    return figures._sight(name, {"state": state, "created": "a", "config": {"max_age": days * 86_400 * 10**9}})


def kept(*looks: tuple[Sight, datetime]) -> Book:
    book = Book()
    for seen, at in looks:
        book.enter(seen, at)
    return book


def test_a_log_that_grows_and_grows_old_has_lost_nothing() -> None:
    book = Book()
    for hour in range(24 * 60):  # one message a minute, and each is dropped after 30 days
        at = NOON + timedelta(hours=hour)
        last = 60 * (hour + 1)
        book.enter(sight(max(1, last - 30 * 1440 + 1), last), at)

    assert book.losses == []


def test_a_log_in_which_nothing_comes_any_more_grows_old_and_has_lost_nothing() -> None:
    book = kept((sight(1, 500), NOON), (sight(1, 500), NOON + MONTH / 2), (sight(501, 500), NOON + MONTH * 1.1))

    assert book.lost("LOG") == 0


@pytest.mark.parametrize("is_back", [False, True])
def test_a_shorter_time_that_somebody_chooses_loses_nothing_nor_does_the_way_back(*, is_back: bool) -> None:
    book = Book()
    for hour in range(24 * 60):
        days = 7 if hour >= 24 * 9 and (not is_back or hour < 24 * 20) else 30
        # Once the longer time is chosen again, what has gone stays away until the log is so old again.
        begins = max(1, 100 * (hour + 1 - 24 * days) + 1, 100 * (24 * 13) + 1 if is_back and hour >= 24 * 20 else 1)
        book.enter(of_the_bus(subjects.READINGS, begins, 100 * (hour + 1), days), NOON + timedelta(hours=hour))

    assert book.losses == []


def test_what_goes_before_the_time_that_somebody_has_chosen_is_lost() -> None:
    book = Book()
    for hour in range(24 * 9):
        begins = max(1, 100 * (hour + 1 - 24 * 7) + 1)
        book.enter(of_the_bus(subjects.READINGS, begins, 100 * (hour + 1), 7), NOON + timedelta(hours=hour))

    book.enter(of_the_bus(subjects.READINGS, 100 * 24 * 5, 100 * 24 * 9, 7), NOON + timedelta(hours=24 * 9))

    assert [loss.kind for loss in book.losses] == [LossKind.YOUNG]
    assert "is not 7 days old" in book.losses[0].detail


def test_a_moment_of_expiry_between_two_looks_is_no_loss_where_a_longer_time_is_chosen_meanwhile() -> None:
    book = Book()
    for hour in range(24 * 9):
        begins = max(1, 100 * (hour + 1 - 24 * 7) + 1)
        book.enter(of_the_bus(subjects.READINGS, begins, 100 * (hour + 1), 7), NOON + timedelta(hours=hour))
    page = book.pages[subjects.READINGS]

    later = NOON + timedelta(hours=24 * 9 - 1, seconds=15)
    assert book.enter(of_the_bus(subjects.READINGS, page.first + 3, page.last + 3, 30), later) == []


def test_days_of_a_year_ago_may_go_where_somebody_has_said_so() -> None:
    history = subjects.bucket_stream(subjects.HISTORY)
    book = kept((of_the_bus(history, 1, 900, 0), NOON))

    for day in range(1, 5):
        book.enter(of_the_bus(history, 1 + 100 * day, 900 + day, 400), NOON + timedelta(days=day))
    assert book.losses == []
    assert of_the_bus(history, 1, 900, 0).rule is Rule.KEYS


def test_a_stream_that_keeps_a_year_is_not_remembered_hour_by_hour() -> None:
    book = Book()
    for hour in range(24 * 400):
        begins = max(1, hour + 2 - 24 * 365)
        book.enter(of_the_bus(subjects.AUDIT, begins, hour + 1, 365), NOON + timedelta(hours=hour))

    assert book.losses == []
    assert len(book.pages[subjects.AUDIT].marks) <= MARKS_MAX + 2


def test_of_more_losses_than_are_remembered_the_sum_stays() -> None:
    book = kept((sight(1, 10_000), NOON))

    for number in range(1, LOSSES_MAX + 51):
        book.enter(sight(1, 10_000, missing=number), NOON + timedelta(minutes=number))

    assert (len(book.losses), book.lost("LOG")) == (LOSSES_MAX, LOSSES_MAX + 50)


def test_a_hole_is_lost_messages_and_is_told_once() -> None:
    book = kept((sight(1, 1000), NOON))

    assert [loss.kind for loss in book.enter(sight(1, 1000, missing=500), NOON)] == [LossKind.HOLE]
    assert book.enter(sight(1, 1001, missing=500), NOON) == []
    assert book.lost("LOG") == 500


def test_a_log_that_ends_before_where_it_had_come_to_was_rolled_back() -> None:
    book = kept((sight(1, 1000), NOON))

    book.enter(sight(1, 900), NOON)

    assert [(loss.kind, loss.messages) for loss in book.losses] == [(LossKind.ROLLED_BACK, 100)]


def test_a_beginning_that_went_before_its_age_is_lost() -> None:
    book = kept((sight(1, 0), NOON), (sight(1, 1000), NOON + timedelta(hours=2)))

    book.enter(sight(301, 1000), NOON + timedelta(hours=3))

    assert [(loss.kind, loss.messages) for loss in book.losses] == [(LossKind.YOUNG, 300)]
    assert book.enter(sight(301, 1000), NOON + timedelta(hours=4)) == [], "it is told once"


def test_a_log_made_anew_has_lost_what_it_had() -> None:
    book = kept((sight(1, 1000), NOON))

    book.enter(sight(1, 0, created="b"), NOON)

    assert book.lost("LOG") == 1000


def test_a_bucket_whose_keys_stay_for_ever_never_has_fewer() -> None:
    book = kept((sight(1, 40, rule=Rule.KEYS, missing=10), NOON))
    assert book.enter(sight(1, 44, rule=Rule.KEYS, missing=14), NOON) == []

    book.enter(sight(1, 45, rule=Rule.KEYS, missing=16), NOON)

    assert [(loss.kind, loss.messages) for loss in book.losses] == [(LossKind.KEYS, 1)]


def test_a_queue_that_is_worked_off_has_lost_nothing() -> None:
    book = kept((sight(1, 40, rule=Rule.ONWARD), NOON), (sight(41, 40, rule=Rule.ONWARD), NOON))

    assert book.losses == []


def test_what_somebody_has_accepted_is_not_told_again() -> None:
    book = kept((sight(1, 1000), NOON), (sight(1, 900), NOON))

    assert book.accept(NOON) == 1
    assert book.lost("LOG") == 0
    assert book.enter(sight(1, 901), NOON + timedelta(hours=1)) == []


def test_a_purge_accepts_what_went_while_it_ran_and_nothing_else() -> None:
    book = kept((sight(1, 1000), NOON), (sight(1, 1000, missing=2), NOON))
    later = NOON + timedelta(hours=1)
    book.enter(sight(1, 1000, missing=7), later)

    assert book.accept(later, since=later - timedelta(minutes=1)) == 1
    assert book.lost("LOG") == 2


@pytest.mark.parametrize("is_bus_first", [True, False])
def test_a_bus_put_back_with_its_own_book_is_found_out_by_the_copy_beside_it(*, is_bus_first: bool) -> None:
    on_bus, beside = kept((sight(1, 900), NOON)), kept((sight(1, 1000), NOON))
    book = merged(on_bus, beside) if is_bus_first else merged(beside, on_bus)

    book.enter(sight(1, 900), NOON)

    assert book.lost("LOG") == 100
