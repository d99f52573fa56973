"""Where we are reached, as the caller sees it: what addresses on other people's pages and on paper begin with.

It is taken from the request, for one server may be known by several names and stand behind a proxy. So anybody can make
up a name in their own request, and gets it back; whatever is kept of such an answer is kept under that name.
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import Request

from services.api.problems import ProblemRaised

HOST: Final = re.compile(r"(([A-Za-z0-9_-]{1,63}\.){0,9}[A-Za-z0-9_-]{1,63}\.?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
"""A name or an address, and perhaps a port: nothing that would mean something else in HTML, CSP, or Markdown."""
HOST_MAX: Final = 260


def origin_of(request: Request) -> str:
    """Return scheme, host and port. Raises ProblemRaised if the request's Host is not one."""
    host = request.headers.get("host", "")
    scheme = request.url.scheme
    if len(host) > HOST_MAX or HOST.fullmatch(host) is None or scheme not in {"http", "https"}:
        raise ProblemRaised("invalid-request", "The Host header is no name of a host.")
    return f"{scheme}://{host.lower()}"
