"""What nobody should send, made by hand: each as the bytes on the wire, to whom, and which answers are right.

`0` stands for no answer: the connection is ended. A body goes with a right key where it should be read, so that it is
judged by what it says and not by who says it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

ENDED: Final = 0
ECHO: Final = "zq7canary"
"""Stands in whatever is sent; no answer may hold it."""


@dataclass(frozen=True, slots=True)
class BadInput:
    """One thing to send. `{key}`, `{staff}` and `{token}` in the bytes become right credentials."""

    name: str
    service: str
    data: bytes
    answers: frozenset[int]
    ends_sending: bool = False
    """Half of the connection is closed after it."""


def one(name: str, service: str, data: bytes, *answers: int, ends_sending: bool = False) -> BadInput:
    return BadInput(name, service, data, frozenset(answers), ends_sending)


def request(verb: str, path: str, body: bytes = b"", *headers: str, length: bool = True) -> bytes:
    lines = [f"{verb} {path} HTTP/1.1", "Host: here", "Connection: close", *headers]
    if length and (body or verb in {"POST", "PUT"}):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def reading(name: str, body: bytes, *answers: int, media_type: str = "application/json", **headers: str) -> BadInput:
    """A body for POST /v1/readings with a gate's right key."""
    more = [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    data = request("POST", "/v1/readings", body, "Authorization: Bearer {key}", f"Content-Type: {media_type}", *more)
    return one(name, "ingest", data, *(answers or (422,)))


def said(**fields: Any) -> bytes:
    usual = {"kind": "gate_count", "library": "branch", "gate": "north", "entries": 1, "exits": 0}
    return json.dumps({**usual, **fields}).encode()


def get(name: str, path: str, *answers: int, service: str = "api", headers: tuple[str, ...] = ()) -> BadInput:
    return one(name, service, request("GET", path, b"", *headers), *answers)


def box(name: str, body: bytes, *answers: int, media_type: str = "application/json", path: str = "") -> BadInput:
    """A body of a device to its secret address: whatever it is, it is kept or refused."""
    data = request("POST", "/v1/devices/{token}" + path, body, f"Content-Type: {media_type}")
    return one(name, "ingest", data, *(answers or (200,)))


def squeezed(name: str, body: bytes, encoding: str, *answers: int) -> BadInput:
    headers = ("Content-Type: application/json", f"Content-Encoding: {encoding}")
    return one(name, "ingest", request("POST", "/v1/devices/{token}", body, *headers), *answers)


DEEP: Final = 100_000
CLOUD: Final = {
    "specversion": "1.0",
    "id": "1",
    "source": "/x",
    "type": "placelibre.reading",
    "datacontenttype": "application/json",
}

BAD_INPUTS: Final = (
    # Numbers
    reading("NaN for a count", said().replace(b'"entries": 1', b'"entries": NaN')),
    reading("Infinity for a count", said().replace(b'"entries": 1', b'"entries": -Infinity')),
    reading("a number of four hundred digits", said().replace(b'"entries": 1', b'"entries": ' + b"9" * 400)),
    reading("a number of a hundred thousand digits", said().replace(b'"entries": 1', b'"entries": ' + b"9" * 100_000)),
    reading("an exponent that is no number", said().replace(b'"entries": 1', b'"entries": 1e999999')),
    reading("a negative count", said(entries=-1)),
    reading("a count beyond any door", said(entries=2**53)),
    reading("a count that is a half", said(entries=0.5)),
    reading("a count that is a word", said(entries="1")),
    reading("a count that is true", said(entries=True)),
    reading("minus nothing", said().replace(b'"entries": 1', b'"entries": -0'), 202, 422),
    reading("a sequence below nothing", said(sequence=-5)),
    # Text
    reading("half of a surrogate pair", b'{"kind":"head_count","library":"\\ud800","people":1}'),
    reading("half of a surrogate pair as a key", b'{"\\udfff":1}'),
    reading("bytes that are no UTF-8", b'{"kind":"\xff\xfe\xfa"}'),
    reading("UTF-16", said().decode().encode("utf-16")),
    reading("a byte order mark", b"\xef\xbb\xbf" + said(), 202, 422),
    reading("a NUL in an id", said(id="a\x00b" + ECHO)),
    reading("a NUL byte in the body", said() + b"\x00"),
    reading("a line break in a library", said(library="branch\r\nSUB x")),
    # Ids that would be other subjects
    reading("a library with a dot", said(library=f"branch.{ECHO}")),
    reading("a library that is a star", said(library="*")),
    reading("a library that is everything", said(library=">")),
    reading("a gate with spaces", said(gate=f"north {ECHO}")),
    reading("a device that is a subject", said(device="$JS.API.STREAM.DELETE.READINGS")),
    reading("a path for a library", said(library="../../etc/passwd")),
    # Shapes
    reading("nothing", b""),
    reading("null", b"null"),
    reading("an empty list", b"[]"),
    reading("a list in a list", b"[[[]]]"),
    reading("lists without end", b"[" * DEEP + b"]" * DEEP),
    reading("objects without end", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    reading("an unclosed list", b"[" * 1000),
    reading("a thousand and one readings", b"[" + b",".join([said()] * 1001) + b"]"),
    reading("the same key twice", said()[:-1] + b',"entries":900,"entries":1}', 202, 422),
    reading("a field that nobody knows", said(**{ECHO: 1})),
    reading("a kind that nobody knows", said(kind=ECHO)),
    reading("a kind that is a list", said(kind=[ECHO])),
    reading("a comment", b"/* " + ECHO.encode() + b" */" + said()),
    reading("two values", said() + said()),
    # Times
    reading("a time before there were libraries", said(time="0001-01-01T00:00:00Z")),
    reading("a time after the last one", said(time="9999-12-31T23:59:59Z")),
    reading("a time without a zone", said(time="2026-03-02T12:00:00")),
    reading("a leap second of no year", said(time="2026-13-45T25:61:61Z")),
    reading("a time that is a number", said(time=1e300)),
    reading("a window that ends before it begins", said(time="2026-01-01T00:00:00Z", start="2027-01-01T00:00:00Z")),
    # Media types and encodings
    reading("a wrong media type", said(), 415, media_type="text/plain"),
    reading("no media type that could be read", said(), 415, media_type=f"{ECHO}/\xe9"),
    reading("a media type of a thousand parameters", said(), 202, 415, media_type="application/json" + ";a=b" * 1000),
    reading("a charset that nobody has", said(), 202, 415, 422, media_type="application/json; charset=klingon"),
    reading("squeezed by what is not read here", said(), 415, Content_Encoding="br"),
    reading("squeezed, it says", said(), 415, Content_Encoding="gzip"),
    squeezed("a bomb of a gigabyte", gzip.compress(bytes(200_000_000), 9)[:300_000], "gzip", 422, 413),
    squeezed("a bomb in a bomb", gzip.compress(gzip.compress(bytes(5_000_000))), "gzip", 200, 422),
    squeezed("what is not squeezed", b"plain " + ECHO.encode(), "gzip", 422),
    squeezed("half of what was squeezed", gzip.compress(b"{}" * 999)[:20], "gzip", 200, 422),
    squeezed("deflate with rubbish behind it", zlib.compress(b"{}") + b"x" * 999, "deflate", 200, 422),
    # CloudEvents
    reading(
        "an event of another version",
        json.dumps({**CLOUD, "specversion": "9.9", "data": {}}).encode(),
        media_type="application/cloudevents+json",
    ),
    reading(
        "an event with two kinds of data",
        json.dumps({**CLOUD, "data": {}, "data_base64": "e30="}).encode(),
        media_type="application/cloudevents+json",
    ),
    reading(
        "an event whose data are no base64",
        json.dumps({**CLOUD, "data_base64": "%%%" + ECHO}).encode(),
        media_type="application/cloudevents+json",
    ),
    reading("a batch that is no list", b"{}", media_type="application/cloudevents-batch+json"),
    reading("an event in headers without an id", said(), 202, 422, ce_specversion="1.0", ce_type=ECHO),
    # Devices
    box("nothing from a device", b""),
    box("a picture without a figure", b"\xff\xd8\xff" + bytes(5000), media_type="image/jpeg"),
    box(
        "entities without end",
        b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
        media_type="text/xml",
    ),
    box("an entity that reads a file", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    box("lists without end from a device", b"[" * DEEP),
    box("parts without a boundary", b"--x\r\n\r\n", media_type="multipart/form-data"),
    box("parts that never end", b"--x\r\n" * 5000, media_type="multipart/mixed; boundary=x"),
    box("NaN in a CSV", b"a,b\nNaN,1e999\n", media_type="text/csv"),
    box("a path behind the token", b"{}", 200, path="/../../" + ECHO),
    box("a path of dots, in percents", b"{}", 200, 404, path="/%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
    one("a token that is a path", "ingest", request("POST", "/v1/devices/../readings"), 401, 404),
    one("a token of ten thousand letters", "ingest", request("POST", "/v1/devices/" + "a" * 10_000), 404),
    # Keys
    one("a key of bytes", "ingest", request("POST", "/v1/readings", b"{}", "Authorization: Bearer \xff\xfe\xfd"), 401),
    one("a key of dots", "ingest", request("POST", "/v1/readings", b"{}", "Authorization: Bearer " + "." * 250), 401),
    one(
        "two keys",
        "ingest",
        request("POST", "/v1/readings", said(), "Authorization: Bearer {key}", "Authorization: Bearer x.y"),
        202,
        401,
        415,
    ),
    one("a key in another scheme", "ingest", request("POST", "/v1/readings", b"{}", "Authorization: Basic e30="), 401),
    one(
        "a code that is a subject",
        "ingest",
        request("POST", "/v1/staff/enrolments", b'{"code":"*.>aaaaaaaaaaaaaaaaaa"}'),
        403,
    ),
    one(
        "a claim of fields that nobody knows",
        "ingest",
        request("POST", "/v1/claims", b'{"%b":1}' % ECHO.encode(), "Authorization: Bearer {staff}"),
        422,
    ),
    one(
        "a device's name with dots",
        "ingest",
        request("DELETE", "/v1/claims/*.>", b"", "Authorization: Bearer {staff}"),
        404,
    ),
    # Sizes and framing
    one(
        "a length that is a lie, too long",
        "ingest",
        request("POST", "/v1/readings", b"{", "Authorization: Bearer {key}", "Content-Length: 100", length=False),
        ENDED,
        400,
        408,
        ends_sending=True,
    ),
    one(
        "a length below nothing",
        "ingest",
        request("POST", "/v1/readings", b"", "Content-Length: -5", length=False),
        400,
    ),
    one(
        "a length that is no number",
        "ingest",
        request("POST", "/v1/readings", b"", "Content-Length: ten", length=False),
        400,
    ),
    one("two lengths", "ingest", request("POST", "/v1/readings", b"{}", "Content-Length: 0"), 400),
    one(
        "a length and chunks",
        "ingest",
        request("POST", "/v1/readings", b"0\r\n\r\n", "Transfer-Encoding: chunked"),
        400,
        401,
    ),
    one(
        "chunks that are no numbers",
        "ingest",
        request(
            "POST",
            "/v1/readings",
            b"zz\r\n{}\r\n0\r\n\r\n",
            "Authorization: Bearer {key}",
            "Transfer-Encoding: chunked",
            length=False,
        ),
        400,
    ),
    one(
        "a chunk larger than memory",
        "ingest",
        request(
            "POST",
            "/v1/readings",
            b"ffffffffffffffff\r\nx",
            "Authorization: Bearer {key}",
            "Transfer-Encoding: chunked",
            length=False,
        ),
        ENDED,
        400,
        408,
        ends_sending=True,
    ),
    one(
        "chunks, in an odd hand",
        "ingest",
        request("POST", "/v1/readings", b"", "Transfer-Encoding: x, chunked", length=False),
        400,
        401,
    ),
    one("a header with a space before its colon", "api", request("GET", "/", b"", "X-Odd : 1"), 200, 400),
    one("a folded header", "api", request("GET", "/", b"", "X-Odd: 1\r\n folded"), 200, 400),
    one("a header without a name", "api", request("GET", "/", b"", ": nothing"), 400),
    one("a NUL in a header", "api", request("GET", "/", b"", "X-Odd: a\x00b"), 400),
    one("a header of a megabyte", "api", request("GET", "/", b"", "X-Odd: " + "a" * 1_000_000), 431, ENDED),
    one(
        "ten thousand headers", "ingest", request("GET", "/livez", b"", *(["X-Odd: " + "a" * 50] * 10_000)), 431, ENDED
    ),
    one("a path of a megabyte", "api", request("GET", "/" + "a" * 1_000_000), 431, ENDED),
    one("no host", "api", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 200, 400),
    one("HTTP/1.0", "api", b"GET /livez HTTP/1.0\r\n\r\n", 200),
    one("HTTP/9.9", "api", b"GET /livez HTTP/9.9\r\n\r\n", 400),
    one("HTTP/2 without asking", "api", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    one(
        "HTTP/2 by asking",
        "api",
        request("GET", "/livez", b"", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        200,
        400,
        426,
    ),
    one(
        "a WebSocket",
        "api",
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        200,
        400,
        426,
    ),
    one("TLS", "api", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400, ENDED),
    one("nothing but noise", "ingest", bytes(range(256)) * 40, 400, ENDED),
    one("a verb that nobody knows", "api", b"BREW /coffee HTTP/1.1\r\nHost: x\r\n\r\n", 400, 405),
    one("CONNECT", "api", b"CONNECT 127.0.0.1:4222 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400, 405),
    one("a whole address as the path", "api", request("GET", "http://169.254.169.254/latest/meta-data"), 404, 400),
    one(
        "two requests in one piece",
        "api",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + request("GET", "/nothing-" + ECHO),
        200,
    ),
    one(
        "a request hidden in a body",
        "api",
        request("POST", "/livez", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
        405,
    ),
    # Paths and queries
    get("a path out of the folder", "/static/../../../../etc/passwd", 404),
    get("the same in percents", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
    get("the same in percents twice", "/static/%252e%252e%252fetc%252fpasswd", 404),
    get("a NUL in a path", "/l/branch%00" + ECHO, 404, 422),
    get("half a percent", "/l/%zz%", 404, 422, 400),
    get("bytes that are no UTF-8 in a path", "/l/%ff%fe", 404, 422),
    get("a script for a library", f"/l/<script>{ECHO}</script>", 404, 422, 400),
    get("a script for a language", f"/?lang=<script>{ECHO}</script>", 200, 422),
    get("a library of stars", "/v1/libraries/*", 404, 422),
    get("a history of ten thousand years", "/v1/libraries/branch/history?from=0001-01-01&to=9999-12-31", 422, 404),
    get("a date that is none", "/v1/libraries/branch/history?date=2026-02-30", 422, 404, 200, 503),
    get("a limit below nothing", "/v1/libraries?limit=-1", 422),
    get("a limit beyond every number", "/v1/libraries?limit=" + "9" * 5000, 422),
    get("ten thousand parameters", "/v1/libraries?" + "&".join(f"a{number}=1" for number in range(5000)), 200, 422),
    get("a stream of a thousand libraries", "/v1/stream?" + "library=x&" * 1000, 422, 404),
    get("a sign of a million points", "/v1/libraries/branch/sign.png?width=1000000&height=1000000", 422, 404),
    get("a range", "/v1/libraries", 200, headers=("Range: bytes=0-0,1-1,2-2,-9999999999",)),
    get("a thousand tags", "/v1/libraries", 200, headers=("If-None-Match: " + ", ".join(['W/"a"'] * 3000),)),
    get("a tag that never ends", "/v1/libraries", 200, headers=('If-None-Match: "' + "a" * 5000,)),
    get("a place in the log that is none", "/v1/stream?library=nobody", 404, 422, headers=("Last-Event-ID: -1e99",)),
    get("ten thousand languages", "/", 200, headers=("Accept-Language: " + "fr;q=0.1," * 5000,)),
    get(
        "an account that is an address",
        "/.well-known/webfinger?resource=acct:" + ECHO + "@169.254.169.254",
        404,
        422,
        400,
    ),
    one(
        "a subscription at the metadata server",
        "api",
        request(
            "POST",
            "/v1/push/branch",
            b'{"subscription":{"endpoint":"https://169.254.169.254/","keys":{"p256dh":"x","auth":"y"}},"want":"seat"}',
            "Content-Type: application/json",
        ),
        404,
        422,
    ),
    one(
        "an inbox of lists",
        "api",
        request("POST", "/ap/inbox", b"[" * 50_000, "Content-Type: application/json"),
        400,
        404,
        401,
    ),
    one("a body too large for an inbox", "api", request("POST", "/ap/inbox", b"x" * 300_000), 413),
    one("a body where nothing is read", "ingest", request("GET", "/devices", b"x" * 5000), 413),
)
