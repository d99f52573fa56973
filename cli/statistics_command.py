"""`placelibre statistics`: visits, occupancy and waits of a year as CSV, for the annual report."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from cli.data_folder import DATA, DataFolder, DataOption
from cli.terminal import Trouble, command_app, examples, say
from shared.runtime.clock import now

app = command_app()

ASK_TIMEOUT_S: Final = 60.0
"""A year that nobody has asked for takes seconds on a slow machine."""


class By(StrEnum):
    """What a line of the CSV stands for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Language(StrEnum):
    """Whose headings and decimals the CSV has."""

    EN = "en"
    FR = "fr"
    NB = "nb"
    NL = "nl"
    UK = "uk"


@app.command(
    epilog=examples(
        "placelibre statistics bpi",
        "placelibre statistics bpi --year 2025 --lang fr --out 2025.csv",
        "placelibre statistics bpi --year 2025 --annual --lang nl --out jaarverslag.csv",
        "placelibre statistics bpi --by day --api https://status.example.org",
    )
)
def statistics(
    *,
    library: Annotated[str, typer.Argument(help="The library's id.")],
    year: Annotated[int | None, typer.Option(min=1970, max=2199, help="This year if left out.")] = None,
    by: Annotated[By, typer.Option(help="What a line stands for.")] = By.MONTH,
    annual: Annotated[
        bool, typer.Option("--annual", help="The table for an annual report (ISO 2789) instead.")
    ] = False,
    lang: Annotated[
        Language | None, typer.Option(help="Headings and decimals for a spreadsheet; left out, those for programs.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A file to write; the terminal if left out.")] = None,
    api: Annotated[str, typer.Option(help="The API to ask, instead of that of --data.")] = "",
    data: DataOption = DATA,
) -> None:
    """Write a year's statistics as CSV.

    What is unknown is an empty cell, what is estimated says so in a column of its own. Simulated figures are named as
    such.
    """
    chosen = year or now().astimezone().year
    query = {"from": date(chosen, 1, 1).isoformat(), "to": date(chosen, 12, 31).isoformat(), "by": by.value}
    if annual:
        query = {"table": "iso2789", "from": query["from"]}
    if lang is not None:
        query["lang"] = lang.value
    # A proxy leads to an API elsewhere, and never to this machine's own.
    body = _ask(api or _running_api(data), library, query, is_elsewhere=bool(api))
    if out is None:
        # As it is: the mark and the line ends belong to the file, whoever takes it from the terminal.
        typer.echo(body, nl=False)
        return
    try:
        out.write_bytes(body)
    except OSError as error:
        raise Trouble(f"{out} cannot be written: {error.strerror}", "give another --out") from error
    lines = body.count(b"\n") - 1
    say(f"{out}: {lines} lines")


def _running_api(data: Path) -> str:
    folder = DataFolder(data.absolute())
    addresses = folder.addresses()
    if addresses is None or not addresses.api:
        raise Trouble(f"no `placelibre up` is running on {folder.path}", "start it, or name an API with --api")
    return addresses.api


def _ask(api: str, library: str, query: dict[str, str], *, is_elsewhere: bool) -> bytes:
    url = f"{api.rstrip('/')}/v1/libraries/{library}/statistics.csv"
    try:
        answer = httpx.get(url, params=query, timeout=ASK_TIMEOUT_S, follow_redirects=True, trust_env=is_elsewhere)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Trouble(f"{api} does not answer: {type(error).__name__}", "see that it runs, and --api") from error
    if answer.is_success:
        return answer.content
    try:
        problem = answer.json()
        raise Trouble(f"{library}: {problem['detail']}", str(problem["advice"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Trouble(f"{url}: HTTP {answer.status_code}", "see --api") from error
