"""`placelibre probe`: whether an address answers, for the health checks of containers.

As health checks write it `cli.main` has answered before this is loaded; here are the help and all else.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cli.asking import TIMEOUT_S, TIMEOUT_S_MAX, TIMEOUT_S_MIN, what_is_wrong
from cli.terminal import Trouble, command_app, examples, say

app = command_app()


@app.command(
    epilog=examples(
        "placelibre probe http://127.0.0.1:8000/readyz", "placelibre probe --own https://127.0.0.1:8001/readyz"
    )
)
def probe(
    url: Annotated[str, typer.Argument(help="What to ask for, by http or https.")],
    *,
    timeout: Annotated[
        float, typer.Option(min=TIMEOUT_S_MIN, max=TIMEOUT_S_MAX, help="Seconds to wait for the answer.")
    ] = TIMEOUT_S,
    own: Annotated[
        bool, typer.Option("--own", help="It is a service of this machine: its certificate is not looked at.")
    ] = False,
) -> None:
    """Ask an address once: exit 0 if it answers with 2xx, else 1 and a sentence.

    Meant for health checks: no proxy is asked, and no other address that the answer may name.
    """
    trouble = what_is_wrong(url, timeout, is_own=own)
    if trouble is not None:
        raise Trouble(trouble)
    say(f"{url} answers")
