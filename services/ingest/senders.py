"""Who may send what: the libraries' configuration as ingest needs it, and the keys in it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from shared.contracts.configuration import SIMULATION_KEY_ID, Key, LibraryConfig
from shared.domain.library import ClockKind


@dataclass(frozen=True, slots=True)
class Sender:
    """A key that has proved its secret. `library` is None for the simulation, which has many."""

    key_id: str
    library: LibraryConfig | None
    key: Key | None

    @property
    def is_simulation(self) -> bool:
        """Whether this sender may say what time it is."""
        return self.key is None


@dataclass(slots=True)
class Senders:
    """The applied libraries and the keys of their senders, by id."""

    simulation_key_sha256: str = ""
    libraries: dict[str, LibraryConfig] = field(default_factory=dict)
    keys: dict[str, tuple[LibraryConfig, Key]] = field(default_factory=dict)

    def put(self, library: LibraryConfig) -> None:
        """Take a library's new configuration."""
        self.drop(library.id)
        self.libraries[library.id] = library
        for key in library.keys:
            self.keys[key.id] = (library, key)

    def drop(self, library_id: str) -> None:
        """Forget a library and its keys."""
        self.libraries.pop(library_id, None)
        self.keys = {key_id: owned for key_id, owned in self.keys.items() if owned[0].id != library_id}

    def authenticate(self, credential: str, now: datetime) -> Sender | None:
        """Return who holds `<id>.<secret>`, or None if nobody does. Takes the same time for any wrong secret."""
        key_id, _, secret = credential.partition(".")
        offered = sha256(secret.encode()).hexdigest()
        if key_id == SIMULATION_KEY_ID:
            expected = self.simulation_key_sha256
            is_right = hmac.compare_digest(offered, expected or "0" * 64)
            return Sender(SIMULATION_KEY_ID, None, None) if is_right and expected else None
        library, key = self.keys.get(key_id, (None, None))
        is_right = hmac.compare_digest(offered, key.sha256 if key else "0" * 64)
        if not is_right or key is None or (key.expires is not None and key.expires <= now):
            return None
        return Sender(key_id, library, key)

    def library_for(self, sender: Sender, library_id: str) -> LibraryConfig | str:
        """Return the library if the sender may write to it, else the reason why not."""
        if sender.library is not None:
            if library_id != sender.library.id:
                return f"key {sender.key_id} may write to {sender.library.id} only"
            if sender.library.clock is not ClockKind.WALL:
                return f"{library_id} runs on a {sender.library.clock} clock; only the simulation's key may write to it"
            return sender.library
        library = self.libraries.get(library_id)
        if library is None:
            return f"there is no library {library_id!r}; apply it first with `placelibre apply`"
        if library.clock is ClockKind.WALL:
            return f"{library_id} runs on the wall clock; the simulation may not write to it"
        return library
