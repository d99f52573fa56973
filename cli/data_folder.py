"""The folder in which `placelibre up` keeps everything: the bus's files, keys, logs, and who is running on it."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from pwd import getpwuid
from secrets import token_urlsafe
from typing import Annotated, Final

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from cli.terminal import Trouble
from shared.contracts.configuration import SIMULATION_KEY_ID

DATA: Final = Path(".placelibre")
NOT_IN_A_DRILL: Final = ("ingest", "publisher")
"""The services that reach out: sources are fetched by the one, everything that is said is said by the other."""
DataOption = Annotated[
    Path,
    typer.Option("--data", envvar="PLACELIBRE_DATA", help="The folder of `placelibre up`.", file_okay=False),
]


class Addresses(BaseModel):
    """Where the parts of a running `placelibre up` listen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    nats: str
    ingest: str = ""
    ingest_certificate: str = ""
    """The file with the certificate that ingest shows; empty where it serves plain HTTP."""
    api: str = ""
    aggregator: str = ""
    publisher: str = ""
    carrier: str = ""
    auditor: str = ""
    monitor: str = ""
    """The bus's own figures."""
    leaf: str = ""
    """The name of the branch that runs here; empty at the centre."""
    is_drill: bool = False
    """Whether only what shows a backup runs: neither ingest nor the publisher."""

    def of_services(self) -> dict[str, str]:
        """Return the addresses of the services that run, by name, in the order of the road."""
        names = ("carrier", "ingest", "aggregator", "publisher", "api", "auditor")
        return {name: address for name in names if (address := getattr(self, name))}


class DataFolder:
    """Names everything inside; nothing is made before it is needed."""

    def __init__(self, path: Path) -> None:
        """Take a folder that may not exist yet."""
        self.path = path
        self.bus_home = path / "bus"
        self.logs = path / "logs"
        self.simulation_key_file = path / "keys" / "simulation.key"
        self.secrets = path / "secrets"
        """Tokens of channels, one file each; what is in here is committed nowhere."""
        self.exports = path / "exports"
        """The nightly exports; better on another disk, with PLACELIBRE_EXPORT_DIR."""
        self._lock_file = path / "up.lock"
        self._addresses_file = path / "up.json"

    def seed_file(self, user: str) -> Path:
        """Return the file with a user's nkey seed; the bus server makes them."""
        return self.bus_home / "nkeys" / f"{user}.nk"

    def log_file(self, name: str) -> Path:
        """Return the log of one part."""
        return self.logs / f"{name}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against a second `up`.

        The kernel keeps the lock and lets go of it when its holder ends, however that happens: there is no stale one.

        Raises:
            Trouble: another process holds it, it is another user's, or it cannot be written.
        """
        self._refuse_another_owner()
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Trouble(f"{self.path} cannot be used: {error}", "give another folder with --data") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                addresses = self._read_addresses()
                whom = f" (process {addresses.pid}, page at {addresses.api})" if addresses else ""
                raise Trouble(
                    f"another `placelibre up` is running on {self.path}{whom}",
                    "use that one, stop it with Ctrl-C, or give this one a folder and ports of its own with --data,"
                    " --port, --ingest-port and --nats-port",
                ) from error
            yield
            self._addresses_file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _refuse_another_owner(self) -> None:
        """Keep root from leaving files in a folder whose service could not read them afterwards. Raises Trouble."""
        try:
            owner = self.path.stat().st_uid
        except OSError:
            return  # it is made, or the attempt to says what is wrong
        if os.geteuid() != 0 or owner == 0:
            return
        try:
            name = getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise Trouble(
            f"{self.path} belongs to {name}, and what root writes there {name} cannot read",
            f"run it as its owner: sudo -u {shlex.quote(name)} and the same again",
        )

    def write_addresses(self, addresses: Addresses) -> None:
        """Tell the other commands where everything listens."""
        self._addresses_file.write_text(addresses.model_dump_json(indent=2))

    def addresses(self) -> Addresses | None:
        """Return where the parts of the `up` that runs on this folder listen, None if none does."""
        try:
            # For reading alone: who asks may be confined, as the unit of the nightly backup is.
            descriptor = os.open(self._lock_file, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return self._read_addresses()
        finally:
            os.close(descriptor)
        return None

    def simulation_key(self) -> str:
        """Return the key with which simulations and playbacks send, `<id>.<secret>`; made at the first call."""
        path = self.simulation_key_file
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{SIMULATION_KEY_ID}.{token_urlsafe(32)}\n")
        return path.read_text().strip()

    def _read_addresses(self) -> Addresses | None:
        try:
            return Addresses.model_validate_json(self._addresses_file.read_bytes())
        except (OSError, ValidationError):
            return None


def sha256_of_secret(key: str) -> str:
    """Return the hash, in hex, of the secret in `<id>.<secret>`."""
    return sha256(key.partition(".")[2].encode()).hexdigest()
