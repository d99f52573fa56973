"""What is said to staff about devices; a language that leaves something out does not pass the type checker.

Sentences stand alone, with their capital and their stop. Blanks are named and filled with `str.format`; every language
has the blanks of the English one. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Counted = Callable[[int], str]
"""Takes a number and returns the template in the grammatical number that goes with it."""


@dataclass(frozen=True, slots=True)
class HealthWords:
    """What is wrong with a device, and what to do about it: two sentences each, mostly."""

    never_heard: str
    silent: str
    """{time}: when it was last heard."""
    target_gone: str
    """{line}: the gate or zone that is not there any more."""
    source_gone: str
    """{line}: the source."""
    never_counted: str
    one_way_out_dead: str
    """{line}, {people}: it has counted so many in, and nobody out."""
    one_way_in_dead: str
    """{line}, {people}"""
    imbalance: str
    """{people_in}, {people_out}: of today, over all doors."""
    clock_behind: str
    """{duration}"""
    clock_ahead: str
    """{duration}"""
    time_zone: str
    """{duration}: it is off by so much, which is a time zone's difference."""
    low_battery: str
    """{percent}"""
    lost_reports: Counted
    """{count}: reports that never came today."""
    quarantined: Counted
    """{count}: messages of today that could not be counted."""
    unmapped_line: str
    """{line}"""
    flags: Mapping[str, str]
    """What a device says of itself, by the name of the flag."""
    other_flag: str
    """{flag}"""


@dataclass(frozen=True, slots=True)
class DevicePageWords:
    """The staff page of devices. Headings, labels and buttons begin with a capital."""

    title: str
    intro: str
    language: str
    key: str
    key_hint: str
    key_show: str
    key_wrong: str
    key_forget: str
    failed: str
    as_of: str
    """{time}"""
    devices: str
    no_devices: str
    well: str
    """How a device stands, as are the next two."""
    look: str
    wrong: str
    all_is_well: str
    last_heard: str
    """{time}"""
    not_heard_yet: str
    today: str
    """{people_in}, {people_out}"""
    inside_now: str
    """{people}"""
    unclaimed: str
    unclaimed_intro: str
    no_unclaimed: str
    messages: Counted
    """{count}, {time}: messages since."""
    would_count: str
    line: str
    people_in: str
    people_out: str
    meaning: str
    meanings: Mapping[str, str]
    """By `Meaning`."""
    unreadable: str
    """Nothing of what a box sent can be read; an administrator has to look."""
    where: str
    """Asks where a box hangs."""
    not_counted: str
    """A choice: this line goes nowhere."""
    name: str
    name_hint: str
    swap: str
    confirm: str
    confirm_of: str
    """{where}: asks whether the box shall count there."""
    back: str
    claimed: str
    """{device}"""
    release: str
    release_of: str
    """{device}: asks for certainty."""
    released: str
    """{device}"""
    whole_library: str
    queue: str
    gate: str
    """{gate}"""
    zone: str
    """{zone}"""
    failing: str
    failing_intro: str
    failing_since: str
    """{time}"""
    unused: str
    unused_intro: str


@dataclass(frozen=True, slots=True)
class DoorWords:
    """How a gate stands, for the desk: one sentence each, two where there is something to do about it.

    {time} is since when, and may carry a date.
    """

    counts: str
    counts_until: str
    """{time}: when it was last heard."""
    closed: str
    """The library is closed, and nobody expects anything of it."""
    unknown: str
    """Nothing is known of the library yet."""
    silent: str
    stuck: str
    """It reports that nobody goes through, where people must."""
    no_entries: str
    no_exits: str
    swapped: str
    """Its figures are turned round until somebody does that with the box."""


@dataclass(frozen=True, slots=True)
class DeviceWords:
    """All of one language."""

    language: str
    language_name: str
    health: HealthWords
    doors: DoorWords
    page: DevicePageWords
