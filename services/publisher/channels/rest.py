"""HTTP as the outbox needs it: what a transport error or an answer says about whether something was done.

Nothing here sleeps or repeats: pauses and repetitions are the outbox's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from services.publisher.channels.channel import Blocked, NotSent, Rejected, Throttled, Unknown
from shared.runtime.clock import now

THROTTLED_S: Final = 60.0
"""The pause where a 429 names none."""
THROTTLED_S_MAX: Final = 3600.0
FORBIDDEN: Final = frozenset({401, 403})
UNDECIDED: Final = frozenset({408, 425})
"""The client errors after which the server may have done it all the same."""
RESET_HEADERS: Final = ("Retry-After", "X-RateLimit-Reset", "RateLimit-Reset", "x-rate-limit-reset")

# At info httpx tells every address that it asks, and some of them are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)

Failure = NotSent | Unknown | Throttled | Rejected | Blocked
_Model = TypeVar("_Model", bound=BaseModel)


async def call(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> httpx.Response | NotSent | Unknown:
    """Make one request that changes something; without an answer, say whether it can have arrived.

    Reasons name the kind of error and never the address, which may hold a secret.
    """
    try:
        return await client.request(method, url, **request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        return NotSent(type(error).__name__)
    except httpx.InvalidURL:
        return NotSent("the address cannot be used")
    except httpx.RequestError as error:
        return Unknown(type(error).__name__)
    except ValueError:  # a header that cannot be written, such as a token with typographic quotes
        return NotSent("the request cannot be written; look for unusual characters in the credentials")


async def ask(
    client: httpx.AsyncClient, url: str, *, blocked: str, **request: Any
) -> httpx.Response | NotSent | Throttled | Blocked:
    """Ask a question that changes nothing, so that no answer means that nothing was done; a 404 is an answer."""
    response = await call(client, "GET", url, **request)
    if isinstance(response, NotSent | Unknown):
        return NotSent(response.reason)
    if response.is_success or response.status_code == httpx.codes.NOT_FOUND:
        return response
    fault = failure(response, blocked=blocked)
    return fault if isinstance(fault, Throttled | Blocked) else NotSent(f"HTTP {response.status_code} to a question")


def failure(
    response: httpx.Response, *, blocked: str, retry_after: Callable[[httpx.Response], float | None] | None = None
) -> Failure:
    """Return what an answer without success says of a request that changes something.

    `blocked` says, for 401 and 403, what somebody must see to. `retry_after` reads a pause from a platform's own body.
    """
    status = response.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS:
        own = retry_after(response) if retry_after else None
        return Throttled(bounded(own) if own is not None else retry_after_s(response.headers, now()))
    if status in FORBIDDEN:
        return Blocked(f"HTTP {status}: {blocked}")
    if response.is_client_error and status not in UNDECIDED:
        return Rejected(f"HTTP {status}")
    return Unknown(f"HTTP {status}")


def bounded(seconds: float) -> float:
    """Return a pause within a second and an hour."""
    return min(max(seconds, 1.0), THROTTLED_S_MAX)


def retry_after_s(headers: httpx.Headers, at: datetime) -> float:
    """Return the seconds to wait after a 429 that came at `at`: what the server says, within an hour."""
    said = next((headers[name] for name in RESET_HEADERS if name in headers), None)
    seconds = _seconds_until(said, at) if said else None
    return THROTTLED_S if seconds is None else bounded(seconds)


def parsed(model: type[_Model], response: httpx.Response) -> _Model | None:
    """Return an answer's body, or None where it is not what it should be."""
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        return None


def _seconds_until(said: str, at: datetime) -> float | None:
    """Read seconds, seconds since 1970, an HTTP date or an ISO one: all four are met."""
    try:
        number = float(said)
    except ValueError:
        moment = _moment(said)
        return None if moment is None else (moment - at).total_seconds()
    is_instant = number > timedelta(days=365).total_seconds()
    return number - at.timestamp() if is_instant else number


def _moment(said: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(said)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
