"""The real nats-server as a child process: its configuration, its users, its start and stop.

For one machine. A cluster is configured in `deploy/`, from the same permissions.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nkeys

from cli.bus_folder.rendering import MAX_FILE_STORE_GB, MAX_PAYLOAD_BYTES, render_user
from cli.leaf_bus import LeafRemote, render_remote
from cli.lifeline import end_with_parent
from shared.contracts import subjects
from shared.contracts.leaf import AT_A_LEAF, CONFIGURED_FROM_THE_CENTRE
from shared.contracts.permissions import SERVICES, Permissions
from shared.runtime.clock import monotonic_s, pause_s

READY_TIMEOUT_S: Final = 20.0
MAX_FILE_STORE_AT_A_LEAF_GB: Final = 2
"""Likewise, for the few streams of a branch."""


class BusServerFailed(Exception):  # noqa: N818  the operator is told what to do
    """nats-server did not start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class MqttListener:
    """Where devices publish by MQTT; with a certificate and its key they do so by TLS."""

    port: int
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class BusServer:
    """Where one nats-server keeps its things and listens; `sync` is JetStream's sync_interval."""

    home: Path
    port: int
    monitor_port: int
    sync: str = "always"
    host: str = field(default="127.0.0.1")
    mqtt: MqttListener | None = None
    centre: LeafRemote | None = None
    """Set for the bus of such a branch."""

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://{self.host}:{self.port}"

    def seed_file(self, user: str) -> Path:
        """Return the file that holds a user's nkey seed."""
        return self.home / "nkeys" / f"{user}.nk"

    def prepare(self, devices: Mapping[str, str] | None = None) -> Path:
        """Make users (once) and the configuration (anew), and return the configuration's path.

        `devices` maps sources that publish by MQTT to the bcrypt hashes of their passwords. None of them may be in the
        configuration with which the server starts: without the streams of the provisioner it would make some of its
        own, and keep bodies on the disk.
        """
        (self.home / "jetstream").mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        users = {name: self._public_key(name) for name in (SERVICES if self.centre is None else AT_A_LEAF)}
        path = self.home / "nats-server.conf"
        new = path.with_suffix(".new")
        new.touch(mode=0o600)  # a branch's holds its key to the centre
        new.write_text(render_configuration(self, users, devices or {}))
        new.replace(path)  # the server never reads half of one
        return path

    def start(self, log_file: Path) -> subprocess.Popen[bytes]:
        """Start the server and wait until it takes connections; it ends with this process.

        Raises:
            BusServerFailed: the program is missing, its port is taken, or it ended at once.
        """
        self.prepare()
        if is_listening(self.host, self.port):
            raise BusServerFailed(
                f"port {self.port} is taken: is another `placelibre up` running? Choose another with --nats-port"
            )
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops the bus last
                preexec_fn=end_with_parent(),  # noqa: PLW1509  it calls prctl alone
            )
        deadline = monotonic_s() + READY_TIMEOUT_S
        while not is_listening(self.host, self.port):
            if process.poll() is not None or monotonic_s() > deadline:
                process.kill()
                process.wait()
                raise BusServerFailed(f"nats-server did not start; its last words are in {log_file}:\n{tail(log_file)}")
            pause_s(0.02)
        return process

    @property
    def command(self) -> list[str]:
        """The program and its arguments, once `prepare` has written the configuration.

        Raises:
            BusServerFailed: the program is missing.
        """
        return nats_server(self.home / "nats-server.conf")

    def _public_key(self, user: str) -> str:
        path = self.seed_file(user)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(bytes(seed))
        key: bytes = nkeys.from_seed(bytearray(path.read_bytes().strip())).public_key
        return key.decode()


def nats_server(configuration: Path) -> list[str]:
    """Return the program and its arguments.

    Raises:
        BusServerFailed: the program is missing.
    """
    program = Path(sys.executable).parent / "nats-server"
    if not program.exists():
        raise BusServerFailed(f"{program.name} is not installed beside this Python; run `make install`")
    return [str(program), "-c", str(configuration)]


def render_configuration(server: BusServer, users: dict[str, str], devices: Mapping[str, str] | None = None) -> str:
    """Return nats-server's configuration: loopback, JetStream on disk, one nkey user per service.

    `users` maps the service to its public key; what each may say and hear is in `shared.contracts.permissions`.
    `devices` maps sources that publish by MQTT to the bcrypt hashes of their passwords.
    """
    rendered = ",\n".join(
        [
            *(render_user(users[name], _rights_of(name, server)) for name in users),
            *(_render_device(source, password) for source, password in (devices or {}).items()),
        ]
    )
    return f"""\
server_name: {"placelibre" if server.centre is None else server.centre.domain}
listen: {json.dumps(f"{server.host}:{server.port}")}
http: {json.dumps(f"127.0.0.1:{server.monitor_port}")}
max_payload: {MAX_PAYLOAD_BYTES}
jetstream {{
  store_dir: {json.dumps(str(server.home / "jetstream"))}
  max_file_store: {MAX_FILE_STORE_GB if server.centre is None else MAX_FILE_STORE_AT_A_LEAF_GB}G
  max_memory_store: 256M
  # An acknowledged reading must survive a power cut; the default acknowledges up to two minutes before the disk.
  sync_interval: {server.sync}
{_render_domain(server.centre)}}}
{_render_mqtt(server.mqtt)}{_render_leaf_node(server)}authorization {{
  users: [
{rendered}
  ]
}}
"""


def _rights_of(user: str, server: BusServer) -> Permissions:
    """Return what a user may say and hear. At a branch nobody but the centre writes the configuration."""
    rights = SERVICES[user]
    if server.centre is None or user == "operator":
        return rights
    written = {subjects.key_subject(bucket, ">") for bucket in CONFIGURED_FROM_THE_CENTRE}
    return Permissions(tuple(each for each in rights.publish if each not in written), rights.subscribe)


def _render_device(source: str, password_bcrypt: str) -> str:
    rights = {
        "publish": {"allow": list(subjects.device_bodies(source))},
        "subscribe": {"deny": [">"]},
    }
    return (
        f"    {{ user: {json.dumps(source)}, password: {json.dumps(password_bcrypt)},"
        f' allowed_connection_types: ["MQTT"], permissions: {json.dumps(rights)} }}'
    )


def _render_domain(centre: LeafRemote | None) -> str:
    return "" if centre is None else f"  domain: {centre.domain}\n"


def _render_leaf_node(server: BusServer) -> str:
    return "" if server.centre is None else render_remote(server.centre, server.home)


def _render_mqtt(listener: MqttListener | None) -> str:
    if listener is None:
        return ""
    tls = ""
    if listener.certificate is not None and listener.key is not None:
        files = f"cert_file: {json.dumps(str(listener.certificate))}, key_file: {json.dumps(str(listener.key))}"
        tls = f"  tls {{ {files} }}\n"
    return f"""\
mqtt {{
  listen: {json.dumps(f"{listener.host}:{listener.port}")}
  # Nobody reads by MQTT here; whatever a reader would need must not be written to the disk either.
  consumer_memory_storage: true
{tls}}}
"""


def is_listening(host: str, port: int) -> bool:
    """Tell whether something takes connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def tail(path: Path, lines: int = 5) -> str:
    """Return a log's last lines."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
