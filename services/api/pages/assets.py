"""The files that pages load, each under a name with its content's hash, so that a cache may keep it for ever."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from typing import Final

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CSS_NOTE: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
SPACE: Final = re.compile(r"\s+")
BETWEEN_RULES: Final = re.compile(r"\s*([{};])\s*")
CACHING: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its path with the hash, its bytes, plain and packed with gzip, and its media type."""

    path: str
    content: bytes
    packed: bytes
    media_type: str


def lean(text: str, suffix: str) -> str:
    """Return a file without what only its authors read: notes, and in styles the space between rules.

    Scripts are left as they are but for lines that are a note and for indentation. Neither may stand within a text that
    goes over several lines, and none of ours does.
    """
    if suffix == "css":
        return BETWEEN_RULES.sub(r"\1", SPACE.sub(" ", CSS_NOTE.sub("", text))).strip()
    if suffix == "js":
        lines = (line.strip() for line in text.splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("//"))
    return text


def load() -> dict[str, Asset]:
    """Return the files of the package's `static` folder by their plain names."""
    assets = {}
    for file in files("services.api.pages").joinpath("static").iterdir():
        stem, dot, suffix = file.name.rpartition(".")
        media_type = MEDIA_TYPES.get(f"{dot}{suffix}")
        if media_type is None:
            continue
        content = lean(file.read_text("utf-8"), suffix).encode()
        digest = blake2b(content, digest_size=6).hexdigest()
        assets[file.name] = Asset(f"/static/{stem}.{digest}.{suffix}", content, pack(content), media_type)
    return assets


def pack(content: bytes) -> bytes:
    """Return bytes packed with gzip, the same ones for the same content."""
    return gzip.compress(content, compresslevel=9, mtime=0)
