"""The rows of a file in parts that ingest can take, each under the file's head, and only those that are new. Pure.

A file that was only appended to is read on from where it ended: a day's file that grows by a row a minute would else
bring each of its rows a thousand times. Only files of rows can be taken apart; XML and JSON are one thing each.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from services.ingest.sources.handing import MAX_BODY_BYTES
from shared.contracts.devices import Mapping

MAX_PART_BYTES: Final = 256 * 1024
"""Of a part; quarantine keeps one whole, and its readings fit into few messages."""
MAX_PREAMBLE: Final = 50
"""Lines of a file before the one that names its columns."""
ROWS: Final = (".csv", ".tsv", ".txt", ".dat")
LINES_OF_JSON: Final = (".jsonl", ".ndjson")
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Of a file of rows: years of a row a minute."""


class TooLarge(ValueError):  # noqa: N818  named for what is wrong with it
    """A file cannot be taken; the message is for staff."""


@dataclass(frozen=True, slots=True)
class Done:
    """What of a file has been taken: its first `size` bytes, with their digest."""

    size: int
    digest: str


NOTHING: Final = Done(0, "")


def digest_of(data: bytes) -> str:
    """Return a short hash."""
    return blake2b(data, digest_size=8).hexdigest()


def new_parts(
    name: str, data: bytes, mapping: Mapping | None, before: Done = NOTHING, *, is_final: bool = True
) -> tuple[list[bytes], Done]:
    """Return what of a file is new, as bodies, and what of it is done with them.

    A last row without an end may be the first half of one, of a program that writes block by block: it counts only if
    the file `is_final`.

    Raises:
        TooLarge: it is no file of rows and larger than a body may be.
    """
    head = _head(name, data, mapping)
    if head is None:
        done = Done(len(data), digest_of(data))
        if done == before:
            return [], done
        if len(data) > MAX_BODY_BYTES:
            reason = "only CSV can be taken in parts, as its first line names its columns"
            raise TooLarge(f"it has {len(data)} bytes, and {MAX_BODY_BYTES} are the most; {reason}")
        return ([data] if data else []), done
    # Not after a row that was taken without its end: if that is longer now it was half of one.
    is_row_whole = data[: before.size].endswith(b"\n") or data[before.size : before.size + 1] in {b"\n", b"\r"}
    is_appended = is_row_whole and head <= before.size <= len(data) and digest_of(data[: before.size]) == before.digest
    start = before.size if is_appended else head
    end = len(data) if is_final else max(data.rfind(b"\n") + 1, head)
    return list(_parts(data[:head], data[start:end])), Done(end, digest_of(data[:end]))


def _parts(head: bytes, rows: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(rows):
        end = len(rows)
        if end - start > MAX_PART_BYTES:
            newline = rows.rfind(b"\n", start, start + MAX_PART_BYTES)
            if newline < 0:
                newline = rows.find(b"\n", start)
            end = newline + 1 if newline >= 0 else end
        part = rows[start:end]
        if part.strip():
            yield head + part
        start = end


def _head(name: str, data: bytes, mapping: Mapping | None) -> int | None:
    """Return where the rows begin; None for a file that cannot be taken apart."""
    if name.lower().endswith(LINES_OF_JSON):
        return 0
    if mapping.body != "csv" if mapping else not name.lower().endswith(ROWS):
        return None
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"[", b"<"} or b"\x00" in data[:1024]:
        return None  # it only has such a name; or UTF-16, whose lines end in two bytes
    if data.count(b'"') % 2:
        return None  # some cell is not closed: there may be ends of lines that end no row
    end = 0
    for _ in range(MAX_PREAMBLE):
        start, end = end, data.find(b"\n", end) + 1
        if end == 0:
            return None
        # Whatever of ASCII's kin it is in, the delimiters are the same; names are compared in its own encoding.
        if _names_columns(data[start:end], mapping):
            return end
        if mapping is None and data[start:end].strip():
            return None
    return None


def _names_columns(line: bytes, mapping: Mapping | None) -> bool:
    if mapping is None:
        cells = [cell.strip(b'\r\n\t "') for cell in line.replace(b";", b",").replace(b"\t", b",").split(b",")]
        return len(cells) > 1 and not any(cell[:1].isdigit() for cell in cells)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = line.decode(mapping.encoding, errors="replace")
        except LookupError:
            return False
    try:
        cells_of = next(csv.reader([text.strip("\r\n")], delimiter=mapping.delimiter), [])
    except csv.Error:
        return False
    names = {cell.strip() for cell in cells_of}
    wanted = (mapping.forward, mapping.backward, mapping.value, mapping.serial, mapping.line)
    paths = [each.strip() for each in (*wanted, mapping.start, mapping.end, mapping.key) if each]
    return all(path in names or all(each.strip() in names for each in path.split(" + ")) for path in paths)
