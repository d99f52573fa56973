"""Which sources and devices there are: the applied configuration and what has been claimed, as ingest needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from zoneinfo import ZoneInfo

from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import AnySource, Claim, Device, UrlSource


@dataclass(frozen=True, slots=True)
class Known:
    """A device whose figures count, and the library for which they do."""

    library: LibraryConfig
    device: Device
    since: str = ""
    """When it was claimed; empty for a device of the file."""
    source: AnySource | None = None
    """Its source; None where that is not configured any more."""

    @property
    def fingerprint(self) -> str:
        """What changes whenever quarantined bodies may count that did not.

        The device is led elsewhere or claimed anew, its gate or its source's format has come to be.
        """
        source = self.source.model_dump_json() if self.source else ""
        misled = self.library.fault_of(self.device)
        words = f"{self.library.id}\n{self.device.model_dump_json()}\n{self.since}\n{source}\n{misled}"
        return blake2b(words.encode(), digest_size=8).hexdigest()

    def is_same_box(self, other: Known | None) -> bool:
        """Tell whether another one is this device, whatever has changed around it."""
        return other is not None and (other.library.id, other.device) == (self.library.id, self.device)


@dataclass(slots=True)
class Registry:
    """Sources by id and by the hash of their token, devices by source and serial number.

    `on_change` is called after each change, so that sources can be started and claims be followed up.
    """

    libraries: dict[str, LibraryConfig] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    on_change: list[Callable[[], None]] = field(default_factory=list)
    _sources: dict[str, tuple[LibraryConfig, AnySource]] = field(default_factory=dict)
    _by_token: dict[str, str] = field(default_factory=dict)
    _devices: dict[tuple[str, str], Known] = field(default_factory=dict)
    _of_source: dict[str, list[Known]] = field(default_factory=dict)

    def put(self, library: LibraryConfig) -> None:
        """Take a library's new configuration."""
        self.libraries[library.id] = library
        self._build()

    def drop(self, library_id: str) -> None:
        """Forget a library, its sources and its devices."""
        self.libraries.pop(library_id, None)
        self._build()

    def put_claim(self, key: str, claim: Claim) -> None:
        """Take a claim."""
        self.claims[key] = claim
        self._build()

    def drop_claim(self, key: str) -> None:
        """Forget a claim that was released."""
        if self.claims.pop(key, None) is not None:
            self._build()

    def source(self, source_id: str) -> AnySource | None:
        """Return a source, or None."""
        found = self._sources.get(source_id)
        return found[1] if found else None

    def sources(self) -> dict[str, AnySource]:
        """Return all sources by their ids."""
        return {name: source for name, (_, source) in self._sources.items()}

    def source_of_token(self, token: str) -> AnySource | None:
        """Return the source that has this secret in its address, or None."""
        # Found by its hash: how long that takes says nothing about the token.
        return self.source(self._by_token.get(sha256(token.encode(errors="replace")).hexdigest(), ""))

    def library_of(self, source: AnySource) -> str:
        """Return the library in which a source stands."""
        return self._sources[source.id][0].id

    def time_zone_of(self, source: AnySource) -> ZoneInfo:
        """Return the time zone of a source's times that come without one."""
        return ZoneInfo(source.time_zone or self._sources[source.id][0].time_zone)

    def library_zone(self, source_id: str) -> ZoneInfo:
        """Return the time zone of the library in which a source stands."""
        return ZoneInfo(self._sources[source_id][0].time_zone)

    def find(self, source_id: str, serial: str) -> Known | None:
        """Return the device with this serial number behind a source.

        A device without a serial number is whatever its source speaks of; a body that names none is of the source's
        only device.
        """
        of_source = self._of_source.get(source_id, ())
        if not serial and len(of_source) == 1:
            return of_source[0]
        return self._devices.get((source_id, serial)) or self._devices.get((source_id, ""))

    def known(self) -> Iterator[Known]:
        """Yield every device that counts."""
        yield from self._devices.values()

    def _build(self) -> None:
        libraries = self.libraries.values()
        self._sources = {source.id: (library, source) for library in libraries for source in library.sources}
        self._by_token = {
            source.token_sha256: name for name, (_, source) in self._sources.items() if isinstance(source, UrlSource)
        }
        self._devices = {}
        for known in (*self._claimed(), *self._configured()):  # what the file says stands over a claim
            self._devices[known.device.source, known.device.serial] = known
        self._of_source = {}
        for known in self._devices.values():
            self._of_source.setdefault(known.device.source, []).append(known)
        for callback in self.on_change:
            callback()

    def _configured(self) -> Iterable[Known]:
        for library in self.libraries.values():
            for device in library.devices:
                yield Known(library, device, "", self.source(device.source))

    def _claimed(self) -> Iterable[Known]:
        for claim in self.claims.values():
            library = self.libraries.get(claim.library)
            if library is not None:
                yield Known(library, claim.device, claim.at.isoformat(), self.source(claim.device.source))
