"""Whether a change is worth saying in public, on one channel: the rules, and what must be remembered for them.

`advance` is pure and decides in the library's own time, so that the same changes give the same posts wherever and
whenever they are read: live, after a crash, or from a recorded day.

The rules, in the order in which they are asked:

1. A revision that has been looked at already decides nothing more, so a redelivered change is harmless.
2. Staff may mute a library; nothing is said then. A mute is a change of situation, so it also takes the place of
   what was held. The end of a mute is no news by itself: what has become different meanwhile is.
3. At night nothing is said. A closed library is quiet. Its closing is said, and so is an exceptional closing that
   becomes known while it is closed (people would set out tomorrow); everything else waits for the opening.
4. What was said last today is not said again, nor are trifles: a wait below a quarter of an hour, one that has neither
   doubled nor halved, a notice that has ended, another reason for the same lack of data. Yesterday's words are old: a
   new day begins with nothing said. "No data" takes back what was said before; with nothing said today there is nothing
   to take back.
5. A day has a budget of announcements (one in several languages counts once: each language has its own readers). The
   last one is kept for what spares people a useless way: closed, or not admitting.
6. Two announcements keep an interval. A change that comes too soon is held; a newer change takes its place, and the
   held one is judged again, as of the end of the interval, once time has reached it.
7. A channel for digests says the day in one word when the library closes by its hours, and nothing else.
8. Figures that would be older than twice their validity when the interval ends are not held at all.

Why a held change is not stale when it goes out: that its situation (state, level, wait in its words, notice) was still
the newest when the interval ended is shown, never supposed: by a status of the same revision at or after that instant,
or by the next change, if it follows on this very one. Its figures are those of the change: the words say their time,
and rule 8 bounds how old they get. After the interval they go out at once (`RELEASED_FOR`) or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Final, Generic, TypeVar

from shared.domain.day_summary import DaySummary
from shared.domain.level import Level
from shared.domain.library import ChannelRule, Says
from shared.domain.status import Change, ReasonCode, Situation, State, Status

LONG_WAIT_MIN: Final = 15
"""A wait below a quarter of an hour changes nobody's plans."""
WAIT_MOVES: Final = 2
"""Between waits that differ by less people decide the same: 45 minutes or an hour."""
OVER_MIN: Final = 180
"""What "more than two hours" counts for beside other waits: news after an hour and a half, not after two hours."""
SAID_FOR: Final = timedelta(minutes=15)
"""How long after its moment an announcement of figures may still go out."""
RELEASED_FOR: Final = timedelta(minutes=5)
"""How long after the end of its interval one of figures that was held may: until a status has come that shows the time,
and for a server that wants to be asked twice."""
STATE_SAID_FOR: Final = timedelta(hours=2)
"""How long one that stays true by itself (closed, no data) may; later nobody asks any more."""

SEEN: Final = "seen already"
MUTED: Final = "muted by staff"
NIGHT: Final = "quiet at night"
CLOSED: Final = "closed; the next word is the opening"
DIGEST: Final = "this channel says one word a day, at closing"
NOTHING_NEW: Final = "nothing new"
NOTHING_SAID: Final = "no data, and nothing said today that it would take back"
SPENT: Final = "the day's budget is spent"
KEPT: Final = "the day's last announcement is kept for a closed house"
REPLACED: Final = "a newer change came before the interval ended"
UNCONFIRMED: Final = "nothing shows that it was still so when the interval ended"
TOO_OLD: Final = "its figures would be too old when the interval ends"


_About = TypeVar("_About", Change, Status)


@dataclass(frozen=True, slots=True)
class Post:
    """Say this change, as of `at` (in UTC); it is not to go out after `valid_until`.

    With a `summary` it is the day's digest that is said.
    """

    change: Change
    at: datetime
    valid_until: datetime
    summary: DaySummary | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Make the live post say this status, as of `at` (in UTC)."""

    status: Status
    at: datetime


@dataclass(frozen=True, slots=True)
class Hold(Generic[_About]):
    """Keep this change, or this status of a live post, until then and judge it again."""

    change: _About
    until: datetime


@dataclass(frozen=True, slots=True)
class Skip(Generic[_About]):
    """Say nothing of this change or status, for this reason; there are few reasons and all are constants."""

    change: _About
    reason: str


Decision = Post | Hold[Change] | Skip[Change]
"""On a change; `live_post.keep` answers Edit, Hold or Skip."""


@dataclass(frozen=True, slots=True)
class Held:
    """A change that waits for the interval to end."""

    change: Change
    until: datetime


@dataclass(frozen=True, slots=True)
class Reached:
    """The library's time has reached `at`, and `revision` is still its newest."""

    at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class PostingState:
    """What one channel remembers of one library."""

    revision: int = 0
    """The newest revision looked at."""
    day: str = ""
    """The local day (YYYY-MM-DD) of `spent` and `said`."""
    spent: int = 0
    """Announcements made on that day."""
    said: Situation | None = None
    """The situation announced last."""
    said_at: datetime | None = None
    held: Held | None = None
    summary: DaySummary = field(default_factory=DaySummary)
    """The day so far, for a channel of digests."""


def advance(
    state: PostingState, event: Change | Reached, rule: ChannelRule, time_zone: tzinfo
) -> tuple[PostingState, tuple[Decision, ...]]:
    """Take a change, or time that has passed without one, into account.

    Returns the new state and what was decided, in order: at most one decision on the change held so far, then one on
    the new change. Releasing a held change gives the same decision whether a `Reached` or the next change shows that
    its time has come.

    Revisions only grow; time may go back between two of them, when a library's state was begun anew or a simulated day
    is played again. What was said then stays said, but the interval counts from the earlier time, so that nobody waits
    for the later one to come round.
    """
    decisions: list[Decision] = []
    if isinstance(event, Reached):
        if state.held is not None and state.revision == event.revision and event.at >= state.held.until:
            state = _release(state, state.held, rule, time_zone, decisions)
        return state, tuple(decisions)
    if event.status.revision <= state.revision:
        return state, (Skip(event, SEEN),)
    if rule.says is Says.DIGEST:
        return _digested(state, event, time_zone)
    change, held, at = event, state.held, event.at.astimezone(UTC)
    if held is not None and at < held.until:
        decisions.append(Skip(held.change, REPLACED))
        if _follows(event, held.change):
            # Nobody has heard of the held one: the new change follows what was before it.
            change = replace(event, before=held.change.before)
    elif held is not None and _follows(event, held.change):
        state = _release(state, held, rule, time_zone, decisions)
    elif held is not None:
        decisions.append(Skip(held.change, UNCONFIRMED))
    said_at = None if state.said_at is None else min(state.said_at, at)
    state = replace(state, revision=event.status.revision, said_at=said_at)
    return _judge(state, change, at, rule, time_zone, decisions), tuple(decisions)


def decide(state: PostingState, change: Change, at: datetime, rule: ChannelRule, time_zone: tzinfo) -> Decision:
    """Decide on a change as of `at`: its own time, or the end of the interval that held it."""
    status, now = change.status, change.status.situation
    is_today = state.day == _day(at, time_zone)
    said = state.said if is_today else None
    if status.muted:
        return Skip(change, MUTED)
    if rule.is_night(at.astimezone(time_zone).time()):
        return Skip(change, NIGHT)
    if status.state is State.CLOSED and not _is_closing(change):
        return Skip(change, CLOSED)
    if said is None and status.state is State.UNKNOWN:
        return Skip(change, NOTHING_SAID)
    if said is not None and not is_news(now, said):
        return Skip(change, NOTHING_NEW)
    left = rule.daily_budget - (state.spent if is_today else 0)
    if left <= 0:
        return Skip(change, SPENT)
    if left == 1 and not _spares_a_way(now):
        return Skip(change, KEPT)
    if state.said_at is not None and at < state.said_at + rule.min_interval:
        until = state.said_at + rule.min_interval
        return Skip(change, TOO_OLD) if _is_too_old(status, until) else Hold(change, until)
    return Post(change, at, _valid_until(status, at))


def post_key(change_id: str, channel: str, language: str) -> str:
    """Return the name of one post: whoever decides it again, or sends it again, gets the same."""
    return sha256(f"{change_id}|{channel}|{language}".encode()).hexdigest()


def _digested(state: PostingState, change: Change, time_zone: tzinfo) -> tuple[PostingState, tuple[Decision, ...]]:
    """Take a change into the day's summary, and say it when the library closes by its hours."""
    status, day = change.status, _day(change.at, time_zone)
    summary = state.summary.after(change, day)
    state = replace(state, revision=status.revision, summary=summary)
    if status.muted:
        return state, (Skip(change, MUTED),)
    opens_again = status.next_change is not None and _day(status.next_change, time_zone) == summary.day
    is_over = (
        status.state is State.CLOSED
        and _is_closing(change)
        and not _is_exceptional(status.situation)
        and not opens_again  # a lunch break
    )
    if not is_over or (state.day == summary.day and state.spent) or summary.opened_at is None:
        return state, (Skip(change, DIGEST),)
    at = change.at.astimezone(UTC)
    state = replace(state, day=summary.day, spent=1, said=status.situation, said_at=at)
    return state, (Post(change, at, _valid_until(status, at), summary),)


def _release(
    state: PostingState, held: Held, rule: ChannelRule, time_zone: tzinfo, decisions: list[Decision]
) -> PostingState:
    return _judge(state, held.change, held.until, rule, time_zone, decisions)


def _judge(
    state: PostingState, change: Change, at: datetime, rule: ChannelRule, time_zone: tzinfo, decisions: list[Decision]
) -> PostingState:
    decision = decide(state, change, at, rule, time_zone)
    decisions.append(decision)
    if isinstance(decision, Hold):
        return replace(state, held=Held(change, decision.until))
    if isinstance(decision, Skip):
        return replace(state, held=None)
    day = _day(at, time_zone)
    spent = state.spent if state.day == day else 0
    return replace(state, day=day, spent=spent + 1, said=change.status.situation, said_at=at, held=None)


def _follows(later: Change, earlier: Change) -> bool:
    """Tell whether no change lies between two, so that the earlier situation lasted until the later change."""
    return later.status.revision == earlier.status.revision + 1 and later.before == earlier.status.situation


def _day(at: datetime, time_zone: tzinfo) -> str:
    return at.astimezone(time_zone).date().isoformat()


def _is_closing(change: Change) -> bool:
    """Tell whether a closed library was not closed before, or is closed exceptionally since now."""
    before = change.before
    if before is None:
        return False
    if before.state is not State.CLOSED:
        return True
    return _is_exceptional(change.status.situation) and not _is_exceptional(before)


def _is_exceptional(situation: Situation) -> bool:
    return situation.reason is ReasonCode.CLOSED_EXCEPTIONALLY


def is_news(now: Situation, said: Situation) -> bool:
    """Tell whether a situation is worth an announcement after what was said last.

    A wait that has neither doubled nor halved changes no plans; the live post, where there is one, tells it.
    """
    if (now.state, now.level, _is_exceptional(now)) != (said.state, said.level, _is_exceptional(said)):
        return True
    if now.notice and now.notice != said.notice:
        return True
    shorter, longer = sorted((_wait_min(now), _wait_min(said)))
    return longer >= LONG_WAIT_MIN and longer >= WAIT_MOVES * shorter


def _wait_min(situation: Situation) -> int:
    """Return the minutes of a wait in its words; 0 for none, and where nobody knows."""
    return OVER_MIN if situation.wait_overflow else situation.wait_bucket or 0


def gist(situation: Situation) -> tuple[State, Level | None, int, bool, bool]:
    """Return what people would act on."""
    wait = _wait_min(situation)
    return (
        situation.state,
        situation.level,
        wait if wait >= LONG_WAIT_MIN else 0,
        situation.wait_overflow,
        _is_exceptional(situation),
    )


def _spares_a_way(situation: Situation) -> bool:
    return situation.state in {State.CLOSED, State.NOT_ADMITTING}


def _is_too_old(status: Status, at: datetime) -> bool:
    """Tell whether a status's words would name figures that are older than twice their validity."""
    return status.state is State.OPEN and at - status.as_of > 2 * (status.valid_until - status.as_of)


def _valid_until(status: Status, at: datetime) -> datetime:
    if status.state in {State.CLOSED, State.UNKNOWN}:
        limit = at + STATE_SAID_FOR
    elif at > status.as_of:  # held until now
        limit = max(at + RELEASED_FOR, min(status.valid_until.astimezone(UTC), at + SAID_FOR))
    else:
        limit = min(status.valid_until.astimezone(UTC), at + SAID_FOR)
    # At the next opening or closing something else is true.
    if status.next_change is not None and at < status.next_change < limit:
        return status.next_change.astimezone(UTC)
    return limit
