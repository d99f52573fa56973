"""Beginning with a layout, and going on with another: a gate more, other zones, nothing forgotten that still holds."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.estimation.core import Core, core_of
from shared.domain.estimation.crowd import Crowd, crowd_of
from shared.domain.estimation.estimator import Estimator
from shared.domain.estimation.gates import GateWatch
from shared.domain.estimation.gaussian import Gaussian
from shared.domain.estimation.layout import MINUTE_S, NOWHERE, Layout
from shared.domain.estimation.queue import queue_of
from shared.domain.estimation.window import Window
from shared.domain.estimation.written import round_off


def begun(layout: Layout, at: float) -> Estimator:
    """Return the estimator of a library first heard of at a time (Unix seconds), which knows nothing of before."""
    minute = int(at // MINUTE_S)
    core = core_of(layout, minute)
    round_off(core)
    return Estimator(layout, core, Window(minute))


def relaid(estimator: Estimator, layout: Layout) -> Estimator:
    """Return an estimator of the same library in another layout; the one given is not to be used any more.

    People stay where they are, by the ids of the places; where the places are others, the people of the whole house
    are spread over them. What is known of a gate stays with its id as long as it joins the same places in the same
    direction. The reports in the window are read by the new layout.
    """
    if layout == estimator.layout:
        return estimator
    window = Window(
        estimator.window.start,
        estimator.window.minutes,
        [each for each in estimator.window.observations if not each.place or each.place in layout.places],
    )
    core = _core(estimator.core, layout)
    round_off(core)
    return Estimator(layout, core, window, estimator.sessions)


def _core(old: Core, layout: Layout) -> Core:
    kept = _kept_gates(old.layout, layout)
    fresh = queue_of(layout)
    return replace(
        old,
        layout=layout,
        crowd=_crowd(old.crowd, layout, kept),
        watches=[GateWatch() if number is None else old.watches[number] for number in kept],
        queue=replace(
            old.queue,
            layout=layout,
            exits=replace(old.queue.exits, prior_per_min=fresh.exits.prior_per_min),
            door=replace(old.queue.door, prior_per_min=fresh.door.prior_per_min),
        ),
        doubts=old.doubts if old.layout.places == layout.places else (),
    )


def _kept_gates(old: Layout, new: Layout) -> list[int | None]:
    """Return, for each gate of the new layout, its number in the old one, None for a gate that begins anew."""

    def ways(layout: Layout) -> list[tuple[str, str, str, bool]]:
        names = dict(enumerate(layout.places)) | {NOWHERE: ""}
        return [(each.id, names[each.origin], names[each.destination], each.is_beam) for each in layout.passages]

    before = {way: number for number, way in enumerate(ways(old))}
    return [before.get(way) for way in ways(new)]


def _crowd(old: Crowd, layout: Layout, kept: list[int | None]) -> Crowd:
    old.settle()
    new = crowd_of(layout)
    is_at_home = set(old.layout.places) == set(layout.places)
    places, before = len(layout.places), len(old.layout.places)
    same: dict[int, int] = {}
    if is_at_home:
        same |= {number: old.layout.places.index(place) for number, place in enumerate(layout.places)}
    for number, gate in enumerate(kept):
        if gate is not None:
            same |= {places + 2 * number + lane: before + 2 * gate + lane for lane in (0, 1)}
    same |= {new.hold_index: old.hold_index, new.stay_index: old.stay_index, new.hidden_index: old.hidden_index}
    for number, sensor in enumerate(old.sensors):
        if not sensor.place or sensor.place in layout.places:
            same[new.bias_index(new.add_sensor(replace(sensor)))] = old.bias_index(number)
    if layout.capacity != old.layout.capacity:
        del same[new.hold_index]
    _take_over(new.state, old.state, same)
    _take_over(
        new.level,
        old.level,
        {2 * n + lane: 2 * gate + lane for n, gate in enumerate(kept) if gate is not None for lane in (0, 1)},
    )
    new.scale = old.scale
    if not is_at_home:
        new.observe(None, *old.state.sum_of(old.everybody))
    return new


def _take_over(new: Gaussian, old: Gaussian, same: dict[int, int]) -> None:
    """Take over means and covariances by index, new -> old; the others keep their own and are independent of them."""
    for index, before in same.items():
        new.set(index, old.mean[before], 0.0)
    for index, before in same.items():
        for other, other_before in same.items():
            new.covariance[index][other] = old.covariance[before][other_before]
