"""What quarantine may keep of a body: its text, without pictures and without what is personal. Pure.

Whatever a device sends beside its counts (a camera's picture, ages, the id of a person) must never be stored, not even
in a body that nobody could read. What is left can still be read by the same format.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from typing import Any, Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from services.ingest.devices.documents import Document, local, together

MAX_TEXT: Final = 256 * 1024
"""Bytes kept of one body; a tenth of what a message on the bus may hold, however much of it must be escaped."""
TOO_LARGE: Final = f"the whole body, which is larger than {MAX_TEXT // 1024} KiB"
MAX_BINARY: Final = 255
"""Bytes of a binary body that is kept whole: a radio's payload, too short for a picture."""
MAX_RUN: Final = 400
"""Characters of base64 that may be a radio's payload of 242 bytes; longer ones may be a picture."""
RUN: Final = re.compile(r"[A-Za-z0-9+/_=-][A-Za-z0-9+/_=\\-]*+(?:\s++[A-Za-z0-9+/_=\\-]{20,}+)*")
"""What may be base64, also in lines, as a mail or a JSON text breaks them. Each is found whole and then measured, and
no character is looked at from two beginnings: with a length in the pattern it is tried again from every character."""
SHORT_HEAD: Final = re.compile(r"\S{0,19}\s++")
"""What stands in the line above base64 and is none of it: the end of a row."""
DATA_URL: Final = re.compile(
    r"data:(?:image|video|audio)\\?/[\w.+-]++(?:;[\w=.+-]++)*+,[^\s\"'<>,;|]*+(?:\s++[A-Za-z0-9+/_=\\-]{20,}+)*",
    re.IGNORECASE,
)
MAX_BYTES_LISTED: Final = 64
"""Of a list of numbers from 0 to 255; longer ones may be the bytes of a picture."""
MOST: Final = 10**40
"""A number that is larger counts nothing, and its digits may be anything."""
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
        "img",
        "imgs",
        "sex",
        "card",
        "cards",
        "employee",
        "employees",
        "certificate",
        "certificates",
        "passport",
        "birthday",
        "birthdate",
        "surname",
        "fingerprint",
        "biometric",
        "biometrics",
    }
)
"""A field with one of these words in its name holds what is personal, or may."""
PERSONAL_NAMES: Final = frozenset(
    {"peopleid", "personid", "peopleids", "personids", "visitorid"}
    | {"names", "triggerperson"}  # SpaceAPI: who is there, and who opened
    | {"histogramlogs"}  # Irisys: how tall people are
    | {"accesscontrollerevent"}  # Hikvision: who opened which door
    | {"agegroup", "agegroups", "agerange", "username", "firstname", "lastname", "fullname", "personname"}
)
IDENTITIES: Final = frozenset({"card", "employee", "certificate", "passport", "borrower", "patron", "phone", "email"})
"""Beside a field with one of these words in its name, a `name` is a person's, not a place's."""
FIGURES: Final = frozenset({"value", "bins"})
NAMING: Final = ("name", "label", "key", "attribute")
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
    cleaner = _Cleaner(removed)
    if document.json is not None:
        text = _written(cleaner.cleaned(document.json, 0))
    elif document.xml is not None:
        text = cleaner.xml(document.xml)
    else:
        text = cleaner.text(document.text)
    # A lone surrogate can be in JSON and in no message. Escaped it is what it was: no name that anybody could count by.
    text = text.encode(errors="backslashreplace").decode()
    if len(text.encode()) > MAX_TEXT:
        text = ""
        removed.append(TOO_LARGE)
    return Scrubbed(text, "; ".join(dict.fromkeys(removed)))


def _is_picture(document: Document) -> bool:
    """Tell whether what could be read as text is a picture all the same: some have no byte that text has not."""
    if document.is_binary or document.json is not None or document.xml is not None:
        return False
    strange = len(document.text) - len(document.text.encode("ascii", "ignore"))
    return document.media_type.startswith(("image/", "video/", "audio/")) or strange > len(document.text) // 3


def _scrub_parts(document: Document, removed: list[str]) -> Scrubbed:
    """Return what may be kept of each message of a stream, so that all of them can be read again."""
    kept: list[tuple[str, str]] = []
    size = 0
    for each in document.parts:
        scrubbed = scrub(each)
        size += len(scrubbed.text.encode())
        removed.append(scrubbed.removed)
        if size > MAX_TEXT:
            removed.append(f"all after {MAX_TEXT // 1024} KiB")
            break
        if scrubbed.text:
            kept.append(("application/json" if each.json is not None else "application/xml", scrubbed.text))
    return Scrubbed(together(kept) if kept else "", "; ".join(dict.fromkeys(each for each in removed if each)))


@lru_cache(maxsize=4096)
def is_personal(name: str) -> bool:
    """Tell whether a field of this name may hold what is personal."""
    words = {each.lower() for each in WORDS.findall(name)}
    return bool(words & PERSONAL) or _letters(name) in PERSONAL_NAMES


@lru_cache(maxsize=4096)
def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


@lru_cache(maxsize=4096)
def _is_identity(name: str) -> bool:
    return not IDENTITIES.isdisjoint(each.lower() for each in WORDS.findall(name))


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Cleaner:
    """Cleans a body and remembers what it took out."""

    def __init__(self, removed: list[str]) -> None:
        self.removed = removed
        self._tracks: dict[str, int] = {}

    def cleaned(self, value: Any, depth: int) -> Any:
        """Return a JSON tree without what must not be kept."""
        if depth > MAX_DEPTH:
            return None
        if isinstance(value, dict):
            return self._table(value, depth)
        if isinstance(value, list):
            if self._is_bytes(value):
                return []
            return [self.cleaned(each, depth + 1) for each in value if not self._is_personal_item(each)]
        if isinstance(value, str):
            return self._string(value, depth)
        if isinstance(value, int | float) and not abs(value) < MOST:
            self.removed.append("a number that is none")
            return None
        return value

    def xml(self, root: Element) -> str:
        """Return an XML tree as text, without what must not be kept; namespaces are declared where they change."""
        if self._is_gone(local(str(root.tag))):
            return ""
        pieces: list[str] = []
        self._element(root, "", pieces)
        return "".join(pieces)

    def text(self, text: str) -> str:
        """Return a text that is neither JSON nor XML, or is broken, without what must not be kept."""
        text = self._without_runs(text)
        start = text.lstrip()[:1]
        if len(text.encode(errors="replace")) > MAX_TEXT:
            if start and start in "<{[":  # half of it could never be read
                self.removed.append(TOO_LARGE)
                return ""
            text = self._cut(text)
        if start == "<":
            return self._broken_xml(text)
        text = self._broken_json(text)
        if start and start in "{[":
            return text
        text = ASSIGNED.sub(lambda match: "" if self._is_gone(match[1]) else match[0], text)
        for delimiter in ";,\t|":
            if delimiter in text:
                text = self._csv(text, delimiter)
        return text

    def _table(self, table: dict[str, Any], depth: int) -> dict[str, Any]:
        has_person = any(_is_identity(name) for name in table)
        kept = {}
        for name, inner in table.items():
            if self._is_gone(name, has_person=has_person) or self._is_personal_item(inner):
                continue
            if _letters(name) in TRACKS and isinstance(inner, str | int):
                kept[name] = self._track(name, str(inner))
            else:
                kept[self._without_runs(name)] = self.cleaned(inner, depth + 1)
        return kept

    def _track(self, name: str, value: str) -> int:
        self.removed.append(f"what {name[:40]} said, but for which are the same")
        return self._tracks.setdefault(value, len(self._tracks) + 1)

    def _is_gone(self, name: str, *, has_person: bool = False) -> bool:
        if is_personal(name) or (has_person and _letters(name) == "name"):
            self.removed.append(f"the field {name[:40]}")
            return True
        return False

    def _is_bytes(self, value: list[Any]) -> bool:
        if len(value) > MAX_BYTES_LISTED and all(type(each) is int and 0 <= each <= 255 for each in value):
            self.removed.append("a long list of bytes")
            return True
        return False

    def _is_personal_item(self, item: Any) -> bool:
        """Tell whether a figure says by its own name that it is personal: {"name": "fw-male", "value": 1}.

        What has no figure of its own may well be a place that is called "Picture gallery".
        """
        if not isinstance(item, dict) or FIGURES.isdisjoint(item):
            return False
        for name in (item.get(each) for each in NAMING):
            if isinstance(name, str) and is_personal(name):
                self.removed.append(f"the item {name[:40]}")
                return True
        return False

    def _string(self, value: str, depth: int) -> str:
        """Return a string without pictures; JSON in it is cleaned as well."""
        value = self._without_runs(value)
        if value.lstrip()[:1] in {"{", "["}:
            try:
                inner = json.loads(value)
            except (ValueError, RecursionError):
                return self._broken_json(value) if len(value) <= MAX_TEXT else ""
            before = len(self.removed)
            cleaned = self.cleaned(inner, depth + 1)
            return _written(cleaned) if len(self.removed) > before else value
        return value

    def _without_runs(self, text: str) -> str:
        def run(match: re.Match[str]) -> str:
            found = match[0]
            if len(found) < MAX_RUN:
                return found
            head = SHORT_HEAD.match(found)
            kept = head[0] if head is not None else ""
            if len(found) - len(kept) < MAX_RUN:
                return found
            self.removed.append("long runs of base64")
            return kept

        def url(_: re.Match[str]) -> str:
            self.removed.append("a picture in an address")
            return ""

        text = DATA_URL.sub(url, text)
        return RUN.sub(run, text) if len(text) >= MAX_RUN else text

    def _element(self, element: Element, above: str, pieces: list[str]) -> None:
        space, name = _parted(str(element.tag))
        pieces.append(f"<{name}")
        if space != above:
            pieces.append(f" xmlns={quoteattr(space)}")
        names = [local(str(each)) for each in (*element.attrib, *(inner.tag for inner in element))]
        has_person = any(_is_identity(each) for each in names)
        for number, (key, value) in enumerate(element.attrib.items()):
            self._attribute(key, value, number, pieces, has_person=has_person)
        pieces.append(">")
        if element.text:
            is_track = _letters(name) in TRACKS and element.text.strip()
            pieces.append(escape(str(self._track(name, element.text)) if is_track else self._string(element.text, 0)))
        for each in element:
            if not self._is_gone(local(str(each.tag)), has_person=has_person) and not self._is_personal_element(each):
                self._element(each, space, pieces)
            pieces.append(escape(self._string(each.tail or "", 0)))
        pieces.append(f"</{name}>")

    def _attribute(self, key: str, value: str, number: int, pieces: list[str], *, has_person: bool) -> None:
        space, name = _parted(key)
        if self._is_gone(name, has_person=has_person):
            return
        kept = str(self._track(name, value)) if _letters(name) in TRACKS else self._string(value, 0)
        if space == XML_NAMESPACE:
            name = f"xml:{name}"
        elif space:
            pieces.append(f" xmlns:n{number}={quoteattr(space)}")
            name = f"n{number}:{name}"
        pieces.append(f" {name}={quoteattr(kept)}")

    def _is_personal_element(self, element: Element) -> bool:
        """Tell whether an element is a figure that says by its own name that it is personal."""
        said = {local(str(each.tag)).lower(): (each.text or "").strip() for each in element}
        return self._is_personal_item(said | {local(str(name)).lower(): value for name, value in element.items()})

    def _cut(self, text: str) -> str:
        """Return the beginning of a text, cut at the end of a row; a row with quotes in it may have several lines."""
        beginning = text.encode(errors="replace")[:MAX_TEXT].decode(errors="ignore")
        end, at, quotes = 0, 0, 0
        for line in beginning.splitlines(keepends=True):
            at += len(line)
            quotes += line.count('"')
            if quotes % 2 == 0 and line.endswith(("\n", "\r")):
                end = at
        self.removed.append(f"all after {MAX_TEXT // 1024} KiB" if end else TOO_LARGE)
        return beginning[:end]

    def _csv(self, text: str, delimiter: str) -> str:
        """Return rows without the columns whose heads are personal; a text without such a head as it is."""
        blank: set[int] = set()
        rows: list[list[str]] = []
        width, noted = 0, len(self.removed)
        try:
            for cells in csv.reader(StringIO(text, newline=""), delimiter=delimiter):
                if len(cells) != width:  # another table
                    blank = set() if len(cells) > 1 else blank
                width = len(cells) if len(cells) > 1 else width
                heads = self._heads(cells, blank)
                rows.append(["" if index in blank else cell for index, cell in enumerate(cells)])
                blank |= heads
        except csv.Error:
            self.removed.append("the whole body, whose rows cannot be told apart")
            return ""
        if len(self.removed) == noted:
            return text
        written = StringIO(newline="")
        csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows(rows)
        return written.getvalue()

    def _heads(self, cells: list[str], blank: set[int]) -> set[int]:
        """Return which columns are personal, if this row names columns: nothing in it begins with a digit."""
        names = [each.strip().lstrip("\ufeff") for each in cells]
        if len(names) < 2 or any(each[:1].isdigit() for each in names):
            return set()
        has_person = any(_is_identity(each) for each in names)
        return {
            index
            for index, name in enumerate(names)
            if index not in blank and self._is_gone(name, has_person=has_person)
        }

    def _broken_json(self, text: str) -> str:
        """Return JSON that is broken without its personal fields and all that is in them."""
        pieces: list[str] = []
        at = 0
        for match in NAME.finditer(text):
            if match.start() < at or not self._is_gone(match[2]):
                continue
            pieces.append(f'{text[at : match.start()]}"x":null')
            at = _end_of_value(text, match.end())
        return "".join([*pieces, text[at:]])

    def _broken_xml(self, text: str) -> str:
        """Return XML that is broken without its personal attributes, and elements with all that is in them."""
        pieces: list[str] = []
        at, inside, depth = 0, "", 0
        for match in TAG.finditer(text):
            name = match[2] or ""
            if inside:
                if name == inside and not match[3].endswith("/"):
                    depth += -1 if match[1] else 1
                if not depth:
                    inside, at = "", match.end()
                continue
            pieces.append(text[at : match.start()])
            at = match.end()
            if not name:
                continue  # a comment
            if not self._is_gone(name):
                pieces.append(ATTRIBUTE.sub(self._kept_attribute, match[0]))
            elif not match[1] and not match[3].endswith("/"):
                inside, depth = name, 1
        return "".join(pieces if inside else [*pieces, text[at:]])

    def _kept_attribute(self, match: re.Match[str]) -> str:
        return "" if self._is_gone(local(match[1].rpartition(":")[2])) else match[0]


XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"
TAG: Final = re.compile(
    r"""<!--(?:[^-]++|-(?!->))*(?:-->)?|<(/?)(?:[\w.-]++:)?([\w.-]++)((?:[^<>"']++|"[^"]*+"|'[^']*+')*)>?"""
)
ATTRIBUTE: Final = re.compile(r"""(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:"[^"]*+"?|'[^']*+'?)""")
ASSIGNED: Final = re.compile(r"""(?<![\w.-])([\w.-]++)\s?+=\s?+(?:"[^"\r\n]*+"?|[^\s"&;,|]++)""")
NAME: Final = re.compile(r"""(["'])([\w.-]{1,60})\1\s*+:\s*+""")
"""A name in JSON that is broken."""
VALUE: Final = re.compile(r""""(?:[^"\\]++|\\.)*"?|'[^']*'?|[^,}\]\s]++""", re.DOTALL)
BRACKET: Final = re.compile(r""""(?:[^"\\]++|\\.)*"?|[\[{]++|[\]}]""", re.DOTALL)


def _end_of_value(text: str, start: int) -> int:
    """Return where a value in broken JSON ends: with its last bracket, or with the text."""
    if text[start : start + 1] not in {"{", "["}:
        value = VALUE.match(text, start)
        return value.end() if value is not None else start
    depth = 0
    for match in BRACKET.finditer(text, start):
        if match[0][0] in "[{":
            depth += len(match[0])
        elif match[0][0] in "]}":
            depth -= 1
            if not depth:
                return match.end()
    return len(text)


def _parted(tag: str) -> tuple[str, str]:
    """Return namespace and local name of an XML tag."""
    return (tag[1:].rpartition("}")[0], local(tag)) if tag.startswith("{") else ("", tag)
