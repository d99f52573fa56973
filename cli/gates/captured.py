"""Reading a body that somebody has captured, with no bus: what is in it, and what of it would be kept."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cli.terminal import Trouble
from services.ingest import devices
from services.ingest.body import Body
from services.ingest.devices.format import DeviceReport, Unreadable
from services.ingest.preview import Preview, preview_of
from services.ingest.scrub import scrub
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import UrlSource
from shared.domain.library import Library
from shared.runtime.opening_hours import OsmOpeningHours

MAX_BYTES: Final = 16 * 1024 * 1024
"""More than ingest takes in one request by any setting."""
NOBODY: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Captured:
    """One file, read."""

    file: Path
    format: str = ""
    reports: tuple[DeviceReport, ...] = ()
    removed: str = ""
    """What was cut out, in words, were it kept in quarantine."""
    others: tuple[str, ...] = ()
    """Formats that would recognise it too."""
    fault: str = ""
    """Why nothing of it can be read."""


def read_file(
    file: Path, format_name: str | None, media_type: str, topic: str, time_zone: ZoneInfo, at: datetime
) -> Captured:
    """Read a captured body as ingest would. Raises Trouble if there is no such file."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise Trouble(f"{file} is larger than {MAX_BYTES // 2**20} MiB", "no device sends so much at once")
        data = file.read_bytes()
    except OSError as error:
        raise Trouble(f"{file} cannot be read: {error.strerror}", "give the path of a captured body") from error
    media_type = media_type or mimetypes.guess_type(file.name)[0] or ""
    source = UrlSource(id="captured", type="url", token_sha256=NOBODY, format=format_name)
    body = Body(source, data, media_type, at, topic or file.name)
    document = body.document()
    removed = scrub(document).removed
    try:
        read = body.read(document, time_zone)
    except Unreadable as error:
        return Captured(file, removed=removed, fault=str(error))
    others = tuple(each for each in devices.recognised(document) if each != read.format)
    return Captured(file, read.format, read.reports, removed, others)


def previews_of(read: list[Captured], time_zone: ZoneInfo, at: datetime) -> dict[str, Preview]:
    """Return what would be counted of all files together, in their order, by serial number."""
    reports = ((each.format, report) for each in read for report in each.reports)
    return preview_of(reports, always_open(time_zone), at)


def always_open(time_zone: ZoneInfo) -> Library:
    """Return a library that says nothing about any body: it never closes."""
    fields = {
        "id": "captured",
        "name": "captured",
        "time_zone": time_zone.key,
        "opening_hours": "24/7",
        "capacity": 100_000,
    }
    return LibraryConfig.model_validate(fields).to_domain(OsmOpeningHours)


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone. Raises Trouble."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Trouble(f"there is no time zone {name!r}", "write it like Europe/Paris") from error
