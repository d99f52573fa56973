"""Recorded days as JSON lines: one wire reading per line, as `POST /v1/readings` takes it."""

from __future__ import annotations

import json
from datetime import datetime

from pydantic import ValidationError

from cli.recorded.recording import Recording, RefusedRow, boot_of, id_of, recording
from cli.wire import WireFields
from shared.contracts.readings import READING, AnyWireReading, GateCount, GateTotal


def read_jsonl(text: str, *, file: str) -> Recording:
    """Read a file's lines in order of time. Lines that set the clock are left out: `playback.steps` sets it.

    A reading must say when (`time`). One with neither `id` nor `sequence` gets them from the file's content and its
    line, so that playing the file twice counts once. A line that cannot be read is refused with its number and the
    reason. Raises RecordingRefused if no line can be read.
    """
    timed: list[tuple[datetime, WireFields]] = []
    refused: list[RefusedRow] = []
    # Not `splitlines`: JSON strings may hold other line ends than these.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            reading = READING.validate_json(line)
        except ValidationError as error:
            refused.append(RefusedRow(file, number, _first_reason(error)))
            continue
        if reading.time is None:
            refused.append(RefusedRow(file, number, "a recorded reading must say when; give it a time with an offset"))
        elif reading.kind != "clock":
            timed.append((reading.time, _identified(reading, text, number)))
    timed.sort(key=lambda pair: pair[0])
    return recording([file], (fields for _, fields in timed), refused)


def _identified(reading: AnyWireReading, text: str, line: int) -> WireFields:
    fields: WireFields = json.loads(reading.model_dump_json(exclude_none=True))
    device = reading.device or (reading.gate if isinstance(reading, GateCount | GateTotal) else "recorded")
    fields["device"] = device
    if reading.id is not None:
        return fields
    if reading.sequence is not None:
        return fields | {"id": id_of(device, reading.boot or "", reading.sequence)}
    boot = boot_of([text], reading.library, device)
    return fields | {"boot": boot, "sequence": line, "id": id_of(device, boot, line)}


def _first_reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = f"{where}: {first['msg']}" if where else first["msg"]
    more = error.error_count() - 1
    return f"{reason} (and {more} more)" if more else reason
