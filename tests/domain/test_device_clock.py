"""Gates' clocks: told from slow networks by when reports arrive."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from shared.domain.estimation.device_clock import FEWEST, KEPT, DeviceClock

START = 1_760_000_000.0
MINUTE_S = 60.0
HOUR_S = 3600.0
Delay = Callable[[Random], float]


def seconds(rng: Random) -> float:
    return rng.uniform(1.0, 8.0)


def a_minute(rng: Random) -> float:
    return rng.expovariate(1 / 60)


def minutes(rng: Random) -> float:
    return rng.expovariate(1 / 180)


def listen(
    clock: DeviceClock,
    ahead_s: float,
    *,
    reports: int = 300,
    delay: Delay = seconds,
    start: float = START,
    every_s: float = MINUTE_S,
    shuffled_s: float = 0.0,
) -> list[float]:
    """Let a clock hear reports of a gate that is ahead; return the offset after each, in order of receipt."""
    rng = Random(f"{ahead_s}:{start}")
    heard = []
    for number in range(reports):
        at = start + number * every_s
        heard.append((at + delay(rng) + rng.uniform(-shuffled_s, shuffled_s), at + ahead_s))
    return [clock.hear(received, reported) for received, reported in sorted(heard)]


@pytest.mark.parametrize(
    ("ahead_s", "delay"),
    [
        *((ahead_s, seconds) for ahead_s in (90.0, -90.0, HOUR_S, -HOUR_S, START - 60)),
        *((ahead_s, a_minute) for ahead_s in (90.0, HOUR_S, -HOUR_S)),
        (90.0, minutes),
    ],
)
def test_a_clock_that_is_wrong_is_known_within_the_hour_and_from_then_on(ahead_s: float, delay: Delay) -> None:
    offsets = listen(DeviceClock(), ahead_s, delay=delay, reports=1000)
    assert all(-10 <= offset + ahead_s <= 60 for offset in offsets[60:])


def test_a_clock_behind_on_a_slow_network_is_put_right_at_times_and_never_beyond_the_shortest_delay() -> None:
    offsets = listen(DeviceClock(), -90.0, delay=minutes, reports=1000)
    assert max(offsets) >= 80
    assert min(offsets) == 0
    assert max(offsets) <= 90 + 60


@pytest.mark.parametrize("ahead_s", [90.0, HOUR_S])
def test_a_few_reports_that_agree_are_enough(ahead_s: float) -> None:
    offsets = listen(DeviceClock(), ahead_s, reports=10)
    assert offsets[: FEWEST - 1] == [0.0] * (FEWEST - 1)
    assert all(-10 <= offset + ahead_s <= 0 for offset in offsets[FEWEST - 1 :])


@pytest.mark.parametrize("delay", [seconds, minutes], ids=["seconds", "minutes"])
def test_a_right_clock_is_left_alone_however_slow_its_network(delay: Delay) -> None:
    assert set(listen(DeviceClock(), 0.0, delay=delay, reports=2000)) == {0.0}


def test_a_network_that_is_always_slow_moves_times_by_no_more_than_its_shortest_delay() -> None:
    clock, rng = DeviceClock(), Random(1)
    delays = [100 + rng.expovariate(1 / 60) for _ in range(2000)]
    offsets = [clock.hear(START + n * MINUTE_S, START + n * MINUTE_S - delay) for n, delay in enumerate(delays)]
    assert max(offsets) > 0
    assert all(offset <= min(delays[max(n - KEPT + 1, 0) : n + 1]) for n, offset in enumerate(offsets))


@pytest.mark.parametrize("every_s", [2.0, 20.0, MINUTE_S, 5 * MINUTE_S])
def test_deliveries_in_disorder_are_no_clock(every_s: float) -> None:
    settled = int(2 * HOUR_S / every_s)  # the first to arrive of all are those that came soonest, which looks like one
    for day in range(20):
        offsets = listen(
            DeviceClock(), 0.0, reports=settled + 500, every_s=every_s, shuffled_s=1200.0, start=START + day * 86_400
        )
        assert set(offsets[settled:]) == {0.0}


def test_what_a_gate_kept_back_while_it_was_cut_off_does_not_outvote_the_rest() -> None:
    clock = DeviceClock()
    listen(clock, 0.0, reports=30)
    back_online = START + 90 * MINUTE_S
    kept_back = [clock.hear(back_online + number / 10, START + 1800 + number * MINUTE_S) for number in range(60)]
    assert set(kept_back) == {0.0}


def test_passages_in_quick_succession_count_as_one_report() -> None:
    clock = DeviceClock()
    delayed = [clock.hear(START + 1500 + number, START + number) for number in range(200)]
    assert set(delayed) == {0.0}
    assert len(clock.minutes) <= 5


def test_a_clock_is_known_in_the_morning_as_it_was_in_the_evening() -> None:
    clock = DeviceClock()
    listen(clock, HOUR_S)
    assert clock.hear(START + 12 * HOUR_S + 3, START + 13 * HOUR_S) == -HOUR_S


def test_a_clock_that_has_been_put_right_is_believed_at_once_if_it_was_behind() -> None:
    clock = DeviceClock()
    assert listen(clock, -HOUR_S)[-1] == HOUR_S
    assert listen(clock, 0.0, start=START + 12 * HOUR_S, reports=1) == [0.0]


def test_a_clock_that_has_been_put_right_is_believed_once_the_old_reports_are_gone_if_it_was_ahead() -> None:
    clock = DeviceClock()
    assert listen(clock, HOUR_S)[-1] == -HOUR_S
    after = listen(clock, 0.0, start=START + 12 * HOUR_S, reports=FEWEST)
    assert after == [-HOUR_S] * (FEWEST - 1) + [0.0]


def test_the_offset_does_not_follow_every_delay() -> None:
    offsets = listen(DeviceClock(), 94.0, reports=1000)
    changes = sum(before != after for before, after in pairwise(offsets))
    assert changes <= 3


def test_no_more_is_kept_than_is_needed() -> None:
    clock = DeviceClock()
    listen(clock, 0.0, reports=1000)
    assert len(clock.minutes) == len(clock.least) == len(clock.latest) == KEPT
