"""How many queue, between two looks: a bank of filters that differ in how much a long queue puts people off."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Final

from shared.domain.estimation.waiting import RENEGING_PER_MIN

PUT_OFF_MIN: Final = (6.0, 16.0, 45.0, 130.0, 380.0)
"""Facing a wait this long, 1/e of those who came join; which of these holds is learned from look to look."""
DEMAND_DRIFT: Final = 0.0028
"""Variance of the log of demand per minute: some 20 % in a quarter of an hour."""
PRIORITY_SHARE: Final = 0.03
"""Of those who enter, so many did not queue."""
WEIGHT_MEMORY: Final = 0.97
"""Evidence for a member of the bank fades by this per look, so that habits may change."""
AHEAD_STEP_MIN: Final = 5.0
LOG_DEMAND_MOST: Final = 7.0
"""A thousand people a minute: more come to no door, and the exponential stays finite."""
LEAST_WEIGHT: Final = 1e-3


@dataclass(slots=True)
class Member:
    """One extended Kalman filter on (people queuing, log of demand per minute)."""

    put_off_min: float
    queue: float
    log_demand: float
    queue_variance: float
    covariance: float
    demand_variance: float
    weight: float

    def copy(self) -> Member:
        """Return an independent copy."""
        return Member(
            self.put_off_min,
            self.queue,
            self.log_demand,
            self.queue_variance,
            self.covariance,
            self.demand_variance,
            self.weight,
        )

    def pass_time(self, minutes: float, admitted: float, exits_per_min: float, trend: float) -> None:
        """Let people join, give up and be let in.

        dQ/dt = demand · exp(-(Q / exits) / put_off) - reneging · Q - admissions
        """
        slope = -1.0 / (exits_per_min * self.put_off_min)
        joining = exp(min(self.log_demand, LOG_DEMAND_MOST) + slope * self.queue) * minutes
        self.queue += joining - RENEGING_PER_MIN * minutes * self.queue - admitted
        self.log_demand += trend * minutes
        by_queue = 1.0 + slope * joining - RENEGING_PER_MIN * minutes
        by_demand = joining
        cross = by_queue * self.covariance + by_demand * self.demand_variance
        self.queue_variance = (
            by_queue * (by_queue * self.queue_variance + by_demand * self.covariance)
            + by_demand * cross
            + joining
            + 0.1 * admitted
            + 0.2 * minutes
        )
        self.covariance = cross
        self.demand_variance = min(self.demand_variance + DEMAND_DRIFT * minutes, 1.5)
        if self.queue < 0:
            self.queue = 0.0

    def look(self, people: float, variance: float, beyond: float) -> float:
        """Take in a look at the queue; return its log-likelihood before it was taken in."""
        error = people - self.queue
        if error < 0:
            variance += beyond**2
        total = self.queue_variance + variance
        likelihood = -0.5 * (error * error / total + log(total))
        if error * error > 9.0 * total:  # something happened that no member knows: believe the look
            self.queue_variance += error * error - total
            total = self.queue_variance + variance
        gain, demand_gain = self.queue_variance / total, self.covariance / total
        self.queue = max(self.queue + gain * error, 0.0)
        self.log_demand += max(min(demand_gain * error, 1.0), -1.0)
        self.demand_variance = max(self.demand_variance - demand_gain * self.covariance, 1e-4)
        self.covariance *= 1.0 - gain
        self.queue_variance = max(self.queue_variance * (1.0 - gain), 0.25)
        return likelihood

    def see_entries(self, entries: float, minutes: float, trend: float) -> None:
        """Without a queue everybody who comes goes in: learn demand from the entries (Poisson, linearised)."""
        self.log_demand += trend * minutes
        self.demand_variance = min(self.demand_variance + DEMAND_DRIFT * minutes, 1.5)
        expected = max(exp(self.log_demand) * minutes, 0.02)
        gain = self.demand_variance / (self.demand_variance + 1.3 / expected)
        self.log_demand += gain * max(min((entries - expected) / expected, 2.0), -1.0)
        self.demand_variance *= 1.0 - gain

    def begin(self, people: float, variance: float) -> None:
        """Begin a queue of so many people."""
        self.queue, self.queue_variance, self.covariance = people, variance, 0.0


@dataclass(slots=True)
class Demand:
    """The bank: members weighed by how well they foretold the looks."""

    members: list[Member]

    def copy(self) -> Demand:
        """Return an independent copy."""
        return Demand([member.copy() for member in self.members])

    def pass_time(self, minutes: float, entered: float, exits_per_min: float, trend: float) -> None:
        """Let a queue live for some time in which so many entered."""
        admitted = entered * (1.0 - PRIORITY_SHARE)
        for member in self.members:
            member.pass_time(minutes, admitted, exits_per_min, trend)

    def see_entries(self, entries: float, minutes: float, trend: float) -> None:
        """Let time pass without a queue."""
        for member in self.members:
            member.see_entries(entries, minutes, trend)

    def look(self, people: float, variance: float, beyond: float = 0.0) -> None:
        """Take in a look at the queue; there may be more of them, by a deviation of `beyond` people."""
        likelihoods = [member.look(people, variance, beyond) for member in self.members]
        best = max(likelihoods)
        weights = [
            max(member.weight**WEIGHT_MEMORY * exp(likelihood - best), LEAST_WEIGHT)
            for member, likelihood in zip(self.members, likelihoods, strict=True)
        ]
        total = sum(weights)
        for member, weight in zip(self.members, weights, strict=True):
            member.weight = weight / total

    def begin(self, people: float, variance: float) -> None:
        """Begin a queue of so many people."""
        for member in self.members:
            member.begin(people, variance)

    def expect(self, log_demand: float) -> None:
        """Begin a day: habits stay, demand is as it usually is at opening, within a factor."""
        for member in self.members:
            member.log_demand, member.demand_variance, member.covariance = log_demand, 0.6, 0.0

    def queue(self) -> tuple[float, float]:
        """Return mean and variance of the people queuing."""
        mean = sum(member.weight * member.queue for member in self.members)
        spread = sum(m.weight * (m.queue_variance + (m.queue - mean) ** 2) for m in self.members)
        return mean, spread

    def per_min(self) -> float:
        """Return how many would join per minute if there were no queue."""
        return exp(sum(member.weight * member.log_demand for member in self.members))

    def ahead(self, minutes: float, room: float, door_per_min: float, exits_per_min: float) -> tuple[float, float]:
        """Return the people who will be queuing after some minutes, and the room there will be.

        While there is room people go in at the door's rate at most, and then one for each that leaves.
        """
        queues = rooms = 0.0
        # Conditions in place of min and max: for each status this loop is run thousands of times, and calls cost most.
        for member in self.members:
            queue, free, left = member.queue, room, minutes
            demand = min(member.log_demand, LOG_DEMAND_MOST)
            while left > 0:
                step = left if left < AHEAD_STEP_MIN else AHEAD_STEP_MIN
                pace = door_per_min if free > 0 else exits_per_min
                joining = exp(demand - queue / (pace * member.put_off_min))
                entering = queue / step + joining
                if entering > pace:
                    entering = pace
                free += step * (exits_per_min - entering)
                if free < 0.0:
                    free = 0.0
                queue += step * (joining - RENEGING_PER_MIN * queue - entering)
                if queue < 0.0:
                    queue = 0.0
                left -= step
            queues += member.weight * queue
            rooms += member.weight * free
        return queues, rooms


def demand_of(per_min: float) -> Demand:
    """Return the bank of a library of which nothing was seen yet."""
    share = 1.0 / len(PUT_OFF_MIN)
    return Demand([Member(put_off, 0.0, log(max(per_min, 0.05)), 1.0, 0.0, 0.6, share) for put_off in PUT_OFF_MIN])
