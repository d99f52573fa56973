"""A live post says what is so, at a pace that nobody minds, whatever has happened in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.catalog import CATALOGS
from shared.domain.day_summary import DaySummary
from shared.domain.digest import compose_digest
from shared.domain.level import Level
from shared.domain.library import ChannelRule, Says
from shared.domain.live_post import CURRENT, EDITS_MAX, FINAL, UNTRUE_AFTER, WORN, Shown, keep, misleads
from shared.domain.messages import LONG_MAX, SHORT_MAX, SHORTEST_MAX, compose_live
from shared.domain.posting import DIGEST, NIGHT, Decision, Edit, Hold, Post, PostingState, Skip, advance
from shared.domain.queue_wait import WAIT_BUCKETS_MIN
from shared.domain.status import Change, ReasonCode, Situation, State, Status
from shared.runtime.formats import formats_for
from tests.domain.test_posting import CLOSED, CLOSING, FEW, FULL, NOON, OPEN, UNKNOWN, at, status_of

RULE = ChannelRule("mastodon", "bib", ("fr",), timedelta(minutes=10), 12)
PARIS = ZoneInfo("Europe/Paris")


def shown(situation: Situation, minute: float = 0, edits: int = 0) -> Shown:
    return Shown.of(told(situation, minute), at(minute), edits)


def told(situation: Situation, minute: float) -> Status:
    return status_of(situation, at(minute), 2)


def test_what_misleads_is_put_right_at_once() -> None:
    status = told(FULL, 2)
    assert keep(shown(OPEN), status, at(2), RULE) == Edit(status, at(2))


def test_two_edits_are_a_minute_apart_even_then() -> None:
    status = told(FULL, 0.5)
    assert keep(shown(OPEN), status, at(0.5), RULE) == Hold(status, at(0) + UNTRUE_AFTER)


def test_what_changes_no_plans_waits_for_the_rules_pace() -> None:
    status = told(replace(OPEN, wait_bucket=10), 2)
    assert keep(shown(OPEN), status, at(2), RULE) == Hold(status, at(5))
    assert keep(shown(OPEN), status, at(5), RULE) == Edit(status, at(5))


def test_while_nothing_changes_the_figures_are_refreshed() -> None:
    assert keep(shown(OPEN), told(OPEN, 29), at(29), RULE) == Hold(told(OPEN, 29), at(30))
    assert keep(shown(OPEN), told(OPEN, 30), at(30), RULE) == Edit(told(OPEN, 30), at(30))
    assert keep(shown(OPEN), told(OPEN, 0), at(5), RULE) == Skip(told(OPEN, 0), CURRENT)


def test_after_closing_it_is_edited_once_and_left_alone() -> None:
    assert isinstance(keep(shown(FULL), told(CLOSED, 5), at(5), RULE), Edit)
    later = told(CLOSED, 500)
    assert keep(shown(CLOSED), later, at(500), RULE) == Skip(later, FINAL)


def test_a_closed_one_is_edited_where_the_opening_is_put_off() -> None:
    later = told(CLOSED, 20)
    later = replace(later, next_change=CLOSING + timedelta(hours=12))
    assert keep(shown(CLOSED), later, at(20), RULE) == Edit(later, at(20))


def test_a_clock_that_is_a_little_behind_edits_nothing() -> None:
    status = told(OPEN, -0.1)
    assert not isinstance(keep(shown(OPEN), status, at(-0.1), RULE), Edit)


def test_a_silent_source_is_told_once_the_status_has_expired() -> None:
    status = told(FEW, 0)
    held = keep(shown(FEW), status, status.valid_until, RULE)
    assert held == Skip(status, CURRENT)
    edit = keep(shown(FEW), status, status.valid_until + timedelta(seconds=1), RULE)
    assert isinstance(edit, Edit)
    assert edit.status.state is State.UNKNOWN
    assert edit.status.reason is not None
    assert (edit.status.reason.code, edit.status.reason.since) == (ReasonCode.EXPIRED, at(0))
    again = keep(Shown.of(edit.status, edit.at, 1), status, at(60), RULE)
    assert again == Skip(edit.status, CURRENT)


def test_a_post_edited_often_is_put_right_only_where_it_misleads() -> None:
    worn = shown(OPEN, edits=EDITS_MAX)
    assert keep(worn, told(OPEN, 60), at(60), RULE) == Skip(told(OPEN, 60), WORN)
    assert isinstance(keep(worn, told(FULL, 60), at(60), RULE), Edit)


def test_a_day_played_again_begins_anew() -> None:
    assert isinstance(keep(shown(OPEN, 300), told(OPEN, 0), at(0), RULE), Edit)


situations = st.builds(
    Situation,
    state=st.sampled_from([State.OPEN, State.CLOSED, State.UNKNOWN, State.NOT_ADMITTING]),
    level=st.none() | st.sampled_from(list(Level)),
    wait_bucket=st.none() | st.sampled_from(WAIT_BUCKETS_MIN),
    notice=st.sampled_from(["", "Wi-Fi"]),
    muted=st.booleans(),
)


@given(st.lists(st.tuples(st.integers(0, 20), situations), min_size=1, max_size=30))
def test_it_never_misleads_for_longer_than_two_minutes_while_statuses_come(steps: list[tuple[int, Situation]]) -> None:
    """Looked at every half minute, whatever the situations do."""
    minute = 0.0
    now = shown(OPEN)
    wrong_since: float | None = None
    for lasts, situation in steps:
        for _ in range(2 * lasts + 1):
            minute += 0.5
            status = told(situation, minute)
            decision = keep(now, status, at(minute), RULE)
            if isinstance(decision, Edit):
                now = Shown.of(decision.status, decision.at, now.edits + 1)
            if misleads(now.situation, situation):
                wrong_since = minute if wrong_since is None else wrong_since
                assert minute - wrong_since <= 2
            else:
                wrong_since = None


@pytest.mark.parametrize("language", list(CATALOGS))
def test_muted_it_says_that_it_is_not_kept_up_to_date(language: str) -> None:
    catalog = CATALOGS[language]
    status = replace(told(replace(FULL, muted=True), 0), name="B" * 110)
    message = compose_live(status, catalog, formats_for(language, "Europe/Paris"))
    for text in (message.long, message.short, message.shortest):
        assert catalog.not_updated in text
    assert len(message.shortest) <= SHORTEST_MAX


# Nights and digests, which are rules of announcements


def change(before: Situation, now: Situation, when: datetime, revision: int) -> Change:
    return Change("bib", when, before, replace(status_of(now, when, revision), next_change=NOON + timedelta(days=1)))


def test_at_night_nothing_is_announced() -> None:
    rule = replace(RULE, quiet_from=time(23), quiet_until=time(6))
    night = datetime(2026, 3, 3, 23, 30, tzinfo=PARIS).astimezone(UTC)
    _, (decision,) = advance(PostingState(), change(OPEN, FULL, night, 2), rule, PARIS)
    assert decision == Skip(change(OPEN, FULL, night, 2), NIGHT)
    _, (decision,) = advance(PostingState(), change(OPEN, FULL, NOON, 2), rule, PARIS)
    assert isinstance(decision, Post)


@pytest.mark.parametrize(
    ("start", "end", "local", "is_night"),
    [
        ("23:00", "06:00", "23:00", True),
        ("23:00", "06:00", "05:59", True),
        ("23:00", "06:00", "06:00", False),
        ("01:00", "05:00", "00:30", False),
        ("01:00", "05:00", "01:00", True),
        ("00:00", "00:00", "00:00", False),
    ],
)
def test_a_night_may_go_over_midnight_or_be_none(start: str, end: str, local: str, *, is_night: bool) -> None:
    rule = replace(RULE, quiet_from=time.fromisoformat(start), quiet_until=time.fromisoformat(end))
    assert rule.is_night(time.fromisoformat(local)) is is_night


def test_a_channel_for_digests_says_the_day_at_closing_and_nothing_else() -> None:
    rule = replace(RULE, says=Says.DIGEST)
    state = PostingState()
    said: list[Decision] = []
    steps = [(CLOSED, OPEN), (OPEN, FULL), (FULL, replace(FULL, wait_bucket=90)), (FULL, FEW), (FEW, CLOSED)]
    for number, (before, now) in enumerate(steps):
        state, decisions = advance(state, change(before, now, at(60 * number), number + 2), rule, PARIS)
        said += decisions
    assert [type(each) for each in said] == [Skip, Skip, Skip, Skip, Post]
    assert [each.reason for each in said if isinstance(each, Skip)] == [DIGEST] * 4
    digest = said[-1]
    assert isinstance(digest, Post)
    summary = digest.summary
    assert summary is not None
    assert (summary.opened_at, summary.first_full_at, summary.full_for) == (at(0), at(60), timedelta(hours=2))
    assert (summary.longest_wait, summary.longest_wait_at) == (90, at(120))


def test_a_lunch_break_ends_no_day() -> None:
    rule = replace(RULE, says=Says.DIGEST)
    state = PostingState()
    posts: list[Post] = []
    for number, (before, now) in enumerate([(CLOSED, FULL), (FULL, CLOSED), (CLOSED, OPEN), (OPEN, CLOSED)]):
        opens = at(60 * (number + 1)) if number == 1 else at(24 * 60)
        each = change(before, now, at(60 * number), number + 2)
        each = replace(each, status=replace(each.status, next_change=opens))
        state, decisions = advance(state, each, rule, PARIS)
        posts += [decision for decision in decisions if isinstance(decision, Post)]
    (digest,) = posts
    assert digest.at == at(180)
    assert digest.summary is not None
    assert digest.summary.first_full_at == at(0)


def test_where_data_were_missing_nobody_says_that_it_was_never_full() -> None:
    rule = replace(RULE, says=Says.DIGEST)
    state, _ = advance(PostingState(), change(CLOSED, UNKNOWN, at(0), 2), rule, PARIS)
    _, (decision,) = advance(state, change(UNKNOWN, CLOSED, at(60), 3), rule, PARIS)
    assert isinstance(decision, Post)
    assert decision.summary is not None
    for language, catalog in CATALOGS.items():
        said = compose_digest(decision.summary, decision.change.status, catalog, formats_for(language, "Europe/Paris"))
        assert catalog.digest.never_full not in said.long
        assert said.shortest


@pytest.mark.parametrize("language", list(CATALOGS))
@given(
    name=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=120),
    full_min=st.none() | st.integers(0, 600),
    wait=st.sampled_from([0, 15, 90, 120]),
    visits=st.none() | st.integers(0, 20_000),
)
def test_a_digest_fits_at_every_length(
    language: str, name: str, full_min: int | None, wait: int, visits: int | None
) -> None:
    summary = DaySummary(
        day="2026-03-03",
        opened_at=at(0),
        first_full_at=None if full_min is None else at(10),
        full_for=timedelta(minutes=full_min or 0),
        longest_wait=wait,
        longest_wait_at=at(20) if wait else None,
        visits=visits,
    )
    status = replace(status_of(CLOSED, at(600), 9), name=name)
    message = compose_digest(summary, status, CATALOGS[language], formats_for(language, "Europe/Paris"))
    assert len(message.shortest) <= SHORTEST_MAX
    assert len(message.short) <= max(SHORT_MAX, len(message.shortest))
    assert len(message.long) <= max(LONG_MAX, len(message.shortest))
    for text in (message.long, message.short, message.shortest):
        assert "{" not in text
        assert text == text.strip()
