"""How long what is kept where, why, and whether it is about people: one table, of which the documentation is written.

What a stream or bucket holds and for how long stands in `streams.py`; here stands what it means for people, and how
short an operator may make it. A shorter time is kept at the stream itself, so that every provisioning finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.contracts import subjects
from shared.contracts.mqtt import MQTT_STREAMS
from shared.contracts.streams import BUCKETS, STREAMS

DAY: Final = timedelta(days=1)
CHOSEN: Final = "placelibre.max-age-days"
"""The key in a stream's metadata under which a time stands that an operator has chosen."""


@dataclass(frozen=True, slots=True)
class Personal:
    """What of it is about people, empty where nothing is, and what takes it out before its time."""

    data: str
    ends_with: str = ""


NOTHING: Final = Personal("")

PERSONAL: Final[dict[str, Personal]] = {
    subjects.READINGS: Personal("ids of staff at what they said (`by`) and their notes", "`placelibre purge person`"),
    subjects.QUARANTINE: Personal(
        "nothing meant to be: bodies of devices are stripped of pictures, addresses of devices, ages and faces first;"
        " requests of keys are kept as they came",
        "`placelibre purge device`, `purge before`",
    ),
    subjects.DEVICE_BODIES: Personal("what devices send before it is stripped; in memory alone"),
    subjects.CHANGES: NOTHING,
    subjects.POSTS: NOTHING,
    subjects.DEAD: Personal(
        "ids of staff and their notes, in readings that could not be applied", "`placelibre purge person`"
    ),
    subjects.AUDIT: Personal(
        "ids of staff and log-in names of operators at administrative acts", "nothing but its age: it is append-only"
    ),
    subjects.STATUS: NOTHING,
    subjects.LIBRARIES: Personal("what the library writes as its contact"),
    subjects.DELIVERIES: NOTHING,
    subjects.HISTORY: NOTHING,
    subjects.CHECKPOINTS: Personal("ids of staff at what they said of late", "`placelibre purge person`"),
    subjects.POSTING: NOTHING,
    subjects.SENDERS: NOTHING,
    subjects.SESSIONS: NOTHING,
    subjects.APPROVALS: Personal("ids of staff who approved", "`placelibre purge person`"),
    subjects.FEEDS: NOTHING,
    subjects.SUBSCRIPTIONS: Personal(
        "the address that a browser's push service made, and its keys", "telling it, its end, or taking it back"
    ),
    subjects.CLAIMS: Personal("the id or key of who claimed", "`placelibre purge person`"),
    subjects.DEVICES: NOTHING,
    subjects.POSITIONS: NOTHING,
    subjects.STAFF: Personal(
        "names that colleagues use, PINs as scrypt hashes, who is signed in where, wrong PINs",
        "`placelibre staff people remove`, `placelibre purge person`",
    ),
    subjects.DESK: Personal("ids of staff at what they said, 30 days, and their notes", "`placelibre purge person`"),
    subjects.ACTORS: Personal("addresses of fediverse accounts that follow", "unfollowing, `placelibre purge library`"),
    subjects.AUDITOR: NOTHING,
}
"""By stream or bucket. A new one has no entry, and a test says so."""

SHORTEST: Final[dict[str, timedelta]] = {
    subjects.READINGS: 3 * DAY,
    subjects.CHANGES: 3 * DAY,
    subjects.QUARANTINE: DAY,
    subjects.DEAD: 3 * DAY,
    subjects.HISTORY: 2 * DAY,
    subjects.DELIVERIES: 3 * DAY,
    subjects.FEEDS: DAY,
}
"""Not AUDIT: a command that shortens the trail would be one that empties it."""
WHY_NOT_SHORTER: Final[dict[str, str]] = {
    subjects.READINGS: "an aggregator may be away over a weekend, readings may be a day late, and what has aged out"
    " before it was applied is lost",
    subjects.CHANGES: "a publisher may be away over a weekend, and what has aged out is not said",
    subjects.QUARANTINE: "a device that is claimed still counts what it sent in the last day",
    subjects.DEAD: "somebody has to see it after a weekend",
    subjects.HISTORY: "yesterday's late readings still change yesterday",
    subjects.DELIVERIES: "what it remembers keeps a post from going out twice after an outage",
    subjects.FEEDS: "a feed that is read once a day must not miss anything",
}


def fault_of(name: str, age: timedelta) -> str:
    """Return why a stream or bucket cannot keep things so long; nothing if it can."""
    shortest, longest = SHORTEST.get(name), ages().get(name)
    if shortest is None or longest is None:
        return f"of {name} the time cannot be chosen; it can of {', '.join(SHORTEST)}"
    if age < shortest:
        return f"{name} has to keep things for {shortest.days} days at least: {WHY_NOT_SHORTER[name]}"
    if longest and age > longest:
        return f"{name} keeps things for {longest.days} days at most; longer is for no purpose that we know"
    return ""


def ages() -> dict[str, timedelta]:
    """Return how long each stream and bucket keeps things by default, 0 for as long as they are of use."""
    return {each.name: each.max_age for each in (*STREAMS, *BUCKETS)}


def rows() -> list[tuple[str, str, str, str, str, str]]:
    """Return the table: name, what it is for, kept, can be shortened to, what is about people, what ends it."""
    found = []
    for each in (*STREAMS, *BUCKETS):
        personal = PERSONAL[each.name]
        shortest = SHORTEST.get(each.name)
        found.append(
            (
                each.name,
                each.reason,
                _age(each.max_age),
                f"{shortest.days} days" if shortest else "-",
                personal.data or "nothing",
                personal.ends_with or "-",
            )
        )
    return found + [
        (each.name, each.reason, _age(each.max_age), "-", "as DEVICE_BODIES; in memory alone", "-")
        for each in MQTT_STREAMS
    ]


def _age(age: timedelta) -> str:
    if not age:
        return "while it is of use"
    if age < DAY:
        return f"{age // timedelta(minutes=1)} minutes"
    return f"{age.days} days"
