"""Web Push as strict services and real browsers' keys take it: encryption, signature, limits, and where it may go."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from services.publisher import channels
from services.publisher.channels import webpush
from services.publisher.channels.channel import (
    Blocked,
    Done,
    Gone,
    Misconfigured,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Unknown,
)
from services.publisher.channels.means import Means
from services.publisher.channels.webpush import PAYLOAD_BYTES_MAX, Notification, VapidKey, push
from shared.contracts.configuration import Channel
from shared.contracts.push import endpoint_fault
from shared.runtime.public_address import NoSuchHost, NotPublic, is_public, public_address
from tests.fakes.announcements import intent_of
from tests.fakes.http_server import Fault, listening
from tests.fakes.push_service import Browser, FakePushService

CONTACT = "mailto:it@library.example"
KEY = VapidKey.new()


@pytest.fixture
async def service() -> AsyncIterator[FakePushService]:
    async with listening(FakePushService()) as serving:
        yield serving


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(0.3, connect=2.0), follow_redirects=False) as opened:
        yield opened


def word(size: int = 200, filler: str = "é") -> bytes:
    """Return a payload of exactly so many bytes."""
    head = json.dumps({"tag": "t", "title": ""}, ensure_ascii=False)
    room = size - len(head.encode())
    letters = filler * (room // len(filler.encode()))
    letters += "x" * (room - len(letters.encode()))
    return head.replace('""', f'"{letters}"').encode()


def notification(browser: Browser, payload: bytes | None = None) -> Notification:
    keys = browser.keys
    return Notification(browser.endpoint, keys["p256dh"], keys["auth"], payload or word(), 600, "a" * 32)


async def sent(client: httpx.AsyncClient, each: Notification, **changes: object) -> Outcome | Gone:
    at = changes.get("at", datetime.now(UTC))
    assert isinstance(at, datetime)
    key = changes.get("key", KEY)
    assert isinstance(key, VapidKey)
    authorization = key.authorization(each.endpoint, CONTACT, at)
    return await push(client, each, authorization, is_here_allowed=True)


# What arrives


async def test_a_browser_decrypts_what_was_sent_with_its_own_keys(
    client: httpx.AsyncClient, service: FakePushService
) -> None:
    browser = service.subscribe(KEY.public)
    payload = json.dumps({"tag": "t", "title": "Є вільні місця", "body": "Bibliothèque, 14:05 : 12"}).encode()
    assert isinstance(await sent(client, notification(browser, payload)), Done)
    assert browser.received == [json.loads(payload)]
    assert (service.ttls, service.topics, service.urgencies) == ([600], ["a" * 32], ["high"])
    assert service.contacts == [CONTACT]
    assert b"14:05" not in service.requests[0].body


@pytest.mark.parametrize("size", [80, 3992, PAYLOAD_BYTES_MAX])
async def test_the_longest_payload_fits_to_the_byte(
    client: httpx.AsyncClient, service: FakePushService, size: int
) -> None:
    browser = service.subscribe(KEY.public)
    assert isinstance(await sent(client, notification(browser, word(size))), Done)
    assert len(service.requests[0].body) == size + 103


async def test_a_byte_more_is_refused_before_it_is_sent(client: httpx.AsyncClient, service: FakePushService) -> None:
    browser = service.subscribe(KEY.public)
    assert isinstance(await sent(client, notification(browser, word(PAYLOAD_BYTES_MAX + 1))), Rejected)
    assert service.requests == []


@given(st.text(max_size=300))
def test_any_text_comes_through_the_encryption(text: str) -> None:
    browser = Browser("https://push.example/1", KEY.public)
    body = webpush._encrypted(notification(browser, json.dumps({"tag": "t", "title": text}).encode()))
    browser.take(body)
    assert browser.received[-1]["title"] == text


# What a service answers


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut", Unknown),
        ("done-504", Unknown),
        ("hang", Unknown),
        ("503", Unknown),
        ("429", Throttled),
        ("401", Blocked),
    ],
)
async def test_an_answer_says_what_may_have_been_done(
    client: httpx.AsyncClient, service: FakePushService, fault: Fault, kind: type
) -> None:
    browser = service.subscribe(KEY.public)
    service.faults.append(fault)
    assert isinstance(await sent(client, notification(browser)), kind)


async def test_a_subscription_that_is_not_there_is_gone(client: httpx.AsyncClient, service: FakePushService) -> None:
    browser = service.subscribe(KEY.public)
    each = notification(browser)
    assert isinstance(await sent(client, replace(each, endpoint=f"{service.base}/wpush/v2/never")), Gone)
    browser.has_left = True
    assert isinstance(await sent(client, each), Gone)


async def test_nobody_there_is_not_sent(client: httpx.AsyncClient) -> None:
    browser = Browser("http://127.0.0.1:1/x", KEY.public)
    assert isinstance(await sent(client, notification(browser)), NotSent)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": VapidKey.new()},
        {"at": datetime.now(UTC) - timedelta(hours=13)},
        {"at": datetime.now(UTC) + timedelta(hours=13)},
    ],
    ids=["another key", "expired", "more than a day ahead"],
)
async def test_a_signature_that_does_not_fit_is_refused(
    client: httpx.AsyncClient, service: FakePushService, changes: dict[str, object]
) -> None:
    browser = service.subscribe(KEY.public)
    assert isinstance(await sent(client, notification(browser), **changes), Blocked)
    assert browser.received == []


async def test_no_outcome_tells_the_address_or_the_keys(client: httpx.AsyncClient, service: FakePushService) -> None:
    browser = service.subscribe(KEY.public)
    faults: tuple[Fault, ...] = ("cut", "hang", "503", "429", "401", "reset")
    for fault in faults:
        service.faults.append(fault)
        told = repr(await sent(client, notification(browser)))
        assert browser.endpoint not in told
        assert browser.keys["auth"] not in told


async def test_keys_that_are_none_end_in_an_outcome(client: httpx.AsyncClient, service: FakePushService) -> None:
    browser = service.subscribe(KEY.public)
    for p256dh in ("", "AA", "A" * 87):
        outcome = await sent(client, replace(notification(browser), p256dh=p256dh))
        assert isinstance(outcome, Rejected), p256dh
    assert service.requests == []


# Where it may go

INSIDE = [
    "http://push.example/x",
    "https://127.0.0.1/x",
    "https://10.0.0.1/x",
    "https://[::1]/x",
    "https://169.254.169.254/latest/meta-data",
    "https://localhost/x",
    "https://intranet/x",
    "https://push.example:8443/x",
    "https://push.example:0/x",
    "https://user@push.example/x",
    "https://user:pass@push.example/x",
    "https://push.example/x#y",
    "https://push_service.example/x",
    "https://push.example:port/x",
    "https://[::1/x",
    "ftp://push.example/x",
    "https://2130706433/x",
    "https:///x",
]
SHORTHANDS = ["https://127.1/x", "https://0x7f.0.0.1/x", "https://0177.0.0.1/x", "https://10.1/x"]
"""They look like names and lead to addresses of this machine, or of this network."""


@pytest.mark.parametrize("endpoint", INSIDE)
async def test_an_address_that_is_not_of_the_internet_is_refused_by_its_form(
    client: httpx.AsyncClient, endpoint: str
) -> None:
    assert endpoint_fault(endpoint, is_here_allowed=False) is not None
    each = replace(notification(Browser("https://push.example/1", KEY.public)), endpoint=endpoint)
    assert isinstance(await push(client, each, "vapid t=x,k=y"), Rejected)


@pytest.mark.parametrize("endpoint", SHORTHANDS)
async def test_a_name_that_leads_inside_is_refused_when_it_is_looked_up(
    client: httpx.AsyncClient, endpoint: str
) -> None:
    assert endpoint_fault(endpoint, is_here_allowed=False) is None
    each = replace(notification(Browser("https://push.example/1", KEY.public)), endpoint=endpoint)
    assert isinstance(await push(client, each, "vapid t=x,k=y"), Rejected)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://updates.push.services.mozilla.com/wpush/v2/abc",
        "https://web.push.apple.com:443/QAbc",
        "https://wns2-par02p.notify.windows.com/w/?token=a%2fb",
    ],
)
def test_the_addresses_of_real_services_are_taken(endpoint: str) -> None:
    assert endpoint_fault(endpoint, is_here_allowed=False) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.2.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:9.9.9.9", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::909:909", True),
        ("2002:7f00:1::", False),
        ("nonsense", False),
    ],
)
def test_an_address_is_public_whatever_it_is_wrapped_in(address: str, *, expected: bool) -> None:
    assert is_public(address) is expected


@given(st.ip_addresses(v=4))
def test_what_is_private_as_it_is_is_private_in_every_form(address: object) -> None:
    plain = ip_address(str(address))
    assert is_public(f"::ffff:{plain}") == is_public(str(plain))
    assert not (is_public(str(plain)) and plain.is_private)


async def test_a_name_that_leads_nowhere_is_not_sent() -> None:
    with pytest.raises(NoSuchHost):
        await public_address("a" * 64 + ".example", 443)
    with pytest.raises(NotPublic):
        await public_address("127.1", 443)


@asynccontextmanager
async def tls_service(folder: Path, name: str, host_seen: list[str]) -> AsyncIterator[int]:
    """A server on loopback with a certificate for `name`; yields its port."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    at = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        host_seen.extend(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(("name", "kind"), [("push.example", Done), ("another.example", NotSent)])
async def test_the_connection_goes_to_the_address_that_was_checked_and_proves_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, kind: type
) -> None:
    async def checked(host: str, port: int) -> str:
        del port
        assert host == "push.example"
        return "127.0.0.1"

    seen: list[str] = []
    async with tls_service(tmp_path, name, seen) as port:
        monkeypatch.setattr(webpush, "public_address", checked)
        monkeypatch.setattr(webpush, "HTTPS_PORT", port)
        trust = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        async with httpx.AsyncClient(verify=trust, timeout=3.0) as client:
            each = notification(Browser("https://push.example/1", KEY.public))
            assert isinstance(await push(client, each, "vapid t=x,k=y"), kind)
    assert seen == (["push.example"] if kind is Done else [])


# As a type of channel


async def test_it_announces_nothing(client: httpx.AsyncClient, tmp_path: Path) -> None:
    assert "webpush" in channels.silent()
    channel = channels.make(Target("webpush", "", "", {"contact": CONTACT}), Means(client, tmp_path, None))  # type: ignore[arg-type]  # it needs no bus
    assert isinstance(await channel.send(intent_of()), Rejected)
    assert isinstance(await channel.look_up(intent_of()), NotFound)


@pytest.mark.parametrize(
    "contact", ["", "it@library.example", "mailto:nobody", "http://library.example", "https://a.b/c"]
)
def test_a_contact_that_services_refuse_is_refused_here(contact: str) -> None:
    found = channels.faults(Channel.model_validate({"type": "webpush", "contact": contact}))
    assert [key for key, _ in found] == ["contact"]
    with pytest.raises(Misconfigured):
        channels.make(Target("webpush", "", "", {"contact": contact}), Means(None, Path(), None))  # type: ignore[arg-type]


@pytest.mark.parametrize("contact", [CONTACT, "https://library.example"])
def test_a_contact_can_be_signed(contact: str) -> None:
    assert channels.faults(Channel.model_validate({"type": "webpush", "contact": contact})) == []
    assert KEY.authorization("https://push.example/x", contact, datetime.now(UTC)).startswith("vapid t=")
