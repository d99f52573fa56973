"""Where something of a library, of a person or of a device is stored, and how to tell. No bus here.

A place is a stream (a bucket is one, too), the subjects to look at, and the judgement of one message: not concerned,
wholly, or in part. What concerns others as well is never taken out: their readings are in it.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from shared.contracts import subjects
from shared.contracts.desk import FORMER, PERSON, SESSION, TRIES_OF
from shared.contracts.devices import serial_token
from shared.contracts.fediverse import TYPE
from shared.contracts.push import OFFER, WISH


class Share(Enum):
    """How much of a message concerns what is purged."""

    NONE = 0
    SHARED = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Messages of one stream on some subjects, and which of them are meant."""

    stream: str
    filters: tuple[str, ...]
    judge: Callable[[str, bytes], Share]

    @property
    def name(self) -> str:
        """The stream or the bucket, as the operator knows it."""
        return self.stream.removeprefix(subjects.bucket_stream(""))

    @property
    def is_bucket(self) -> bool:
        """Whether others hear of what is deleted here, by a mark."""
        return self.stream.startswith(subjects.bucket_stream(""))


def all_of_it(_: str, __: bytes) -> Share:
    """Judge by the subject alone."""
    return Share.WHOLE


def bucket(name: str, *keys: str, judge: Callable[[str, bytes], Share] = all_of_it) -> Place:
    """Return the place of some keys of a bucket."""
    return Place(subjects.bucket_stream(name), tuple(subjects.key_subject(name, key) for key in keys), judge)


def of_library(library: str, accounts: Iterable[str]) -> list[Place]:
    """Return every place of a library that is gone; `accounts` are its own on our fediverse server."""
    partition = subjects.partition_of(library)
    actors = [
        f"{what}.{account}{rest}"
        for account in accounts
        for what, rest in (
            ("actor", ""),
            ("key", ""),
            ("featured", ""),
            ("summary", ""),
            ("note", ".>"),
            ("follower", ".>"),
            ("inbox", ".>"),
        )
    ]
    return [
        *([bucket(subjects.ACTORS, *actors)] if actors else []),
        bucket(subjects.STATUS, library),
        bucket(subjects.DESK, library),
        bucket(subjects.HISTORY, f"{library}.*"),
        bucket(subjects.STAFF, f"{library}.>"),
        bucket(subjects.CLAIMS, f"{library}.*"),
        bucket(subjects.DEVICES, f"{library}.*"),
        bucket(subjects.APPROVALS, f"{library}.*"),
        bucket(subjects.SUBSCRIPTIONS, f"{WISH}.{library}.>", f"{OFFER}.{library}"),
        bucket(subjects.FEEDS, f"{library}.>"),
        bucket(subjects.DELIVERIES, f"*.{library}.*"),
        bucket(subjects.POSTING, f"{library}.*"),
        Place(subjects.POSTS, (f"posts.v1.*.{library}",), all_of_it),
        Place(subjects.CHANGES, (subjects.change(library),), all_of_it),
        Place(subjects.QUARANTINE, (f"quarantine.v1.device.{library}.>",), all_of_it),
        Place(subjects.QUARANTINE, ("quarantine.v1.*",), lambda _, body: _of_quarantined(body, library)),
        Place(subjects.DEAD, (subjects.DEAD_LETTERS,), lambda _, body: _of_json(body, library)),
        Place(
            subjects.READINGS,
            (subjects.readings(partition), subjects.configured(partition)),
            lambda subject, body: of_log(subject, body, library),
        ),
        bucket(subjects.LIBRARIES, library),
    ]


def of_person(library: str, person: str) -> list[Place]:
    """Return every place of a person of a library's staff."""

    def session(_: str, body: bytes) -> Share:  # a mark of one that has ended says nothing of whom
        return Share.WHOLE if _field(body, "person") == person else Share.NONE

    def by(_: str, body: bytes) -> Share:
        return Share.WHOLE if _field(body, "by") == person else Share.NONE

    def said(_: str, body: bytes) -> Share:
        return _of_pack(body, library, person)

    keys = [subjects.staff_key(library, what, person) for what in (PERSON, FORMER, TRIES_OF)]
    return [
        bucket(subjects.STAFF, *keys, f"{subjects.staff_key(library, TRIES_OF, person)}.*"),
        bucket(subjects.STAFF, subjects.staff_key(library, SESSION, "*"), judge=session),
        bucket(subjects.APPROVALS, f"{library}.*", judge=by),
        # A pack with a reading that this version cannot read was given up on: it stands in both.
        Place(subjects.DEAD, (subjects.DEAD_LETTERS,), said),
        Place(subjects.READINGS, (subjects.readings(subjects.partition_of(library)),), said),
    ]


def of_device(library: str, device: str, boxes: Iterable[tuple[str, str]]) -> list[Place]:
    """Return every place of a device that counts no more; `boxes` are the source and serial it was known by."""
    key = subjects.device_key(library, device)
    bodies = tuple(subjects.quarantined_body(library, source, serial_token(serial)) for source, serial in boxes)
    return [
        bucket(subjects.CLAIMS, key),
        *([Place(subjects.QUARANTINE, bodies, all_of_it)] if bodies else []),
        # Devices of other libraries may be called the same, and the subject does not say of which this one is.
        Place(subjects.QUARANTINE, (subjects.quarantined(device),), lambda _, body: _of_namesake(body, library)),
        bucket(subjects.DEVICES, key),  # last: it says which box it was
    ]


def accounts_of(library: str, delivery_keys: Iterable[str], memory_keys: Iterable[str]) -> list[str]:
    """Return the fediverse accounts that spoke for this library and for no other."""
    prefix = f"{TYPE}-"
    speaks: dict[str, set[str]] = {}
    for key in delivery_keys:
        channel, _, rest = key.partition(".")
        if channel.startswith(prefix):
            speaks.setdefault(channel.removeprefix(prefix), set()).add(rest.partition(".")[0])
    for key in memory_keys:
        of, _, channel = key.partition(".")
        if channel.startswith(prefix):
            speaks.setdefault(channel.removeprefix(prefix), set()).add(of)
    return sorted(account for account, libraries in speaks.items() if libraries == {library})


def of_log(subject: str, body: bytes, library: str) -> Share:
    """Tell how much of a message of the log is of a library."""
    if subject.startswith("readings."):
        return _of_pack(body, library, None)
    return Share.WHOLE if _field(body, "library") == library else Share.NONE


def _of_pack(body: bytes, library: str, person: str | None) -> Share:
    """Tell how much of a pack is of a library, or what a person of its staff has said.

    It is looked at as JSON and not as a pack of ours: a newer version may have said what this one cannot read.
    """
    if f'"{library}"'.encode() not in body:  # most of a partition is of others, and parsing is slow
        return Share.NONE
    pack = _fields(body)
    readings, forget = pack.get("readings"), pack.get("forget")
    if not isinstance(readings, list) or not readings:
        is_meant = _is_said_of(forget, library) and (person is None or _is_said_of(forget, person, "person"))
        return Share.WHOLE if is_meant else Share.NONE
    meant = sum(_is_said_of(each, library) and (person is None or _is_said_of(each, person, "by")) for each in readings)
    if meant == 0:
        return Share.NONE
    return Share.WHOLE if meant == len(readings) else Share.SHARED


def _is_said_of(item: object, name: str, field: str = "library") -> bool:
    return isinstance(item, dict) and item.get(field) == name


def _of_json(body: bytes, library: str) -> Share:
    """Tell whether a dead letter is of a library: a post of it, or a message of the log."""
    if _field(body, "library") == library:
        return Share.WHOLE
    return _of_pack(body, library, None)


def _of_quarantined(body: bytes, library: str) -> Share:
    """Tell whether what could not be read of a request is a library's: its sender's, and all that was sent named it.

    Bodies are kept as they came. Those of before the first release do not say whose the sender was.
    """
    sender = _field(body, "library")
    if sender == library:
        return Share.WHOLE
    items = _field(body, "items")
    if not isinstance(items, list) or not items:
        return Share.NONE
    named = 0
    for each in items:
        try:
            raw = b64decode(str(each["raw"]), validate=True)
        except (KeyError, TypeError, Error):
            continue
        named += f'"{library}"'.encode() in raw
    if named == 0:
        return Share.NONE
    return Share.WHOLE if named == len(items) and not sender else Share.SHARED


def _of_namesake(body: bytes, library: str) -> Share:
    """Tell whether what could not be read of a device of this name is this library's device's.

    One of before 0.2 that names no library may be: it stays, for it may be a namesake's as well, and is told.
    """
    share = _of_quarantined(body, library)
    return Share.SHARED if share is Share.NONE and "library" not in _fields(body) else share


def _field(body: bytes, name: str) -> object:
    return _fields(body).get(name)


def _fields(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


KEPT: Final = (
    (subjects.AUDIT, "the trail of who did this; it ends by its age, and nobody takes anything out of it"),
    (subjects.POSITIONS, "how far a source was read, by the source's name; it ends 90 days after it was last read"),
    (subjects.SESSIONS, "log-ins of accounts, by the account's name; they end 90 days after they were last used"),
    (subjects.AUDITOR, "the last comparison names libraries, gates and devices; the next one is written over it"),
)
"""What a purge leaves, and why."""
