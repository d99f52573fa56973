"""What is wrong with a device, judged from what is known of it. Pure; the words are in the catalog of devices.

It is about boxes: is it heard, does its clock go right, does it count both ways. What the counts are worth is for the
estimator to say (`shared.domain.estimation.gates`), which sees every minute of them; this sees what no count shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

ONE_WAY_PEOPLE: Final = 30
"""People one way, and nobody the other: by chance once in a thousand million days, were each as likely in as out."""
IMBALANCE_SHARE: Final = 0.2
"""In and out of a day may differ by so much of the larger. On busy days of a real door (CalIt2, 105 days) they differ
by 6.4 % in the median; at three times that, something hangs wrong."""
IMBALANCE_PEOPLE: Final = 100
"""Below this many a day a few people make a large share."""
CLOCK_SKEW: Final = timedelta(minutes=2)
"""The estimate goes by minutes, and a network takes some seconds; beyond two minutes people land in a wrong one."""
ZONE_SLACK: Final = timedelta(minutes=2)
"""A clock that is off by whole half hours, give or take this, goes right and has a wrong time zone."""
HALF_HOUR: Final = timedelta(minutes=30)
BATTERY_LOW_PERCENT: Final = 20.0
"""Weeks to months for a box that reports by radio: time to order batteries and to bring a ladder."""
BATTERY_EMPTY_PERCENT: Final = 5.0
DAILY: Final = timedelta(hours=24)
"""A device that may be silent for longer brings what happened by the day, after closing."""
LOST_REPORTS: Final = 10
"""A radio loses one now and then; a day on which ten are missing has a cause."""


class HealthCode(StrEnum):
    """What is wrong, under a name that stays."""

    NEVER_HEARD = "never-heard"
    SILENT = "silent"
    TARGET_GONE = "target-gone"
    SOURCE_GONE = "source-gone"
    NEVER_COUNTED = "never-counted"
    ONE_WAY = "one-way"
    IMBALANCE = "imbalance"
    WRONG_CLOCK = "wrong-clock"
    WRONG_TIME_ZONE = "wrong-time-zone"
    LOW_BATTERY = "low-battery"
    FLAGGED = "flagged"
    LOST_REPORTS = "lost-reports"
    QUARANTINED = "quarantined"
    UNMAPPED_LINE = "unmapped-line"


URGENT: Final = frozenset(
    {HealthCode.SILENT, HealthCode.TARGET_GONE, HealthCode.SOURCE_GONE, HealthCode.ONE_WAY, HealthCode.IMBALANCE}
)
"""Then people are not counted, or counted wrong, now."""
URGENT_FLAGS: Final = frozenset({"anomaly", "obstructed", "misaligned", "tampered", "no-video", "node-silent"})


class Standing(StrEnum):
    """A device at a glance."""

    WELL = "well"
    LOOK = "look"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Ailment:
    """One thing that is wrong; which fields are filled goes by its code."""

    code: HealthCode
    since: datetime | None = None
    """When it was last heard."""
    line: str = ""
    """The line, gate, zone or source that it is about."""
    flag: str = ""
    way: Literal["", "in", "out"] = ""
    """Of a device that counts one way: the way that it does not count."""
    people_in: int = 0
    people_out: int = 0
    count: int = 0
    """Reports, bodies."""
    percent: float = 0.0
    off_by: timedelta = timedelta(0)
    """How far its clock is behind, or below 0 ahead."""

    @property
    def is_urgent(self) -> bool:
        """Whether people are not counted, or counted wrong, because of it."""
        if self.code is HealthCode.FLAGGED:
            return self.flag in URGENT_FLAGS
        if self.code is HealthCode.LOW_BATTERY:
            return self.percent <= BATTERY_EMPTY_PERCENT
        return self.code in URGENT


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSight:
    """One line of a device, as far as its health goes."""

    line: str
    """Its name, the one for people where there is one."""
    is_mapped: bool = True
    is_beside: bool = False
    """Whether it only says how many are inside, beside lines that count passages: it may well lead nowhere."""
    counts_both_ways: bool = False
    """Whether its figures are people in and people out, and not one of them, an occupancy or a queue."""
    is_outer: bool = False
    """Whether it leads into the library or out of it."""
    people_in: int = 0
    people_out: int = 0
    """Of today, as they were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSight:
    """One device, as far as its health goes."""

    device: str
    last_seen: datetime | None = None
    last_counted: datetime | None = None
    silent_after: timedelta = timedelta(minutes=20)
    """The shortest silence that its gates call one."""
    due_since: datetime | None = None
    """Of a device that is heard once a day: when it was first open after that, so that there is something to bring."""
    is_source_there: bool = True
    missing_target: str = ""
    """The gate or zone it is led to that the library does not have."""
    skew: timedelta | None = None
    battery_percent: float | None = None
    flags: tuple[str, ...] = ()
    lost: int = 0
    quarantined: int = 0
    is_today: bool = True
    """Whether the figures of today are today's: a device that last spoke yesterday has yesterday's."""
    lines: tuple[LineSight, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseSight:
    """The library around the devices."""

    is_open: bool
    opened_at: datetime | None = None
    """When it opened, while it is open."""
    capacity: int
    mean_stay: timedelta
    is_counted_whole: bool = False
    """Whether every door to the outside has a device whose people of today are known."""


def device_health(device: DeviceSight, house: HouseSight, now: datetime) -> tuple[Ailment, ...]:
    """Return what is wrong with one device, the urgent first. `imbalance` is judged over the house, apart."""
    found = [
        *_presence(device, house, now),
        *_ways(device, house, now),
        *_clock(device),
        *_battery(device),
        *(Ailment(HealthCode.FLAGGED, flag=each) for each in device.flags if each != "low-battery"),
    ]
    if device.is_today and device.lost >= LOST_REPORTS:
        found.append(Ailment(HealthCode.LOST_REPORTS, count=device.lost))
    if device.is_today and device.quarantined:
        found.append(Ailment(HealthCode.QUARANTINED, count=device.quarantined))
    found += [
        Ailment(HealthCode.UNMAPPED_LINE, line=each.line)
        for each in device.lines
        if not each.is_mapped and not each.is_beside
    ]
    return tuple(sorted(found, key=lambda each: not each.is_urgent))


def imbalance(devices: Sequence[DeviceSight], house: HouseSight) -> Mapping[str, Ailment]:
    """Return what in and out of the whole day say, under the device that is furthest off; mostly nothing.

    At one of two doors people may well go in only; over all doors nobody leaves who has not come, and nobody stays
    after closing. While it is open those inside are still to leave.
    """
    if not house.is_counted_whole:
        return {}
    by_device = {
        each.device: (
            sum(line.people_in for line in each.lines if line.is_outer),
            sum(line.people_out for line in each.lines if line.is_outer),
        )
        for each in devices
        if each.is_today
    }
    people_in = sum(each[0] for each in by_device.values())
    people_out = sum(each[1] for each in by_device.values())
    excess = people_in - people_out - (house.capacity if house.is_open else 0)
    excess = max(excess, people_out - people_in)
    larger = max(people_in, people_out)
    if larger < IMBALANCE_PEOPLE or excess <= IMBALANCE_SHARE * larger:
        return {}
    sign = 1 if people_in > people_out else -1
    worst = max(by_device, key=lambda each: sign * (by_device[each][0] - by_device[each][1]))
    return {worst: Ailment(HealthCode.IMBALANCE, people_in=people_in, people_out=people_out)}


def standing(ailments: Sequence[Ailment]) -> Standing:
    """Return a device at a glance."""
    if any(each.is_urgent for each in ailments):
        return Standing.WRONG
    return Standing.LOOK if ailments else Standing.WELL


def _presence(device: DeviceSight, house: HouseSight, now: datetime) -> list[Ailment]:
    found = []
    if not device.is_source_there:
        found.append(Ailment(HealthCode.SOURCE_GONE, line=device.source))
    if device.missing_target:
        found.append(Ailment(HealthCode.TARGET_GONE, line=device.missing_target))
    if device.last_seen is None:
        found.append(Ailment(HealthCode.NEVER_HEARD))
        return found
    if _is_silent(device, house, now):
        found.append(Ailment(HealthCode.SILENT, since=device.last_seen))
    if device.last_counted is None and not device.missing_target:
        found.append(Ailment(HealthCode.NEVER_COUNTED))
    return found


def _is_silent(device: DeviceSight, house: HouseSight, now: datetime) -> bool:
    if not house.is_open or device.last_seen is None:
        return False
    if device.silent_after >= DAILY:
        return device.due_since is not None and now - device.due_since >= device.silent_after
    # Overnight many a box is switched off with the lights: silence begins to count when the doors open.
    return house.opened_at is not None and now - max(device.last_seen, house.opened_at) >= device.silent_after


def _ways(device: DeviceSight, house: HouseSight, now: datetime) -> list[Ailment]:
    """Judge lines that count one way only. Those who came stay a while, so entries alone are no fault at first."""
    if not device.is_today:
        return []
    has_time_to_leave = (
        not house.is_open
        or house.opened_at is None
        or now - house.opened_at >= max(house.mean_stay, timedelta(hours=1))
    )
    found = []
    for line in device.lines:
        if not (line.is_mapped and line.counts_both_ways):
            continue
        if line.people_in >= ONE_WAY_PEOPLE and not line.people_out and has_time_to_leave:
            found.append(Ailment(HealthCode.ONE_WAY, line=line.line, way="out", people_in=line.people_in))
        if line.people_out >= ONE_WAY_PEOPLE and not line.people_in:
            found.append(Ailment(HealthCode.ONE_WAY, line=line.line, way="in", people_out=line.people_out))
    return found


def _clock(device: DeviceSight) -> list[Ailment]:
    if device.skew is None or abs(device.skew) <= CLOCK_SKEW:
        return []
    nearest = round(device.skew / HALF_HOUR) * HALF_HOUR
    is_zone = nearest != timedelta(0) and abs(device.skew - nearest) <= ZONE_SLACK
    code = HealthCode.WRONG_TIME_ZONE if is_zone else HealthCode.WRONG_CLOCK
    return [Ailment(code, off_by=device.skew)]


def _battery(device: DeviceSight) -> list[Ailment]:
    percent = device.battery_percent
    if percent is not None and percent <= BATTERY_LOW_PERCENT:
        return [Ailment(HealthCode.LOW_BATTERY, percent=percent)]
    if percent is None and "low-battery" in device.flags:
        return [Ailment(HealthCode.FLAGGED, flag="low-battery")]
    return []
