"""Matrix's own homeserver, Synapse, on this machine: PyPI's package in an environment of its own, and SQLite."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any, Final

import httpx

from tests.conftest import free_port
from tests.servers import HOME

VERSION: Final = "1.163.2"
PYTHON: Final = HOME / "synapse" / "bin" / "python"
START_S: Final = 60.0
DOMAIN: Final = "matrix.example"
GENEROUS: Final = {"per_second": 1000, "burst_count": 10000}


def missing() -> str | None:
    """Say what is missing, or None."""
    return None if PYTHON.exists() and _stamp().exists() else "Synapse is not installed: make servers"


def install() -> None:
    """Install Synapse with its dependencies, about 150 MB."""
    if missing() is None:
        return
    subprocess.run([sys.executable, "-m", "venv", str(PYTHON.parent.parent)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"matrix-synapse=={VERSION}"], check=True)
    _stamp().touch()


def _stamp() -> Path:
    return PYTHON.parent.parent / f".placelibre-{VERSION}"


@dataclass
class Synapse:
    """A homeserver with its files under `home`; it may be killed, and started again over them."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        configuration = str(self.home / "homeserver.yaml")
        with (self.home / "synapse.log").open("ab") as log:
            command = [str(PYTHON), "-m", "synapse.app.homeserver", "-c", configuration]
            self.process = subprocess.Popen(command, cwd=self.home, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.base}/health", timeout=5).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"Synapse did not start: {(self.home / 'synapse.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def register(self, user: str, password: str) -> tuple[str, str]:
        """Make an account; return its user id and an access token."""
        body = {"username": user, "password": password, "auth": {"type": "m.login.dummy"}, "device_id": "FIRST"}
        answer = httpx.post(f"{self.base}/_matrix/client/v3/register", json=body, timeout=30)
        answer.raise_for_status()
        made = answer.json()
        return made["user_id"], made["access_token"]

    def log_out(self, token: str) -> None:
        """End a session and forget its device, as an administrator or another client of the account may."""
        headers = {"Authorization": f"Bearer {token}"}
        httpx.post(f"{self.base}/_matrix/client/v3/logout", headers=headers, timeout=30).raise_for_status()


@contextmanager
def running(home: Path, *, is_limited: bool = False) -> Iterator[Synapse]:
    """Run Synapse with its files under `home`; `is_limited` leaves the limits on messages at Synapse's defaults."""
    port = free_port()
    (home / "signing.key").write_text(f"ed25519 a_test {b64encode(token_bytes(32)).decode().rstrip('=')}\n")
    # YAML takes JSON.
    (home / "homeserver.yaml").write_text(json.dumps(_configuration(home, port, is_limited=is_limited)))
    server = Synapse(home, port)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _configuration(home: Path, port: int, *, is_limited: bool) -> dict[str, Any]:
    logins = {"address": GENEROUS, "account": GENEROUS, "failed_attempts": GENEROUS}
    joins = {"local": GENEROUS, "remote": GENEROUS}
    return {
        "server_name": DOMAIN,
        "listeners": [
            {"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}
        ],
        "database": {"name": "sqlite3", "args": {"database": str(home / "homeserver.db")}},
        "signing_key_path": str(home / "signing.key"),
        "media_store_path": str(home / "media"),
        "macaroon_secret_key": token_hex(16),
        "form_secret": token_hex(16),
        "report_stats": False,
        "trusted_key_servers": [],
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "bcrypt_rounds": 4,
        "rc_registration": GENEROUS,
        "rc_login": logins,
        "rc_joins": joins,
        "rc_room_creation": GENEROUS,
        **({} if is_limited else {"rc_message": GENEROUS}),
    }
