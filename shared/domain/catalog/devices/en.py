"""English."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.devices.words import DevicePageWords, DeviceWords, HealthWords

WORDS: Final = DeviceWords(
    language="en",
    language_name="English",
    health=HealthWords(
        never_heard="Nothing has ever come from it. See that it has power and network, and that it sends to its address.",
        silent="Last heard {time}; nobody is counted there now. See that it has power and network.",
        target_gone="It is to count at {line}, which this library does not have any more; its figures count nowhere.",
        source_gone="Its address {line} is not set up any more, so nothing of it can arrive.",
        never_counted="It is heard, but has not counted anybody yet. Walk through and look again in some minutes.",
        one_way_out_dead="{line}: {people} in and nobody out today. It does not count the way out; see that nothing covers it.",
        one_way_in_dead="{line}: {people} out and nobody in today. It does not count the way in; see that nothing covers it.",
        imbalance="Today {people_in} have come in and {people_out} have left, which cannot be. Look at what this one counts.",
        clock_behind="Its clock is {duration} slow. Set its time, best from a time server.",
        clock_ahead="Its clock is {duration} fast. Set its time, best from a time server.",
        time_zone="Its clock is off by {duration}: that looks like a wrong time zone. Set it to the zone of the library.",
        low_battery="Its battery is at {percent}. Change it soon.",
        lost_reports=lambda n: (
            "{count} report of today never came. Its radio or network is weak."
            if n == 1
            else "{count} reports of today never came. Its radio or network is weak."
        ),
        quarantined=lambda n: (
            "{count} message of today could not be counted, or not whole. It is kept; an administrator should look."
            if n == 1
            else "{count} messages of today could not be counted, or not whole. They are kept; an administrator should look."
        ),
        unmapped_line="Its line {line} is led nowhere and does not count.",
        flags={
            "anomaly": "It says itself that its counts are not to be trusted.",
            "obstructed": "It says that something blocks its view.",
            "misaligned": "It says that its two halves do not face each other.",
            "tampered": "It says that somebody has opened or moved it.",
            "no-video": "It says that it has no picture.",
            "node-silent": "It says that a part of it does not answer.",
            "low-battery": "It says that its battery is low. Change it soon.",
            "low-light": "It says that it is too dark to count.",
            "error": "It says that it has a fault.",
        },
        other_flag="It says of itself: {flag}.",
    ),
    page=DevicePageWords(
        title="Counters",
        intro="What counts people here, and whether it does.",
        language="Language",
        key="Staff key",
        key_hint="The key of this tablet, from your administrator. It is kept in this browser only.",
        key_show="Show the counters",
        key_wrong="This key is not known, or is not one of staff.",
        key_forget="Forget the key on this device",
        failed="No answer just now. What is shown may be old.",
        as_of="As of {time}",
        devices="Counters of this library",
        no_devices="None counts yet.",
        well="Counts",
        look="Look at it",
        wrong="Not right",
        all_is_well="All is well.",
        last_heard="Last heard {time}",
        not_heard_yet="Never heard",
        today="Today {people_in} in, {people_out} out",
        inside_now="{people} inside now",
        unclaimed="New boxes",
        unclaimed_intro="They send, but nobody has said where they hang, so they count nowhere. What they sent is kept for seven days and counts once you have said it.",
        no_unclaimed="None. A new box stands here as soon as it has sent something.",
        messages=lambda n: "{count} message since {time}" if n == 1 else "{count} messages since {time}",
        would_count="What would be counted",
        line="Line",
        people_in="In",
        people_out="Out",
        meaning="Meaning",
        meanings={
            "crossing": "each passage",
            "window": "passages of a span of time",
            "total": "a running total",
            "day_total": "a total since midnight",
            "occupancy": "people inside",
            "queue_length": "people queuing",
            "queueing_time": "minutes of queuing",
        },
        unreadable="What it sends cannot be read. Ask your administrator to look with: placelibre devices",
        where="Where does it hang?",
        not_counted="Does not count",
        name="Name",
        name_hint="As you call it: main door, left",
        swap="In and out are swapped",
        confirm="Yes, count it",
        confirm_of="Count it at: {where}?",
        back="Not now",
        claimed="{device} counts now. What it had sent before is being counted too.",
        release="Do not count it any more",
        release_of="Is {device} to count nowhere from now on?",
        released="{device} does not count any more.",
        whole_library="the whole library",
        queue="the queue",
        gate="Gate {gate}",
        zone="People in {zone}",
        failing="Cannot be fetched",
        failing_intro="What they would bring is missing until this is put right. It is tried again by itself every few minutes.",
        failing_since="since {time}",
        unused="Addresses never used",
        unused_intro="They are set up, and nothing has come on them in the last seven days.",
    ),
)
