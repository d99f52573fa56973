"""nats-server's configuration as text: users with their rights, and a server of containers or of a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.contracts.permissions import SERVICES, Permissions

CLIENT_PORT, ROUTE_PORT, MONITOR_PORT = 4222, 6222, 8222
MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
"""Room for a chunk of a checkpoint and for a full pack of readings."""
MAX_FILE_STORE_GB: Final = 7
"""A little above the sum of the streams' own limits, which nats-server reserves; keep the disk above it."""
MAX_CONNECTIONS: Final = 500
"""A dozen services with a few connections each, several times over; whoever leaks them is stopped before the bus is."""
WRITE_DEADLINE_S: Final = 10
"""A client that does not read for so long is let go; it reads on from where it was."""
HANDSHAKE_S: Final = 5
LAME_DUCK_S: Final = 30
"""Over so long a server that is to stop sends its clients to the others; the shortest that nats-server takes."""
LAME_DUCK_GRACE_S: Final = 5
AUTHORIZATION: Final = "authorization.conf"
CLUSTER: Final = "placelibre"
TLS_VERSION: Final = '"1.3"'
"""The least that is spoken: at both ends of every line of the bus are programs of ours or nats-server itself."""


@dataclass(frozen=True, slots=True)
class Node:
    """One server: its name, and where clients, other servers and probes find it."""

    name: str
    host: str
    """As the others reach it; it stands in the certificate."""
    port: int = CLIENT_PORT
    route_port: int = ROUTE_PORT
    monitor_port: int = MONITOR_PORT


@dataclass(frozen=True, slots=True)
class Layout:
    """What all servers of one bus have in common. `nodes` is one, or the three of a cluster."""

    nodes: tuple[Node, ...]
    mounted_at: str
    """The folder as the servers see it."""
    store: str
    """Where JetStream keeps its files, likewise."""
    listen_host: str = "0.0.0.0"  # noqa: S104  in a container there is nothing else; TLS and keys guard it
    monitor_host: str = "127.0.0.1"
    max_file_store_gb: int = MAX_FILE_STORE_GB
    sync: str = "always"


def render_user(public_key: str, permissions: Permissions, connection: str = "STANDARD") -> str:
    """Return one user of an `authorization` block; `connection` is the only kind it may make."""
    rights = {
        "publish": {"allow": list(permissions.publish)},
        "subscribe": {"allow": list(permissions.subscribe)},
    }
    kinds = json.dumps([connection])
    return f"    {{ nkey: {public_key}, allowed_connection_types: {kinds}, permissions: {json.dumps(rights)} }}"


def render_authorization(users: Mapping[str, Sequence[str]]) -> str:
    """Return the users and their rights; a user whose key is being changed has two of them.

    `users` maps names in `shared.contracts.permissions` to public keys. There is no user for whoever shows no key.
    """
    rendered = ",\n".join(
        f"    # {name}\n{render_user(key, SERVICES[name])}" for name, keys in users.items() for key in keys
    )
    return f"""\
# Written by `placelibre bus init`, from the rights of this version of Placelibre: change nothing here.
authorization {{
  timeout: {HANDSHAKE_S}
  users: [
{rendered}
  ]
}}
"""


def render_server(layout: Layout, node: Node) -> str:
    """Return one server's configuration: TLS from the first byte, JetStream on disk, probes apart."""
    return f"""\
# Written by `placelibre bus init`, once: from here on it is yours.
server_name: {json.dumps(node.name)}
listen: {json.dumps(f"{layout.listen_host}:{node.port}")}
# Plain HTTP without a password, for probes: who may reach it must be settled elsewhere if it is not loopback.
http: {json.dumps(f"{layout.monitor_host}:{node.monitor_port}")}
tls {{
{_render_files(layout)}
  min_version: {TLS_VERSION}
  # Nothing is said before the handshake, so that nobody on the way can say that there is to be none.
  handshake_first: true
  timeout: {HANDSHAKE_S}
}}
max_payload: {MAX_PAYLOAD_BYTES}
max_connections: {MAX_CONNECTIONS}
write_deadline: "{WRITE_DEADLINE_S}s"
lame_duck_duration: "{LAME_DUCK_S}s"
lame_duck_grace_period: "{LAME_DUCK_GRACE_S}s"
logtime: true
jetstream {{
  store_dir: {json.dumps(layout.store)}
  max_file_store: {layout.max_file_store_gb}G
  max_memory_store: 256M
  # An acknowledged reading must survive a power cut; the default acknowledges up to two minutes before the disk.
  sync_interval: {layout.sync}
}}
{_render_cluster(layout, node)}include {json.dumps(AUTHORIZATION)}
"""


def configuration_name(layout: Layout, number: int) -> str:
    """Return the file of one server's configuration."""
    return "nats-server.conf" if len(layout.nodes) == 1 else f"nats-server-{number}.conf"


def _render_files(layout: Layout) -> str:
    tls = _tls(layout)
    return f"  cert_file: {json.dumps(f'{tls}/server.pem')}\n  key_file: {json.dumps(f'{tls}/server-key.pem')}"


def _tls(layout: Layout) -> str:
    return f"{layout.mounted_at.rstrip('/')}/tls"


def _render_cluster(layout: Layout, node: Node) -> str:
    if len(layout.nodes) == 1:
        return ""
    others = [f"tls://{_in_url(each.host)}:{each.route_port}" for each in layout.nodes if each != node]
    routes = ", ".join(json.dumps(each) for each in others)
    return f"""\
cluster {{
  name: {CLUSTER}
  listen: {json.dumps(f"{layout.listen_host}:{node.route_port}")}
  # Clients are told all addresses; what a server would say of itself are addresses that no certificate names.
  no_advertise: true
  # Both ends show a certificate of our authority: nobody else becomes a part of the cluster.
  tls {{
{_render_files(layout)}
  ca_file: {json.dumps(f"{_tls(layout)}/ca.pem")}
  verify: true
  min_version: {TLS_VERSION}
  timeout: {HANDSHAKE_S}
  }}
  routes: [{routes}]
}}
"""


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
