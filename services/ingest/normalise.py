"""From a sender's reading to the one that is stored: complete, permitted, known to the configuration. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from services.ingest.bodies import Fault
from services.ingest.library_clock import LibraryClock
from services.ingest.senders import Sender, Senders
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import (
    QUEUE_SENSOR_KINDS,
    AnyWireReading,
    ClockSet,
    Closing,
    GateCount,
    GateTotal,
    HeadCount,
    HeldSeats,
    Mute,
    Notice,
    Occupancy,
    QueueAtMarker,
    RemarkReading,
    Ticket,
)
from shared.domain.library import INSIDE, ClockKind
from shared.domain.reading import HORIZON

INCREDIBLE_SHARE: Final = 2
"""A head-count of more than this many times the capacity is a typing error."""
MAX_AHEAD: Final = timedelta(seconds=30)
"""A device clock may be ahead by this much unnoticed; a reading from later is taken as of now."""
TOO_LATE: Final = f"older than {HORIZON // timedelta(hours=1)} h: stored, but not counted"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A reading ready to be stored, with a remark for the sender where one is due."""

    index: int
    reading: AnyWireReading
    remark: str = ""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """When and with what a request came; `moved` are the times of what people said with a clock that is fast."""

    received_at: datetime
    idempotency_key: str
    clock: LibraryClock | None
    moved: Mapping[int, datetime]


Spoken = tuple[int, AnyWireReading, Sender]
"""A reading by its place in the request, and who says so."""


def normalise(
    readings: list[tuple[int, AnyWireReading]],
    sender: Sender,
    senders: Senders,
    received_at: datetime,
    idempotency_key: str = "",
    clock: LibraryClock | None = None,
) -> tuple[list[Accepted], list[Fault]]:
    """Complete and check readings; return those that may be stored and what is wrong with the others.

    `clock` is that of a library which does not live now, for what its staff say of it: they speak of real time.
    """
    spoken = [(index, reading, sender) for index, reading in readings]
    return normalise_each(spoken, senders, received_at, idempotency_key, clock)


def normalise_each(
    spoken: Sequence[Spoken],
    senders: Senders,
    received_at: datetime,
    idempotency_key: str = "",
    clock: LibraryClock | None = None,
) -> tuple[list[Accepted], list[Fault]]:
    """Do the same with readings of which each has a sender of its own: several people of one tablet."""
    arrival = _Arrival(received_at, idempotency_key, clock, _moved_back(spoken, received_at))
    accepted: list[Accepted] = []
    faults: list[Fault] = []
    for index, reading, sender in spoken:
        result = _one(index, reading, sender, senders, arrival)
        if isinstance(result, Accepted):
            accepted.append(result)
        else:
            faults.append(result)
    return accepted, faults


def _moved_back(spoken: Sequence[Spoken], received_at: datetime) -> dict[int, datetime]:
    """Return, by index, the times of what people said in the future, by a clock that is fast.

    All are moved by as much, the last to when it came: so they stay in order, and after what came with a time of the
    past. Equal times would be put in an order of chance.
    """
    people = [(each, index) for index, each, sender in spoken if _is_remark(each, sender)]
    times = [(each.time, index) for each, index in people if each.time is not None]
    ahead = sorted(each for each in times if each[0] > received_at)
    if not ahead:
        return {}
    shift = ahead[-1][0] - received_at
    apart = timedelta(microseconds=1)
    before = max((time for time, _ in times if time <= received_at), default=None)
    last = None if before is None else min(before, received_at - len(ahead) * apart)
    moved: dict[int, datetime] = {}
    for place, (time, index) in enumerate(ahead, start=1):
        at = time - shift if last is None else max(time - shift, last + apart)
        last = moved[index] = min(at, received_at - (len(ahead) - place) * apart)
    return moved


def _is_remark(reading: AnyWireReading, sender: Sender) -> bool:
    return isinstance(reading, RemarkReading) and not sender.is_simulation


def _one(
    index: int,
    reading: AnyWireReading,
    sender: Sender,
    senders: Senders,
    arrival: _Arrival,
) -> Accepted | Fault:
    received_at = arrival.received_at
    library = senders.library_for(sender, reading.library)
    if isinstance(library, str):
        return Fault(index, "forbidden", library)
    refusal = _refuse(reading, sender, senders, library)
    if refusal:
        return Fault(index, "forbidden", refusal)
    unknown = _unknown(reading, library)
    if unknown:
        return Fault(index, "unknown", unknown)
    time, remark = _time(reading, sender, received_at, arrival.moved.get(index, received_at))
    if time is None:
        return Fault(index, "malformed", remark)
    device = _device(reading, sender)
    update: dict[str, object] = {"device": device, "time": time}
    update["id"] = reading.id or _identity(reading, device, time, index, arrival.idempotency_key)
    if isinstance(reading, GateCount) and reading.start is not None:
        update["start"] = min(reading.start, time)
    if isinstance(reading, RemarkReading):
        update["by"] = "" if sender.person is None else sender.person.id
    if sender.person is not None and library.clock is not ClockKind.WALL:
        if arrival.clock is None:
            return Fault(index, "forbidden", f"the time of {library.id} has not begun; start its simulation first")
        update |= _in_its_time(reading, time, received_at, arrival.clock)
        if (received_at - time) * arrival.clock.speed > HORIZON:
            remark = TOO_LATE
    elif isinstance(reading, Ticket):  # one clock says both times, so both are off by as much and the wait is not
        update["joined"] = min(reading.joined + (time - (reading.time or time)), time)
    elif isinstance(reading, Notice | Closing | Mute) and reading.time is not None and reading.until <= reading.time:
        update["until"] = reading.until + (time - reading.time)  # what ends something at once does so by any clock
    completed = reading.model_copy(update=update)
    return Accepted(index, completed, remark)


def _in_its_time(
    reading: AnyWireReading, time: datetime, received_at: datetime, clock: LibraryClock
) -> dict[str, object]:
    """Return the times of a reading as those of a library whose day goes faster; spans from it on stay as they are."""
    then = clock.at(received_at) - (received_at - time) * clock.speed
    moved: dict[str, object] = {"time": then}
    said_at = reading.time or time
    if isinstance(reading, Notice | Closing | Mute):
        moved["until"] = then + (reading.until - said_at)
    elif isinstance(reading, Ticket):
        moved["joined"] = min(then - (said_at - reading.joined), then)
    return moved


def _refuse(reading: AnyWireReading, sender: Sender, senders: Senders, library: LibraryConfig) -> str:
    """Return why this sender may not send this reading, or nothing."""
    if not sender.may_write:
        return "nobody is signed in on this tablet"
    if isinstance(reading, RemarkReading) and reading.by not in {"", sender.person.id if sender.person else ""}:
        return "by: who said it is known from who is signed in"
    if sender.key is None:
        return ""
    if isinstance(reading, ClockSet):
        return "only a simulation may say what time it is"
    if not sender.key.may_send(reading.kind):
        return f"key {sender.key_id} has the role {sender.key.role}, which does not send {reading.kind}"
    if isinstance(reading, GateCount | GateTotal) and sender.key.gates and reading.gate not in sender.key.gates:
        return f"key {sender.key_id} may not report gate {reading.gate}"
    if sender.key.gates and reading.device not in {None, sender.key.device, *sender.key.gates}:
        return f"key {sender.key_id} speaks for its own gates only"
    if sender.key.role == "staff" and reading.device not in {None, sender.key.device}:
        return f"key {sender.key_id} speaks for device {sender.key.device} only"
    if sender.key.role == "gate" and reading.kind in QUEUE_SENSOR_KINDS:
        device = _device(reading, sender)
        if senders.is_of_staff(library, device):
            return f"device {device} belongs to staff; a sensor of the queue needs a name of its own"
    return ""


def _unknown(reading: AnyWireReading, library: LibraryConfig) -> str:
    """Return what the configuration does not know or cannot believe, or nothing."""
    if isinstance(reading, GateCount | GateTotal):
        return _unknown_of_gate(reading, library)
    if isinstance(reading, QueueAtMarker):
        return _missing("marker", reading.marker, [marker.id for marker in library.markers])
    if isinstance(reading, HeadCount | Occupancy) and reading.people > most_people(library, reading.zone):
        most = most_people(library, reading.zone) // INCREDIBLE_SHARE
        is_typed = isinstance(reading, HeadCount)
        fault = "is there a digit too many?" if is_typed else "no sensor sees as many"
        return f"{reading.people} people where {most} are allowed; {fault}"
    if isinstance(reading, HeadCount | HeldSeats | Occupancy) and reading.zone is not None:
        return _missing("zone", reading.zone, [zone.id for zone in library.zones] or [INSIDE])
    return ""


def _unknown_of_gate(count: GateCount | GateTotal, library: LibraryConfig) -> str:
    kinds = {gate.id: gate.kind for gate in library.gates}
    if isinstance(count, GateCount) and count.count is not None and kinds.get(count.gate) == "directional":
        return f'count: gate {count.gate} tells directions; give entries and exits, or configure it with kind = "beam"'
    return _missing("gate", count.gate, list(kinds))


def most_people(library: LibraryConfig, zone: str | None = None) -> int:
    """Return the largest count of people that is taken, for a zone or the whole library; another one is mistyped.

    A time of less capacity does not make it smaller: a count may be of before, or there may be too many inside.
    """
    zones: dict[str | None, int] = {each.id: each.capacity for each in library.zones}
    allowed = max([library.capacity, *(period.capacity for period in library.capacity_periods)])
    return INCREDIBLE_SHARE * zones.get(zone, allowed)


def _missing(what: str, name: str, known: list[str]) -> str:
    if name in known:
        return ""
    return f"the library has no {what} {name!r}; it has {', '.join(known) or 'none'}"


def _time(
    reading: AnyWireReading, sender: Sender, received_at: datetime, at_most: datetime
) -> tuple[datetime | None, str]:
    """Return when it was seen, with a remark; None with the reason if it cannot be.

    `at_most` is what the time of a reading of the future is taken for.
    """
    if sender.is_simulation:
        if reading.time is None:
            return None, "a simulated or recorded reading must say its time"
        time, remark = reading.time, ""
    elif reading.time is None:
        time, remark = received_at, ""
    elif reading.time > received_at + MAX_AHEAD:
        # The time of receipt is the authority for now: a fast clock must not hold back live counts.
        time = at_most
        remark = f"time lies in the future; {'taken as of now' if time == received_at else 'moved back'}"
    else:
        time = reading.time if reading.time <= received_at else at_most
        remark = TOO_LATE if received_at - time > HORIZON else ""
    if isinstance(reading, GateCount) and reading.start is not None and reading.start > (reading.time or time):
        return None, "start: lies after time"
    if isinstance(reading, Ticket) and reading.time is None:  # else the reading itself has compared the two
        fault = reading.fault_at(time + MAX_AHEAD)
        if fault:
            return None, fault
    return time, remark


def _device(reading: AnyWireReading, sender: Sender) -> str:
    if reading.device is not None:
        return reading.device
    if isinstance(reading, GateCount | GateTotal):
        return reading.gate
    return sender.key.device if sender.key is not None else sender.key_id


def _identity(reading: AnyWireReading, device: str, time: datetime, index: int, idempotency_key: str) -> str:
    """Return a name that a repetition of the same reading gets again.

    A reading without a sequence, an id or a time of its own is known by its request's Idempotency-Key and its place
    there; without that key, by when it came: then a repetition is another reading.
    """
    if reading.sequence is not None:
        return f"{device}:{reading.boot or ''}:{reading.sequence}"
    if reading.time is not None:
        when = time.isoformat()
    elif idempotency_key:
        when = f"{idempotency_key}\n{index}"
    else:
        when = f"{time.isoformat()}\n{index}"
    content = reading.model_dump_json(exclude={"id", "device", "time", "by"})
    return blake2b(f"{device}\n{when}\n{content}".encode(), digest_size=12).hexdigest()
