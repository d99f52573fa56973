"""`placelibre bench`: a house of its own on free ports, measured, and gone again."""

from __future__ import annotations

import asyncio
import json
import platform
import signal
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated, Final

import httpx
import typer
from rich.table import Table

from cli.benchmark.figures import Figure
from cli.benchmark.scenarios import GATE, LIBRARY, Place, packs, road
from cli.bus_access import BusAddress, operator_bus
from cli.children import this_command
from cli.data_folder import DataFolder
from cli.terminal import ERR, OUT, JsonValue, Trouble, command_app, examples, say_json
from shared.runtime.bus import Bus
from shared.runtime.clock import monotonic_s, now, pause_s

app = command_app()

READY_S: Final = 60.0
RESULTS: Final = Path("bench-results")
Scenario = Callable[[Place, Bus, int, Callable[[str, int, int], None]], Awaitable[list[Figure]]]
SCENARIOS: Final[dict[str, tuple[Scenario, int]]] = {"road": (road, 300), "packs": (packs, 400)}
"""Each scenario with how often it is repeated."""


@app.command(epilog=examples("placelibre bench", "placelibre bench road --json"))
def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SCENARIOS)}; all if left out.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures for a program.")] = False,
) -> None:
    """Measure this machine: the way of a reading, and how many are taken in, beside the bus alone.

    Durable as in operation: the bus acknowledges what is on the disk. The machine should be idle otherwise.
    """
    chosen = names or list(SCENARIOS)
    for name in chosen:
        if name not in SCENARIOS:
            raise Trouble(f"there is no scenario {name!r}", f"choose among {', '.join(SCENARIOS)}")
    with tempfile.TemporaryDirectory(prefix="placelibre-bench-") as folder, _house(Path(folder)) as (place, address):
        figures = asyncio.run(_measure(chosen, place, address))
    result: dict[str, JsonValue] = {
        "at": now().isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "figures": [figure.as_json() for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(result, indent=2) + "\n")
    if as_json:
        say_json(result)
    else:
        _show(figures)


async def _measure(names: list[str], place: Place, address: BusAddress) -> list[Figure]:
    figures: list[Figure] = []
    with ERR.status("measuring") as status:

        def progress(name: str, done: int, of: int) -> None:
            status.update(f"{name}: {done} of {of}")

        async with operator_bus(address) as bus:
            for name in names:
                scenario, repeats = SCENARIOS[name]
                figures += await scenario(place, bus, repeats, progress)
    return figures


def _show(figures: list[Figure]) -> None:
    table = Table("what", "measured", "reference", "ratio", "the reference is")
    for figure in figures:
        digits = 0 if figure.unit == "/s" else 2
        reference = "-" if figure.reference is None else f"{figure.reference:,.{digits}f} {figure.unit}"
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        measured = f"{figure.measured:,.{digits}f} {figure.unit}"
        table.add_row(figure.name, measured, reference, ratio, figure.reference_name)
    OUT.print(table)
    OUT.print(f"kept in {RESULTS / 'latest.json'}", highlight=False)


@contextmanager
def _house(folder: Path) -> Iterator[tuple[Place, BusAddress]]:
    """Run `placelibre up` with one library on free ports until the block ends."""
    secrets = {"staff": token_urlsafe(24), "gate": token_urlsafe(24)}
    config = folder / "libraries.toml"
    config.write_text(_configuration(secrets))
    ports = _free_ports(7)
    options = (
        *("--port", "--ingest-port", "--aggregator-port", "--publisher-port", "--nats-port", "--nats-monitor-port"),
        "--auditor-port",
    )
    arguments = [part for option, port in zip(options, ports, strict=True) for part in (option, str(port))]
    data = DataFolder(folder / "data")
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            this_command("up", "--config", str(config), "--data", str(data.path), *arguments),
            stdout=output,
            stderr=output,
        )
        try:
            api, ingest = (f"http://127.0.0.1:{port}" for port in ports[:2])
            _wait_for(f"{api}/v1/libraries/{LIBRARY}", process, log)
            place = Place(ingest, api, f"bench-staff.{secrets['staff']}", f"bench-gate.{secrets['gate']}")
            yield place, BusAddress(f"nats://127.0.0.1:{ports[4]}", data.seed_file("operator"))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic_s() + READY_S
    while True:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass  # it is still starting
        if process.poll() is not None or monotonic_s() > deadline:
            words = log.read_text(errors="replace").strip()
            raise Trouble("the house to be measured did not start", words or "see `placelibre up`")
        pause_s(0.05)


def _configuration(secrets: dict[str, str]) -> str:
    hashes = {role: sha256(secret.encode()).hexdigest() for role, secret in secrets.items()}
    keys = "".join(
        f'\n[[libraries.keys]]\nid = "bench-{role}"\nsha256 = "{digest}"\ndevice = "{role}"\nrole = "{role}"\n'
        for role, digest in hashes.items()
    )
    return (
        f'[[libraries]]\nid = "{LIBRARY}"\nname = "Bench"\ntime_zone = "UTC"\nopening_hours = "24/7"\n'
        f'capacity = 1000\n\n[[libraries.gates]]\nid = "{GATE}"\n{keys}'
    )


def _free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
