"""What is worth saying, and that it is decided the same whichever way time arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.contracts.status import StatusChanged
from shared.domain import posting
from shared.domain.level import Level
from shared.domain.library import ChannelRule, ClockKind
from shared.domain.posting import Decision, Hold, Post, PostingState, Reached, Skip, advance, post_key
from shared.domain.queue_wait import WAIT_BUCKETS_MIN, Wait
from shared.domain.reading import Mute
from shared.domain.status import Change, Reason, ReasonCode, Situation, State, Status
from tests.domain.conftest import Told
from tests.domain.conftest import at as clock

ZONE = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
RULE = ChannelRule("console", "", ("fr",), timedelta(minutes=10), 12)
CLOSING = NOON + timedelta(hours=9)

OPEN = Situation(State.OPEN, Level.MANY_SEATS, 0)
FEW = Situation(State.OPEN, Level.FEW_SEATS, 0)
FULL = Situation(State.OPEN, Level.FULL, 0)
CLOSED = Situation(State.CLOSED, reason=ReasonCode.CLOSED_BY_HOURS)
EXCEPTIONAL = Situation(State.CLOSED, reason=ReasonCode.CLOSED_EXCEPTIONALLY)
UNKNOWN = Situation(State.UNKNOWN, reason=ReasonCode.GATE_SILENT)
NOT_ADMITTING = Situation(State.NOT_ADMITTING, Level.FULL, 0)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def muted(situation: Situation) -> Situation:
    return replace(situation, muted=True)


def status_of(situation: Situation, when: datetime, revision: int) -> Status:
    bucket = situation.wait_bucket
    return Status(
        library="bib",
        name="Bib",
        time_zone="Europe/Paris",
        languages=("fr",),
        revision=revision,
        state=situation.state,
        reason=Reason(situation.reason) if situation.reason else None,
        level=situation.level,
        people=None,
        capacity=100,
        usable_seats=None,
        trend=None,
        queue=None,
        wait=None if bucket is None else Wait(bucket, bucket, bucket, bucket, situation.wait_overflow),
        zones=(),
        hours_today=(),
        next_change=CLOSING,
        notice=situation.notice,
        notice_until=when + timedelta(hours=1) if situation.notice else None,
        muted=situation.muted,
        as_of=when,
        valid_until=when + timedelta(minutes=10),
        last_recount=None,
        entries_today=0,
        exits_today=0,
        clock=ClockKind.WALL,
        speed=1.0,
    )


def changes_of(*steps: tuple[float, Situation]) -> list[Change]:
    """Return the changes of a library that was closed first: (minutes after noon, situation), in order."""
    before: Situation = CLOSED
    changes = []
    for revision, (minutes, situation) in enumerate(steps, start=2):
        when = at(minutes)
        changes.append(Change("bib", when, before, status_of(situation, when, revision)))
        before = situation
    return changes


def play(
    events: Sequence[Change | Reached], rule: ChannelRule = RULE, state: PostingState | None = None
) -> tuple[PostingState, list[Decision]]:
    state = state or PostingState()
    decisions: list[Decision] = []
    for event in events:
        state, new = advance(state, event, rule, ZONE)
        decisions += new
    return state, decisions


def said(decisions: list[Decision]) -> list[tuple[datetime, Situation]]:
    return [(each.at, each.change.status.situation) for each in decisions if isinstance(each, Post)]


def reasons(decisions: list[Decision]) -> list[str]:
    return [each.reason for each in decisions if isinstance(each, Skip)]


def test_the_opening_each_level_and_the_closing_are_said() -> None:
    _, decisions = play(changes_of((0, OPEN), (20, FEW), (40, FULL), (60, FEW), (80, CLOSED)))
    assert [situation for _, situation in said(decisions)] == [OPEN, FEW, FULL, FEW, CLOSED]


@pytest.mark.parametrize(
    "news",
    [
        NOT_ADMITTING,
        UNKNOWN,
        EXCEPTIONAL,
        replace(OPEN, wait_bucket=15),
        replace(OPEN, wait_bucket=120, wait_overflow=True),
        replace(OPEN, notice="The lift is out of order."),
    ],
)
def test_what_people_would_act_on_is_said(news: Situation) -> None:
    _, decisions = play(changes_of((0, OPEN), (20, news)))
    assert said(decisions)[1:] == [(at(20), news)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (OPEN, replace(OPEN, wait_bucket=10)),
        (FULL, replace(FULL, wait_bucket=None)),
        (replace(OPEN, notice="The lift is out of order."), OPEN),
    ],
)
def test_trifles_are_not_said(first: Situation, second: Situation) -> None:
    _, decisions = play(changes_of((0, first), (20, second)))
    assert [situation for _, situation in said(decisions)] == [first]
    assert reasons(decisions) == [posting.NOTHING_NEW]


def test_no_data_is_said_once_whatever_the_reason_for_it() -> None:
    _, decisions = play(changes_of((0, OPEN), (20, UNKNOWN), (40, replace(UNKNOWN, reason=ReasonCode.RECOUNT_OLD))))
    assert [situation for _, situation in said(decisions)] == [OPEN, UNKNOWN]


def test_no_data_is_not_said_where_it_takes_nothing_back() -> None:
    _, decisions = play(changes_of((0, UNKNOWN)))
    assert reasons(decisions) == [posting.NOTHING_SAID]


def test_a_change_that_comes_too_soon_is_held_until_the_interval_ends() -> None:
    state, decisions = play(changes_of((0, OPEN), (4, FEW)))
    assert decisions[-1] == Hold(changes_of((0, OPEN), (4, FEW))[1], at(10))
    _, released = advance(state, Reached(at(10), 3), RULE, ZONE)
    assert said(list(released)) == [(at(10), FEW)]


def test_a_newer_change_replaces_the_held_one() -> None:
    _, decisions = play([*changes_of((0, OPEN), (4, FEW), (6, FULL)), Reached(at(10), 4)])
    assert said(decisions) == [(at(0), OPEN), (at(10), FULL)]
    assert posting.REPLACED in reasons(decisions)


def test_a_change_at_the_very_end_of_the_interval_comes_after_the_held_one() -> None:
    changes = changes_of((0, OPEN), (4, FEW), (10, FULL))
    assert play(changes) == play([*changes[:2], Reached(at(10), 3), changes[2]])
    assert said(play([*changes, Reached(at(20), 4)])[1]) == [(at(0), OPEN), (at(10), FEW), (at(20), FULL)]


def test_a_change_back_to_what_was_said_within_the_interval_leaves_nothing_to_say() -> None:
    state, decisions = play([*changes_of((0, OPEN), (4, FEW), (6, OPEN)), Reached(at(10), 4)])
    assert said(decisions) == [(at(0), OPEN)]
    assert reasons(decisions) == [posting.REPLACED, posting.NOTHING_NEW]
    assert state.held is None


def test_a_held_closing_is_not_lost_when_a_notice_comes_while_closed() -> None:
    noticed = replace(CLOSED, notice="Until tomorrow.")
    _, decisions = play([*changes_of((0, OPEN), (4, CLOSED), (6, noticed)), Reached(at(10), 4)])
    assert said(decisions) == [(at(0), OPEN), (at(10), noticed)]


def test_time_that_has_not_come_or_a_newer_revision_releases_nothing() -> None:
    state, _ = play(changes_of((0, OPEN), (4, FEW)))
    assert advance(state, Reached(at(9), 3), RULE, ZONE) == (state, ())
    assert advance(state, Reached(at(11), 4), RULE, ZONE) == (state, ())


def test_a_change_seen_before_decides_nothing() -> None:
    changes = changes_of((0, OPEN), (20, FEW))
    state, _ = play(changes)
    for change in changes:
        again, decisions = advance(state, change, RULE, ZONE)
        assert again == state
        assert decisions == (Skip(change, posting.SEEN),)


def test_a_muted_library_is_silent() -> None:
    _, decisions = play(changes_of((0, muted(OPEN)), (20, muted(FULL))))
    assert reasons(decisions) == [posting.MUTED, posting.MUTED]


def test_a_mute_stops_what_was_held() -> None:
    state, decisions = play([*changes_of((0, OPEN), (5, FEW), (6, muted(FEW))), Reached(at(10), 4)])
    assert said(decisions) == [(at(0), OPEN)]
    assert reasons(decisions) == [posting.REPLACED, posting.MUTED]
    assert state.held is None


def test_muting_makes_a_change_that_replaces_what_was_held_and_crosses_the_bus() -> None:
    library = Told(opening_hours="Mo-Su 09:00-22:00")
    library.tell(clock("08:00"))
    library.tell(clock("09:00"))
    library.heads(clock("09:00"), 10)
    library.gate(clock("09:05"), entries=90)
    library.tell(clock("09:06"), Mute(id="m", device="tablet", at=clock("09:06"), until=clock("09:20")))
    library.beat(clock("09:10"), clock("09:20"))
    assert [each.status.muted for each in library.changes] == [False, False, False, True, False]
    wired = [StatusChanged.of(each, {}).to_domain() for each in library.changes]
    assert [each.before and each.before.muted for each in wired] == [None, False, False, False, True]
    _, decisions = play([*wired[:4], Reached(clock("09:11"), wired[3].status.revision)])
    assert [(when, situation.level) for when, situation in said(decisions)] == [(clock("09:00"), Level.MANY_SEATS)]


def test_the_end_of_a_mute_is_said_only_for_what_has_become_different() -> None:
    _, same = play(changes_of((0, OPEN), (20, muted(OPEN)), (40, OPEN)))
    assert said(same) == [(at(0), OPEN)]
    _, other = play(changes_of((0, OPEN), (20, muted(OPEN)), (30, muted(FULL)), (40, FULL)))
    assert said(other) == [(at(0), OPEN), (at(40), FULL)]


def test_figures_are_not_held_until_they_are_older_than_twice_their_validity() -> None:
    rule = replace(RULE, min_interval=timedelta(minutes=30))
    _, kept = play([*changes_of((0, OPEN), (10, FEW)), Reached(at(31), 3)], rule)
    assert said(kept) == [(at(0), OPEN), (at(30), FEW)]
    _, dropped = play([*changes_of((0, OPEN), (9, FEW)), Reached(at(31), 3)], rule)
    assert said(dropped) == [(at(0), OPEN)]
    assert reasons(dropped) == [posting.TOO_OLD]


def test_what_was_too_old_to_be_held_is_news_again_with_the_next_change() -> None:
    rule = replace(RULE, min_interval=timedelta(minutes=30))
    _, decisions = play(changes_of((0, OPEN), (5, FULL), (45, replace(FULL, wait_bucket=5))), rule)
    assert [when for when, _ in said(decisions)] == [at(0), at(45)]


def test_a_word_without_figures_is_held_however_long_the_interval() -> None:
    rule = replace(RULE, min_interval=timedelta(hours=2))
    for situation in (NOT_ADMITTING, CLOSED, UNKNOWN):
        _, decisions = play([*changes_of((0, OPEN), (5, situation)), Reached(at(121), 3)], rule)
        assert said(decisions) == [(at(0), OPEN), (at(120), situation)]


def test_held_figures_go_out_while_they_are_valid_or_at_once() -> None:
    for minutes, limit in ((1, 15), (9, 19)):
        _, decisions = play([*changes_of((0, OPEN), (minutes, FEW)), Reached(at(10), 3)])
        assert [each.valid_until for each in decisions if isinstance(each, Post)][1:] == [at(limit)]


@pytest.mark.parametrize("gap", ["a revision is missing", "another situation was before"])
def test_a_later_change_that_does_not_follow_on_the_held_one_confirms_nothing(gap: str) -> None:
    first, held, later = changes_of((0, OPEN), (5, FEW), (30, FULL))
    if gap == "a revision is missing":
        later = replace(later, status=replace(later.status, revision=9))
    else:
        later = replace(later, before=None)
    _, decisions = play([first, held, later])
    assert said(decisions) == [(at(0), OPEN), (at(30), FULL)]
    assert reasons(decisions) == [posting.UNCONFIRMED]


def test_a_library_begun_anew_at_an_earlier_time_waits_for_one_interval_at_most() -> None:
    state, _ = play(changes_of((600, OPEN), (604, FEW)))
    anew = Change("bib", at(0), None, status_of(FULL, at(0), 11))
    state, decisions = advance(state, anew, RULE, ZONE)
    assert [type(each) for each in decisions] == [Skip, Hold]
    assert said(list(advance(state, Reached(at(10), 11), RULE, ZONE)[1])) == [(at(10), FULL)]


def test_a_library_begun_anew_while_closed_says_nothing_of_a_closing_before() -> None:
    state, _ = play(changes_of((0, OPEN), (4, FEW)))
    anew = Change("bib", at(5), None, status_of(CLOSED, at(5), 11))
    assert reasons(list(advance(state, anew, RULE, ZONE)[1])) == [posting.REPLACED, posting.CLOSED]


def test_a_closed_library_says_nothing_but_an_exceptional_closing() -> None:
    noticed = replace(CLOSED, notice="Tomorrow from ten.")
    steps = changes_of((0, OPEN), (20, CLOSED), (40, noticed), (60, EXCEPTIONAL), (80, CLOSED), (100, OPEN))
    _, decisions = play(steps)
    assert [situation for _, situation in said(decisions)] == [OPEN, CLOSED, EXCEPTIONAL, OPEN]
    assert reasons(decisions) == [posting.CLOSED, posting.CLOSED]


def test_a_first_look_at_a_closed_library_says_nothing() -> None:
    change = Change("bib", at(0), None, status_of(CLOSED, at(0), 1))
    assert play([change])[1] == [Skip(change, posting.CLOSED)]


def test_the_last_announcement_of_the_day_is_kept_for_a_closed_house() -> None:
    rule = replace(RULE, daily_budget=2)
    _, decisions = play(changes_of((0, OPEN), (20, FEW), (40, FULL), (60, CLOSED)), rule)
    assert [situation for _, situation in said(decisions)] == [OPEN, CLOSED]
    assert reasons(decisions) == [posting.KEPT, posting.KEPT]


def test_a_new_local_day_begins_with_a_new_budget_and_nothing_said() -> None:
    rule = replace(RULE, daily_budget=3)
    midnight = 11 * 60  # 23:00 UTC is midnight in Paris
    _, decisions = play(changes_of((0, OPEN), (20, FULL), (midnight - 1, OPEN), (midnight, FULL)), rule)
    assert [when for when, _ in said(decisions)] == [at(0), at(20), at(midnight)]


def test_figures_go_out_within_their_validity_and_a_closing_within_two_hours() -> None:
    _, decisions = play(changes_of((0, OPEN), (20, CLOSED)))
    figures, closing = (each for each in decisions if isinstance(each, Post))
    assert figures.valid_until == at(10)
    assert closing.valid_until == at(140)


def test_nothing_goes_out_after_the_hours_have_changed() -> None:
    late = (CLOSING - NOON) / timedelta(minutes=1) - 3
    _, decisions = play(changes_of((late, OPEN)))
    assert [each.valid_until for each in decisions if isinstance(each, Post)] == [CLOSING]


def test_the_key_of_a_post_differs_by_change_channel_and_language_only() -> None:
    keys = {
        post_key(*each) for each in [("b.1", "c", "fr"), ("b.2", "c", "fr"), ("b.1", "d", "fr"), ("b.1", "c", "en")]
    }
    assert len(keys) == 4
    assert post_key("b.1", "c", "fr") in keys


situations = st.one_of(
    st.sampled_from([CLOSED, EXCEPTIONAL, UNKNOWN, NOT_ADMITTING]),
    st.builds(
        Situation,
        state=st.just(State.OPEN),
        level=st.sampled_from(list(Level)),
        wait_bucket=st.none() | st.sampled_from(WAIT_BUCKETS_MIN),
        notice=st.sampled_from(["", "", "The lift is out of order."]),
    ),
).flatmap(lambda situation: st.sampled_from([situation, situation, situation, muted(situation)]))
days = st.lists(st.tuples(st.integers(1, 90), situations), min_size=1, max_size=40).map(
    lambda steps: changes_of(*[(sum(gap for gap, _ in steps[: n + 1]), what) for n, (_, what) in enumerate(steps)])
)
rules = st.builds(
    ChannelRule,
    channel=st.just("console"),
    account=st.just(""),
    languages=st.just(("fr",)),
    min_interval=st.integers(0, 120).map(lambda minutes: timedelta(minutes=minutes)),
    daily_budget=st.integers(0, 8),
)


@given(days, rules)
def test_two_posts_are_never_closer_than_the_interval(changes: list[Change], rule: ChannelRule) -> None:
    times = [when for when, _ in said(play(changes, rule)[1])]
    assert all(later - earlier >= rule.min_interval for earlier, later in pairwise(times))


@given(days, rules)
def test_a_day_has_no_more_posts_than_its_budget(changes: list[Change], rule: ChannelRule) -> None:
    dates = [when.astimezone(ZONE).date() for when, _ in said(play(changes, rule)[1])]
    assert all(dates.count(date) <= rule.daily_budget for date in dates)


@given(days, rules)
def test_nothing_is_said_of_a_closed_house_but_that_it_closes(changes: list[Change], rule: ChannelRule) -> None:
    by_id = {each.id: each for each in changes}
    for decision in play(changes, replace(rule, min_interval=timedelta(0)))[1]:
        if isinstance(decision, Post) and decision.change.status.state is State.CLOSED:
            before = by_id[decision.change.id].before
            assert before is not None
            is_exceptional_now = decision.change.status.situation.reason is ReasonCode.CLOSED_EXCEPTIONALLY
            assert before.state is not State.CLOSED or is_exceptional_now


def with_time(changes: list[Change], told: list[bool], end: datetime) -> list[Change | Reached]:
    """Return the changes with, here and there, word that time has passed, up to the very instant of the next one."""
    events: list[Change | Reached] = []
    for number, change in enumerate(changes):
        events.append(change)
        following = changes[number + 1].at if number + 1 < len(changes) else end
        if told[number % len(told)]:
            for step in range(1, 6):
                moment = change.at + (following - change.at) * step / 5
                events.append(Reached(moment, change.status.revision))
    return [*events, Reached(end, changes[-1].status.revision)]


@given(days, rules, st.lists(st.booleans(), min_size=1, max_size=8))
def test_a_held_change_is_decided_the_same_whichever_way_time_arrives(
    changes: list[Change], rule: ChannelRule, told: list[bool]
) -> None:
    end = changes[-1].at + timedelta(hours=3)
    quiet = play(with_time(changes, [False], end), rule)
    chatty = play(with_time(changes, told, end), rule)
    assert chatty == quiet


@given(days, rules)
def test_what_is_said_is_still_so_and_not_muted(changes: list[Change], rule: ChannelRule) -> None:
    end = changes[-1].at + timedelta(hours=3)
    for post in play(with_time(changes, [False], end), rule)[1]:
        if isinstance(post, Post):
            newest = [each for each in changes if each.at < post.at or each.at == post.at == post.change.at][-1]
            assert newest.status == post.change.status
            assert not newest.status.muted


@given(days, rules)
def test_no_figures_go_out_long_after_their_validity(changes: list[Change], rule: ChannelRule) -> None:
    end = changes[-1].at + timedelta(hours=3)
    for post in play(with_time(changes, [False], end), rule)[1]:
        status = post.change.status
        if isinstance(post, Post) and status.state is State.OPEN:
            assert post.at < post.valid_until
            assert post.valid_until <= max(status.valid_until, post.at + posting.RELEASED_FOR)
            assert post.at - status.as_of <= 2 * (status.valid_until - status.as_of)


@given(days, rules, st.integers(1, 2_000), st.data())
def test_time_that_goes_back_between_two_revisions_silences_nobody_for_longer_than_an_interval(
    changes: list[Change], rule: ChannelRule, minutes: int, data: st.DataObject
) -> None:
    state, _ = play(changes[: data.draw(st.integers(0, len(changes)))], rule)
    begin = changes[0].at - timedelta(minutes=minutes)
    anew = Change("bib", begin, None, status_of(FULL, begin, len(changes) + 5))
    state, decisions = advance(state, anew, rule, ZONE)
    assert state.revision == anew.status.revision
    for each in decisions:
        if isinstance(each, Hold):
            assert each.until <= begin + rule.min_interval


@given(days, rules, st.data())
def test_a_change_delivered_again_changes_nothing(
    changes: list[Change], rule: ChannelRule, data: st.DataObject
) -> None:
    repeats = data.draw(st.lists(st.integers(0, len(changes) - 1), max_size=10))
    once = said(play(changes, rule)[1])
    events = list(changes)
    for index in sorted(repeats, reverse=True):
        later = data.draw(st.integers(index + 1, len(events)))
        events.insert(later, changes[index])
    assert said(play(events, rule)[1]) == once


@given(days, rules)
def test_the_memory_survives_being_stored_between_any_two_changes(changes: list[Change], rule: ChannelRule) -> None:
    adapter = TypeAdapter(PostingState)
    state, posts = PostingState(), []
    for change in changes:
        state, decisions = advance(adapter.validate_json(adapter.dump_json(state)), change, rule, ZONE)
        posts += said(list(decisions))
    assert posts == said(play(changes, rule)[1])
