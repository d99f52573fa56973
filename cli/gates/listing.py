"""Devices in lines and tables that fit 80 columns, and as fields for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from cli.gates.sight import Sight
from cli.terminal import OUT, say
from services.ingest.claiming import direction_of
from services.ingest.device_overview import Row, heard_at, lines_of
from services.ingest.device_view import place_of, preview_fields, title_of
from services.ingest.devices.format import FLAGS, DeviceReport
from services.ingest.preview import Figures, LinePreview, Preview
from services.ingest.quarantined import Waiting
from shared.contracts.devices import Device, Line
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.domain.device_health import Standing, standing
from shared.domain.device_words import sentence, when
from shared.domain.meaning import COUNTING
from shared.runtime.formats import formats_for

WORDS = DEVICE_WORDS["en"]
STYLES = {Standing.WELL: "green", Standing.LOOK: "yellow", Standing.WRONG: "bold red"}


def show(seen: Sight, now: datetime) -> None:
    """Print every device, every box that nobody has claimed, and what was never used."""
    rows, boxes = seen.overview.rows, seen.overview.unclaimed
    if rows:
        _show_rows(rows, now)
    else:
        say("no device counts yet")
    if boxes:
        _show_boxes(boxes, seen, now)
    if seen.overview.left_out:
        say(f"{seen.overview.left_out} more boxes are in quarantine and not listed here")
    for library, source in seen.overview.unused:
        say(f"nothing has come on source {source.id} of {library} in the last seven days")
    if not rows and not boxes and not seen.overview.unused:
        say("make an address for one: `placelibre devices new LIBRARY --name 'Front door'`")


def as_fields(seen: Sight, now: datetime) -> dict[str, Any]:
    """Return the same for a program."""
    return {
        "devices": [device_fields(row, now) for row in seen.overview.rows],
        "unclaimed": [box_fields(each) for each in seen.overview.unclaimed],
        "unused_sources": [
            {"library": library, "source": source.id, "type": source.type} for library, source in seen.overview.unused
        ],
        "not_listed": seen.overview.left_out,
    }


def device_fields(row: Row, now: datetime) -> dict[str, Any]:
    """Return a device for a program."""
    today = row.today(now)
    state = row.state
    return {
        "library": row.library.id,
        "device": row.device.id,
        "name": row.device.name,
        "source": row.device.source,
        "serial": row.device.serial or (state.serial if state else ""),
        "claimed": row.is_claimed,
        "format": state.format if state else "",
        "model": state.model if state else "",
        "last_seen": _iso(heard_at(state) if state else None),
        "today": {"in": today[0], "out": today[1]} if today else None,
        "battery_percent": state.battery_percent if state else None,
        "clock_behind_s": state.skew_s if state else None,
        "lost_today": state.lost if state else 0,
        "quarantined_today": state.quarantined if state else 0,
        "last_reason": row.last_reason,
        "lines": [each.model_dump(mode="json", exclude_none=True) for each in row.device.lines],
        "health": standing(row.ailments).value,
        "findings": [
            {"code": each.code.value, "urgent": each.is_urgent, "text": _words(row, each, now)} for each in row.ailments
        ],
    }


def box_fields(box: Waiting, seen: Preview | None = None) -> dict[str, Any]:
    """Return a box that nobody has claimed for a program."""
    fields: dict[str, Any] = {
        "library": box.library,
        "source": box.source,
        "serial": box.last.serial,
        "format": box.last.format,
        "bodies": box.bodies,
        "since": box.since.isoformat(),
        "code": box.last.code,
        "reason": box.last.reason,
    }
    return fields | {"preview": preview_fields(seen)} if seen else fields


def show_device(row: Row, now: datetime) -> None:
    """Print all that is known of one device."""
    state, device = row.state, row.device
    at = standing(row.ailments)
    say(f"{device.id} of {row.library.id}{f': {device.name}' if device.name else ''}")
    say(f"  {at.value}", STYLES[at])
    for each in row.ailments:
        say(f"    {_words(row, each, now)}")
    origin = "claimed" if row.is_claimed else "in libraries.toml"
    serial = device.serial or (state.serial if state else "") or "(it names none)"
    say(f"  source {device.source}, serial number {serial}, {origin}")
    if state is None:
        say("  nothing has come from it yet")
        return
    say(f"  format {state.format or 'not known'}{f', model {state.model}' if state.model else ''}")
    heard = heard_at(state)
    if heard:
        say(f"  heard {_when(row, heard, now)}")
    if state.skew_s is not None:
        say(f"  its clock is {abs(state.skew_s):g} s {'slow' if state.skew_s > 0 else 'fast'}")
    if state.battery_percent is not None:
        say(f"  battery {state.battery_percent:g} %")
    say(f"  today {state.lost} reports lost, {state.quarantined} bodies in quarantine")
    if row.last_reason:
        say(f"  the latest of those: {row.last_reason}")
    for (line, of_line), name in zip(lines_of(device, state), state.lines, strict=True):
        where = place_of(line, row.library, WORDS.page) if line else "led nowhere"
        meaning = (line.meaning if line else None) or of_line.meaning
        turned = ", in and out swapped" if line and line.invert else ""
        counts = f", {of_line.forward} forward and {of_line.backward} backward today" if meaning in COUNTING else ""
        label = f" ({of_line.label})" if of_line.label and of_line.label != name else ""
        say(f"  line {name}{label}: {where}{turned}{f', {meaning}' if meaning else ''}{counts}")


def show_preview(seen: Preview) -> None:
    """Print what would be counted, line by line and in every meaning."""
    say(f"serial number {seen.serial or '(none)'}, {title_of(seen.format) or 'format not known'}")
    if seen.model:
        say(f"model {seen.model}")
    if not seen.lines:
        say("nothing in it can be counted")
    else:
        table = Table(box=SIMPLE)
        table.add_column("line", overflow="fold")
        for heading in ("meaning", "figures", "in", "out", "swapped", ""):
            table.add_column(heading)
        for line in seen.lines:
            for number, figures in enumerate(line.figures):
                is_first = number == 0
                label = f" ({line.label})" if line.label and line.label != line.line else ""
                table.add_row(
                    f"{line.line}{label}" if is_first else "", *_row(figures), "would count" if is_first else ""
                )
        OUT.print(table)
        for line in seen.lines:
            _show_advice(line)
    if seen.too_old:
        say(f"{seen.too_old} figures are older than a day; they are kept, and would not count")
    if seen.unreadable:
        say(f"{seen.unreadable} of {seen.bodies} bodies cannot be read")
    for each in seen.problems:
        say(f"  {each}")
    for each in seen.removed:
        say(f"cut out before it was kept: {each}")


def _show_advice(line: LinePreview) -> None:
    if len(line.figures) > 1:
        say(f"line {line.line}: {line.recommended.meaning} is recommended, for {line.why}")
    way = direction_of(line)
    if way != "both":
        say(f"line {line.line}: it seems to count {way} only; say --direction '{line.line}={way}'")
    for figures in line.figures:
        if figures.showed != (None, None):
            shown = "/".join(_amount(each) for each in figures.showed)
            say(f"line {line.line}: its register shows {shown}; only how far it moves from then on counts")


def show_reports(reports: Sequence[DeviceReport]) -> None:
    """Print what a device's bodies say of itself."""
    flags = dict.fromkeys(flag for each in reports for flag in each.flags)
    for flag in flags:
        say(f"{FLAGS.get(flag, flag)}")
    batteries = [each.battery_percent for each in reports if each.battery_percent is not None]
    if batteries:
        say(f"battery {batteries[-1]:g} %")
    ends = [measurement.end for each in reports for measurement in each.measurements if measurement.end]
    if ends:
        say(f"figures from {min(ends).isoformat()} to {max(ends).isoformat()}")


def line_words(line: Line) -> str:
    """Return where a line is led, as the options of the command say it."""
    target = line.gate or (f"zone:{line.zone}" if line.zone else "queue")
    return f"{line.line}={target}{' (swapped)' if line.invert else ''}"


def device_words(device: Device) -> str:
    """Return how a device is led, in one line."""
    return ", ".join(line_words(each) for each in device.lines)


def _show_rows(rows: Sequence[Row], now: datetime) -> None:
    table = Table(box=SIMPLE, width=min(OUT.width, 110), padding=(0, 1, 0, 0))
    table.add_column("library, device", ratio=3, overflow="fold")
    table.add_column("format", no_wrap=True)
    table.add_column("heard", ratio=2)
    table.add_column("in/out", justify="right", min_width=6)
    table.add_column("what is wrong", ratio=5)
    for row in rows:
        state, at = row.state, standing(row.ailments)
        heard, today = heard_at(state) if state else None, row.today(now)
        name = f"{row.library.id}\n{row.device.id}" + (f"\n{row.device.name}" if row.device.name else "")
        table.add_row(
            name,
            state.format if state else "",
            _when(row, heard, now) if heard else "never",
            f"{today[0]}/{today[1]}" if today else "-",
            "\n".join(_words(row, each, now) for each in row.ailments) or "nothing",
            style=None if at is Standing.WELL else STYLES[at],
        )
    OUT.print(table)


def _show_boxes(boxes: Sequence[Waiting], seen: Sight, now: datetime) -> None:
    say("boxes that nobody has claimed; they count nowhere, and what they send is kept for seven days:")
    table = Table(box=SIMPLE, width=min(OUT.width, 110), padding=(0, 1, 0, 0))
    table.add_column("source, serial", ratio=4, overflow="fold")
    table.add_column("format", no_wrap=True)
    table.add_column("bodies", justify="right", min_width=6)
    table.add_column("since", ratio=2)
    table.add_column("why", ratio=4)
    for each in boxes:
        zone = seen.libraries[each.library].time_zone
        since = when(each.since, formats_for("en", zone), now)
        serial = f"\n{each.last.serial}" if each.last.serial else ""
        table.add_row(
            f"{each.source}{serial}",
            each.last.format or "?",
            str(each.bodies),
            since,
            "not claimed" if each.last.code == "unclaimed" else each.last.reason,
        )
    OUT.print(table)
    first = boxes[0]
    serial = f" --serial '{first.last.serial}'" if first.last.serial else ""
    say(f"look:  placelibre devices preview {first.source}{serial}")
    say(f"claim: placelibre devices claim {first.library} {first.source}{serial}")


def _row(figures: Figures) -> tuple[str, str, str, str, str]:
    if figures.value is not None and figures.meaning not in COUNTING:
        return figures.meaning, str(figures.count), f"{figures.value:g}", "", ""
    ways = [_amount(figures.forward), _amount(figures.backward)]
    return figures.meaning, str(figures.count), *ways, "/".join(reversed(ways))  # type: ignore[return-value]  # five


def _amount(people: int | None) -> str:
    return "-" if people is None else str(people)


def _words(row: Row, ailment: Any, now: datetime) -> str:
    return sentence(ailment, WORDS.health, formats_for("en", row.library.time_zone), now)


def _when(row: Row, at: datetime, now: datetime) -> str:
    return when(at, formats_for("en", row.library.time_zone), now)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
