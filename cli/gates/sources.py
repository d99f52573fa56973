"""Making a source: a secret address, or a user of the MQTT listener. The file keeps hashes only."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex, token_urlsafe

import bcrypt

from cli.terminal import Trouble

TOKEN_BYTES = 32
BCRYPT_ROUNDS = 11
"""What nats-server's own tool takes; its check of a new connection takes about a tenth of a second."""
MAX_ID = 63


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source as the device gets it, and the lines that let ingest recognise it."""

    id: str
    secret: str
    """The token in its address, or its password."""
    toml: str
    is_mqtt: bool

    def address(self, ingest: str) -> str:
        """Return the address to which the device sends."""
        return f"{ingest.rstrip('/')}/v1/devices/{self.secret}"


def make_source(library: str, name: str, source_id: str, taken: Sequence[str], *, is_mqtt: bool) -> NewSource:
    """Return a new source and its table for `libraries.toml`. Raises Trouble for an id that cannot be used."""
    chosen = source_id or _free_id(library, name, taken)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", chosen):
        raise Trouble(f"{chosen!r} cannot be used as an id", "use small letters, digits and hyphens, like front-door")
    if chosen in taken:
        raise Trouble(f"there is a source {chosen!r} already", "choose another with --id")
    secret = token_urlsafe(TOKEN_BYTES)
    lines = ["[[libraries.sources]]", f'id = "{chosen}"']
    if name:
        lines.append(f"name = {json.dumps(name, ensure_ascii=False)}")
    if is_mqtt:
        hashed = bcrypt.hashpw(secret.encode(), bcrypt.gensalt(BCRYPT_ROUNDS, prefix=b"2a")).decode()
        lines += ['type = "listener"', f'password_bcrypt = "{hashed}"']
    else:
        lines += ['type = "url"', f'token_sha256 = "{sha256(secret.encode()).hexdigest()}"']
    return NewSource(chosen, secret, "\n".join(lines) + "\n", is_mqtt)


def _free_id(library: str, name: str, taken: Sequence[str]) -> str:
    wanted = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[: MAX_ID - 8].strip("-") or f"{library[:50]}-box"
    return wanted if wanted not in taken else f"{wanted}-{token_hex(2)}"
