"""Devices as staff see them, in their language: what `GET /v1/devices` answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.ingest import devices
from services.ingest.claiming import Suggestion, direction_of, suggested
from services.ingest.device_overview import Overview, Row, heard_at
from services.ingest.preview import LinePreview, Preview
from services.ingest.quarantined import Waiting
from services.ingest.sources.keeper import Trouble
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import AnySource, Line, QuarantinedBody
from shared.domain.catalog.devices.words import DevicePageWords, DeviceWords
from shared.domain.device_health import standing
from shared.domain.device_words import sentence, when
from shared.domain.library import INSIDE
from shared.domain.meaning import COUNTING, Meaning
from shared.domain.messages import Formats

Fields = dict[str, Any]
"""What goes out as JSON."""


def view(
    library: LibraryConfig,
    seen: Overview,
    previews: Mapping[tuple[str, str], Preview],
    words: DeviceWords,
    formats: Formats,
    now: datetime,
    *,
    troubles: Mapping[str, Trouble],
) -> Fields:
    """Return the devices of one library and what nobody has claimed of its sources.

    `previews` are by source and token of the serial number; a box without one is shown without figures. `troubles` are
    of sources that are fetched, by their ids.
    """
    page = words.page
    return {
        "library": {"id": library.id, "name": library.name},
        "as_of": now.isoformat(),
        "as_of_words": page.as_of.format(time=formats.time(now)),
        "places": places(library, page),
        "devices": [_device(row, words, formats, now) for row in seen.rows if row.library.id == library.id],
        "unclaimed": [
            _box(library, each, previews.get((each.source, each.token)), page, formats, now)
            for each in seen.unclaimed
            if each.library == library.id
        ],
        "failing": [
            {
                "source": source.id,
                "name": source.name or source.id,
                "reason": troubles[source.id].reason,
                "since": troubles[source.id].since.isoformat(),
                "since_words": page.failing_since.format(time=when(troubles[source.id].since, formats, now)),
            }
            for source in library.sources
            if source.id in troubles
        ],
        "unused": [
            {"source": source.id, "type": source.type, "words": source.name or source.id}
            for where, source in seen.unused
            if where == library.id and source.id not in troubles
        ],
    }


def places(library: LibraryConfig, page: DevicePageWords) -> Fields:
    """Return where figures can go: gates, zones, the queue, each with its words."""
    zones = [{"id": each.id, "words": page.zone.format(zone=each.name)} for each in library.zones]
    return {
        "gates": [{"id": each.id, "words": page.gate.format(gate=each.id)} for each in library.gates],
        "zones": [*zones, {"id": INSIDE, "words": page.zone.format(zone=page.whole_library)}],
        "queues": [{"id": "queue", "words": page.queue}],
    }


def place_of(line: Line, library: LibraryConfig, page: DevicePageWords) -> str:
    """Return in words where a line is led."""
    if line.gate is not None:
        return page.gate.format(gate=line.gate)
    if line.zone is not None:
        names = {each.id: each.name for each in library.zones} | {INSIDE: page.whole_library}
        return page.zone.format(zone=names.get(line.zone, line.zone))
    return page.queue


def preview_fields(seen: Preview) -> Fields:
    """Return a preview for a program: each line with its figures in each meaning, the recommended first."""
    return {
        "serial": seen.serial,
        "format": seen.format,
        "model": seen.model,
        "bodies": seen.bodies,
        "unreadable": seen.unreadable,
        "too_old": seen.too_old,
        "problems": list(seen.problems),
        "removed": list(seen.removed),
        "lines": [
            {
                "line": each.line,
                "label": each.label,
                "recommended": each.recommended.meaning.value,
                "why": each.why,
                "direction": direction_of(each),
                "meanings": [
                    {
                        "meaning": figures.meaning.value,
                        "figures": figures.count,
                        "in": figures.forward,
                        "out": figures.backward,
                        "value": figures.value,
                        "registers": {"in": figures.showed[0], "out": figures.showed[1]}
                        if figures.showed != (None, None)
                        else None,
                    }
                    for figures in each.figures
                ],
            }
            for each in seen.lines
        ],
    }


def title_of(format_name: str) -> str:
    """Return a format's name for people."""
    known = devices.formats().get(format_name)
    return known.title if known else format_name


def _device(row: Row, words: DeviceWords, formats: Formats, now: datetime) -> Fields:
    page, state = words.page, row.state
    facts = []
    today = row.today(now)
    if today is not None:
        facts.append(page.today.format(people_in=formats.number(today[0]), people_out=formats.number(today[1])))
    last_seen = heard_at(state) if state else None
    heard = page.last_heard.format(time=when(last_seen, formats, now)) if last_seen else page.not_heard_yet
    return {
        "id": row.device.id,
        "name": row.device.name or row.device.id,
        "source": row.device.source,
        "serial": row.device.serial or (state.serial if state else ""),
        "format": state.format if state else "",
        "last_seen": last_seen.isoformat() if last_seen else None,
        "battery_percent": state.battery_percent if state else None,
        "today": {"in": today[0], "out": today[1]} if today else None,
        "is_claimed": row.is_claimed,
        "standing": standing(row.ailments).value,
        "where": list(dict.fromkeys(place_of(each, row.library, page) for each in row.device.lines)),
        "facts": [*facts, heard],
        "findings": [
            {
                "code": each.code.value,
                "is_urgent": each.is_urgent,
                "text": sentence(each, words.health, formats, now),
            }
            for each in row.ailments
        ],
        "last_reason": row.last_reason,
    }


def _box(
    library: LibraryConfig,
    each: Waiting,
    seen: Preview | None,
    page: DevicePageWords,
    formats: Formats,
    now: datetime,
) -> Fields:
    source = _source(library, each.source)
    name = (source.name if source else "") or each.source
    since = page.messages(each.bodies).format(count=formats.number(each.bodies), time=when(each.since, formats, now))
    format_name = (seen.format if seen else "") or each.last.format
    suggestion = suggested(seen, library) if seen else Suggestion((), ())
    return {
        "source": each.source,
        "token": each.token,
        "serial": each.last.serial,
        "title": " · ".join(part for part in (name, each.last.serial) if part),
        "name": source.name if source else "",
        "format": format_name,
        "bodies": each.bodies,
        "since": each.since.isoformat(),
        "code": each.last.code,
        "reason": each.last.reason,
        "facts": [part for part in (title_of(format_name), since) if part],
        "problems": _problems(each.last, seen),
        "lines": [_line(line, suggestion, page) for line in seen.lines] if seen else [],
        "preview": preview_fields(seen) if seen else None,
    }


def _problems(last: QuarantinedBody, seen: Preview | None) -> list[str]:
    if seen is None:
        return []
    return [*seen.problems] or ([last.reason] if last.code != "unclaimed" else [])


def _line(line: LinePreview, suggestion: Suggestion, page: DevicePageWords) -> Fields:
    figures = line.recommended
    kind = kind_of(figures.meaning)
    led = next((each for each in suggestion.lines if each.line == line.line), None)
    return {
        "line": line.line,
        "name": line.label or line.line,
        "kind": kind,
        "in": figures.forward,
        "out": figures.backward,
        "value": None if figures.value is None else round(figures.value, 1),
        "meaning": figures.meaning.value,
        "meaning_words": page.meanings[figures.meaning.value],
        "direction": direction_of(line),
        "suggested": "" if led is None else led.gate or led.zone or "queue",
    }


def kind_of(meaning: Meaning) -> str:
    """Return what a line of this meaning can be led to: a gate, a zone, or the queue."""
    if meaning in COUNTING:
        return "gate"
    return "zone" if meaning is Meaning.OCCUPANCY else "queue"


def _source(library: LibraryConfig, source_id: str) -> AnySource | None:
    sources: Sequence[AnySource] = library.sources
    return next((each for each in sources if each.id == source_id), None)
