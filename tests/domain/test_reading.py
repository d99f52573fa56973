"""What makes two readings the same, in bounded memory."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.deduplication import MAX_BOOTS, MAX_IDS, MAX_RANGES, Seen, SeenRanges
from shared.domain.reading import HORIZON, Mute
from tests.domain.conftest import MONDAY


def reading(number: int = 0, *, sequence: int | None = None, boot: str = "a", minute: int = 0) -> Mute:
    when = MONDAY + timedelta(minutes=minute)
    return Mute(id=f"r{number}", device="box", at=when, until=when, boot=boot, sequence=sequence)


def take(seen: Seen | SeenRanges, what: Mute | int) -> bool:
    """Take something unless it has been seen; return whether it was taken."""
    if isinstance(seen, SeenRanges):
        assert isinstance(what, int)
        if seen.has(what):
            return False
        seen.add(what)
        return True
    assert isinstance(what, Mute)
    if seen.has(what):
        return False
    seen.add(what)
    return True


@given(st.lists(st.integers(0, 120), max_size=300))
def test_a_sequence_number_counts_once_in_any_order(numbers: list[int]) -> None:
    seen = SeenRanges(last_at=MONDAY)
    taken = [number for number in numbers if take(seen, number)]
    assert sorted(taken) == sorted(set(numbers))


@given(st.lists(st.integers(0, 10_000), max_size=400, unique=True))
def test_memory_for_holes_is_bounded_and_never_lets_a_double_in(numbers: list[int]) -> None:
    seen = SeenRanges(last_at=MONDAY)
    for number in numbers:
        seen.add(number)
        assert len(seen.ranges) <= MAX_RANGES
    assert all(seen.has(number) for number in numbers)


def test_the_same_id_counts_once_and_another_devices_id_is_another() -> None:
    seen = Seen()
    first = reading(1)
    assert take(seen, first)
    assert not take(seen, first)
    assert take(seen, Mute(id="r1", device="tablet", at=first.at, until=first.at))


def test_a_reboot_starts_the_sequence_anew() -> None:
    seen = Seen()
    assert take(seen, reading(sequence=5, boot="a"))
    assert not take(seen, reading(sequence=5, boot="a"))
    assert take(seen, reading(sequence=5, boot="b"))


def test_a_forgotten_id_cannot_come_back_and_crowds_out_no_other_device() -> None:
    seen = Seen()
    for minute in range(MAX_IDS + 1):
        seen.add(reading(minute, minute=minute % 1000))
    assert len(seen.devices["box"].ids) <= MAX_IDS
    now = MONDAY + timedelta(minutes=1000)
    for minute in range(MAX_IDS + 1):
        again = reading(minute, minute=minute % 1000)
        assert seen.has(again) or seen.is_too_late(again, now)
    late = Mute(id="x", device="tablet", at=MONDAY, until=MONDAY)
    assert not seen.is_too_late(late, now)


def test_a_forgotten_boot_cannot_come_back_and_harms_no_other_device() -> None:
    seen = Seen()
    for boot in range(MAX_BOOTS + 3):
        seen.add(reading(sequence=1, boot=str(boot), minute=boot))
    now = MONDAY + timedelta(minutes=60)
    for boot in range(MAX_BOOTS + 3):
        again = reading(sequence=1, boot=str(boot), minute=boot)
        assert seen.has(again) or seen.is_too_late(again, now)
    other = Mute(id="x", device="other", at=MONDAY, until=MONDAY, boot="a", sequence=1)
    assert not seen.is_too_late(other, now)


def test_what_is_older_than_the_horizon_is_too_late_and_is_forgotten_whole() -> None:
    seen = Seen()
    seen.add(reading())
    seen.add(reading(sequence=1))
    assert seen.is_too_late(reading(), MONDAY + HORIZON + timedelta(seconds=1))
    assert not seen.is_too_late(reading(), MONDAY + HORIZON)
    seen.forget_before_horizon(MONDAY + HORIZON + timedelta(seconds=1))
    assert seen.devices == {}
