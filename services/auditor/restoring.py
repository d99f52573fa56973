"""An export put back on a bus: everything or nothing, and nothing before every checksum has been held to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nats.errors
from nats.js.errors import APIError, NotFoundError

from services.auditor.manifest import DATA, SETTINGS, ExportDamaged, ExportedStream, Manifest, chunks_of, verify
from services.auditor.report import accept
from services.auditor.snapshot import CHUNK_BYTES, SnapshotFailed, StreamCopy, put_back
from shared.contracts import subjects
from shared.contracts.audit import Act, Stored
from shared.contracts.streams import BUCKETS, STREAMS
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import monotonic_s, wait_s
from shared.runtime.provision import ProvisioningFailed, provision

EVERYTHING: Final = tuple(
    [each.name for each in STREAMS] + [subjects.bucket_stream(each.name) for each in BUCKETS],
)

PROVISION_S: Final = 600.0
"""For a cluster to copy the largest stream to its other servers, which takes as long as its size; an empty one 10 s."""
RETRY_EVERY_S: Final = 1.0
NOTES_MAX: Final = 16
"""Entries of the audit trail that are looked at, one by one, to see whether they tell of the provisioning alone."""


class RestoreFailed(Exception):  # noqa: N818  named for what happened
    """The export is not on the bus; the message says why and in which state the bus is."""


class BusInUse(Exception):  # noqa: N818  an answer, not a fault
    """Somebody is reading from the bus: services run that a restore would pull the ground from under."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is on a bus before a restore: messages by stream, and who is reading."""

    messages: dict[str, int]
    readers: tuple[str, ...]
    is_only_provisioned: bool = False
    """Whether all that is there is the audit trail's word on how the bus was made ready for use."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost."""
        return self.is_only_provisioned or not any(self.messages.values())


async def look(bus: Bus) -> Found:
    """Return what is on the bus. Raises BusUnavailable."""
    messages: dict[str, int] = {}
    readers: list[str] = []
    for stream in EVERYTHING:
        try:
            messages[stream] = (await bus.jetstream.stream_info(stream)).state.messages
            consumers = await bus.jetstream.consumers_info(stream)
        except NotFoundError:
            continue
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no word of {stream}: {type(error).__name__}") from error
        readers += [f"{each.name} of {stream}" for each in consumers if each.num_waiting]
    return Found(messages, tuple(readers), await _is_only_provisioned(bus, messages))


async def _is_only_provisioned(bus: Bus, messages: dict[str, int]) -> bool:
    """Whether nothing has happened on the bus but its provisioning, as on a new one; raises BusUnavailable.

    A cluster provisions a new bus by itself, so whoever puts a backup onto it finds this note there.
    """
    if sum(messages.values()) != messages.get(subjects.AUDIT):
        return False
    try:
        state = (await bus.jetstream.stream_info(subjects.AUDIT)).state
        if not 0 < state.messages == state.last_seq - state.first_seq + 1 <= NOTES_MAX:
            return False
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await bus.jetstream.get_msg(subjects.AUDIT, sequence)
            entry = Stored.of(message.subject or "", sequence, message.data or b"").entry
            if entry is None or entry.act is not Act.PROVISIONED:
                return False
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"no word of {subjects.AUDIT}: {type(error).__name__}") from error
    return True


async def restore(
    bus: Bus, folder: Path, manifest: Manifest, *, replicas: int | None, progress: Callable[[str], None]
) -> list[str]:
    """Replace what is on the bus by an export; return remarks for whoever did it.

    Raises:
        ExportDamaged: it is not as it was written; nothing was touched.
        BusInUse: services are reading; nothing was touched.
        RestoreFailed: the bus did not take it; it is empty.
    """
    verify(folder, manifest)
    copies = {each.name: _settings(folder, each, replicas) for each in manifest.streams}
    found = await look(bus)
    if found.readers:
        raise BusInUse(", ".join(found.readers[:5]))
    try:
        await _clear(bus)
        for each in manifest.streams:
            progress(each.name)
            await put_back(bus, copies[each.name], chunks_of(folder / each.name / DATA, CHUNK_BYTES))
        replicas_now = max(int(each.config.get("num_replicas", 1)) for each in copies.values())
        await _provision(bus, replicas_now)
        remarks = [remark for each in manifest.streams for remark in await _compare(bus, each, copies[each.name])]
        await accept(bus, "restore", is_recount_anew=True)
    except (SnapshotFailed, BusUnavailable, ProvisioningFailed, APIError, nats.errors.Error, OSError) as error:
        try:
            await _clear(bus)
            after = "the bus is empty again"
        except (BusUnavailable, APIError, nats.errors.Error, OSError):
            after = "the bus holds a part of it, and must be emptied with --replace"
        raise RestoreFailed(f"{error}; {after}") from error
    return remarks


async def _provision(bus: Bus, replicas: int) -> None:
    """Let the bus hold what this version needs; a cluster may still choose leaders, or copy what has just come.

    Raises:
        ProvisioningFailed: it refused, or did not come round in time.
    """
    deadline = monotonic_s() + PROVISION_S
    while True:
        try:
            await provision(bus, replicas=replicas)
        except ProvisioningFailed as error:
            if not error.may_pass or monotonic_s() > deadline:
                raise
        else:
            return
        await wait_s(RETRY_EVERY_S)


def _settings(folder: Path, stream: ExportedStream, replicas: int | None) -> StreamCopy:
    """Return what a stream is to be; raises ExportDamaged if that cannot be read."""
    try:
        body = json.loads((folder / stream.name / SETTINGS).read_bytes())
        config = body["config"] if replicas is None else body["config"] | {"num_replicas": replicas}
        return StreamCopy(config, body["state"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportDamaged([f"{stream.name}/{SETTINGS}: {type(error).__name__}"]) from error


async def _clear(bus: Bus) -> None:
    for stream in EVERYTHING:
        try:
            await bus.jetstream.delete_stream(stream)
        except NotFoundError:
            continue
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"{stream} was not deleted: {type(error).__name__}") from error


async def _compare(bus: Bus, exported: ExportedStream, copy: StreamCopy) -> list[str]:
    """Say of a stream that is not as it was; what has reached its age since is gone, and nothing else may be.

    Raises:
        SnapshotFailed: it does not hold what the export does.
    """
    info = await bus.jetstream.stream_info(exported.name)
    state = info.state
    if state.last_seq != exported.last_sequence or state.messages > exported.messages:
        raise SnapshotFailed(
            f"{exported.name}: it ends at {state.last_seq} with {state.messages} messages, instead of"
            f" {exported.last_sequence} with {exported.messages}"
        )
    gone = exported.messages - state.messages
    if not gone:
        return []
    # What reaches its age goes from the beginning, and leaves no new hole.
    is_of_age = bool(copy.config.get("max_age") or info.config.max_age) and state.first_seq > exported.first_sequence
    if not is_of_age or int(state.num_deleted or 0) > int(copy.state.get("num_deleted", 0)):
        raise SnapshotFailed(f"{exported.name}: {gone} of {exported.messages} messages did not come back")
    return [f"{exported.name}: {gone} of {exported.messages} messages have reached their age since"]
