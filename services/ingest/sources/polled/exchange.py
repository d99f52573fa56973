"""One request and its answer: bounded in time and size, no redirect followed, and failures in words for staff."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

import httpx

from services.ingest.sources.means import SourceFailed
from services.ingest.sources.polled.api import MAX_ANSWER_BYTES, Answer

CONNECT_S: Final = 5.0
READ_S: Final = 20.0
WHOLE_S: Final = 60.0
"""For a request with its answer: a server may send one byte at a time. Reports of a month take a cloud some seconds."""
MAX_RETRY_AFTER_S: Final = 3600.0
"""Longer than that no server's word is taken for: some say a day, or a date by a clock that is wrong."""
UNCHANGED: Final = 304
REFUSED: Final = frozenset({401, 403})
SLOW_DOWN: Final = frozenset({429, 503})


class Refused(SourceFailed):
    """The credentials are not accepted."""


def client() -> httpx.AsyncClient:
    """Return a client for one source. It keeps a connection for the next poll, and nothing else."""
    return httpx.AsyncClient(
        verify=_trusted(),
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
        follow_redirects=False,  # what is sent along, a token say, is for this server alone
        limits=httpx.Limits(max_connections=2, max_keepalive_connections=1),
    )


@cache
def _trusted() -> ssl.SSLContext:
    """Return what certificates are checked by; kept, because reading them all takes some 40 ms of each source."""
    return httpx.create_ssl_context()


async def exchange(
    asking: httpx.AsyncClient, request: httpx.Request, auth: httpx.Auth | None, at: datetime, *, what: str = "it"
) -> Answer:
    """Return the answer to a request: with a status of 2xx, or 304.

    Raises Refused for 401 and 403, SourceFailed for anything else that is no answer; the words name no address.
    """
    try:
        async with asyncio.timeout(WHOLE_S):
            response = await asking.send(request, auth=auth, stream=True)
            try:
                _check(response, at, what)
                body = await _body(response)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise SourceFailed(f"{what} takes longer than {WHOLE_S:.0f} s to answer") from error
    except httpx.TimeoutException as error:
        raise SourceFailed(f"{what} does not answer in time ({type(error).__name__})") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise SourceFailed(f"{what} cannot be reached, or breaks off ({type(error).__name__})") from error
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body, headers.get("content-type", "").strip())


def _check(response: httpx.Response, at: datetime, what: str) -> None:
    status = response.status_code
    if response.is_success or status == UNCHANGED:
        return
    if status in REFUSED:
        raise Refused(f"{what} refuses the credentials (HTTP {status})")
    if response.has_redirect_location:
        raise SourceFailed(f"{what} answers with a redirect (HTTP {status}); give the address that it leads to")
    wait_s = retry_after_s(response.headers, at) if status in SLOW_DOWN else 0.0
    words = "asks to be left alone for a while" if status in SLOW_DOWN else "answers with an error"
    raise SourceFailed(f"{what} {words} (HTTP {status})", wait_s=wait_s)


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise SourceFailed(f"the answer has more than {MAX_ANSWER_BYTES // 1024 // 1024} MiB")
    return bytes(body)


def retry_after_s(headers: Mapping[str, str], at: datetime) -> float:
    """Return for how many seconds a server wants to be left alone; 0 where it does not say."""
    words = headers.get("Retry-After", "").strip()
    try:
        seconds = float(words) if words[:1].isdigit() else (_date(words) - at).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _date(words: str) -> datetime:
    found = parsedate_to_datetime(words)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
