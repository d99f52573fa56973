"""Mail by SMTP, through the library's own server, to few recipients or a mailing list.

One message in one transaction: either the server has it for all that it takes, or for none, so nothing has to be
remembered between two attempts. Recipients stand in the envelope alone and do not see each other.
"""

from __future__ import annotations

import html
import ssl
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from typing import Annotated, Final, Literal

import aiosmtplib
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    NoCredentials,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Traits,
    Unknown,
)
from services.publisher.channels.means import Means, options_of
from shared.contracts.posts import PostIntent
from shared.runtime.logs import logger

log = logger(__name__)

OWN_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
RECIPIENTS_MAX: Final = 50
"""Every server takes a hundred in one transaction (RFC 5321, 4.5.3.1.8). Who has more readers wants a mailing list,
where people come and go by themselves."""
KEY_LENGTH: Final = 32
"""Hex digits of a post's key that stand in its Message-ID: 128 bits, and a header that fits into one line."""
PERMANENT: Final = 500
"""The codes from here on are refusals for good (RFC 5321, 4.2.1); those from 400 on are for now."""

MailAddress = Annotated[
    str, Field(max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
]


class MailOptions(Options):
    """Who writes to whom."""

    sender: MailAddress = Field(description="The address that mail comes from; replies go there.")
    sender_name: Annotated[str, Field(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        default="", description="The name beside the address: that of the library."
    )
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=RECIPIENTS_MAX)] = Field(
        description="Addresses of people who asked for it, or of a mailing list; they do not see each other."
    )
    unsubscribe: Annotated[str, Field(max_length=200, pattern=r"^((mailto:|https://)[^\s<>]+)?$")] = Field(
        default="",
        description="Where people take themselves off the list, `mailto:...` or `https://...`; a mail to the sender"
        " where it is left out.",
    )


class _Secrets(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(pattern=r"^[A-Za-z0-9.:-]+$")
    port: int = Field(default=587, ge=1, le=65_535)
    username: str = ""
    password: SecretStr = SecretStr("")
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str = ""


class MailChannel(Channel):
    """One sender at one mail server."""

    def __init__(self, secrets: _Secrets, options: MailOptions, tls: ssl.SSLContext, timeout_s: float | None) -> None:
        """`timeout_s` is for each answer of the server."""
        self._secrets = secrets
        self._options = options
        self._tls = tls
        self._timeout_s = timeout_s

    async def send(self, intent: PostIntent) -> Outcome:
        """Hand the message over to the server."""
        server = self._server()
        try:
            refused = await self._open(server) or await self._address(server)
            return refused or await self._hand_over(server, intent)
        finally:
            server.close()

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Nobody can ask a mail server what it has taken."""
        del intent
        return NotFound()

    def _server(self) -> aiosmtplib.SMTP:
        secrets = self._secrets
        return aiosmtplib.SMTP(
            hostname=secrets.host,
            port=secrets.port,
            username=secrets.username or None,
            password=secrets.password.get_secret_value() or None,
            # What we call ourselves: the machine's own name is nobody's business.
            local_hostname=self._options.sender.partition("@")[2],
            timeout=self._timeout_s,
            use_tls=secrets.tls == "tls",
            start_tls=secrets.tls == "starttls",
            tls_context=None if secrets.tls == "none" else self._tls,
        )

    async def _open(self, server: aiosmtplib.SMTP) -> NotSent | Blocked | None:
        """Connect, encrypt and log in; nothing of a message has been said when that fails."""
        try:
            await server.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            return _refusal(error.code, "the server does not take the user name and password")
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error.code, "the server does not talk to us")
        except (OSError, aiosmtplib.SMTPTimeoutError) as error:
            if isinstance(error.__cause__ or error, ssl.SSLCertVerificationError):
                return Blocked("the mail server's certificate does not hold; see to it, or to `host` and `ca_file`")
            return NotSent(type(error).__name__)
        except aiosmtplib.SMTPException:
            return Blocked("the mail server offers no STARTTLS, or no way to log in")
        return None

    async def _address(self, server: aiosmtplib.SMTP) -> NotSent | Rejected | Blocked | None:
        """Name sender and recipients; one full mailbox keeps nobody else from the message."""
        refusals: list[int] = []
        try:
            await server.mail(self._options.sender)
            for recipient in self._options.recipients:
                try:
                    await server.rcpt(recipient)
                except aiosmtplib.SMTPRecipientRefused as error:
                    refusals.append(error.code)
        except aiosmtplib.SMTPSenderRefused as error:
            return _refusal(error.code, "the server takes no mail from this sender")
        except (aiosmtplib.SMTPException, OSError) as error:
            return NotSent(type(error).__name__)
        if len(refusals) == len(self._options.recipients):
            for_now = [code for code in refusals if code < PERMANENT]
            return NotSent(f"SMTP {for_now[0]}") if for_now else Rejected(f"SMTP {refusals[0]}: no recipient is taken")
        if refusals:
            log.warning("mail_recipients_refused", sender=self._options.sender, recipients=len(refusals))
        return None

    async def _hand_over(self, server: aiosmtplib.SMTP, intent: PostIntent) -> Outcome:
        message = compose(intent, self._options)
        try:
            await server.data(message.as_bytes(policy=WIRE))
        except aiosmtplib.SMTPDataError as error:
            return Rejected(f"SMTP {error.code}") if error.code >= PERMANENT else NotSent(f"SMTP {error.code}")
        except (aiosmtplib.SMTPException, OSError) as error:
            return Unknown(type(error).__name__)
        with suppress(aiosmtplib.SMTPException):
            # The server has it; waiting for its good-bye could only make that doubtful.
            if server.protocol is not None:
                server.protocol.write(b"QUIT\r\n")
        return Done(message["Message-ID"], "", text_of(intent))


def _refusal(code: int, what: str) -> NotSent | Blocked:
    return Blocked(f"SMTP {code}: {what}") if code >= PERMANENT else NotSent(f"SMTP {code}")


def text_of(intent: PostIntent) -> str:
    """Return the words of a message: the longest form, and the address on a line of its own."""
    return "\n\n".join(part for part in (intent.texts.long, intent.url) if part)


def compose(intent: PostIntent, options: MailOptions) -> EmailMessage:
    """Return the message of an intent: the same bytes each time, so that a twin is told by its Message-ID."""
    domain = options.sender.partition("@")[2]
    subject = " ".join(line.strip() for line in intent.texts.shortest.splitlines() if line.strip())
    message = EmailMessage(policy=WIRE)
    message["From"] = Address(options.sender_name, addr_spec=options.sender)
    message["To"] = "undisclosed-recipients:;"
    message["Subject"] = subject
    message["Date"] = format_datetime(intent.decided_at)
    message["Message-ID"] = f"<{intent.key[:KEY_LENGTH]}@{domain}>"
    message["List-Id"] = f"<{intent.library}.{domain}>"
    message["List-Unsubscribe"] = f"<{options.unsubscribe or f'mailto:{options.sender}?subject=unsubscribe'}>"
    # For machines that would answer: RFC 3834, and what came before it.
    message["Auto-Submitted"] = "auto-generated"
    message["Precedence"] = "bulk"
    message.set_content(text_of(intent), cte="quoted-printable")
    message.add_alternative(_page(intent, subject), subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{intent.key[:KEY_LENGTH]}")
    message["Content-Language"] = intent.language  # last: setting the content moves such headers into its parts
    return message


def _page(intent: PostIntent, title: str) -> str:
    paragraphs = [html.escape(line) for line in intent.texts.long.splitlines() if line.strip()]
    if intent.url:
        url = html.escape(intent.url)
        paragraphs.append(f'<a href="{url}">{url}</a>')
    body = "\n".join(f"<p>{each}</p>" for each in paragraphs)
    return (
        f'<!doctype html>\n<html lang="{html.escape(intent.language)}">\n<head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title></head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, MailOptions)
    secrets = means.secrets(target, _Secrets)
    name = target.secret_name
    if secrets.tls == "none" and secrets.host not in OWN_HOSTS:
        raise NoCredentials(f'the secrets file {name}: tls = "none" is for a mail server on this machine')
    try:
        tls = ssl.create_default_context(cafile=secrets.ca_file or None)
    except OSError as error:
        raise NoCredentials(f"the secrets file {name}: ca_file cannot be read: {type(error).__name__}") from error
    return MailChannel(secrets, options, tls, means.client.timeout.read)


CHANNEL: Final = ChannelType(
    name="email",
    title="Mail by SMTP",
    make=_make,
    traits=Traits(finds=False),
    options=MailOptions,
    credentials='`host`, `port` (587), `username`, `password`, `tls`: "starttls", "tls" (port 465), or "none" for a'
    " server on this machine; `ca_file` for a certificate of your own authority",
    limits=f"{RECIPIENTS_MAX} recipients",
    lost_reply="repeated once with the same Message-ID, which most mail systems fold into one; else there are two",
)
