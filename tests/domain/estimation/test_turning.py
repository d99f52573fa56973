"""Which gate must be the wrong way round, weighed by what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.gates import Flow, GateWatch
from shared.domain.estimation.layout import NOWHERE, Passage
from shared.domain.estimation.turning import Balance
from tests.domain.estimation.conftest import FRONT, SIDE

GATES = (FRONT, SIDE)
OUT = Passage("out", 0, NOWHERE)


def counted(*flows: tuple[int, int], gates: tuple[Passage, ...] = GATES) -> tuple[Balance, list[GateWatch], int | None]:
    """Return what is known after gates have counted so many entries and exits in one minute."""
    balance, watches = Balance(), [GateWatch() for _ in gates]
    turned = balance.add(watches, gates, [Flow(*each) for each in flows])
    return balance, watches, turned


@pytest.mark.parametrize(
    ("flows", "turned"),
    [
        (((40, 200), (60, 60)), 0),
        (((60, 60), (40, 200)), 1),
        (((200, 200), (50, 50)), None),
        (((200, 203), (50, 52)), None),
        (((0, 12), (3, 3)), None),
    ],
    ids=["front", "side", "balanced", "a few missed", "too few to tell"],
)
def test_more_exits_than_entries_turn_the_gate_that_explains_them(
    flows: tuple[tuple[int, int], ...], turned: int | None
) -> None:
    assert counted(*flows)[2] == turned


def test_a_gate_that_leads_out_counts_the_other_way() -> None:
    assert counted((150, 150), (150, 150), gates=(FRONT, OUT))[2] is None
    assert counted((200, 0), (0, 200), gates=(FRONT, OUT))[2] is None
    assert counted((150, 0), (300, 0), gates=(FRONT, OUT))[2] is not None


@pytest.mark.parametrize("flow", [(0, 400), (400, 0)])
@pytest.mark.parametrize("gate", [Passage("stairs", 0, 1), Passage("beam", NOWHERE, 0, is_beam=True)])
def test_stairs_and_beams_are_never_turned(gate: Passage, flow: tuple[int, int]) -> None:
    assert counted(flow, gates=(gate,))[2] is None


def test_turning_a_gate_adds_what_it_took_twice() -> None:
    balance, watches, _ = counted((40, 200), (60, 60))
    since = watches[0].since_anchor
    assert balance.turn(watches, 0, since) == 320
    assert (balance.net, watches[0].net, watches[1].net) == (160, 160, 0)
    assert balance.add(watches, GATES, [Flow(0, 0), Flow(0, 0)]) is None


def weighed(times: int, surplus: float, *, most: float = 4.0, sd: float = 12.0) -> int | None:
    """Return which gate is turned after some anchors that each found so many more counted than there were."""
    balance, watches, turned = counted((50, 50), (50, 50))
    for _ in range(times):
        balance.add(watches, GATES, [Flow(100, 100), Flow(40, 10)])
        turned = balance.weigh(watches, surplus, sd**2, most)
    return turned


def test_several_anchors_convince_where_one_may_be_a_slip() -> None:
    assert weighed(1, 60.0) is None
    assert weighed(4, 60.0) == 1


@pytest.mark.parametrize("surplus", [0.0, -60.0, 20.0])
def test_anchors_that_agree_with_the_gates_turn_none(surplus: float) -> None:
    assert weighed(10, surplus) is None


def test_a_surplus_that_two_gates_explain_alike_turns_neither() -> None:
    balance, watches, _ = counted((50, 50), (50, 50))
    for _ in range(10):
        balance.add(watches, GATES, [Flow(40, 10), Flow(40, 10)])
        assert balance.weigh(watches, 60.0, 144.0, 4.0) is None


@given(st.floats(-500, 500), st.floats(1, 400))
def test_one_anchor_says_no_more_than_it_may_and_is_asked_only_once(surplus: float, variance: float) -> None:
    balance, watches, _ = counted((150, 100), (40, 10))
    balance.weigh(watches, surplus, variance, 4.0)
    assert all(0 <= watch.turn_score <= 4.0 for watch in watches)
    assert all(watch.since_anchor == 0 for watch in watches)


def test_an_empty_house_begins_a_new_balance_and_keeps_the_evidence() -> None:
    balance, watches, _ = counted((150, 100), (40, 10))
    balance.weigh(watches, 60.0, 144.0, 4.0)
    score = watches[1].turn_score
    balance.begin(watches)
    assert (balance.net, balance.crossings, watches[1].net, watches[1].turn_score) == (0, 0, 0, score)
    assert score > 0
