"""The script that other sites load: one file, made of `widget.js` and the style it shows, and its pinned versions.

Sites may pin a version: its address holds a hash, and the browser refuses other bytes. So what was ever pinned has to
be served for as long as a site may name it: every file in `pinned/` is, whatever the present script is.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha384
from importlib.resources import files
from typing import Final

from services.api.pages.assets import Asset

MARK: Final = '"EMBED_CSS"'
"""Where the style goes into the script."""
STABLE: Final = "placelibre.js"


@dataclass(frozen=True, slots=True)
class Script:
    """One version: its bytes, the name that holds their hash, and what a page's `integrity` says of them."""

    content: bytes
    name: str
    integrity: str

    @classmethod
    def of(cls, content: bytes) -> Script:
        """Return the version that these bytes are."""
        digest = sha384(content)
        return cls(content, f"placelibre.{digest.hexdigest()[:16]}.js", f"sha384-{b64encode(digest.digest()).decode()}")


def present_script(assets: Mapping[str, Asset]) -> Script:
    """Return the script as it is now. Raises ValueError if it has no place for the style."""
    source, style = (assets[name].content.decode() for name in ("widget.js", "embed.css"))
    if source.count(MARK) != 1:
        raise ValueError(f"widget.js must hold {MARK} once")
    return Script.of(source.replace(MARK, json.dumps(style)).encode())


def pinned_scripts(present: Script) -> dict[str, Script]:
    """Return every version that a page may name, by its name."""
    folder = files("services.api.pages").joinpath("pinned")
    former = [Script.of(file.read_bytes()) for file in folder.iterdir() if file.name.endswith(".js")]
    return {each.name: each for each in (*former, present)}
