"""Mosquitto, an MQTT broker: Debian's package, run from a configuration of the test's own and never as a service."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.conftest import free_port

PROGRAM: Final = "/usr/sbin/mosquitto"
START_S: Final = 20.0


def missing() -> str | None:
    """Say what is missing, or None."""
    return None if _program() else "Mosquitto is not installed: make servers, as root, or Debian's package mosquitto"


def install() -> None:
    """Install Debian's package where that is allowed; its service is kept from starting."""
    if missing() is None:
        return
    if os.geteuid() != 0:
        print(missing())
        return
    # Where nothing manages services this changes nothing; elsewhere the package would begin to listen on port 1883.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    subprocess.run(["apt-get", "install", "-y", "-qq", "mosquitto"], check=True, env=environment)


def _program() -> str | None:
    return PROGRAM if Path(PROGRAM).exists() else shutil.which("mosquitto")


@dataclass
class Mosquitto:
    """One broker. Its configuration is that of its files under `home` at its start."""

    home: Path
    port: int
    tls_port: int
    users: dict[str, str] = field(default_factory=dict)
    """Passwords; with any, nobody else is let in."""
    rules: tuple[str, ...] = ()
    """Lines of an access control list; without any everybody may do everything."""
    certificate: tuple[Path, Path] | None = None
    """Certificate and key of a listener with TLS on `tls_port`."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        """The address as the configuration of a channel names it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start with nothing retained, as a broker without persistence does after every start."""
        configuration = self.home / "mosquitto.conf"
        configuration.write_text("\n".join(self._lines()) + "\n")
        with (self.home / "mosquitto.log").open("ab") as log:
            program = _program() or PROGRAM
            self.process = subprocess.Popen([program, "-c", str(configuration)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError(f"Mosquitto did not start: {(self.home / 'mosquitto.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def hang(self) -> None:
        """Let it neither answer nor go away."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on after `hang`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _lines(self) -> Iterator[str]:
        yield "per_listener_settings false"
        yield "persistence false"
        yield "log_type all"
        if os.geteuid() == 0:
            yield "user root"  # another user could not read a test's files
        if self.users:
            passwords = self.home / "passwords"
            passwords.write_text("".join(f"{name}:{password}\n" for name, password in self.users.items()))
            passwords.chmod(0o600)
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
            yield f"password_file {passwords}"
        yield f"allow_anonymous {'false' if self.users else 'true'}"
        if self.rules:
            rules = self.home / "rules"
            rules.write_text("\n".join(self.rules) + "\n")
            rules.chmod(0o600)
            yield f"acl_file {rules}"
        yield f"listener {self.port} 127.0.0.1"
        if self.certificate:
            yield f"listener {self.tls_port} 127.0.0.1"
            yield f"certfile {self.certificate[0]}"
            yield f"keyfile {self.certificate[1]}"


@contextmanager
def running(home: Path) -> Iterator[Mosquitto]:
    """Give a broker of one's own, to be started and killed at will; it is gone at the end."""
    broker = Mosquitto(home, free_port(), free_port())
    try:
        yield broker
    finally:
        broker.kill()
