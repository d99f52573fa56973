"""The queue of an explanation as lines for people: who looked, and the formula of the wait with its numbers in it."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor
from typing import Final

from cli.explanation.account import Explanation
from cli.explanation.phrasing import clock, people, percent
from cli.explanation.queueing import Look, QueueAccount, WaitAccount
from shared.domain.queue_wait import OVERFLOW_MIN, Wait

LOOKS_SHOWN: Final = 12
LEAST_BIAS: Final = 0.005


def queue(explanation: Explanation) -> Iterator[str]:
    """Yield what is known of the queue."""
    account, zone, as_of = explanation.queue, explanation.library.time_zone, explanation.status.as_of
    if account is None:
        is_possible = explanation.library.is_queue_possible
        yield "Nothing is said of it while the library is not open." if is_possible else "Nobody can queue here."
        return
    hidden = len(account.looks) - LOOKS_SHOWN
    if hidden > 0:
        yield f"({hidden} earlier looks are left out)"
    for each in account.looks[-LOOKS_SHOWN:]:
        why = f': "{each.why}"' if each.why else ""
        yield f"{clock(each.at, zone, beside=as_of)}  {_look(each)} (by {each.who}{why})"
    if not account.looks:
        yield "Nobody has looked at it."
    is_held = "; the door lets one in for one out" if account.is_held else ""
    yield f"Chance that somebody queues: {percent(account.chance)}{is_held}."
    if account.wait is None:
        yield _no_wait(account, explanation)
    else:
        yield from _wait(account.wait, explanation.status.wait)
    if account.error_min is not None:
        yield (
            f"Waits told in the last thirty days were off by {account.error_min:.1f} minutes on average"
            f" ({account.checked} checked)."
        )


def _no_wait(account: QueueAccount, explanation: Explanation) -> str:
    if explanation.status.wait is not None:
        return "So nobody waits."
    if account.is_there:
        return "No wait is told: nobody is let in."
    return "No wait is told: nobody knows whether anybody waits, or nobody is let in any more."


def _look(look: Look) -> str:
    match look.kind:
        case "queue_at_marker":
            return f"the queue ended at {look.marker}, about {people(look.value)} people"
        case "queue_length":
            return f"{people(look.value)} people queued"
        case "queueing_time":
            return f"a wait of {look.value:.0f} minutes was said"
        case "ticket":
            return f"somebody got in who had waited {look.value:.0f} minutes"
        case _:
            return "the door lets one in for one out" if look.value else "the door lets everybody in again"


def _wait(wait: WaitAccount, said: Wait | None) -> Iterator[str]:
    spread = wait.exits_error_share * wait.exits_per_min
    yield (
        f"{people(wait.queue)} people queue (give or take {people(wait.queue_deviation)}); {wait.exits_per_min:.1f}"
        f" leave a minute (give or take {spread:.1f}), the door lets in up to {wait.door_per_min:.1f}, and"
        f" {100 * wait.reneging_per_min:.2f} % of the queue give up each minute."
    )
    if wait.passing:
        yield (
            f"There is room for {people(wait.room)}: {people(wait.passing)} pass the door at its pace,"
            f" {wait.passing:.0f} / {wait.door_per_min:.1f} = {wait.at_door_min:.1f} minutes."
        )
    if wait.behind:
        rate = f"{wait.reneging_per_min:g}"
        yield (
            f"One goes in for each who leaves, for the {people(wait.behind)} others:"
            f" ln(1 + {rate} x {wait.behind:.0f} / {wait.exits_per_min:.2f}) / {rate} = {wait.behind_min:.1f} minutes."
        )
    if len(wait.outlook) > 1:
        factors = ", ".join(f"{each:.2f}" for each in wait.outlook[:8])
        yield (
            f"As people usually leave from now on (by quarter of an hour, times {factors}):"
            f" {wait.by_outlook_min:.1f} minutes in all."
        )
    if abs(wait.bias - 1) >= LEAST_BIAS:
        yield f"Waits that were measured came out {wait.bias:.2f} times as long as foretold, so times that."
    yield f"So {wait.minutes:.0f} minutes, nine times in ten between {floor(wait.low)} and {ceil(wait.high)}."
    if said is None:
        return
    if said.overflow:
        yield f'From {OVERFLOW_MIN:.0f} minutes on, or where nobody can know, people hear "more than 2 hours".'
    elif said.bucket != wait.fresh_bucket:
        yield (
            f'The words stay at "{said.bucket} minutes" and not {wait.fresh_bucket}: they move only when they are'
            f" clearly wrong, at most every ten minutes."
        )
    else:
        yield f"People say waits in steps, rounded up: {said.bucket} minutes."
