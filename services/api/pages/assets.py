"""The files that pages load, each under a name with its content's hash, so that a cache may keep it for ever."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from typing import Final

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CACHING: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its path with the hash, its bytes and its media type."""

    path: str
    content: bytes
    media_type: str


def load() -> dict[str, Asset]:
    """Return the files of the package's `static` folder by their plain names."""
    assets = {}
    for file in files("services.api.pages").joinpath("static").iterdir():
        stem, dot, suffix = file.name.rpartition(".")
        media_type = MEDIA_TYPES.get(f"{dot}{suffix}")
        if media_type is None:
            continue
        content = file.read_bytes()
        digest = blake2b(content, digest_size=6).hexdigest()
        assets[file.name] = Asset(f"/static/{stem}.{digest}.{suffix}", content, media_type)
    return assets
