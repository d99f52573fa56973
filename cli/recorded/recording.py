"""What comes of reading files: readings that know who they are, and the rows that were refused, by line and reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cli.wire import WireFields

DIGITS: Final = 16
"""64 bits of a hash: two files of one library never meet."""
BOOT_LENGTH_MAX: Final = 40
"""An id may have 128 characters, 63 of which its device may need."""


class RecordingRefused(ValueError):  # noqa: N818  said of the file, not of this program
    """A file as a whole is no recorded day; the message names the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One row that could not be read, and why. The rest of its file was."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        """Return the refusal as a line for people."""
        return f"{self.file}, line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Recording:
    """The readings of files in order of time, and the rows that are missing from them. Show both."""

    readings: tuple[WireFields, ...]
    refused: tuple[RefusedRow, ...]


def recording(files: Sequence[str], readings: Iterable[WireFields], refused: Iterable[RefusedRow]) -> Recording:
    """Return the recording of these files. Raises RecordingRefused if nothing in them could be read."""
    whole = Recording(tuple(readings), tuple(refused))
    if not whole.readings:
        first = f"; the first row refused is {whole.refused[0]}" if whole.refused else ""
        raise RecordingRefused(f"{', '.join(files)}: there is no reading in it{first}")
    return whole


def boot_of(texts: Iterable[str], library: str, device: str) -> str:
    """Return what stands for a device's boot: a hash of the content of its files, of its library and its name.

    With it, and the row's number as the sequence, the same file played twice counts once.
    """
    return f"file-{_digest(library, device, *texts)}"


def id_of(device: str, boot: str, sequence: int) -> str:
    """Return an id for a reading that has the device's own numbers only; a long boot is shortened to a hash."""
    return f"{device}:{boot if len(boot) <= BOOT_LENGTH_MAX else _digest(boot)}:{sequence}"


def _digest(*texts: str) -> str:
    # Hashed one by one, so that no two lists of texts run together into the same.
    parts = b"".join(sha256(text.encode()).digest() for text in texts)
    return sha256(parts).hexdigest()[:DIGITS]
