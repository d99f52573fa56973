"""A body taken apart once: JSON, XML, CSV or text, with its pictures left aside. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesParser
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_DEPTH: Final = 40
"""Of nested JSON or XML; no device comes near."""


@dataclass(frozen=True, slots=True)
class Document:
    """One body. At most one of `json` and `xml` is set, and `text` wherever the body is text."""

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
    """The bytes of a binary body, such as a LoRaWAN payload."""


def document_of(data: bytes, media_type: str, topic: str = "") -> Document:
    """Take a body apart by what it is, not by what it says it is: devices send JSON as text/plain, XML as a form.

    Of a multipart body the first part that is JSON or XML counts; the others are left aside.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        return _multipart(data, media_type, topic)
    if kind == "application/x-www-form-urlencoded":
        return _form(data, kind, topic)
    return _single(data, kind, topic)


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


def _single(data: bytes, kind: str, topic: str) -> Document:
    text = _text_of(data)
    if text is None:
        return Document(kind, topic, is_binary=True, data=data)
    start = text.lstrip()[:1]
    if start in {"{", "["}:
        parsed = _json(text)
        if parsed is not None:
            return Document(kind, topic, text, json=parsed)
    elif start == "<":
        return Document(kind, topic, text, xml=_xml(text))
    return Document(kind, topic, text)


def _multipart(data: bytes, media_type: str, topic: str) -> Document:
    message = BytesParser(policy=policy.HTTP).parsebytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + data)
    found: Document | None = None
    others = []
    for part in message.walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        inner = _single(payload, part.get_content_type(), topic) if isinstance(payload, bytes) else None
        if found is None and inner is not None and (inner.json is not None or inner.xml is not None):
            found = inner
        else:
            others.append(part.get_content_type())
    if found is None:
        return Document("multipart", topic, others=tuple(others), is_binary=True)
    return Document(found.media_type, topic, found.text, found.json, found.xml, others=tuple(others))


def _form(data: bytes, kind: str, topic: str) -> Document:
    whole = _single(data, kind, topic)
    if whole.json is not None or whole.xml is not None or whole.is_binary:
        return whole
    try:
        fields = parse_qsl(whole.text, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return whole
    for _, value in fields:
        inner = _single(value.encode(), kind, topic)
        if inner.json is not None or inner.xml is not None:
            return inner
    return Document(kind, topic, whole.text, json=dict(fields) if fields else None)


def _text_of(data: bytes) -> str | None:
    encoding = "utf-8-sig"
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if b"\x00" in data:
            return None
        text = data.decode("cp1252", errors="replace")
    controls = sum(character < " " and character not in "\t\r\n\f" for character in text)
    return None if controls else text


def _json(text: str) -> Any:
    try:
        parsed = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if _depth(parsed) <= MAX_DEPTH else None


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
    return parsed
