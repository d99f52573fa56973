"""What an export says of itself: which streams, how much of each, and the checksums that it is held to."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.contracts import subjects

FORMAT: Final = 1
"""Raised when a reader of before could not read it; each reader reads all formats up to its own."""
MANIFEST: Final = "manifest.json"
DATA: Final = "stream.tar.s2"
SETTINGS: Final = "backup.json"
"""The names under which `nats stream restore` looks for a stream as well."""
READ_BYTES: Final = 1024 * 1024


class ExportDamaged(Exception):  # noqa: N818  named for what is found
    """An export is not as it was written; `faults` names each file and what is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ExportedFile(BaseModel):
    """One file of an export."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str = Field(pattern=r"^[A-Za-z0-9_]+/(stream\.tar\.s2|backup\.json)$")
    size: int = Field(ge=0)
    sha256: str


class ExportedStream(BaseModel):
    """One stream of an export, as the bus said it was."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    messages: int
    first_sequence: int
    last_sequence: int
    last_at: str = Field(description="When the last message was stored, as the bus says it.")
    taken_at: AwareDatetime
    is_damaged: bool = Field(
        default=False, description="The bus found a message that it cannot read; the rest is here."
    )
    files: tuple[ExportedFile, ...]


class Manifest(BaseModel):
    """An export: whole if this file is there, for it is written last."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    placelibre: str
    nats_server: str
    begun_at: AwareDatetime
    ended_at: AwareDatetime
    streams: tuple[ExportedStream, ...]
    left_out: dict[str, str] = Field(description="Streams that are not in it, with the reason.")

    @property
    def size(self) -> int:
        """The bytes of all files but this one."""
        return sum(file.size for stream in self.streams for file in stream.files)

    @property
    def damaged(self) -> tuple[str, ...]:
        """The streams in which the bus found a message that it cannot read."""
        return tuple(each.name for each in self.streams if each.is_damaged)

    @property
    def reach(self) -> int:
        """How far into the log it goes: the last sequence."""
        return max((each.last_sequence for each in self.streams if each.name == subjects.READINGS), default=0)

    def sealed(self) -> bytes:
        """Return the file: this as JSON on one line, and on the next the SHA-256 of that line."""
        line = self.model_dump_json().encode()
        return line + b"\n" + sha256(line).hexdigest().encode() + b"\n"


def read_manifest(folder: Path) -> Manifest:
    """Return what an export says of itself.

    Raises:
        ExportDamaged: there is no manifest, or it is not as it was written, or of a later version.
    """
    try:
        line, _, seal = (folder / MANIFEST).read_bytes().partition(b"\n")
    except OSError as error:
        raise ExportDamaged([f"{MANIFEST}: {error.strerror}; an export without it is not whole"]) from error
    if sha256(line).hexdigest().encode() != seal.strip():
        raise ExportDamaged([f"{MANIFEST}: its checksum does not fit; it was changed or cut off"])
    try:
        manifest = Manifest.model_validate_json(line)
    except ValidationError as error:
        raise ExportDamaged([f"{MANIFEST}: {error.error_count()} fields are not as expected"]) from error
    if manifest.format > FORMAT:
        raise ExportDamaged([f"{MANIFEST}: format {manifest.format} is of a later version than this one ({FORMAT})"])
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Hold every file to its size and checksum.

    Raises:
        ExportDamaged: with every file that is missing, cut off or changed.
    """
    faults = [fault for stream in manifest.streams for file in stream.files for fault in _faults(folder, file)]
    if faults:
        raise ExportDamaged(faults)


def _faults(folder: Path, file: ExportedFile) -> Iterator[str]:
    path = folder / file.path
    try:
        size = path.stat().st_size
        if size != file.size:
            yield f"{file.path}: {size} bytes instead of {file.size}"
        elif checksum(path) != file.sha256:
            yield f"{file.path}: its checksum does not fit; bits have changed"
    except OSError as error:
        yield f"{file.path}: {error.strerror}"


def checksum(path: Path) -> str:
    """Return a file's SHA-256 in hex. Raises OSError."""
    total = sha256()
    for chunk in chunks_of(path):
        total.update(chunk)
    return total.hexdigest()


def chunks_of(path: Path, size: int = READ_BYTES) -> Iterator[bytes]:
    """Yield a file piece by piece. Raises OSError."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk
