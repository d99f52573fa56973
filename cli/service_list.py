"""Which services `placelibre doctor --services` is to ask: addresses by commas, or a file with one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli.terminal import Trouble

PORTS: Final = {8000: "api", 8001: "ingest", 8002: "aggregator", 8003: "publisher", 8004: "carrier", 8005: "auditor"}
"""The usual ports say which service it is, where neither its name nor its host does."""
KINDS: Final = frozenset(PORTS.values())


@dataclass(frozen=True, slots=True)
class Service:
    """One process to ask: which service it is, how it is called in findings, and where it answers."""

    kind: str
    name: str
    address: str
    is_of_this_machine: bool = False
    """One that `placelibre up` has started here; its certificate is of another name than that by which we ask."""


def services_of(wanted: str) -> list[Service]:
    """Read what was given: a file, or addresses by commas. Raises Trouble, saying what would be right."""
    path = Path(wanted)
    if "://" not in wanted and not path.is_file():
        raise Trouble(
            f"{wanted} is neither a file nor an address",
            "give addresses like http://10.0.0.7:8001 with commas between them, or a file with one a line",
        )
    try:
        lines = path.read_text().splitlines() if "://" not in wanted else wanted.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(
            f"{wanted} cannot be read: {type(error).__name__}", "give a text file, an address a line"
        ) from error
    stripped = (each.partition("#")[0].strip() for each in lines)
    return list(_named([each for each in stripped if each]))


def of_addresses(addresses: dict[str, str]) -> list[Service]:
    """Return the services of a `placelibre up` by their names."""
    return [Service(name, name, address, is_of_this_machine=True) for name, address in addresses.items()]


def _named(lines: Iterable[str]) -> Iterator[Service]:
    found = [_service(each) for each in lines]
    kinds = [kind for kind, _ in found]
    for kind, address in found:
        is_one = kinds.count(kind) == 1
        yield Service(kind, kind if is_one else f"{kind} at {urlsplit(address).netloc}", address)


def _service(line: str) -> tuple[str, str]:
    """Return which service a line means, and its address: `ingest=http://10.0.0.7:9000`, or the address alone."""
    name, separator, rest = line.partition("=")
    kind, address = (name.strip(), rest.strip()) if separator and "://" not in name else ("", line)
    url = urlsplit(address)
    try:
        port = url.port
    except ValueError:
        port = None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise Trouble(f"{line!r} is no address of a service", "give it like http://10.0.0.7:8001, or api=http://...")
    guessed = next((each for each in KINDS if each in url.hostname.split(".")[0].split("-")), PORTS.get(port or 0, ""))
    kind = kind or guessed
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise Trouble(
            f"which service answers at {address}?", f"say so before it, as in ingest={address}; there are {known}"
        )
    return kind, address.rstrip("/")
