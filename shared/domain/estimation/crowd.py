"""People inside: a Kalman filter over the people in each place and what each gate misses.

Between two anchors (an empty house, a head-count, a full one) nothing is estimated, only added up: the people in a
place change by the gates' counts times true crossings per counted one, which is exactly linear in the state. So
minutes may come in any grouping, and a step costs a few additions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Final

from shared.domain.estimation.gaussian import Gaussian, Weights
from shared.domain.estimation.layout import DAY_S, MINUTE_S, NOWHERE, Layout, Passage
from shared.domain.estimation.sensors import (
    BIAS_SD,
    INCREDIBLE,
    MOST_SENSORS,
    Beside,
    Sensor,
    look_variance,
    slept,
    wandered,
)

GATE_LEVEL: Final = 1.03
"""True crossings per counted one before anything is known: gates miss 1.5 to 5 %."""
GATE_COMMON_SD: Final = 0.025
GATE_SINGLE_SD: Final = 0.038
"""What entries and exits of one gate differ by is what drifts: 5.4 % between them, so 5.4 / sqrt 2 each."""
COARSE_INTERVAL_S: Final = (240, 900)
COARSE_LEVEL: Final = 1.06
COARSE_COMMON_SD: Final = 0.09
COARSE_SINGLE_SD: Final = 0.05
COARSE_SCALE: Final = 6.0
"""Gates that report so seldom run on a battery: light barriers, which miss a tenth and more of a crowd. (Still longer
intervals are sums that somebody made of a better gate.)"""
DAY_SD: Final = 0.010
"""How far a gate and direction moves from one day to the next."""
COUNT_NOISE: Final = 0.05
"""Variance per crossing: misses and doubles are single events, groups are counted badly together."""
FLOW_SD_SHARE: Final = 0.0035
"""Unmodelled flow as a share of capacity per square root of an hour: staff, side doors."""
UNCOUNTED_SD_SHARE: Final = 0.3
"""The same where no gate counts at all."""
EMPTY_SD_PEOPLE: Final = 2.0
EMPTY_SD_SHARE: Final = 0.008
OPENING_SD_PEOPLE: Final = 0.7
HOLD_SHARE: Final = 0.985
"""Where the door holds a full house, as a share of capacity, before it was ever seen."""
HOLD_SD_SHARE: Final = 0.022
HOLD_NIGHT_SD_SHARE: Final = 0.006
MOST_SHARE: Final = 1.1
"""More people than this share of capacity are a counting error; taken in as knowledge, never by cutting."""
LEAST_FACTOR: Final = 0.97
MOST_FACTOR: Final = 2.0
LOG_STAY_RANGE: Final = (1.6, 7.3)
"""Five minutes to a day."""
MOST_DOUBT: Final = 9.0
CONFINE_REACH: Final = 1.6
"""A bound so many deviations away tells nothing."""
CREDIBLE: Final = 1.6
"""Figures that lie beyond a bound by more deviations than this were too sure of themselves."""
HIDDEN_SHARE: Final = 0.0012
HIDDEN_SD: Final = 0.0015
HIDDEN_NIGHT_SD: Final = 0.0003
"""Per person a minute: where twenty go through in one, some 2 to 6 % more are hidden behind others."""
MOST_FLOW: Final = 25.0
FAR_OFF: Final = 5.0
"""A squared distance in variances from which two ways of reckoning contradict each other."""
STAY_SD: Final = 0.3
"""How far the mean stay that a librarian guesses may be off, in logs."""
STAY_NIGHT_SD: Final = 0.08
SCALE_MEMORY: Final = 3.0
"""How many nights' surprises the noise scale remembers."""
SCALE_RANGE: Final = (0.4, 16.0)


@dataclass(slots=True)
class Crowd:
    """The people in each place (by number), what each gate misses, and where a full house is held.

    The state vector: people by place; true crossings per counted entry and exit, by gate; people at which the door
    holds; log of the mean stay in minutes (used where a gate knows no direction); how many more a gate misses per
    person a minute that goes through it, for people hide each other; by sensor of occupancy the share by which it sees
    too many. Means are always up to date; covariances wait
    for `settle`, which brings the sums since the last one to them.
    """

    layout: Layout
    state: Gaussian
    level: Gaussian
    """The gates' long-run part: a day's values are these plus that day's effect."""
    sums: list[float]
    """Counted entries and exits by gate since the last `settle`."""
    crush: list[float]
    """Entries less exits by gate since then, each times the flow in which it was counted."""
    noise: list[float]
    """Variance to add by gate at the next `settle`."""
    fallen: list[float]
    """By place, and last for the house: how far the people have gone down by the gates' counts since the lowest."""
    hours: float = 0.0
    scale: float = 1.0
    """How much noisier than usual these gates are, as a factor of variances."""
    sensors: list[Sensor] = field(default_factory=list)
    """In the order in which they were first heard."""

    def copy(self) -> Crowd:
        """Return an independent copy."""
        return Crowd(
            self.layout,
            self.state.copy(),
            self.level.copy(),
            self.sums[:],
            self.crush[:],
            self.noise[:],
            self.fallen[:],
            self.hours,
            self.scale,
            [replace(each) for each in self.sensors],
        )

    @property
    def hold_index(self) -> int:
        """The place in the state of the people at which the door holds."""
        return len(self.layout.places) + 2 * len(self.layout.passages)

    @property
    def stay_index(self) -> int:
        """The place in the state of the log of the mean stay."""
        return self.hold_index + 1

    @property
    def hidden_index(self) -> int:
        """The place in the state of the share that is missed per person a minute."""
        return self.hold_index + 2

    def bias_index(self, sensor: int) -> int:
        """Return the place in the state of the share by which a sensor (by number) sees too many."""
        return self.hidden_index + 1 + sensor

    @property
    def everybody(self) -> Weights:
        """The sum of the people in all places."""
        return [(place, 1.0) for place in range(len(self.layout.places))]

    def people(self) -> float:
        """Return the people inside as of the last minute added; not cut, so it may be below 0."""
        return sum(self.state.mean[: len(self.layout.places)])

    def held_at(self) -> float:
        """Return the people at which the door holds a full house."""
        return self.state.mean[self.hold_index]

    def factors(self, gate: int) -> tuple[float, float]:
        """Return true crossings per counted one of a gate: entries, exits."""
        index = len(self.layout.places) + 2 * gate
        return self.state.mean[index], self.state.mean[index + 1]

    def add(self, gate: int, entries: float, exits: float, variance: float = 0.0, flow: float = 0.0) -> None:
        """Add people counted (or put in their place, with that variance) at a gate that knows directions.

        `flow` is people per minute through the gate, both ways.
        """
        passage = self.layout.passages[gate]
        mean = self.state.mean
        index = len(self.layout.places) + 2 * gate
        crush = (entries - exits) * min(flow, MOST_FLOW)
        net = mean[index] * entries - mean[index + 1] * exits + mean[self.hidden_index] * crush
        self.crush[gate] += crush
        for place, moved in ((passage.destination, net), (passage.origin, -net)):
            if place != NOWHERE:
                mean[place] += moved
                self.fallen[place] -= moved
                self.fallen[-1] -= moved
        self.sums[2 * gate] += entries
        self.sums[2 * gate + 1] += exits
        self.noise[gate] += variance + COUNT_NOISE * self.scale * (entries + exits)

    def add_beam(self, gate: int, crossings: float, crossing_rate: float, leaving_share: float) -> float:
        """Add crossings of unknown direction; return how many of them were taken for exits.

        One of them is an exit with probability p = (people / mean stay) / crossing rate: Little (1961) for who
        leaves, and whoever does not leave comes in. An extended Kalman step; `leaving_share` scales 1 / mean stay
        (nobody leaves in the first minutes, everybody in the last), `crossing_rate` is people per minute.
        """
        self.settle()
        place = self.layout.passages[gate].inside
        mean, covariance = self.state.mean, self.state.covariance
        factor, stay = len(self.layout.places) + 2 * gate, self.stay_index
        true = mean[factor] * crossings
        mean[stay] = min(max(mean[stay], LOG_STAY_RANGE[0]), LOG_STAY_RANGE[1])
        hazard = leaving_share * exp(-mean[stay])
        rate = max(crossing_rate, 1e-6)
        share = hazard * max(mean[place], 0.0) / rate
        is_cut = not 0.02 < share < 0.98
        share = min(max(share, 0.02), 0.98)
        by_people = 0.0 if is_cut else -2 * true * hazard / rate
        by_stay = 0.0 if is_cut else 2 * true * share
        by_factor = crossings * (1 - 2 * share)
        mean[place] += true * (1 - 2 * share)
        row = [
            old * (1 + by_people) + by_factor * across + by_stay * other
            for old, across, other in zip(covariance[place], covariance[factor], covariance[stay], strict=True)
        ]
        corner = row[place] * (1 + by_people) + by_factor * row[factor] + by_stay * row[stay]
        for index, value in enumerate(row):
            covariance[place][index] = covariance[index][place] = value
        covariance[place][place] = corner + self.scale * true * (4 * share * (1 - share) + COUNT_NOISE)
        return true * share

    def pass_minutes(self, minutes: float) -> None:
        """Let time pass: people also go ways that no gate counts."""
        self.hours += minutes / 60

    def settle(self) -> None:
        """Bring the covariance up to date: P' = F P F' + Q over the sums since the last time (Kalman 1960)."""
        places = len(self.layout.places)
        covariance = self.state.covariance
        steps: list[list[tuple[int, float]]] = [[] for _ in range(places)]
        for number, passage in enumerate(self.layout.passages):
            entries, exits, noise = self.sums[2 * number], self.sums[2 * number + 1], self.noise[number]
            if not (entries or exits or noise):
                continue
            index = places + 2 * number
            for place, sign in ((passage.destination, 1.0), (passage.origin, -1.0)):
                if place != NOWHERE:
                    steps[place] += [(index, sign * entries), (index + 1, -sign * exits)]
                    steps[place].append((self.hidden_index, sign * self.crush[number]))
        rows = [
            [value + sum(w * covariance[k][j] for k, w in terms) for j, value in enumerate(covariance[place])]
            for place, terms in enumerate(steps)
        ]
        for place, terms in enumerate(steps):
            if terms:
                for j in range(places, len(covariance)):
                    covariance[place][j] = covariance[j][place] = rows[place][j]
        for place in range(places):
            for other in range(places):
                covariance[place][other] = rows[place][other] + sum(w * rows[place][k] for k, w in steps[other])
        self._add_noise()

    def _add_noise(self) -> None:
        covariance, layout = self.state.covariance, self.layout
        for number, passage in enumerate(layout.passages):
            variance = self.noise[number]
            if variance:
                inside = [place for place in (passage.destination, passage.origin) if place != NOWHERE]
                for place in inside:
                    covariance[place][place] += variance
                if len(inside) == 2:
                    covariance[inside[0]][inside[1]] -= variance
                    covariance[inside[1]][inside[0]] -= variance
        if self.hours:
            share = FLOW_SD_SHARE if any(each.is_outer for each in layout.passages) else UNCOUNTED_SD_SHARE
            drift = (share * layout.capacity) ** 2 * self.hours * self.scale + 0.3 * self.hours
            for place, part in enumerate(place_shares(layout)):
                covariance[place][place] += drift * part
        self.sums = [0.0] * len(self.sums)
        self.crush = [0.0] * len(self.crush)
        self.noise = [0.0] * len(self.noise)
        self.hours = 0.0

    def observe(self, place: int | None, people: float, variance: float) -> None:
        """Take in that so many people are in a place, or (None) in the whole house."""
        self.settle()
        self.state.observe([(place, 1.0)] if place is not None else self.everybody, people, variance)

    def add_sensor(self, sensor: Sensor) -> int:
        """Begin to listen to a sensor; return its number."""
        self.sensors.append(sensor)
        self.state.append(0.0, BIAS_SD**2)
        return len(self.sensors) - 1

    def sensor(self, name: str, place: str) -> int | None:
        """Return the number of a sensor that sees a place, from now on if it is new; None where there are too many."""
        for number, each in enumerate(self.sensors):
            if (each.name, each.place) == (name, place):
                return number
        return self.add_sensor(Sensor(name, place)) if len(self.sensors) < MOST_SENSORS else None

    def miss_gates(self, minutes: float) -> None:
        """Take in that for so many minutes no gate has counted, though the library has some."""
        if any(each.is_outer for each in self.layout.passages):
            self.widen(UNCOUNTED_SD_SHARE * self.layout.capacity * (min(max(minutes, 0.0), 60.0) / 60) ** 0.5)

    def sense(self, number: int, at: float, people: float, beside: Beside) -> None:
        """Take in how many people a sensor (by number) saw at a time (Unix seconds).

        It sees N + bias x N of N people: an extended Kalman step. `beside` says what else counts these people: if
        anything does, what is far off is not believed at all; else little by little. The biases are only learned
        beside gates that know directions. Elsewhere people who come look like a bias that grows, so there the biases
        stay what they are, and make the rest unsure (Schmidt 1966: a filter that considers what it does not estimate).
        """
        self.settle()
        sensor, index = self.sensors[number], self.bias_index(number)
        mean, covariance = self.state.mean, self.state.covariance
        is_new = at - sensor.heard > DAY_S / 2
        apart_min = (at - sensor.heard) / MINUTE_S
        if not is_new:
            covariance[index][index] = wandered(covariance[index][index], max(apart_min, 0.0) / 60)
        sensor.heard = max(sensor.heard, at)
        inside = [(self.layout.places.index(sensor.place), 1.0)] if sensor.place else self.everybody
        expected, spread = self.state.sum_of(inside)
        noise = look_variance(people, apart_min)
        bias = mean[index]
        around = expected
        if is_new:  # nothing ties it to our figure yet, which may be no better than a guess
            trust = spread / (spread + noise + covariance[index][index] * people**2)
            around += trust * (people / (1 + bias) - expected)
        around = max(around, 0.0)
        seen: Weights = [*((place, 1 + bias) for place, _ in inside), (index, around)]
        value = people + around * bias
        foretold, variance = self.state.sum_of(seen)
        least = (value - foretold) ** 2 / INCREDIBLE**2
        if variance + noise < least:
            if beside is not Beside.NOTHING:
                return
            noise = least - variance
        if beside is Beside.BEAMS:
            # A gate without directions adds up guesses, and is less sure than it says: as much as makes this ordinary.
            surplus = (value - foretold) ** 2 - (variance + noise)
            if surplus > 0:
                place = inside[0][0] if sensor.place else None
                self.widen(surplus**0.5, place)
        first = self.bias_index(0)
        kept = mean[first:], [row[first:] for row in covariance[first:]]
        self.state.observe(seen, value, noise)
        if beside is not Beside.GATES:
            mean[first:] = kept[0]
            for row, before in zip(covariance[first:], kept[1], strict=True):
                row[first:] = before

    def expect(self, people: float, variance: float) -> None:
        """Take in what should be inside by another way of reckoning; what is far off makes our own figure less sure."""
        self.settle()
        mean, spread = self.state.sum_of(self.everybody)
        surplus = (people - mean) ** 2 - FAR_OFF * (spread + variance)
        if surplus > 0:
            self.widen(surplus**0.5)
        self.state.observe(self.everybody, people, variance)

    def hold(self, variance: float) -> None:
        """Take in that the house is as full as the door lets it become."""
        self.settle()
        self.state.observe([*self.everybody, (self.hold_index, -1.0)], 0.0, variance)

    def confine(self) -> None:
        """Take in that nowhere are fewer than no people, nor many more than the house holds.

        Only a new extreme of the counts tells anything new: the same bound taken in again and again would pull the
        gates' factors anywhere. What breaks a bound by far shows that the factors are less sure than they claim.
        """
        self.settle()
        bounds: list[tuple[Weights, float]] = [
            ([(place, 1.0)], MOST_SHARE * (capacity or self.layout.capacity))
            for place, capacity in enumerate(self.layout.place_capacities)
        ]
        bounds.append((self.everybody, MOST_SHARE * self.layout.capacity))
        for number, (weights, most) in enumerate(bounds):
            mean, variance = self.state.sum_of(weights)
            deviation = variance**0.5
            if mean < CONFINE_REACH * deviation and self.fallen[number] > 0:
                self._confine(weights, -mean / max(deviation, 0.5), 0.0, 4 * most)
            elif mean > most - CONFINE_REACH * deviation and self.fallen[number] < 0:
                self._confine(weights, (mean - most) / max(deviation, 0.5), -most, most)
            else:
                continue
            self.fallen[number] = 0.0

    def _confine(self, weights: Weights, beyond: float, low: float, high: float) -> None:
        if beyond > CREDIBLE:
            self._doubt_factors((beyond / CREDIBLE) ** 2)
        self.state.confine(weights, low, high)
        self._confine_factors()

    def _confine_factors(self) -> None:
        """Take in that gates miss people, and hardly ever count one twice."""
        for index in range(len(self.layout.places), self.hold_index):
            mean, variance = self.state.sum_of([(index, 1.0)])
            if mean - 2 * variance**0.5 < LEAST_FACTOR:
                self.state.confine([(index, 1.0)], LEAST_FACTOR, MOST_FACTOR)

    def _doubt_factors(self, times: float) -> None:
        """Make everything less sure by a factor of variances: the gates do worse than they were thought to."""
        times = min(times, MOST_DOUBT)
        _, variance = self.state.sum_of(self.everybody)
        if variance * times < self.layout.capacity**2:  # less sure than that nobody can be
            first = self.bias_index(0)  # the gates' faults are no sensor's
            for row in self.state.covariance[:first]:
                row[:first] = [value * times for value in row[:first]]
        self.scale = min(self.scale * times, SCALE_RANGE[1])

    def empty(self, people_sd: float) -> None:
        """Take in that nobody is inside, whatever was counted before."""
        self.settle()
        self.fallen = [0.0] * len(self.fallen)
        for place, share in enumerate(place_shares(self.layout)):
            self.state.set(place, 0.0, people_sd**2 * share)

    def widen(self, people_sd: float, place: int | None = None) -> None:
        """Trust the figures less, by this many people, in one place or (None) in all of them."""
        for number, share in enumerate(place_shares(self.layout)):
            if place is None:
                self.state.covariance[number][number] += people_sd**2 * share
            elif number == place:
                self.state.covariance[number][number] += people_sd**2

    def end_day(self) -> None:
        """Close the books of a day: the house is known to be empty; learn from what was still counted inside.

        The day's factors are level + day effect, jointly normal, so the level's posterior is an exact Gaussian step
        (conditioning by regression). The scale follows the normalised surprise of the evening.
        """
        self.settle()
        expected, spread = self.state.sum_of(self.everybody)
        variance = (EMPTY_SD_PEOPLE + EMPTY_SD_SHARE * self.layout.capacity) ** 2
        surprise = expected**2 / (spread + variance)
        self.state.observe(self.everybody, 0.0, variance)
        self._learn_level()
        scale = (SCALE_MEMORY * self.scale + self.scale * min(surprise, 12.0)) / (SCALE_MEMORY + 1.0)
        self.scale = min(max(scale, SCALE_RANGE[0]), SCALE_RANGE[1])
        self.begin_day()

    def begin_day(self) -> None:
        """Set the factors to their long-run level with a fresh day's uncertainty, and the house to empty."""
        places, gates = len(self.layout.places), 2 * len(self.layout.passages)
        covariance = self.state.covariance
        for i in range(gates):
            for row in covariance:
                row[places + i] = 0.0
            covariance[places + i] = [0.0] * len(covariance)
        for i in range(gates):
            self.state.mean[places + i] = self.level.mean[i]
            for j in range(gates):
                covariance[places + i][places + j] = self.level.covariance[i][j]
            covariance[places + i][places + i] += DAY_SD**2 * self.scale
        covariance[self.hold_index][self.hold_index] += (HOLD_NIGHT_SD_SHARE * self.layout.capacity) ** 2
        covariance[self.stay_index][self.stay_index] += STAY_NIGHT_SD**2
        covariance[self.hidden_index][self.hidden_index] += HIDDEN_NIGHT_SD**2
        for index in range(self.bias_index(0), len(covariance)):
            covariance[index][index] = slept(covariance[index][index])
        self.empty(EMPTY_SD_PEOPLE)

    def _learn_level(self) -> None:
        places, gates = len(self.layout.places), 2 * len(self.layout.passages)
        prior = [row[:] for row in self.level.covariance]
        for i in range(gates):
            prior[i][i] += DAY_SD**2 * self.scale
        posterior = [row[places : places + gates] for row in self.state.covariance[places : places + gates]]
        gain = _times(self.level.covariance, _inverse(prior))
        moved = [self.state.mean[places + i] - self.level.mean[i] for i in range(gates)]
        shrunk = [[prior[i][j] - posterior[i][j] for j in range(gates)] for i in range(gates)]
        change = _times(_times(gain, shrunk), [list(column) for column in zip(*gain, strict=True)])
        for i in range(gates):
            self.level.mean[i] += sum(gain[i][j] * moved[j] for j in range(gates))
            for j in range(gates):
                self.level.covariance[i][j] -= (change[i][j] + change[j][i]) / 2


def crowd_of(layout: Layout) -> Crowd:
    """Return the crowd of a library of which nothing was seen yet: any number of people may be inside."""
    gates = 2 * len(layout.passages)
    level = Gaussian([GATE_LEVEL] * gates, [[0.0] * gates for _ in range(gates)])
    for i in range(gates):
        is_coarse = _is_coarse(layout.passages[i // 2])
        common, single = (COARSE_COMMON_SD, COARSE_SINGLE_SD) if is_coarse else (GATE_COMMON_SD, GATE_SINGLE_SD)
        level.mean[i] = COARSE_LEVEL if is_coarse else GATE_LEVEL
        level.covariance[i][i] = common**2 + single**2
        level.covariance[i][i ^ 1] = common**2
    size = len(layout.places) + gates + 3
    state = Gaussian([0.0] * size, [[0.0] * size for _ in range(size)])
    scale = COARSE_SCALE if any(_is_coarse(each) for each in layout.passages) else 1.0
    none = [0.0] * len(layout.passages)
    crowd = Crowd(layout, state, level, [0.0] * gates, none[:], none[:], [0.0] * (len(layout.places) + 1), scale=scale)
    state.set(crowd.hold_index, HOLD_SHARE * layout.capacity, (HOLD_SD_SHARE * layout.capacity) ** 2)
    state.set(crowd.stay_index, log(layout.mean_stay_min), STAY_SD**2)
    state.set(crowd.hidden_index, HIDDEN_SHARE, HIDDEN_SD**2)
    crowd.begin_day()
    for place, capacity in enumerate(layout.place_capacities):
        room = capacity or layout.capacity
        state.set(place, room / 2, (room / 2) ** 2)
    return crowd


def _is_coarse(passage: Passage) -> bool:
    shortest, longest = COARSE_INTERVAL_S
    return shortest <= (passage.interval_s or 0) <= longest


def place_shares(layout: Layout) -> list[float]:
    """Return the shares of the house's capacity by place; a place of unknown size counts as a tenth of the house."""
    sizes = [capacity or layout.capacity / 10 for capacity in layout.place_capacities]
    total = sum(sizes)
    return [size / total for size in sizes]


Matrix = list[list[float]]


def _times(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in columns] for row in a]


def _inverse(matrix: Matrix) -> Matrix:
    """Invert a positive definite matrix by Gauss-Jordan elimination; such a one needs no pivoting."""
    size = len(matrix)
    rows = [[*row, *(1.0 if i == j else 0.0 for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot_row = [value / rows[i][i] for value in rows[i]]
        rows[i] = pivot_row
        for j, row in enumerate(rows):
            if j != i and row[i]:
                factor = row[i]
                rows[j] = [value - factor * other for value, other in zip(row, pivot_row, strict=True)]
    return [row[size:] for row in rows]
