"""`placelibre run`: one service in this process, with its settings from the environment."""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.terminal import Trouble, command_app, examples

app = command_app()


class Service(StrEnum):
    """What can be run."""

    INGEST = "ingest"
    AGGREGATOR = "aggregator"
    PUBLISHER = "publisher"
    API = "api"
    CARRIER = "carrier"
    AUDITOR = "auditor"


@app.command(epilog=examples("PLACELIBRE_NATS_SEED_FILE=.placelibre/bus/nkeys/api.nk placelibre run api"))
def run(service: Annotated[Service, typer.Argument(help="Which one.")]) -> None:
    """Run one service alone.

    Until Ctrl-C or SIGTERM; for a cluster, or to look at one.

    Its settings come from the environment, as in docs/reference: PLACELIBRE_NATS_URL, PLACELIBRE_NATS_SEED_FILE,
    PLACELIBRE_PORT and others.
    """
    name = f"services.{service}.main"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise Trouble(f"this version has no service {service}") from error
    try:
        module.main()
    except ValidationError as error:  # of its settings: what fails in its work ends it as ServiceFailed
        faults = "; ".join(_fault(each["loc"], each["msg"]) for each in error.errors(include_input=False))
        raise Trouble(faults, "see docs/reference/settings.md for what may be set") from error


def _fault(where: tuple[int | str, ...], what: str) -> str:
    said = what.removeprefix("Value error, ")
    return f"PLACELIBRE_{'.'.join(map(str, where)).upper()}: {said}" if where else said  # of several it names them
