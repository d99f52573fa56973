"""The auditor's loops: it measures, counts again and exports, and none of these waits for another."""

from __future__ import annotations

import asyncio
import math
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import nats.errors
from pydantic import ValidationError

from services.auditor import export as exporting
from services.auditor import figures
from services.auditor.book import Book, Sight, merged
from services.auditor.export import ExportFailed, export
from services.auditor.reconcile import Reconciler
from services.auditor.report import ACCEPTED, BOOK, RECONCILIATION, Accepted, read_accepted
from services.auditor.settings import Settings
from shared.contracts import subjects
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import now, wait_s
from shared.runtime.health import Readiness
from shared.runtime.logs import logger

log = logger(__name__)

BOOK_FILE: Final = "book.json"
RECOUNT_FILE: Final = "recount.json.gz"
WRITE_BOOK_EVERY: Final = timedelta(minutes=5)
"""To the bus and to the disk, unless something is lost; what a stream has gained since then could be lost unseen."""
OVERDUE: Final = timedelta(minutes=10)
"""After which a first comparison that has not come is no matter of a start any more."""
EXPORT_LOOK_S: Final = 60.0
EXPORT_RETRY: Final = timedelta(hours=1)
"""After one that failed: the disk, or the bus, has had time to be put right."""


async def audit(bus: Bus, settings: Settings, readiness: Readiness) -> None:
    """Measure, count again and export, for ever."""
    readiness.needs("figures", "the bus has not been measured yet")
    for gauge in (metrics.EXPORT_AT, metrics.EXPORT_DISK_FREE_BYTES):
        gauge.set(math.nan)
    auditor = _Auditor(bus, settings, readiness)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(auditor.measure())
        tasks.create_task(auditor.reconcile())
        tasks.create_task(auditor.export())


class _Auditor:
    def __init__(self, bus: Bus, settings: Settings, readiness: Readiness) -> None:
        self._bus = bus
        self._settings = settings
        self._readiness = readiness
        self._folder = settings.export_dir
        self._book: Book | None = None
        self._written_at: datetime | None = None
        self._away_since: datetime | None = None
        """When the book was last entered before this process began."""
        self._accepted: Accepted | None = None
        """What somebody knows of."""
        self._seen_at: dict[datetime, datetime] = {}
        """When the first look was that began after something was accepted, and so noticed all of it."""

    async def measure(self) -> None:
        """Measure the bus and keep its book, for ever."""
        measured = figures.Figures(self._bus)
        while True:
            at = now()
            metrics.EXPORT_DISK_FREE_BYTES.set(exporting.free_bytes(self._folder))
            try:
                await self._read_book()
                sights = await measured.measure(at)
                self._accepted = read_accepted(await self._bus.bucket(subjects.AUDITOR).get(ACCEPTED))
                self._enter(sights, at)
                await self._write_book(at)
            except BusUnavailable as error:
                figures.forget()
                self._readiness.needs("figures", f"the bus cannot be measured: {error}")
            else:
                self._readiness.has("figures")
            await wait_s(self._settings.measure_every_s)

    async def reconcile(self) -> None:
        """Count the log again and compare, for ever."""
        reconciler = Reconciler(self._bus, self._folder / RECOUNT_FILE)
        began_at, has_compared, is_failing = now(), False, False
        while True:
            try:
                anew_since = None if self._accepted is None else self._accepted.anew_since
                report = await reconciler.compare(now(), anew_since=anew_since)
                await self._bus.bucket(subjects.AUDITOR).put(RECONCILIATION, report.model_dump_json().encode())
            except (BusUnavailable, nats.errors.Error, TimeoutError) as error:
                if not is_failing:
                    log.warning("reconciliation_fails", reason=str(error), consequence="a loss would not be noticed")
                is_failing = True
                if not has_compared and now() - began_at >= OVERDUE:
                    metrics.RECONCILED_AT.set(began_at.timestamp())  # so that it grows old, and an alert sees it
            else:
                if is_failing:
                    log.info("reconciliation_works_again")
                has_compared, is_failing = True, False
            await wait_s(self._settings.reconcile_every_s)

    async def export(self) -> None:
        """Export once a day, for ever."""
        if not self._settings.export_keep:
            return await _for_ever()
        not_before: datetime | None = None
        while True:
            at = now()
            newest = exporting.newest_in(self._folder)
            metrics.EXPORT_AT.set(math.nan if newest is None else newest[1].begun_at.timestamp())
            metrics.EXPORT_BYTES.set(0 if newest is None else newest[1].size)
            last = None if newest is None else newest[1].begun_at
            if is_due(last, at, self._settings.export_hour) and (not_before is None or at >= not_before):
                try:
                    path, manifest = await export(self._bus, self._folder, keep=self._settings.export_keep)
                except ExportFailed as error:
                    metrics.EXPORT_FAILURES.inc()
                    log.error("export_failed", reason=str(error))  # noqa: TRY400  it says all there is to know
                    not_before = at + EXPORT_RETRY
                else:
                    damaged = [each.name for each in manifest.streams if each.is_damaged]
                    if damaged:
                        metrics.EXPORT_FAILURES.inc()
                    log.info("exported", export=path.name, size=manifest.size, damaged=damaged)
                    continue
            await wait_s(EXPORT_LOOK_S)

    def _enter(self, sights: list[Sight], at: datetime) -> None:
        """Enter what was seen and forget what is known of, before anything is told."""
        book = self._book
        assert book is not None
        found = [loss for sight in sights for loss in book.enter(sight, at)]
        notes = () if self._accepted is None else self._accepted.all_of_them
        self._seen_at = {note.at: self._seen_at[note.at] for note in notes if note.at in self._seen_at}
        for note in notes:
            if book.accept(self._until(note, at), note.since):
                log.info("losses_accepted", by=note.by)
                self._written_at = None
        for loss in found:
            if loss in book.losses:
                log.error("messages_lost", stream=loss.stream, kind=loss.kind, messages=loss.messages, what=loss.detail)
                self._written_at = None
        for sight in sights:
            metrics.BUS_STREAM_LOST.labels(sight.name).set(book.lost(sight.name))

    def _until(self, note: Accepted, at: datetime) -> datetime:
        """Return until when what is noticed is what somebody has accepted; `at` is when the present look began.

        What was taken out on purpose is noticed by the first look after that, be it minutes later because the bus is
        slow, or months later because this service was away.
        """
        if note.until is not None:
            return note.until
        until = note.at + timedelta(seconds=2 * self._settings.measure_every_s)
        is_looked_for = self._away_since is None or note.at > self._away_since
        if is_looked_for and at >= note.at:
            until = max(until, self._seen_at.setdefault(note.at, at))
        return until

    async def _read_book(self) -> None:
        """Read the book once."""
        if self._book is None:
            entry = await self._bus.bucket(subjects.AUDITOR).get(BOOK)
            self._book = merged(_read_book(self._folder / BOOK_FILE), _parsed(None if entry is None else entry.value))
            self._away_since = self._book.looked_at

    async def _write_book(self, at: datetime) -> None:
        if self._written_at is not None and at - self._written_at < WRITE_BOOK_EVERY:
            return
        assert self._book is not None
        body = self._book.model_dump_json().encode()
        file = self._folder / BOOK_FILE
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = file.with_suffix(".new")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(body)
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
        except OSError as error:
            log.warning("book_not_on_disk", reason=error.strerror)
        await self._bus.bucket(subjects.AUDITOR).put(BOOK, body)
        self._written_at = at


def is_due(last: datetime | None, at: datetime, hour: int) -> bool:
    """Tell whether an export should be there that is not: none since the last time that the clock struck `hour`."""
    struck = at.replace(hour=hour, minute=0, second=0, microsecond=0)
    if struck > at:
        struck -= timedelta(days=1)
    return last is None or last < struck


async def _for_ever() -> None:
    await asyncio.Event().wait()


def _read_book(path: Path) -> Book:
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return Book()


def _parsed(body: bytes | None) -> Book:
    try:
        return Book() if body is None else Book.model_validate_json(body)
    except ValidationError:
        log.warning("book_unreadable", consequence="what was lost before is not known")
        return Book()
