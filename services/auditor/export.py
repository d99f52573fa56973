"""A whole copy of what cannot be worked out again, made while everything runs.

Streams are copied one after the other, what is derived before what it is derived from: checkpoints and changes before
the log, decisions to speak before the log, positions of sources before the readings that came from there, the log
before the configuration that it quotes. So whatever a copy of a later step says is either in the copies of the earlier
ones or follows from the log again, by the way that a crash at that moment would take. The other way round a copy could
hold the effects of readings that it does not have.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Final

import nats.errors
from pydantic import ValidationError

from services.auditor.book import Book
from services.auditor.manifest import (
    DATA,
    FORMAT,
    MANIFEST,
    SETTINGS,
    ExportDamaged,
    ExportedFile,
    ExportedStream,
    Manifest,
    read_manifest,
)
from services.auditor.report import BOOK
from services.auditor.snapshot import MessagesDamaged, SnapshotFailed, StreamCopy, take
from shared.contracts import subjects
from shared.contracts.streams import BUCKETS, STREAMS
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import now
from shared.runtime.logs import logger

log = logger(__name__)

RESERVE_BYTES: Final = 256 * 1024 * 1024
"""Left free on the disk whatever happens: the export may lie beside the bus, which must not stand still for it."""
NAME: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d{6}Z$")
UNFINISHED: Final = ".unfinished-"
LOCK: Final = ".lock"
LOOK_EVERY_BYTES: Final = 16 * 1024 * 1024
"""How much is written before the room on the disk is looked at again."""

FIRST: Final = (
    subjects.bucket_stream(subjects.CHECKPOINTS),
    subjects.CHANGES,
    *map(subjects.bucket_stream, (subjects.STATUS, subjects.HISTORY, subjects.DESK)),
    *map(subjects.bucket_stream, (subjects.POSTING, subjects.DELIVERIES)),
)
"""What is derived from the log, and what is derived from that."""
LAST: Final = (subjects.READINGS, subjects.bucket_stream(subjects.LIBRARIES))
"""What others are derived from."""


class ExportFailed(Exception):  # noqa: N818  named for what happened
    """No whole export could be written; the message says why, what there was before stays."""


def contents() -> tuple[str, ...]:
    """Return the streams that an export holds, in the order in which they are copied."""
    held = [each.name for each in STREAMS if not each.left_out]
    held += [subjects.bucket_stream(each.name) for each in BUCKETS if not each.left_out]
    between = [name for name in held if name not in {*FIRST, *LAST}]
    return (*FIRST, *between, *LAST)


def left_out() -> dict[str, str]:
    """Return the streams that an export does not hold, with the reason for each."""
    streams = {each.name: each.left_out for each in STREAMS if each.left_out}
    return streams | {subjects.bucket_stream(each.name): each.left_out for each in BUCKETS if each.left_out}


def exports_in(folder: Path) -> list[Path]:
    """Return the whole exports in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if NAME.match(each.name) and (each / MANIFEST).is_file())


def newest_in(folder: Path) -> tuple[Path, Manifest] | None:
    """Return the newest export whose manifest can be read, or None."""
    for path in reversed(exports_in(folder)):
        try:
            return path, read_manifest(path)
        except ExportDamaged as fault:
            log.error("export_unreadable", export=path.name, reason=str(fault))  # noqa: TRY400
    return None


async def export(
    bus: Bus, folder: Path, *, keep: int, progress: Callable[[str], None] = lambda _: None
) -> tuple[Path, Manifest]:
    """Write an export below `folder`, take out those that are `superfluous` now, and return where it is.

    Raises:
        ExportFailed: the bus did not give everything, the disk has no room, or another one is being written.
    """
    try:
        with _alone(folder):
            path, manifest = await _write(bus, folder, progress)
            for each in superfluous(folder, keep, lost_at=await _first_loss(bus)):
                shutil.rmtree(each)
            return path, manifest
    except SnapshotFailed as error:
        raise ExportFailed(str(error)) from error
    except BusUnavailable as error:
        raise ExportFailed(f"the bus did not answer: {error}") from error
    except OSError as error:
        raise ExportFailed(f"{folder}: {error.strerror or error}") from error


def superfluous(folder: Path, keep: int, *, lost_at: datetime | None = None) -> list[Path]:
    """Return the whole exports in a folder that may go: older than the newest `keep`, and of no use beside them.

    Of use is the newest that is undamaged; of these the one that reaches furthest into the log, for a bus that came
    back empty writes exports night after night that hold nothing; and the newest from before `lost_at`, when the first
    loss was noticed that nobody has accepted yet.
    """
    exports = {path: _read_or_none(path) for path in exports_in(folder)}
    newest = list(exports)[-max(keep, 1) :]
    whole = {path: each for path, each in exports.items() if each is not None and not each.damaged}
    before = [path for path, each in whole.items() if lost_at is not None and each.ended_at < lost_at]
    useful = {*newest, *list(whole)[-1:], *before[-1:]}
    if whole:
        useful.add(max(reversed(whole), key=lambda path: whole[path].reach))  # of two that reach as far the newer
    return [path for path in exports if path not in useful]


def _read_or_none(path: Path) -> Manifest | None:
    try:
        return read_manifest(path)
    except ExportDamaged:
        return None


async def _first_loss(bus: Bus) -> datetime | None:
    """Return when the auditor noticed the first loss that nobody has accepted; None for none, or without its word."""
    with suppress(BusUnavailable, ValidationError):
        entry = await bus.bucket(subjects.AUDITOR).get(BOOK)
        book = Book() if entry is None else Book.model_validate_json(entry.value)
        return min((loss.at for loss in book.losses), default=None)
    return None


async def _write(bus: Bus, folder: Path, progress: Callable[[str], None]) -> tuple[Path, Manifest]:
    begun_at = now()
    name = begun_at.strftime("%Y-%m-%dT%H%M%SZ")
    _refuse_a_full_disk(folder, await _size(bus))
    if (folder / name).exists():
        raise ExportFailed(f"{folder / name} is there already: one a second is enough")
    unfinished = folder / f"{UNFINISHED}{name}"
    unfinished.mkdir(mode=0o700)
    try:
        streams = [await _copy(bus, stream, unfinished, progress) for stream in contents()]
        manifest = Manifest(
            format=FORMAT,
            placelibre=_version(),
            nats_server=str(bus.client.connected_server_version),
            begun_at=begun_at,
            ended_at=now(),
            streams=tuple(streams),
            left_out=left_out(),
        )
        with _file(unfinished / MANIFEST) as file:
            file.write(manifest.sealed())
        _sync(unfinished)
        unfinished.rename(folder / name)
        _sync(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return folder / name, manifest


async def _copy(bus: Bus, stream: str, folder: Path, progress: Callable[[str], None]) -> ExportedStream:
    target = folder / stream
    target.mkdir(mode=0o700)
    progress(stream)
    taken_at = now()
    is_damaged = False
    try:
        copy, data = await _take(bus, stream, target, is_checked=True)
        await _hold_to_its_end(bus, stream, int(copy.state["last_seq"]))
    except MessagesDamaged as error:
        # A damaged stream is worth keeping all the more: without the look at every message the bus gives what it has.
        log.error("stream_damaged", stream=stream, reason=str(error))  # noqa: TRY400
        is_damaged = True
        copy, data = await _take(bus, stream, target, is_checked=False)
    settings = json.dumps({"config": copy.config, "state": copy.state}).encode()
    with _file(target / SETTINGS) as file:
        file.write(settings)
    _sync(target)
    return ExportedStream(
        name=stream,
        messages=copy.state["messages"],
        first_sequence=copy.state["first_seq"],
        last_sequence=copy.state["last_seq"],
        last_at=copy.state["last_ts"],
        taken_at=taken_at,
        is_damaged=is_damaged,
        files=(
            data,
            ExportedFile(path=f"{stream}/{SETTINGS}", size=len(settings), sha256=sha256(settings).hexdigest()),
        ),
    )


async def _hold_to_its_end(bus: Bus, stream: str, last: int) -> None:
    """Refuse a copy of a stream that is shorter now: where its newest file is damaged the bus cuts it off in looking.

    What it has said of the stream before is then no longer so, and could not be put back.

    Raises:
        MessagesDamaged: it ends before where it did.
        BusUnavailable: no answer.
    """
    now_last = await bus.last_sequence(stream)
    if now_last < last:
        raise MessagesDamaged(
            f"{stream}: it ended at {last}, and at {now_last} once the bus had looked at every message"
        )


async def _take(bus: Bus, stream: str, target: Path, *, is_checked: bool) -> tuple[StreamCopy, ExportedFile]:
    total, size, looked = sha256(), 0, 0
    with _file(target / DATA) as file:

        def write(chunk: bytes) -> None:
            nonlocal size, looked
            total.update(chunk)
            size += len(chunk)
            if size - looked >= LOOK_EVERY_BYTES:
                looked = size
                _refuse_a_full_disk(target, 0)
            file.write(chunk)

        copy = await take(bus, stream, write, is_checked=is_checked)
    return copy, ExportedFile(path=f"{stream}/{DATA}", size=size, sha256=total.hexdigest())


async def _size(bus: Bus) -> int:
    """Return what the streams hold, in bytes: a snapshot is compressed, and comes to no more but for a little."""
    total = 0
    for stream in contents():
        try:
            total += (await bus.jetstream.stream_info(stream)).state.bytes
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no word of {stream}: {type(error).__name__}") from error
    return total


def free_bytes(folder: Path) -> float:
    """Return the room on the disk that a folder is on, or will be; NaN where the disk does not say."""
    try:
        existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        return shutil.disk_usage(existing).free
    except OSError:
        return math.nan


def _refuse_a_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free - needed < RESERVE_BYTES:
        mib = 1024 * 1024
        raise ExportFailed(
            f"{folder}: {free // mib} MiB are free, {needed // mib} MiB are needed, and {RESERVE_BYTES // mib} MiB stay"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExportFailed(f"another export is being written in {folder}") from error
        for each in folder.glob(f"{UNFINISHED}*"):  # of one that was killed
            shutil.rmtree(each)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that nobody else can read, and have it on the disk at the end."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version() -> str:
    try:
        return version("placelibre")
    except PackageNotFoundError:  # run from its files alone
        return "not-installed"
