"""What makes a simulated day: demand, habits and faults, as data from `scenarios.toml`."""

from __future__ import annotations

import tomllib
from datetime import time
from importlib import resources
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contracts.readings import MAX_TEXT, Slug

Share = Annotated[float, Field(ge=0, le=1)]
Minutes = Annotated[float, Field(gt=0, le=1440)]
SHARES_TOLERANCE: Final = 0.001
"""How far shares typed by hand may be from adding up to one."""


class Table(BaseModel):
    """A table of the file: no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GateFaults(Table):
    """How a gate reports, and how often it errs per crossing."""

    id: Slug
    interval_s: Annotated[int, Field(ge=1, le=3600)] = 60
    missed_entries_share: Share
    missed_exits_share: Share
    doubled_share: Share


class BeforeOpening(Table):
    """People who queue before the doors open, coming evenly over the minutes before."""

    people: Annotated[int, Field(ge=0)]
    minutes: Minutes


class Notice(Table):
    """Words that staff give out once in the day."""

    at: time
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    minutes: Minutes


class Staff(Table):
    """What staff look at, how often, and how far off they are. Times are the library's own."""

    recounts: tuple[time, ...] = ()
    recounts_by_zone: bool = False
    recount_error_share: Share = 0.03
    queue_look_every_min: Annotated[int, Field(ge=1)] = 15
    queue_from_people: Annotated[int, Field(ge=1)] = 10
    queue_error_share: Share = 0.05
    presses_throttle: bool = Field(default=False, description="The doorman says when he begins and ceases to hold.")
    held_seats_counts: tuple[time, ...] = ()
    held_seats_share: Share = 0.0
    notice: Notice | None = None


class ZoneFlow(Table):
    """The share of people who want to sit in a zone."""

    id: Slug
    share: Share


class Scenario(Table):
    """One library's usual day."""

    library: Slug
    purpose: Annotated[str, Field(min_length=10, max_length=100)]
    daily_visitors: Annotated[int, Field(ge=1)] = Field(description="Who come, those whom the queue puts off included.")
    day_spread_share: Share = Field(description="How much busy and slack days differ; a standard deviation.")
    arrivals_by_hour: dict[Annotated[int, Field(ge=0, le=23)], Share]
    mean_stay_min: Minutes
    stay_spread: Annotated[float, Field(gt=0, le=2)] = Field(description="Sigma of the lognormal stay.")
    door_rate_per_min: Annotated[float, Field(gt=0)]
    put_off_min: Minutes = Field(description="Of those facing a wait this long, 1/e join the queue.")
    mean_patience_min: Minutes = Field(description="Mean time after which somebody in the queue gives up.")
    last_entry_min: Annotated[float, Field(ge=0)] = Field(description="No entry this long before closing.")
    before_opening: BeforeOpening
    gates: Annotated[tuple[GateFaults, ...], Field(min_length=1)]
    staff: Staff
    zones: tuple[ZoneFlow, ...] = ()
    move_every_min: Minutes | None = Field(default=None, description="Mean time between two changes of zone.")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for what, shares in (
            ("arrivals_by_hour", list(self.arrivals_by_hour.values())),
            ("zones", [zone.share for zone in self.zones]),
        ):
            if shares and abs(sum(shares) - 1) > SHARES_TOLERANCE:
                raise ValueError(f"{self.library}: the shares of {what} add up to {sum(shares):.3f}, not to 1")
        return self


class ScenariosFile(Table):
    """The whole of `scenarios.toml`."""

    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1)]


def load_scenarios() -> dict[str, Scenario]:
    """Return the scenarios that come with Placelibre, by library id."""
    text = resources.files("cli.simulation").joinpath("scenarios.toml").read_text(encoding="utf-8")
    file = ScenariosFile.model_validate(tomllib.loads(text))
    return {scenario.library: scenario for scenario in file.scenarios}
