"""The operator's connection to the bus, for commands that end: no endless waiting, and a sentence if it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import nats.errors
import typer
from pydantic import SecretStr

from cli.data_folder import DataFolder
from cli.terminal import Trouble
from cli.whose_seed import refuse_a_service
from shared.runtime import logs
from shared.runtime.bus import Bus, BusUnavailable, Conflict, connected
from shared.runtime.bus_line import BusGivenUp
from shared.runtime.bus_tls import UntrustedBus, tls_context
from shared.runtime.health import Readiness

CONNECT_TIMEOUT_S = 5.0
"""A bus that is there answers in milliseconds; a person waits no longer than this for a no."""

# Each can come from the environment too, by the name that services know: in a container nobody repeats all three.
NatsUrlOption = Annotated[
    str | None,
    typer.Option("--nats-url", envvar="PLACELIBRE_NATS_URL", help="The bus, instead of that of --data."),
]
SeedFileOption = Annotated[
    Path | None,
    typer.Option(
        "--seed-file",
        envvar="PLACELIBRE_NATS_SEED_FILE",
        help="The operator's nkey seed, instead of that of --data.",
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="PLACELIBRE_NATS_CA_FILE",
        help="The authority of the bus's certificate: TLS, and verified.",
    ),
]

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the bus is, and the files with the operator's seed and with the authority of its certificate."""

    url: str
    seed_file: Path | None
    ca_file: Path | None = None


def bus_address(
    data: DataFolder, nats_url: str | None, seed_file: Path | None, ca_file: Path | None = None
) -> BusAddress:
    """Return the bus that is meant: the one named, else that of a running `placelibre up`. Raises Trouble."""
    if nats_url is not None:
        return BusAddress(nats_url, seed_file, ca_file)
    addresses = data.addresses()
    if addresses is None:
        raise Trouble(
            f"no `placelibre up` is running on {data.path}",
            "name the folder of the one that runs with --data (or PLACELIBRE_DATA), or its bus with --nats-url and"
            " --seed-file; if none does: `placelibre up`",
        )
    return BusAddress(addresses.nats, seed_file or data.seed_file("operator"), ca_file)


@asynccontextmanager
async def operator_bus(address: BusAddress, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> AsyncIterator[Bus]:
    """Connect as the operator.

    Raises:
        Trouble: the seed or the authority cannot be read, the bus does not answer, one does not trust the other, or the
            bus has sent the operator away.
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
    try:
        tls = tls_context(address.ca_file, servers)
    except UntrustedBus as error:
        raise Trouble(str(error), "give the bus's authority with --ca-file") from error
    readiness = Readiness()
    try:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(connect_timeout_s):
                    bus = await stack.enter_async_context(connected(servers, seed, "operator", readiness, tls))
            except (TimeoutError, OSError, nats.errors.Error) as error:
                why = str(error) or readiness.waiting.get("bus") or "no answer"
                raise Trouble(
                    f"the bus at {address.url} does not let the operator in: {why}",
                    "see that it runs, that --seed-file is the operator's, and that --ca-file is of its authority",
                ) from error
            await refuse_a_service(bus, address.seed_file)
            yield bus
    except BusGivenUp as error:
        raise Trouble(f"the bus at {address.url} was lost: {error}", "try again") from error


def on_bus(address: BusAddress, work: Callable[[Bus], Awaitable[_Answer]], *, remedy: str = "try again") -> _Answer:
    """Do one piece of work as the operator and return what came of it; `remedy` helps where the bus did not answer.

    Raises:
        Trouble: the bus does not let the operator in, does not answer, or somebody else has written at the same time.
    """

    async def run() -> _Answer:
        async with operator_bus(address) as bus:
            return await work(bus)

    try:
        return asyncio.run(run())
    except Conflict as error:
        raise Trouble("somebody else has changed the same just now", "look at theirs, then try again") from error
    except BusUnavailable as error:
        raise Trouble(f"the bus did not answer: {error}", remedy) from error
