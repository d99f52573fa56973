"""The operator's connection to the bus, for commands that end: no endless waiting, and a sentence if it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import nats.errors
import typer
from pydantic import SecretStr

from cli.data_folder import DataFolder
from cli.terminal import Trouble
from shared.runtime import logs
from shared.runtime.bus import Bus, connected

CONNECT_TIMEOUT_S = 5.0
"""A bus that is there answers in milliseconds; a person waits no longer than this for a no."""

NatsUrlOption = Annotated[str | None, typer.Option("--nats-url", help="The bus, instead of that of --data.")]
SeedFileOption = Annotated[
    Path | None, typer.Option("--seed-file", help="The operator's nkey seed, instead of that of --data.")
]


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the bus is and the file with the operator's seed."""

    url: str
    seed_file: Path | None


def bus_address(data: DataFolder, nats_url: str | None, seed_file: Path | None) -> BusAddress:
    """Return the bus that is meant: the one named, else that of a running `placelibre up`. Raises Trouble."""
    if nats_url is not None:
        return BusAddress(nats_url, seed_file)
    addresses = data.addresses()
    if addresses is None:
        raise Trouble(
            f"no `placelibre up` is running on {data.path}",
            "start it, or name the bus with --nats-url and --seed-file",
        )
    return BusAddress(addresses.nats, seed_file or data.seed_file("operator"))


@asynccontextmanager
async def operator_bus(address: BusAddress) -> AsyncIterator[Bus]:
    """Connect as the operator.

    Raises:
        Trouble: the seed cannot be read, or the bus does not answer.
    """
    logs.configure("cli", "error", "console")
    seed = None
    if address.seed_file is not None:
        try:
            seed = SecretStr(address.seed_file.read_text().strip())
        except OSError as error:
            remedy = "give the operator's seed with --seed-file"
            raise Trouble(f"the seed {address.seed_file} cannot be read: {error.strerror}", remedy) from error
    servers = [each.strip() for each in address.url.split(",") if each.strip()]
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                bus = await stack.enter_async_context(connected(servers, seed, "operator"))
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise Trouble(
                f"the bus at {address.url} does not let the operator in: {str(error) or 'no answer'}",
                "see that it runs, and that --seed-file is the operator's",
            ) from error
        yield bus
