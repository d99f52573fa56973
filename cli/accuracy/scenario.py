"""What makes a simulated run: the library, its people, its devices and what goes wrong; data from `scenarios.toml`."""

from __future__ import annotations

import tomllib
from datetime import time
from importlib import resources
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cli.simulation.devices import TroubleKind
from cli.simulation.scenario import SHARES_TOLERANCE, Minutes, Share
from shared.contracts.readings import Slug

ScenarioSet = Literal["reference", "development", "held-out"]
Positive = Annotated[float, Field(gt=0)]
People = Annotated[int, Field(ge=1)]
Range = tuple[float, float]
"""The lowest and the highest value; each seed draws one evenly between them."""


class Table(BaseModel):
    """A table of the file: no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GateTable(Table):
    """One gate: where it is, how it reports, how it errs."""

    id: Slug
    origin: Annotated[str, Field(alias="from", description="A zone, `hall` where there are none, or `outside`.")]
    destination: Annotated[str, Field(alias="to", description="Where its entries lead.")]
    kind: Literal["directional", "beam"] = Field(default="directional", description="A beam knows no direction.")
    interval_s: Annotated[int, Field(ge=10, le=3600)] = Field(default=60, description="Between two reports.")
    events: bool = Field(default=False, description="Sends each passage; its interval is then that of the heartbeat.")
    entry_share: Share = Field(default=1.0, description="Of the entries between the same places, its weight; 0: none.")
    exit_share: Share = Field(default=1.0, description="The same for exits.")
    missed_entries: Range = Field(default=(0.015, 0.05), description="Share of entries that it never sees.")
    missed_exits: Range = Field(default=(0.015, 0.05), description="Share of exits that it never sees.")
    day_change: Range = Field(
        default=(0.02, 0.03), description="How much its net error changes from one day to the next; sd."
    )
    doubled_share: Share = Field(default=0.004, description="Crossings that it counts twice.")
    occluded_share: Share = Field(default=0.06, description="Crossings that it misses besides, in the densest crowd.")
    occluded_flow_per_min: Positive = Field(default=60.0, description="The crossings at which 63 % of that is reached.")
    night_heartbeat: bool = Field(default=False, description="Reports zeros all night.")


class FaultTable(Table):
    """Something that happens to a gate."""

    gate: Slug
    kind: TroubleKind = Field(
        description="silent: no report; zeros: reports of nothing; outage: silent, then all at once; one_way: one"
        " direction is not seen; swapped: entries are reported as exits, from the first day to the last."
    )
    days: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), description="On these days; empty: on each.")
    between: tuple[time, time] = Field(default=(time(11), time(16)), description="When it begins.")
    minutes: Range = Field(default=(30.0, 60.0), description="How long it lasts, unless to_the_end.")
    to_the_end: bool = Field(default=False, description="Lasts to the end of the run.")
    is_entry: bool = Field(default=False, description="For one_way: entries are lost, not exits.")


class MarkTable(Table):
    """A place at which the end of the queue can stand."""

    id: Slug
    people: People


class ZoneTable(Table):
    """A part of the library."""

    id: Slug
    capacity: People
    share: Share = Field(description="Of the people, who want to sit there.")


class EarlyTable(Table):
    """People who queue before the doors open, coming evenly over the minutes before."""

    people: Annotated[int, Field(ge=0)]
    minutes: Annotated[float, Field(gt=0, le=60)]


class LunchTable(Table):
    """People who go out for lunch and come back."""

    at: time
    share: Share


class AlarmTable(Table):
    """A fire alarm: everybody leaves within five minutes, and the house opens again."""

    days: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    between: tuple[time, time]
    minutes: Range = (20.0, 40.0)
    back_share: Share = Field(default=0.7, description="Of those who wanted to stay on, who come back.")
    unwatched_share: Share = Field(default=0.5, description="Who leave by an exit without a gate.")
    missed_share: Share = Field(default=0.4, description="Of those leaving by a gate, whom it misses in the crush.")


class DeskTable(Table):
    """What staff count, look at and press, and how far off they are."""

    head_counts: tuple[time, ...] = Field(default=(), description="About when; a quarter of an hour more or less.")
    head_count_days: tuple[int, ...] = Field(default=(), description="Only on these days; empty: on each.")
    head_counts_by_zone: bool = False
    head_count_error_share: Share = Field(default=0.05, description="Standard deviation.")
    mistyped: Range = Field(default=(0.01, 0.02), description="Share of counts with a typing error.")
    late_min_max: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="A count's time is up to this long after the people were counted."
    )
    look_every_min: Annotated[float, Field(ge=1)] | None = Field(default=None, description="At the queue; None: never.")
    look_from_people: People = 8
    look_error_share: Share = Field(default=0.1, description="Of a queue counted head by head; standard deviation.")
    look_counted_share: Share = Field(default=0.2, description="Queues counted although there is a marker near.")
    wrong_mark_share: Share = Field(default=0.1, description="Taken for the next marker, before or behind.")
    gone_forgotten_share: Share = Field(default=0.2, description="Queues whose end nobody reports.")
    presses_throttle: bool = Field(default=True, description="The doorman says when he begins and ceases to hold.")
    off_forgotten_share: Share = 0.3
    tickets_share: Share = Field(default=0.0, description="Of those let in from the queue, whose wait is measured.")
    people: Annotated[int, Field(ge=0)] = Field(default=5, description="Staff who go through the gates, uncounted.")


class NetworkTable(Table):
    """How readings travel."""

    delay_s: Range = Field(default=(1.0, 4.0), description="Median of the lognormal delay.")
    delay_spread: Positive = Field(default=0.8, description="Its sigma.")
    held_per_day: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Times a device's reports are held.")
    held_min: Range = Field(default=(10.0, 25.0), description="How long.")
    doubled_share: Share = Field(default=0.0, description="Messages that arrive twice, with the same id.")
    clock_skew_s_max: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Of device clocks, either way.")


class AccuracyScenario(Table):
    """Some days of one library. Times are UTC; figures are the usual ones, around which each seed draws its own."""

    id: Slug
    set: ScenarioSet = Field(description="Nobody tunes on the held-out ones; development ones are for that.")
    purpose: Annotated[str, Field(min_length=10, max_length=100)]
    days: Annotated[int, Field(ge=1, le=31)] = 3
    open: time
    close: time = Field(description="On the next day where it is not after `open`.")
    last_entry_min: Annotated[float, Field(ge=0)] = 15.0
    capacity: People = Field(description="As configured.")
    held_share: Range = Field(default=(0.98, 1.0), description="Of that, how full the doorman really lets it get.")
    held_wander_share: Share = Field(default=0.007, description="How far he wanders over the day; a deviation.")
    seats: People
    daily_visitors: People = Field(description="Who come, those whom the queue puts off included.")
    visitors_spread: Share = Field(default=0.06, description="Between seeds; a standard deviation.")
    day_spread: Share = Field(default=0.05, description="Between days; a standard deviation.")
    arrivals_by_hour: dict[Annotated[int, Field(ge=0, le=23)], Share]
    mean_stay_min: Minutes
    stay_spread: Positive = Field(default=0.65, description="Sigma of the lognormal stay.")
    leaving_pace_by_hour: dict[Annotated[int, Field(ge=0, le=23)], Positive] = Field(
        default={}, description="How much more than usual people tend to leave then; 1 where left out."
    )
    stay_guess: Range = Field(default=(0.8, 1.2), description="The configured mean stay, of the true one.")
    door_rate_per_min: Positive
    door_guess: Range = Field(default=(0.8, 1.2), description="The configured door rate, of the true one.")
    queue_possible: bool = True
    put_off_min: Minutes = Field(default=300.0, description="Of those facing a wait this long, 1/e join.")
    mean_patience_min: Minutes = Field(default=600.0, description="Mean time after which somebody gives up.")
    priority_share: Share = Field(default=0.0, description="Who go past the queue.")
    before_opening: EarlyTable = EarlyTable(people=0, minutes=15)
    lunch: LunchTable | None = None
    zones: tuple[ZoneTable, ...] = ()
    move_every_min: Minutes | None = Field(default=None, description="Mean time between two changes of zone.")
    gates: Annotated[tuple[GateTable, ...], Field(min_length=1)]
    marks: tuple[MarkTable, ...] = ()
    levels: tuple[tuple[str, Share], ...] = (("many_seats", 0.0), ("few_seats", 0.85), ("full", 0.97))
    desk: DeskTable = DeskTable()
    network: NetworkTable = NetworkTable()
    faults: tuple[FaultTable, ...] = ()
    alarm: AlarmTable | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for what, shares in (
            ("arrivals_by_hour", list(self.arrivals_by_hour.values())),
            ("zones", [zone.share for zone in self.zones]),
        ):
            if shares and abs(sum(shares) - 1) > SHARES_TOLERANCE:
                raise ValueError(f"{self.id}: the shares of {what} add up to {sum(shares):.3f}, not to 1")
        gates = {gate.id for gate in self.gates}
        for fault in self.faults:
            if fault.gate not in gates:
                raise ValueError(f"{self.id}: a fault names the gate {fault.gate!r}; there is none")
        return self


class AccuracyFile(Table):
    """The whole of `scenarios.toml`.

    A scenario may say `like = "<id>"`: it has everything that the named one above it has and it does not have itself.
    """

    scenarios: Annotated[tuple[AccuracyScenario, ...], Field(min_length=1)]

    @field_validator("scenarios", mode="before")
    @classmethod
    def _filled(cls, tables: list[dict[str, object]]) -> list[dict[str, object]]:
        filled: dict[object, dict[str, object]] = {}
        for table in tables:
            like = table.get("like")
            if like is not None and like not in filled:
                raise ValueError(f"{table.get('id')}: there is no scenario {like!r} above it")
            own = {key: value for key, value in table.items() if key != "like"}
            if own.get("id") in filled:
                raise ValueError(f"there are two scenarios {own.get('id')!r}")
            filled[own.get("id")] = {**filled.get(like, {}), **own}
        return list(filled.values())


def load_accuracy_scenarios() -> dict[str, AccuracyScenario]:
    """Return the scenarios that come with Placelibre, by id, in the order of the file."""
    text = resources.files("cli.accuracy").joinpath("scenarios.toml").read_text(encoding="utf-8")
    return {each.id: each for each in AccuracyFile.model_validate(tomllib.loads(text)).scenarios}
