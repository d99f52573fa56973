"""Headers that no answer of any service lacks, whatever it is: a page, a figure, an error.

HSTS is not among them: only whoever ends TLS knows that the name is served with TLS for good, and sets it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING: Final = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""What is no page may load nothing and stand in no frame, should a browser take it for one."""
POLICY: Final = b"content-security-policy"
CACHING: Final = b"cache-control"
COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # No page of ours may be reached through the window that opened it.
    (b"cross-origin-opener-policy", b"same-origin"),
)
NO_DEVICES: Final = (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()")
WITH_PLACE: Final = (b"permissions-policy", b"camera=(), microphone=(), geolocation=(self), payment=(), usb=()")
"""For the list of libraries, which can be sorted by how near they are."""
OURS_ALONE: Final = (b"cross-origin-resource-policy", b"same-origin")


Header = tuple[bytes, bytes]


def completed(given: Iterable[Header], usual: Iterable[Header]) -> list[Header]:
    """Return an answer's headers with the usual ones, where it has not said something else under the same name."""
    headers = list(given)
    names = {name.lower() for name, _ in headers}
    return [*headers, *(each for each in usual if each[0] not in names)]


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """An application whose answers have these headers where it has not said something else."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": completed(message.get("headers", ()), USUAL)}
            await send(message)

        await self.app(scope, receive, send_on)


USUAL: Final = (*COMMON, NO_DEVICES, OURS_ALONE, (POLICY, NOTHING), (CACHING, b"no-store"))
