"""The bus of a data folder, started alone for one command: no service runs beside it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.bus_access import BusAddress, bus_address
from cli.bus_server import BusServer, BusServerFailed
from cli.data_folder import DataFolder
from cli.terminal import Trouble, warn

STOP_S: Final = 120.0
"""For the bus to put everything on the disk; a slow one takes a while."""


@contextmanager
def bus_alone(
    folder: DataFolder, nats_url: str | None, seed_file: Path | None, ca_file: Path | None
) -> Iterator[BusAddress]:
    """Give the bus that is meant; that of a data folder is started, alone, and stopped again. Raises Trouble."""
    if nats_url is not None:
        yield BusAddress(nats_url, seed_file, ca_file)
        return
    with folder.held():
        server = BusServer(folder.bus_home, _free_port(), _free_port())
        try:
            process = server.start(folder.log_file("bus"))
        except (BusServerFailed, OSError) as error:
            raise Trouble(f"the bus cannot be started: {error}", f"see {folder.log_file('bus')}") from error
        try:
            yield BusAddress(server.url, server.seed_file("operator"))
        finally:
            _stop(process)


@contextmanager
def bus_at_rest_or_running(
    folder: DataFolder, nats_url: str | None, seed_file: Path | None, ca_file: Path | None
) -> Iterator[BusAddress]:
    """Give the bus that is meant: one that runs as it is, and that of a folder on which nothing runs, alone.

    A folder without a bus is refused, for a new one would be made in it. Raises Trouble.
    """
    if nats_url is None and folder.addresses() is None and (folder.bus_home / "jetstream").is_dir():
        with bus_alone(folder, None, None, None) as address:
            yield address
        return
    yield bus_address(folder, nats_url, seed_file, ca_file)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server, whatever it takes: nobody else may have the folder while it still writes there."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        warn(f"the bus has not stopped within {STOP_S:g} s and was ended; what it has acknowledged is on the disk")
    finally:  # Ctrl-C while it is waited for leaves no server behind, either
        if process.poll() is None:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
