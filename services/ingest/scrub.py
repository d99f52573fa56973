"""What quarantine may keep of a body: its text, without pictures and without what is personal. Pure.

Whatever a device sends beside its counts (a camera's picture, ages, the id of a person) must never be stored, not even
in a body that nobody could read. What is left can still be read by the same format.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.devices.documents import Document, together

MAX_TEXT: Final = 32 * 1024
"""Kept of one body."""
MAX_BINARY: Final = 255
"""Bytes of a binary body that is kept whole: a radio's payload, too short for a picture."""
MAX_RUN: Final = 400
"""Characters of base64 that may be a radio's payload of 242 bytes; longer ones may be a picture."""
RUN: Final = re.compile(
    rf"(?:data:[\w.+-]+/[\w.+-]+;base64,)?(?:[A-Za-z0-9+/_=-]|\\[rn/]|\s(?=[A-Za-z0-9+/_=-]{{20}})){{{MAX_RUN},}}"
)
"""Base64, also in lines, as a mail or a JSON text breaks them."""
WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
PERSONAL: Final = frozenset(
    {
        "snapshot",
        "image",
        "images",
        "picture",
        "pictures",
        "photo",
        "photos",
        "thumbnail",
        "jpeg",
        "jpg",
        "video",
        "face",
        "faces",
        "gender",
        "age",
        "ages",
        "male",
        "female",
        "demographic",
        "demographics",
        "ethnicity",
        "emotion",
        "glasses",
        "beard",
        "mask",
        "plate",
        "plates",
        "epc",
        "barcode",
        "borrower",
        "patron",
        "phone",
        "email",
    }
)
"""A field with one of these words in its name holds what is personal, or may."""
PERSONAL_NAMES: Final = frozenset(
    {"peopleid", "personid", "peopleids", "personids", "visitorid"}
    | {"names", "triggerperson"}  # SpaceAPI: who is there, and who opened
    | {"histogramlogs"}  # Irisys: how tall people are
)
TRACKS: Final = frozenset({"trackid", "trackids", "tagid", "objectid"})
"""Numbers of people as a camera follows them; in what is kept they are numbered anew, from 1, in each body."""
MAX_DEPTH: Final = 60


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What may be kept: the text, and in words what was cut out."""

    text: str
    removed: str
    is_hex: bool = False


def scrub(document: Document) -> Scrubbed:
    """Return what may be kept of a body."""
    if _is_picture(document):
        return Scrubbed("", "the whole body, which is no text")
    removed = [f"a part of type {kind[:60]}" for kind in dict.fromkeys(document.others)]
    if len(document.parts) > 1:
        return _scrub_parts(document, removed)
    if document.is_binary:
        if 0 < len(document.data) <= MAX_BINARY:
            return Scrubbed(document.data.hex(), "", is_hex=True)
        return Scrubbed("", "; ".join([*removed, "the whole body, which is binary"]))
    if document.json is not None:
        cleaner = _Cleaner()
        text = json.dumps(cleaner.cleaned(document.json, 0), ensure_ascii=False, separators=(",", ":"))
        removed += cleaner.removed
    else:
        text = _without_personal_elements(document.text, removed)
    text, runs = RUN.subn("", text)
    if runs:
        removed.append("long runs of base64")
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
        removed.append(f"all after {MAX_TEXT // 1024} KiB")
    # A lone surrogate can be in JSON and in no message.
    return Scrubbed(text.encode(errors="replace").decode(), "; ".join(dict.fromkeys(removed)))


def _is_picture(document: Document) -> bool:
    """Tell whether what could be read as text is a picture all the same: some have no byte that text has not."""
    if document.is_binary or document.json is not None or document.xml is not None:
        return False
    strange = sum(not character.isascii() for character in document.text)
    return document.media_type.startswith(("image/", "video/", "audio/")) or strange > len(document.text) // 3


def _scrub_parts(document: Document, removed: list[str]) -> Scrubbed:
    """Return what may be kept of each message of a stream, so that all of them can be read again."""
    kept: list[tuple[str, str]] = []
    size = 0
    for each in document.parts:
        scrubbed = scrub(each)
        size += len(scrubbed.text)
        removed.append(scrubbed.removed)
        if size > MAX_TEXT:
            removed.append(f"all after {MAX_TEXT // 1024} KiB")
            break
        kept.append(("application/json" if each.json is not None else "application/xml", scrubbed.text))
    return Scrubbed(together(kept), "; ".join(dict.fromkeys(each for each in removed if each)))


def is_personal(name: str) -> bool:
    """Tell whether a field of this name may hold what is personal."""
    words = {each.lower() for each in WORDS.findall(name)}
    return bool(words & PERSONAL) or _letters(name) in PERSONAL_NAMES


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


class _Cleaner:
    """Cleans a JSON tree and remembers what it took out."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self._tracks: dict[str, int] = {}

    def cleaned(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return None
        if isinstance(value, dict):
            return {name: self._inner(name, inner, depth) for name, inner in value.items() if self._is_kept(name)}
        if isinstance(value, list):
            return [self.cleaned(each, depth + 1) for each in value if not self._is_personal_item(each)]
        if isinstance(value, str) and RUN.search(value):
            self.removed.append("long runs of base64")
            return RUN.sub("", value)
        return value

    def _inner(self, name: str, value: Any, depth: int) -> Any:
        if _letters(name) in TRACKS and isinstance(value, str | int):
            self.removed.append(f"what {name[:40]} said, but for which are the same")
            return self._tracks.setdefault(str(value), len(self._tracks) + 1)
        return self.cleaned(value, depth + 1)

    def _is_kept(self, name: str) -> bool:
        return not _noted(name, self.removed)

    def _is_personal_item(self, item: Any) -> bool:
        """Tell whether a figure in a list says by its own name that it is personal: {"name": "fw-male", "value": 1}.

        What has no figure of its own may well be a place that is called "Picture gallery".
        """
        if not isinstance(item, dict) or not {"value", "bins"} & item.keys():
            return False
        for name in (item.get("name"), item.get("label")):
            if isinstance(name, str) and is_personal(name):
                self.removed.append(f"the item {name[:40]}")
                return True
        return False


ELEMENT: Final = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)\b[^<>]*>(?:[^<]*</(?:[\w.-]+:)?\1\s*>)?")
PAIR: Final = re.compile(r"""(["'])([\w.-]{1,60})\1\s*:\s*(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^,}\]\s]+)""")
"""A name and its value in JSON that is broken."""


def _without_personal_elements(text: str, removed: list[str]) -> str:
    def element(match: re.Match[str]) -> str:
        return "" if _noted(match[1], removed) else match[0]

    def pair(match: re.Match[str]) -> str:
        return f"{match[1]}x{match[1]}:null" if _noted(match[2], removed) else match[0]

    return ELEMENT.sub(element, text) if text.lstrip().startswith("<") else PAIR.sub(pair, text)


def _noted(name: str, removed: list[str]) -> bool:
    if is_personal(name):
        removed.append(f"the field {name[:40]}")
        return True
    return False
