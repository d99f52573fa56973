"""What is known of a library's gates."""

from __future__ import annotations

import pytest

from shared.domain.estimation.layout import NOWHERE, Layout, Passage
from tests.domain.estimation.conftest import three_floors


def test_a_gate_is_found_by_its_name_and_another_is_not() -> None:
    layout = three_floors()
    assert [layout.passage(each.id) for each in layout.passages] == [0, 1, 2]
    assert layout.passage("chimney") is None


@pytest.mark.parametrize(("origin", "destination", "is_outer"), [(NOWHERE, 0, True), (1, NOWHERE, True), (0, 1, False)])
def test_a_gate_that_leads_outside_is_an_outer_one(origin: int, destination: int, is_outer: bool) -> None:  # noqa: FBT001
    assert Passage("gate", origin, destination).is_outer is is_outer


def test_a_house_with_one_beam_has_a_beam() -> None:
    gates = Passage("front", NOWHERE, 0), Passage("back", NOWHERE, 0, is_beam=True)
    assert [Layout(("",), (100.0,), gates[:count], 100).has_beam for count in (1, 2)] == [False, True]
