"""`placelibre probe`: whether an address answers, for the health checks of containers.

It runs every few seconds beside each service, so it loads nothing but the standard library.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from cli.terminal import Trouble, command_app, examples, say

app = command_app()

TIMEOUT_S: Final = 3.0
"""Longer than a busy service takes, shorter than the health checks wait for this command."""
ANSWER_BYTES_MAX: Final = 500
"""Of what an unready service says; the rest is in its log."""


@app.command(epilog=examples("placelibre probe http://127.0.0.1:8000/readyz"))
def probe(
    url: Annotated[str, typer.Argument(help="What to ask for, by http or https.")],
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for the answer.")] = TIMEOUT_S,
) -> None:
    """Ask an address once: exit 0 if it answers with 2xx, else 1 and a sentence.

    Meant for health checks: no proxy is asked, and no other address that the answer may name.
    """
    trouble = what_is_wrong(url, timeout)
    if trouble is not None:
        raise Trouble(trouble)
    say(f"{url} answers")


def what_is_wrong(url: str, timeout_s: float) -> str | None:
    """Ask once; return None if the answer is 2xx, else a sentence."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"{url} is no address: {error}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"{url} is no address of the form http://HOST:PORT/PATH"
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, port, timeout=timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        if 200 <= answer.status < 300:
            return None
        said = " ".join(answer.read(ANSWER_BYTES_MAX).decode(errors="replace").split())
    except (OSError, HTTPException, ValueError) as error:
        return f"{url} does not answer: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return f"{url} answers {answer.status}: {said}" if said else f"{url} answers {answer.status}"
