"""Mail keeps what every channel promises, against a real mail server on loopback."""

from __future__ import annotations

import asyncio
import email
import ssl
import subprocess
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from services.publisher.channels.channel import Blocked, Done, Misconfigured, NoCredentials, NotSent, Rejected, Unknown
from services.publisher.channels.mail import CHANNEL, MailOptions, compose
from services.publisher.channels.means import options_of
from shared.contracts.posts import PostIntent
from shared.contracts.status import Sentences
from tests.adapters.suite import CANARY, Bench, ChannelSuite, World
from tests.fakes.http_server import Fault

USER = "library"
READERS = ("ann@readers.example", "bob@readers.example")


@dataclass
class Mailroom:
    """What the real server asks: who may log in, which addresses there are, and what becomes of a message.

    A fault hits one message; those that are HTTP's own have the meaning that SMTP gives them.
    """

    faults: deque[Fault] = field(default_factory=deque)
    boxes: dict[str, list[EmailMessage]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    """Answers to MAIL and RCPT by address."""
    connections: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    open: list[Doorway] = field(default_factory=list)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        del session, envelope, mechanism
        assert isinstance(server, Doorway)
        if self.faults and self.faults[0] == "401":
            self.faults.popleft()
            server.lets_in = False  # whichever of its ways to log in are tried
        if not server.lets_in:
            return AuthResult(success=False, handled=False)
        is_known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), CANARY.encode())
        return AuthResult(success=is_known, handled=False)

    async def handle_MAIL(  # noqa: N802  the server's own name
        self, server: Doorway, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del session, options
        if self.faults and self.faults[0] == "reset":
            self.faults.popleft()
            server.drop()
        if address in self.refusals:
            return self.refusals[address]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  the server's own name
        self, server: Doorway, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Doorway, session: Session, envelope: Envelope) -> str:  # noqa: N802  as above
        del session
        fault = self.faults.popleft() if self.faults else None
        if fault == "hang":
            await self.let_go.wait()
            server.drop()
        if fault == "429":
            return "452 4.3.1 Too much mail just now"
        if fault not in {None, "cut", "done-504"}:
            return "451 4.3.0 Local error"
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        assert not message.defects
        for recipient in envelope.rcpt_tos:
            self.boxes.setdefault(recipient, []).append(message)
        if fault is not None:
            server.drop()
        return "250 Taken"


class Doorway(SMTP):
    """One connection to the real server."""

    lets_in = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        room: Mailroom = self.event_handler
        if self not in room.open:
            room.connections += 1
            room.open.append(self)
        super().connection_made(transport)

    def drop(self) -> None:
        """End the connection without a word."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


@asynccontextmanager
async def serving(
    room: Mailroom, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Run the server on a free port, encrypted on request or from the first byte; give the port."""

    def doorway() -> SMTP:
        return Doorway(
            room,
            hostname="mail.example",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=starttls is not None,
            auth_require_tls=starttls is not None,
            authenticator=room.authenticate,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(doorway, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        room.let_go.set()
        server.close()
        for each in room.open:
            each.drop()
        await asyncio.sleep(0)


class Mail(World):
    type = "email"
    options = {  # noqa: RUF012  as World says
        "sender": "places@library.example",
        "sender_name": "Bibliothèque",
        "recipients": READERS,
    }

    def __init__(self, room: Mailroom, port: int, tls: str = "none", ca_file: str = "") -> None:
        self.room = room
        self.port = port
        self.tls = tls
        self.ca_file = ca_file

    @property
    def secret(self) -> str:
        lines = {"host": "127.0.0.1", "username": USER, "password": CANARY, "tls": self.tls, "ca_file": self.ca_file}
        return "\n".join([f"port = {self.port}", *(f'{name} = "{value}"' for name, value in lines.items() if value)])

    def script(self, *faults: Fault) -> None:
        self.room.faults.extend(faults)

    async def public(self) -> list[str]:
        return [plain(message) for message in self.room.boxes.get(READERS[0], [])]

    def dialled(self) -> int:
        return self.room.connections


def plain(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


@pytest.fixture
def room() -> Mailroom:
    return Mailroom()


@pytest.fixture
async def world(room: Mailroom) -> AsyncIterator[Mail]:
    async with serving(room) as port:
        yield Mail(room, port)


@pytest.mark.slow  # `make test` runs the same suite for Mastodon, Bluesky and the feeds
class TestMail(ChannelSuite):
    async def test_readers_get_the_words_and_do_not_see_each_other(self, bench: Bench, room: Mailroom) -> None:
        intent = bench.intent()
        assert isinstance(await bench.channel().send(intent), Done)
        for reader in READERS:
            (message,) = room.boxes[reader]
            assert intent.texts.long in plain(message)
            assert not any(each in message.as_string() for each in READERS)
            assert message["From"] == "Bibliothèque <places@library.example>"
            assert message["Content-Language"] == "fr"
            assert message["Auto-Submitted"] == "auto-generated"
            assert message["Precedence"] == "bulk"
            assert message["List-Unsubscribe"] == "<mailto:places@library.example?subject=unsubscribe>"
            assert message["Message-ID"] == f"<{intent.key[:32]}@library.example>"
            assert message["Subject"] == intent.texts.shortest

    async def test_a_twin_has_the_same_bytes(self, bench: Bench, room: Mailroom) -> None:
        intent = bench.intent()
        room.faults.append("cut")
        assert isinstance(await bench.channel().send(intent), Unknown)
        assert isinstance(await bench.channel().send(intent), Done)
        first, second = room.boxes[READERS[0]]
        assert first.as_bytes() == second.as_bytes()

    @pytest.mark.parametrize(
        ("refusals", "kind"),
        [
            ({"places@library.example": "550 5.7.1 Not you"}, Blocked),
            ({"places@library.example": "451 4.7.1 Come back later"}, NotSent),
            (dict.fromkeys(READERS, "550 5.1.1 No such user"), Rejected),
            (dict.fromkeys(READERS, "450 4.2.0 Greylisted"), NotSent),
            ({READERS[0]: "550 5.1.1 No such user", READERS[1]: "450 4.2.0 Greylisted"}, NotSent),
        ],
    )
    async def test_a_refused_envelope_sends_nothing(
        self, bench: Bench, room: Mailroom, refusals: dict[str, str], kind: type[object]
    ) -> None:
        room.refusals = refusals
        assert isinstance(await bench.channel().send(bench.intent()), kind)
        assert room.boxes == {}

    async def test_one_refused_reader_keeps_nobody_else_from_it(self, bench: Bench, room: Mailroom) -> None:
        room.refusals = {READERS[0]: "452 4.2.2 Mailbox full"}
        assert isinstance(await bench.channel().send(bench.intent()), Done)
        assert list(room.boxes) == [READERS[1]]

    async def test_a_server_that_is_not_there_is_tried_again(self, bench: Bench, world: Mail) -> None:
        async with serving(Mailroom()) as port:
            pass
        world.port = port
        (bench.means.secrets_dir / world.target.secret_name).write_text(world.secret)
        assert isinstance(await bench.channel().send(bench.intent()), NotSent)

    async def test_a_server_without_starttls_gets_no_password(self, bench: Bench, world: Mail, room: Mailroom) -> None:
        world.tls = "starttls"
        (bench.means.secrets_dir / world.target.secret_name).write_text(world.secret)
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Blocked)
        assert "STARTTLS" in outcome.reason
        assert room.boxes == {}

    @pytest.mark.parametrize(
        "secret",
        [
            'host = "mail.example"\ntls = "none"',
            'host = "mail.example"\ntls = "maybe"',
            'host = "mail.example"\nca_file = "/nowhere/ca.pem"',
            "port = 25",
            'host = "two words"',
        ],
    )
    async def test_secrets_that_would_not_keep_a_password_safe_are_refused(self, bench: Bench, secret: str) -> None:
        target = bench.world.target
        (bench.means.secrets_dir / target.secret_name).write_text(secret)
        with pytest.raises(NoCredentials, match="email-bib"):
            CHANNEL.make(target, bench.means)

    @pytest.mark.parametrize(
        "options",
        [
            {"sender": "x@y.example\r\nBcc: all@z.example"},
            {"sender_name": "Bib\nBcc: all@z.example"},
            {"recipients": ()},
            {"recipients": ("a@b.example",) * 51},
            {"recipients": ("a@b.example, c@d.example",)},
            {"unsubscribe": "javascript:alert(1)"},
            {"unsubscribe": "https://x.example/> , <mailto:y"},
        ],
    )
    async def test_options_that_would_forge_headers_are_refused(self, bench: Bench, options: dict[str, object]) -> None:
        target = bench.world.target
        with pytest.raises(Misconfigured):
            options_of(type(target)(target.channel, "bib", "", {**target.options, **options}), MailOptions)

    async def test_words_cannot_forge_headers_or_markup(self, bench: Bench) -> None:
        words = "Bib <b>now</b>\r\nBcc: all@z.example\r\n\r\n& more"
        message = reread(
            bench.intent().model_copy(update={"texts": Sentences(long=words, short=words, shortest=words)})
        )
        assert message["Bcc"] is None
        assert message["Subject"] == "Bib <b>now</b> Bcc: all@z.example & more"
        part = message.get_body(("html",))
        assert part is not None
        page = Tags()
        page.feed(str(part.get_content()))
        assert "b" not in page.seen
        assert page.language == "fr"


class Tags(HTMLParser):
    """The elements of a page, and its language."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.language: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag == "html":
            self.language = dict(attrs)["lang"]


def reread(intent: PostIntent) -> EmailMessage:
    """Return an intent's message as a mail program reads it."""
    options = MailOptions.model_validate(Mail.options)
    message = email.message_from_bytes(compose(intent, options).as_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate for this machine, of an authority of our own."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail.example"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return key, cert


class TestEncrypted:
    """A certificate that holds, and one that does not."""

    @pytest.fixture(params=["starttls", "tls"])
    async def world(
        self, room: Mailroom, certificate: tuple[Path, Path], request: pytest.FixtureRequest
    ) -> AsyncIterator[Mail]:
        key, cert = certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        async with serving(room, **{request.param: context}) as port:
            yield Mail(room, port, request.param, str(cert))

    bench = ChannelSuite.bench

    async def test_mail_goes_out_encrypted(self, bench: Bench, world: Mail, room: Mailroom) -> None:
        assert isinstance(await bench.channel().send(bench.intent()), Done)
        assert len(await world.public()) == 1
        session = room.open[0].session
        assert session is not None
        assert world.tls == "tls" or session.ssl is not None

    async def test_a_certificate_that_does_not_hold_gets_no_password(
        self, bench: Bench, world: Mail, room: Mailroom
    ) -> None:
        world.ca_file = ""
        (bench.means.secrets_dir / world.target.secret_name).write_text(world.secret)
        outcome = await bench.channel().send(bench.intent())
        assert isinstance(outcome, Blocked)
        assert "certificate" in outcome.reason
        assert room.boxes == {}
