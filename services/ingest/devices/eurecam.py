"""Eurecam: a file for each day, with the entries and exits of each channel by windows of one length, in local time.

Source: the maker's description of its "xml" export (`YYYYMMDD.xml`), format 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element

from services.ingest.devices import fields
from services.ingest.devices.documents import Document, child, child_text, children, local
from services.ingest.devices.fields import Malformed, WallClock
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

ROOT: Final = "xml_1"
ENTRIES, EXITS = "E", "X"
BY_THE_CLOCK: Final = timedelta(hours=1)
"""Windows longer than this end by the clock on the wall, also in the nights in which it is changed."""


@dataclass(frozen=True, slots=True)
class _Day:
    """What is said once for a whole file."""

    date: str
    resolution: timedelta
    names: dict[str, str]
    filled_from: datetime | None
    """From when on there was nothing yet to write; zeros stand in its place."""


def _recognises(document: Document) -> bool:
    root = document.xml
    return root is not None and local(str(root.tag)) == ROOT and child(root, "data") is not None


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    root = document.xml
    if root is None:
        raise Unreadable("XML is wanted")
    gathering = Gathering()
    device = gathering.device(fields.optional_text(child_text(root, "site")))
    with gathering.part():
        day = _day(root, context)
        clock = WallClock(context.time_zone)
        data = child(root, "data")
        for group in children(data, "data_group") if data is not None else ():
            with gathering.part():
                written = _written(group, day)
                start = clock.moment(written, "data_group/@time")
                end = _end(written, start, day.resolution, context)
                if end > context.received_at:
                    continue  # a window that is not over is left for the file that has it whole
                for channel, part in _channels(group):
                    with gathering.part():
                        found = _measurement(channel, part, start, end, day)
                        if found is not None:
                            device.measurements.append(found)
    return gathering.reports()


def _day(root: Element, context: Context) -> _Day:
    seconds = fields.number(child_text(root, "resolution"), "resolution", low=1, high=86_400)
    names = child(root, "channel", "name")
    last = child_text(root, "date", "end")
    return _Day(
        date=root.get("date", "").strip()[:10],
        resolution=timedelta(seconds=seconds),
        names={each.get("id", ""): each.text or "" for each in children(names, "chan")} if names is not None else {},
        filled_from=fields.moment(last, "date/end", context.time_zone) if last else None,
    )


def _written(group: Element, day: _Day) -> str:
    """Return when a window began, with its day, as it is written."""
    time = group.get("time", "").strip()
    return f"{day.date} {time}" if len(time) <= len("00:00:00") else time


def _end(written: str, start: datetime, resolution: timedelta, context: Context) -> datetime:
    if resolution <= BY_THE_CLOCK:
        return start + resolution
    on_the_wall = fields.moment(f"{written}Z", "data_group/@time", fields.UTC_ZONE) + resolution
    return max(fields.moment(f"{on_the_wall:%Y-%m-%d %H:%M:%S}", "data_group/@time", context.time_zone), start)


def _channels(group: Element) -> Iterator[tuple[str, list[Element]]]:
    by_channel: dict[str, list[Element]] = {}
    for each in children(group, "data_chan"):
        by_channel.setdefault(each.get("chan_id", ""), []).append(each)
    yield from by_channel.items()


def _measurement(
    channel: str, part: Sequence[Element], start: datetime, end: datetime, day: _Day
) -> Measurement | None:
    counts: dict[str, int] = {}
    for each in part:
        way = each.get("type", "").strip()
        if way not in {ENTRIES, EXITS} or way in counts:
            raise Malformed("data_chan/@type", "E and X, each once, are wanted")
        counts[way] = fields.people(each.text, "data_chan")
    if day.filled_from is not None and start >= day.filled_from and not any(counts.values()):
        return None
    return Measurement(
        line=fields.text(channel, "data_chan/@chan_id"),
        meaning=Meaning.WINDOW,
        forward=counts.get(ENTRIES),
        backward=counts.get(EXITS),
        start=start,
        end=end,
        label=fields.optional_text(day.names.get(channel)),
    )


FORMAT: Final = Format(
    name="eurecam",
    title="Eurecam counters (daily XML files)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW,),
    notes=(
        "Let the counters' software put its daily file (`YYYYMMDD.xml`) into a folder, or onto an SFTP server. The site"
        " is the serial number, a line is a channel by its number, labelled with its name. Times are local: give the"
        " source the counter's time zone where it is not the library's. A file may be written again during the day:"
        " windows that are not over are left for the next one. What comes once a day is history, not a live status."
    ),
    examples=("XML files",),
)
