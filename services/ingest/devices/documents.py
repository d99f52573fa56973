"""A body taken apart once: JSON, XML, CSV or text, with its pictures left aside. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_DEPTH: Final = 40
"""Of nested JSON or XML; no device comes near."""
MAX_LINES: Final = 20_000
"""Of JSON in one body; no more figures are read of one anyway."""
MAX_NESTING: Final = 5
"""Of multipart bodies in one another; a mail with attachments needs three."""
MAX_PARTS: Final = 1_000
"""Of one multipart body: a stream of alerts that is read for hours."""
MAX_HEADERS: Final = 4 * 1024
"""Bytes of the headers of one part."""
END_OF_HEADERS: Final = re.compile(rb"(?:\A|\n)\r?\n")
HEADER: Final = re.compile(rb"[!-9;-~]*:|[ \t]")
CONTROLS: Final = re.compile("[\\x00-\\x08\\x0b\\x0e-\\x1f]")
"""Characters that no text holds."""
BARE_MULTIPART: Final = re.compile(rb"\s*--([^\s]{1,70})[ \t]*\r?\n[A-Za-z-]{1,40}:")
"""How a multipart body begins whose Content-Type, and so its boundary, got lost on the way: in a file, over MQTT."""


@dataclass(frozen=True, slots=True)
class Document:
    """One body. At most one of `json` and `xml` is set, and `text` wherever the body is text.

    Of a multipart body these are those of its first part that is JSON or XML.
    """

    media_type: str
    topic: str = ""
    """The MQTT topic, the file's name, or what stood in the address behind the token."""
    text: str = ""
    json: Any = None
    xml: Element | None = None
    is_binary: bool = False
    others: tuple[str, ...] = field(default=())
    """Media types of parts that were left aside: pictures, mostly."""
    data: bytes = b""
    """The bytes as they came: a LoRaWAN payload, a file in an encoding that only its source knows."""
    parts: tuple[Document, ...] = field(default=())
    """Every part of a multipart body that is JSON or XML, the first one too; empty for other bodies."""

    @property
    def messages(self) -> tuple[Document, ...]:
        """All that is JSON or XML here: the parts of a multipart body, or the body itself."""
        return self.parts or (self,)


def document_of(data: bytes, media_type: str, topic: str = "", encoding: str = "") -> Document:
    """Take a body apart by what it is, not by what it says it is: devices send JSON as text/plain, XML as a form.

    Of a multipart body the parts that are JSON or XML count, the first one before all; the others are left aside.
    Lines of JSON are a list. `encoding` is that of a text which is not UTF-8, where the source says so.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        return _multipart(data, media_type, topic)
    if kind == "application/x-www-form-urlencoded":
        return _form(data, kind, topic)
    bare = BARE_MULTIPART.match(data)
    if bare is not None:
        boundary = bare[1].decode("ascii", "replace").replace('"', "")
        return _multipart(data, f'multipart/mixed; boundary="{boundary}"', topic)
    return _single(data, kind, topic, encoding)


def together(messages: Sequence[tuple[str, str]]) -> str:
    """Return texts with their media types as one text that `document_of` takes apart again."""
    boundary = "part"
    while any(f"--{boundary}" in text for _, text in messages):
        boundary += "-part"
    parts = [f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n{text}\r\n" for kind, text in messages]
    return "".join([*parts, f"--{boundary}--\r\n"])


def local(tag: str) -> str:
    """Return the local name of an XML tag: devices change namespaces with their firmware."""
    return tag.rpartition("}")[2]


def children(element: Element, name: str) -> list[Element]:
    """Return the direct children of a local name, whatever their namespace."""
    return [each for each in element if local(str(each.tag)) == name]


def child(element: Element, *path: str) -> Element | None:
    """Return the first element down a path of local names, or None."""
    found: Element | None = element
    for name in path:
        found = next(iter(children(found, name)), None) if found is not None else None
    return found


def child_text(element: Element, *path: str) -> str:
    """Return the text of the first element down a path of local names, stripped; empty if there is none."""
    found = child(element, *path)
    return (found.text or "").strip() if found is not None else ""


def descendants(element: Element, name: str) -> list[Element]:
    """Return all elements of a local name below an element, and itself, in the order of the document."""
    return [each for each in element.iter() if local(str(each.tag)) == name]


def _single(data: bytes, kind: str, topic: str, encoding: str = "") -> Document:
    text = _text_of(data, encoding)
    if text is None:
        return Document(kind, topic, is_binary=True, data=data)
    start = text.lstrip()[:1]
    if start in {"{", "["}:
        parsed = _json(text)
        if parsed is None:
            parsed = _json_lines(text)
        if parsed is not None:
            return Document(kind, topic, text, json=parsed, data=data)
    elif start == "<":
        return Document(kind, topic, text, xml=_xml(text), data=data)
    return Document(kind, topic, text, data=data)


def _multipart(data: bytes, media_type: str, topic: str) -> Document:
    found: list[Document] = []
    others: list[str] = []
    for number, (kind, payload) in enumerate(_parts(data, media_type)):
        if number >= MAX_PARTS:  # whole or not at all: nobody would miss the figures of the others
            return Document("multipart", topic, others=(f"more than {MAX_PARTS} of them",), is_binary=True)
        inner = _single(payload, kind, topic)
        if inner.json is not None or inner.xml is not None:
            found.append(inner)
        else:
            others.append(kind)
    if not found:
        return Document("multipart", topic, others=tuple(others), is_binary=True)
    first = found[0]
    return Document(
        first.media_type,
        topic,
        first.text,
        first.json,
        first.xml,
        others=tuple(others),
        data=first.data,
        parts=tuple(found),
    )


def _parts(data: bytes, media_type: str, depth: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield the media type and the bytes of each part, also of parts that are multipart themselves.

    Only headers are left to the library, whose old policy parses them without ever raising: it takes a body with
    hundreds of boundaries apart by trying each of them at each line.
    """
    head = b"Content-Type: " + media_type.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ")
    boundary = BytesHeaderParser(policy=policy.compat32).parsebytes(head + b"\r\n\r\n").get_boundary()
    pieces = _pieces(data, boundary.encode("utf-8", "surrogateescape")) if boundary is not None else None
    if pieces is None:
        yield media_type.partition(";")[0].strip().lower(), data
        return
    for piece in pieces:
        part, inner = _taken_apart(piece)
        kind = part.get_content_type()
        if not kind.startswith("multipart/"):
            yield kind, inner
        elif depth < MAX_NESTING:
            yield from _parts(inner, str(part.get("Content-Type", kind)), depth + 1)
        else:
            yield kind, b""


def _taken_apart(piece: bytes) -> tuple[Message, bytes]:
    """Return the headers of a part, and its bytes; nothing of a part whose headers do not end."""
    end = END_OF_HEADERS.search(piece, 0, MAX_HEADERS)
    if end is None and len(piece) > MAX_HEADERS and HEADER.match(piece):
        return Message(policy.compat32), b""
    part = BytesHeaderParser(policy=policy.compat32).parsebytes(piece if end is None else piece[: end.end()])
    if end is None:
        payload = part.get_payload(decode=True)
    elif part.get("Content-Transfer-Encoding") is not None:
        part.set_payload(piece[end.end() :].decode("ascii", "surrogateescape"))
        payload = part.get_payload(decode=True)
    else:
        payload = piece[end.end() :]
    return part, payload if isinstance(payload, bytes) else b""


def _pieces(data: bytes, boundary: bytes) -> Iterator[bytes] | None:
    """Return the parts of a multipart body, each with its headers; None if it never begins."""
    lines = re.finditer(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?$", data, re.MULTILINE)
    first = next(lines, None)
    return None if first is None else _between(data, first, lines)


def _between(data: bytes, before: re.Match[bytes], lines: Iterator[re.Match[bytes]]) -> Iterator[bytes]:
    while before[1] is None:
        following = next(lines, None)
        end = following.start() if following is not None else len(data)
        piece = data[before.end() + 1 : end]
        # The end of its last line belongs to the boundary behind it.
        yield piece.removesuffix(b"\n").removesuffix(b"\r") if following is not None else piece
        if following is None:
            return
        before = following


def _form(data: bytes, kind: str, topic: str) -> Document:
    whole = _single(data, kind, topic)
    if whole.json is not None or whole.xml is not None or whole.is_binary:
        return whole
    try:
        fields = parse_qsl(whole.text, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return whole
    for _, value in fields:
        inner = _single(value.encode(errors="replace"), kind, topic)
        if inner.json is not None or inner.xml is not None:
            return inner
    return Document(kind, topic, whole.text, json=dict(fields) if fields else None, data=data)


def _text_of(data: bytes, encoding: str) -> str | None:
    """Return a body's text whatever its encoding, or None for bytes that are none."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        tried = ["utf-16"]
    elif data[:4] in {b"<\x00?\x00", b'{\x00"\x00'}:
        tried = ["utf-16-le"]
    else:
        tried = ["utf-8-sig", encoding or "utf-8-sig"]
    for each in tried:
        # Where C ends its strings is a zero, which is half a character elsewhere.
        text = _decoded(data.rstrip(b"\x00") if each == "utf-8-sig" else data, each)
        if text is not None:
            return text
    return None if b"\x00" in data.rstrip(b"\x00") else _decoded(data.rstrip(b"\x00"), "cp1252", "replace")


def _decoded(data: bytes, encoding: str, errors: str = "strict") -> str | None:
    try:
        text = data.decode(encoding, errors)
    except (ValueError, LookupError):
        return None
    return None if CONTROLS.search(text) else text


def _json(text: str) -> Any:
    try:
        parsed = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if _depth(parsed) <= MAX_DEPTH else None


def _json_lines(text: str) -> list[Any] | None:
    """Return what stands in lines of JSON, as a list; None where one of them is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not 2 <= len(lines) <= MAX_LINES:
        return None
    found = []
    for line in lines:
        parsed = _json(line)
        if not isinstance(parsed, dict | list):
            return None
        found.append(parsed)
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        each, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            return depth
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        stack.extend((deeper, depth + 1) for deeper in inner)
    return deepest


def _xml(text: str) -> Element | None:
    # A declaration of another encoding is void once it is text; a parser would refuse it.
    body = text.lstrip()
    if body.startswith("<?xml"):
        body = body.partition("?>")[2].lstrip()
    try:
        parsed: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, RecursionError):
        return None
    return parsed if _depth_of_xml(parsed) <= MAX_DEPTH else None


def _depth_of_xml(root: Element) -> int:
    deepest, stack = 0, [(root, 1)]
    while stack:
        each, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            return depth
        stack.extend((inner, depth + 1) for inner in each)
    return deepest
