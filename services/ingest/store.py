"""Storing readings: packed by partition, all of a request or none, and what could not be read into quarantine."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from hashlib import blake2b
from typing import Final

from pydantic_core import to_json

from services.ingest.bodies import Fault
from services.ingest.normalise import Accepted
from shared.contracts import subjects
from shared.contracts.readings import Pack
from shared.runtime import tracing
from shared.runtime.bus import Bus

SOURCE: Final = "/ingest"
PACK_TYPE: Final = "org.placelibre.readings.v1"
QUARANTINE_TYPE: Final = "org.placelibre.quarantined.v1"


def pack(accepted: list[Accepted], received_at: datetime) -> list[tuple[str, bytes, dict[str, str]]]:
    """Return one bus message per partition: subject, body and headers (CloudEvents 1.0, binary mode).

    The message's id is derived from the readings' own, so that a repeated request is a double to the bus as well.
    """
    by_partition: dict[int, list[Accepted]] = {}
    for each in accepted:
        by_partition.setdefault(subjects.partition_of(each.reading.library), []).append(each)
    messages = []
    for partition, members in by_partition.items():
        body = Pack(received_at=received_at, readings=tuple(each.reading for each in members))
        names = "\n".join(f"{each.reading.library}/{each.reading.device}/{each.reading.id}" for each in members)
        identity = blake2b(names.encode(), digest_size=16).hexdigest()
        messages.append(
            (
                subjects.readings(partition),
                body.model_dump_json(exclude_none=True).encode(),
                attributes(identity, PACK_TYPE, received_at),
            )
        )
    return messages


async def store(bus: Bus, accepted: list[Accepted], received_at: datetime, timeout_s: float) -> None:
    """Store all of these readings or none. Raises BusUnavailable, BusFull."""
    with tracing.span("store readings", readings=len(accepted)):
        await _publish(bus, pack(accepted, received_at), timeout_s)


async def _publish(bus: Bus, messages: list[tuple[str, bytes, dict[str, str]]], timeout_s: float) -> None:
    messages = [(subject, body, tracing.into(headers)) for subject, body, headers in messages]
    if len(messages) == 1:
        [(subject, body, headers)] = messages
        await bus.publish(subject, body, message_id=headers["ce-id"], headers=headers, timeout_s=timeout_s)
    elif messages:
        await bus.publish_together(messages, timeout_s=timeout_s)


async def quarantine(
    bus: Bus, faults: list[Fault], library: str, device: str, received_at: datetime, timeout_s: float
) -> None:
    """Keep what could not be stored as readings, with the reasons; `library` is the sender's, empty where it has many.

    Raises BusUnavailable, BusFull.
    """
    body = to_json(
        {
            "received_at": received_at,
            "library": library,  # the subject does not say it, and devices of two libraries may have one name
            "device": device,
            "items": [
                {"index": each.index, "code": each.code, "reason": each.reason, "raw": b64encode(each.raw).decode()}
                for each in faults
            ],
        }
    )
    identity = blake2b(body, digest_size=16).hexdigest()
    headers = attributes(identity, QUARANTINE_TYPE, received_at)
    await bus.publish(subjects.quarantined(device), body, message_id=identity, headers=headers, timeout_s=timeout_s)


def size_in_quarantine(faults: list[Fault]) -> int:
    """Return about how many bytes these take up in quarantine: base64, and the words around it."""
    return sum(len(each.raw) * 4 // 3 + len(each.reason) + 100 for each in faults)


def attributes(identity: str, kind: str, at: datetime) -> dict[str, str]:
    """Return the headers of a message of ours on the bus: CloudEvents 1.0 in binary mode."""
    return {
        "ce-specversion": "1.0",
        "ce-id": identity,
        "ce-source": SOURCE,
        "ce-type": kind,
        "ce-time": at.isoformat(),
        "content-type": "application/json",
    }
