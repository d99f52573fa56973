"""Leaf nodes on both sides: the register of branches, the key that a branch gets, and nats-server's configuration.

A branch's key is one file: its name, its nkey, where the centre listens and the certificate of the centre's own
authority. The line is TLS from the first byte, so that nobody on the way reads along or answers in the centre's place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Final
from urllib.parse import urlsplit

import nkeys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from cli.bus_folder.rendering import MAX_PAYLOAD_BYTES, TLS_VERSION, render_user
from cli.terminal import Trouble
from shared.contracts.leaf import (
    CARRIER_AT_THE_GATE,
    CONNECTION,
    Leaf,
    LeafName,
    Leaves,
    domain_of,
    permissions_of,
    token_of,
)

LEAF_PORT: Final = 7422
"""NATS's own for leaf nodes."""
CERTIFICATE_DAYS: Final = 3650
"""The authority is ours alone and its key never leaves the folder; a line that fails in some years helps nobody."""
HANDSHAKE_S: Final = 10
RECONNECT_S: Final = 1
PING_S: Final = 20
"""A line that is cut in silence is noticed after three of these; a router forgets an idle connection after minutes."""


class LeafKey(BaseModel):
    """What a branch gets, as a file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    leaf: LeafName
    address: Annotated[str, Field(pattern=r"^[^\s/@]+:\d{1,5}$")] = Field(description="Where the centre listens.")
    seed: SecretStr
    authority: str = Field(description="The certificate, in PEM, of whoever signs the centre's.")

    @field_serializer("seed", when_used="json")
    def _with_seed(self, seed: SecretStr) -> str:
        return seed.get_secret_value()


@dataclass(frozen=True, slots=True)
class LeafListener:
    """Where the centre listens for leaves."""

    port: int
    host: str = "0.0.0.0"  # noqa: S104  branches come from elsewhere; nothing but leaf connections is taken here


@dataclass(frozen=True, slots=True)
class LeafRemote:
    """The centre, as a branch's bus reaches it."""

    key: LeafKey
    address: str

    @property
    def domain(self) -> str:
        """The JetStream domain of the branch's bus."""
        return domain_of(token_of(self.key.leaf, public_half(self.key.seed)))


class Register:
    """The leaves that may connect to one centre, beside its bus; and the authority that vouches for the centre."""

    def __init__(self, home: Path) -> None:
        """Take the folder of the bus; nothing is made before it is needed."""
        self.home = home
        self.file = home / "leaves.json"
        self._tls = home / "leaf-tls"

    def read(self) -> Leaves:
        """Return every leaf.

        Raises:
            Trouble: the file cannot be read.
        """
        try:
            return Leaves.model_validate_json(self.file.read_bytes())
        except FileNotFoundError:
            return Leaves()
        except (OSError, ValidationError) as error:
            raise Trouble(f"{self.file} cannot be read: {error}", "put it right, or back from a copy") from error

    def changed_at_ns(self) -> int:
        """Return a number that is another one after each change."""
        try:
            return self.file.stat().st_mtime_ns
        except OSError:
            return 0

    def write(self, leaves: Leaves) -> None:
        """Keep the leaves in place of those before. Raises Trouble."""
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_secret(self.file, leaves.model_dump_json(indent=2).encode())
        except OSError as error:
            raise Trouble(f"{self.file} cannot be written: {error.strerror}", "see that its folder is yours") from error

    def add(self, leaf: Leaf) -> None:
        """Add a leaf, or put it in the place of the one of its name. Raises Trouble."""
        others = tuple(each for each in self.read().leaves if each.name != leaf.name)
        self.write(Leaves(leaves=(*others, leaf)))

    def remove(self, name: str) -> None:
        """Let a leaf in no more. Raises Trouble."""
        self.write(Leaves(leaves=tuple(each for each in self.read().leaves if each.name != name)))

    def authority(self) -> str:
        """Return the certificate of our own authority, in PEM; made at the first call."""
        if not self._authority_file.exists():
            self._tls.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _certificate("Placelibre leaves", key, None)
            write_secret(self._tls / "authority.key", _pem(key))
            write_secret(self._authority_file, certificate.public_bytes(serialization.Encoding.PEM))
        return self._authority_file.read_text()

    def certificate(self, host: str) -> None:
        """See that the centre's certificate holds for an address under which branches reach it."""
        authority = x509.load_pem_x509_certificate(self.authority().encode())
        signer = serialization.load_pem_private_key((self._tls / "authority.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        hosts = self._hosts()
        if host in hosts:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate("Placelibre", key, (authority, signer), [*hosts, host])
        # One file for both: the server never finds a key that is another certificate's.
        write_secret(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM) + _pem(key))

    @property
    def certificate_file(self) -> Path:
        """The centre's certificate and its key, in one file."""
        return self._tls / "centre.pem"

    @property
    def _authority_file(self) -> Path:
        return self._tls / "authority.pem"

    def _hosts(self) -> list[str]:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        except OSError:
            return []
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [
            *names.get_values_for_type(x509.DNSName),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        ]


def new_seed() -> tuple[SecretStr, str]:
    """Return a new nkey: its seed, and its public half."""
    seed = SecretStr(bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)).decode())
    return seed, public_half(seed)


def public_half(seed: SecretStr) -> str:
    """Return the public half of an nkey.

    Raises:
        Trouble: the seed is none.
    """
    try:
        public: bytes = nkeys.from_seed(bytearray(seed.get_secret_value().encode())).public_key
    except (nkeys.NkeysError, ValueError) as error:
        raise Trouble("the key's seed is damaged", "give the file from the centre, as it is") from error
    return public.decode()


def read_key(path: Path) -> LeafKey:
    """Return a branch's key from its file.

    Raises:
        Trouble: it cannot be read, or is none.
    """
    try:
        return LeafKey.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Trouble(f"the key {path} cannot be read: {error.strerror}", "give the file from the centre") from error
    except ValidationError as error:
        where = ", ".join(".".join(map(str, each["loc"])) or "the whole" for each in error.errors(include_input=False))
        remedy = "give the file that `placelibre leaf new` wrote at the centre, as it is"
        raise Trouble(f"{path} is no key of a leaf: {where}", remedy) from error


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of `bus.library.example:7422` or `tls://bus.library.example`.

    Raises:
        Trouble: it is no such address.
    """
    parts = urlsplit(address if "://" in address else f"tls://{address}")
    try:
        host, port = parts.hostname, parts.port or LEAF_PORT
    except ValueError:
        host, port = None, 0
    is_bare = not (parts.username or parts.password or parts.path.strip("/") or parts.query)
    if not host or not is_bare or parts.scheme not in {"tls", "nats", "nats-leaf"}:
        raise Trouble(f"{address!r} is no address of a bus", "write it like bus.library.example:7422")
    return host, port


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, at once: whoever reads meanwhile has the old one or the new."""
    beside = path.with_name(f".{path.name}.{token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class LeafGate:
    """The nats-server to which leaves connect. It stores nothing, and the centre's bus is another process.

    nats-server takes acknowledgements and service replies from a leaf whatever its rights say; here there is nothing
    to acknowledge and no service. `port` is for the carrier, on this machine.
    """

    register: Register
    listener: LeafListener
    port: int

    @property
    def url(self) -> str:
        """The address for the carrier."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def seed_file(self) -> Path:
        """The carrier's nkey seed at the gate."""
        return self.register.home / "nkeys" / "carrier-at-the-gate.nk"

    @property
    def configuration(self) -> Path:
        """The file that nats-server is started with."""
        return self.register.home / "leaf-gate.conf"

    def prepare(self) -> None:
        """Write the configuration with the leaves that may connect now. Raises OSError, Trouble."""
        self.register.certificate("localhost")
        if not self.seed_file.exists():
            self.seed_file.parent.mkdir(parents=True, exist_ok=True)
            write_secret(self.seed_file, new_seed()[0].get_secret_value().encode())
        carrier = render_user(public_half(SecretStr(self.seed_file.read_text().strip())), CARRIER_AT_THE_GATE)
        leaves = [
            render_user(each.nkey, permissions_of(each.token), CONNECTION) for each in self.register.read().leaves
        ]
        write_secret(self.configuration, self._render([carrier, *leaves]).encode())

    def _render(self, users: list[str]) -> str:
        file = json.dumps(str(self.register.certificate_file))
        rendered = ",\n".join(users)
        return f"""\
server_name: placelibre-leaf-gate
listen: "127.0.0.1:{self.port}"
max_payload: {MAX_PAYLOAD_BYTES}
ping_interval: "{PING_S}s"
leafnodes {{
  listen: {json.dumps(f"{self.listener.host}:{self.listener.port}")}
  # A branch goes where it was told to go; addresses of this machine's networks are no business of its.
  no_advertise: true
  tls {{ cert_file: {file}, key_file: {file}, handshake_first: true, min_version: {TLS_VERSION},
    timeout: {HANDSHAKE_S} }}
}}
authorization {{
  users: [
{rendered}
  ]
}}
"""


def render_remote(remote: LeafRemote, home: Path) -> str:
    """Return the part of a branch's configuration that goes to the centre; writes the authority beside it.

    What is stored here crosses the line as answers to the centre's questions only, so the subjects themselves do not.
    """
    authority = home / "centre-authority.pem"
    write_secret(authority, remote.key.authority.encode())
    tls = (
        f"ca_file: {json.dumps(str(authority))}, handshake_first: true, min_version: {TLS_VERSION},"
        f" timeout: {HANDSHAKE_S}"
    )
    return f"""\
ping_interval: "{PING_S}s"
leafnodes {{
  reconnect: "{RECONNECT_S}s"
  remotes: [ {{
    url: {json.dumps(f"tls://{remote.address}")}
    nkey: {remote.key.seed.get_secret_value()}
    deny_exports: {json.dumps(NEVER_ACROSS)}
    deny_imports: {json.dumps(NEVER_ACROSS)}
    tls {{ {tls} }}
  }} ]
}}
"""


NEVER_ACROSS: Final = [
    *("readings.>", "ticks.>", "configured.>", "carried.>", "quarantine.>", "devices.>"),
    *("changes.>", "posts.>", "dead.>", "$KV.>", "$MQTT.>"),
]
"""The raw subjects: stored on one side they must not be stored on the other as well. The centre allows none of them;
this is the branch's own word for it."""


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    hosts: Iterable[str] = (),
) -> x509.Certificate:
    """Return a certificate; without a signer that of an authority, signed by itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_authority = signer is None
    issuer, signing_key = (subject, key) if signer is None else (signer[0].subject, signer[1])
    begin = datetime(2026, 1, 1, tzinfo=UTC)  # a branch's clock may be wrong; before this nothing of it existed
    end = begin + timedelta(days=2 * CERTIFICATE_DAYS if is_authority else CERTIFICATE_DAYS)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
    )
    if not is_authority:
        names = [_general_name(each) for each in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return builder.sign(signing_key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
