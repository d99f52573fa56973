"""Bodies taken apart: by what they are, whatever their encoding and their envelope, and never at any price."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from urllib.parse import quote, urlencode

import pytest

from services.ingest.devices.documents import (
    MAX_DEPTH,
    MAX_LINES,
    MAX_NESTING,
    MAX_PARTS,
    Document,
    child_text,
    descendants,
    document_of,
    together,
)
from services.ingest.scrub import scrub

XML = "<a xmlns='urn:x'><b c='1'>Entrée</b></a>"
PICTURE = b"\xff\xd8\xff\xe0" + random.Random(3).randbytes(2000)
MIXED = "multipart/mixed; boundary=B"


def multipart(*parts: tuple[str, bytes], boundary: bytes = b"B") -> bytes:
    lines = b"".join(
        b"--" + boundary + f"\r\nContent-Type: {kind}\r\n\r\n".encode() + body + b"\r\n" for kind, body in parts
    )
    return lines + b"--" + boundary + b"--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        XML.encode(),
        b"\xef\xbb\xbf" + XML.encode(),
        f"<?xml version='1.0' encoding='UTF-8'?>\n{XML}".encode(),
        f"\r\n \n<?xml version='1.0' encoding='ISO-8859-1'?>{XML}".encode("latin-1"),
        f"<?xml version='1.0' encoding='UTF-16'?>{XML}".encode("utf-16"),
        f"<?xml version='1.0' encoding='UTF-16'?>{XML}".encode("utf-16-le"),
        XML.encode() + b"\x00",
        XML.encode("cp1252"),
    ],
    ids=["plain", "mark", "declared", "latin-1", "utf-16", "utf-16 without mark", "ended as in C", "cp1252"],
)
@pytest.mark.parametrize("media_type", ["application/xml", "text/plain", "application/x-www-form-urlencoded", ""])
def test_xml_is_xml_whatever_it_is_said_to_be(body: bytes, media_type: str) -> None:
    found = document_of(body, media_type)
    assert found.xml is not None
    assert child_text(found.xml, "b") == "Entrée"
    assert [each.get("c") for each in descendants(found.xml, "b")] == ["1"]
    assert found.json is None
    assert not found.is_binary
    assert found.data == body


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_json_is_json_whatever_its_encoding(encoding: str) -> None:
    found = document_of('{"name": "Entrée", "in": 3}'.encode(encoding), "text/plain", "devices/d1")
    assert found.json == {"name": "Entrée", "in": 3}
    assert found.topic == "devices/d1"


@pytest.mark.parametrize(
    "body", ['{"in": NaN}', '{"in": Infinity}', '{"in": 1', "{'in': 1}", '{"in": ' + "9" * 5000 + "}", "[" * 100_000]
)
def test_what_is_no_json_is_text(body: str) -> None:
    found = document_of(body.encode(), "application/json")
    assert found.json is None
    assert found.text == body


TENFOLD = {n: f"&l{n};" * 10 for n in range(9)}
NESTED = "".join(f'<!ENTITY l{n} "{TENFOLD[n - 1]}">' for n in range(1, 9))


@pytest.mark.parametrize("encoding", ["cp850", "latin-1", "utf-16-le", "utf-16-be", "shift-jis"])
def test_a_text_in_an_encoding_that_its_source_says(encoding: str) -> None:
    text = "Entrées;3\r\n" if encoding != "shift-jis" else "入口;3\r\n"
    assert document_of(text.encode(encoding), "text/csv", encoding=encoding).text == text
    assert document_of(text.encode(), "text/csv", encoding=encoding).text == text


@pytest.mark.parametrize("encoding", ["", "cp1252", "utf-8", "no-such", "base64", "utf-16"])
def test_an_encoding_that_does_not_fit_does_no_harm(encoding: str) -> None:
    assert document_of("Entrées".encode("cp1252"), "text/csv", encoding=encoding).text == "Entrées"
    assert document_of(PICTURE + b"\x00\x01", "", encoding=encoding).is_binary


ENTITIES = f'<!DOCTYPE a [<!ENTITY l0 "lol">{NESTED}'


@pytest.mark.parametrize(
    "body",
    [
        f"{ENTITIES}]><a>&l8;</a>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/secret"><a/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<?xml version="1.0"?><!DOCTYPE a><a/>',
        "<a><b></a>",
        "<",
        "<?xml",
        "<a>" * 100_000,
        "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1),
    ],
    ids=["bomb", "outside", "file", "doctype", "crossed", "begun", "declared", "endless", "deep"],
)
def test_xml_that_might_do_harm_is_text_alone(body: str) -> None:
    found = document_of(body.encode(), "application/xml")
    assert found.xml is None
    assert found.text == body


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_json_is_text_alone(opening: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]
    within, beyond = (f"{opening * depth}1{closing * depth}".encode() for depth in (MAX_DEPTH - 1, MAX_DEPTH + 1))
    assert document_of(within, "").json is not None
    assert document_of(beyond, "").json is None


def test_lines_of_json_are_a_list() -> None:
    assert document_of(b'{"in": 3}\r\n\n{"in": 4}\n', "application/x-ndjson").json == [{"in": 3}, {"in": 4}]
    assert document_of(b'{"in": 3}\n{"in": ', "application/x-ndjson").json is None
    assert document_of(b'{"in": 3}\n4\n', "application/x-ndjson").json is None


def test_bytes_are_binary() -> None:
    found = document_of(PICTURE + b"\x00", "application/octet-stream")
    assert found.is_binary
    assert found.data == PICTURE + b"\x00"
    assert not found.text


@pytest.mark.parametrize(
    ("body", "json_found"),
    [
        (urlencode({"data": '{"in": 3}'}), {"in": 3}),
        (urlencode({"id": "7", "payload": '[{"in": 3}]'}), [{"in": 3}]),
        ('{"in": 3}', {"in": 3}),
        ("serial=A1&in=3&out=", {"serial": "A1", "in": "3", "out": ""}),
        ("&".join(f"a{n}=1" for n in range(201)), None),
    ],
    ids=["json in a field", "in the second field", "json as it is", "fields alone", "too many fields"],
)
def test_a_form_is_what_stands_in_it(body: str, json_found: object) -> None:
    assert document_of(body.encode(), "application/x-www-form-urlencoded; charset=utf-8").json == json_found


def test_xml_in_a_form() -> None:
    found = document_of(f"xml={quote(XML)}".encode(), "application/x-www-form-urlencoded")
    assert found.xml is not None


def test_of_a_multipart_body_all_messages_count_and_pictures_are_left_aside() -> None:
    body = multipart(
        ("image/jpeg", PICTURE),
        ('application/xml; charset="UTF-8"', XML.encode()),
        ("application/json", b'{"in": 3}'),
        ("text/plain", b"nothing"),
    )
    found = document_of(body, MIXED, "t")
    assert found.xml is not None
    assert found.media_type == "application/xml"
    assert [each.json for each in found.messages] == [None, {"in": 3}]
    assert [each.topic for each in found.messages] == ["t", "t"]
    assert found.others == ("image/jpeg", "text/plain")
    assert PICTURE not in found.data


def test_a_body_alone_is_its_only_message() -> None:
    found = document_of(b'{"in": 3}', "application/json")
    assert found.messages == (found,)


@pytest.mark.parametrize("media_type", ["multipart/mixed; boundary=--B", "text/plain", "", "application/json"])
def test_parts_are_found_however_their_boundary_came(media_type: str) -> None:
    body = multipart(("application/json", b'{"in": 3}'), ("application/json", b'{"in": 4}'), boundary=b"--B")
    assert [each.json for each in document_of(body, media_type).messages] == [{"in": 3}, {"in": 4}]


def test_a_part_in_base64_is_decoded() -> None:
    body = (
        b"--B\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b64encode(b'{"in": 3}')
        + b"\r\n--B--\r\n"
    )
    assert document_of(body, MIXED).json == {"in": 3}


def test_a_multipart_body_of_pictures_alone_is_binary_and_keeps_nothing_of_them() -> None:
    found = document_of(multipart(("image/jpeg", b"\xff\xd8CanaryPicture")), MIXED)
    assert found.is_binary
    assert found.others == ("image/jpeg",)
    assert found.data == b""


def test_multipart_in_multipart_a_thousandfold_ends_in_peace() -> None:
    opening = b"".join(
        f"--B{n}\r\nContent-Type: multipart/mixed; boundary=B{n + 1}\r\n\r\n".encode() for n in range(3000)
    )
    assert isinstance(document_of(opening, "multipart/mixed; boundary=B0"), Document)


def nested(depth: int, kind: str = "application/json", inner: bytes = b'{"in": 3}') -> bytes:
    """Return a part in so many multipart bodies, of which the outermost has the boundary B1."""
    for number in range(depth, 0, -1):
        inner, kind = (
            multipart((kind, inner), boundary=f"B{number}".encode()),
            f"multipart/mixed; boundary=B{number}",
        )
    return inner


def test_multipart_is_read_in_multipart_as_mails_have_it_and_no_deeper() -> None:
    assert document_of(nested(MAX_NESTING), "multipart/mixed; boundary=B1").json == {"in": 3}
    assert document_of(nested(MAX_NESTING + 1), "multipart/mixed; boundary=B1").is_binary


def test_a_body_of_too_many_parts_is_refused_whole() -> None:
    part = ("application/json", b'{"in": 3}')
    assert len(document_of(multipart(*[part] * MAX_PARTS), MIXED).messages) == MAX_PARTS
    found = document_of(multipart(*[part] * (MAX_PARTS + 1)), MIXED)
    assert found.is_binary
    assert not found.parts
    assert "more than" in found.others[0]


def test_too_many_lines_of_json_are_text() -> None:
    assert document_of(b"[1]\n" * MAX_LINES, "").json == [[1]] * MAX_LINES
    assert document_of(b"[1]\n" * (MAX_LINES + 1), "").json is None


MIB = 1024 * 1024
MANY_BOUNDARIES = b"".join(
    f"--B{n}\r\nContent-Type: multipart/mixed; boundary=B{n + 1}\r\n\r\n".encode() for n in range(200)
)


@pytest.mark.parametrize(
    "body",
    [
        MANY_BOUNDARIES + b"x\r\n" * MIB,
        b"[]\n" * MIB,
        b"--B0\r\n\r\n{}\r\n" * (MIB // 3),
        b"--B0\r\n" + b"A: b\r\n" * (MIB // 2),
        b"--B0\r\nContent-Type: multipart/mixed" + b";a*0=b" * (MIB // 2) + b"\r\n\r\n{}\r\n",
        b"--B0\r\n\r\n" + (b"--B0" + b" " * 1000 + b"x\n") * 4000,
    ],
    ids=["nested", "lines", "parts", "headers", "one header", "almost boundaries"],
)
def test_no_large_body_takes_long(body: bytes) -> None:
    assert document_of(body, "multipart/mixed; boundary=B0" if body[:1] == b"-" else "").json is None


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/",
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary="',
        "multipart/mixed; boundary*=utf-9''B",
        "multipart/\udc80; boundary=B",
        "multipart/mixed;\r\nboundary=B",
        "multipart/mixed; boundary==?q?",
    ],
)
def test_no_content_type_breaks_the_taking_apart(media_type: str) -> None:
    assert isinstance(document_of(multipart(("application/json", b'{"in": 3}')), media_type), Document)


def test_no_bytes_break_the_taking_apart() -> None:
    generator = random.Random(11)
    bodies = [
        XML.encode("utf-16"),
        b'{"in": [1, 2, {"a": "\\ud800"}]}',
        multipart(("application/json", b'{"in": 3}'), ("application/xml", XML.encode())),
        urlencode({"data": '{"in": 3}'}).encode(),
    ]
    kinds = ["", "application/json", MIXED, "application/x-www-form-urlencoded", "text/xml; charset=x"]
    for _ in range(2000):
        body = bytearray(generator.choice(bodies))
        for _ in range(generator.randint(1, 6)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        found = document_of(bytes(body[: generator.randint(1, len(body))]), generator.choice(kinds))
        assert found.json is None or found.xml is None


def test_messages_put_together_are_taken_apart_again() -> None:
    messages = [("application/json", '{"a": "--part"}'), ("application/xml", "<a>é --part-part</a>")]
    found = document_of(together(messages).encode(), "application/json")
    assert [each.text.strip() for each in found.messages] == [text for _, text in messages]


def test_what_quarantine_keeps_of_a_stream_is_all_its_messages() -> None:
    body = multipart(
        ("application/json", json.dumps({"in": 3, "snapshot": b64encode(PICTURE).decode()}).encode()),
        ("image/jpeg", PICTURE),
        ("application/xml", b"<Alert><in>4</in><face>CanaryFace</face></Alert>"),
    )
    document = document_of(body, MIXED)
    kept = scrub(document)
    assert "Canary" not in kept.text
    assert "snapshot" in kept.removed
    again = document_of(kept.text.encode(), document.media_type)
    assert again.json == {"in": 3}
    last = again.messages[1].xml
    assert last is not None
    assert child_text(last, "in") == "4"


def test_of_an_endless_stream_quarantine_keeps_the_beginning() -> None:
    parts = [("application/json", json.dumps({"in": n, "words": "ab " * 7000}).encode()) for n in range(40)]
    document = document_of(multipart(*parts), MIXED)
    kept = scrub(document)
    again = document_of(kept.text.encode(), document.media_type)
    assert 1 < len(again.messages) < 40
    assert "all after" in kept.removed
