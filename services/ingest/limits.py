"""How often, and how much, may be sent: by key or source, by address, without a valid key, and into quarantine.

The simulation's key, which is the operator's own, has no limit. What fits is never delayed: a bucket is full, or it is
said when to come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from services.ingest.settings import Settings
from shared.domain.token_bucket import Allowance
from shared.runtime.rate_limits import RateLimit, is_this_machine, network_of

BURST_S: Final = 20
"""A rate may be had for so long at once: a gateway that was away comes back with what its boxes have said."""
BURST_OF_BYTES_S: Final = 32
STRANGER_TRIES: Final = 20
STRANGER_SPAN_S: Final = 60.0
"""So many tries of one address without a key at once, and as many in that time. Nobody guesses a code; this is against
the noise."""
READS_PER_S: Final = 200
"""Of the staff's pages and what they ask for, by one address: twenty tablets that all begin at once stay below."""
KIB: Final = 1024
MIB: Final = 1024 * 1024
DAY_S: Final = 86_400
QUARANTINE_BACK: Final = 0.375
"""Of its share a source gets back in a day; with all of it at once, 58 MiB in seven days: less than a quarter."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process of ingest."""

    requests_of_key: RateLimit
    bytes_of_key: RateLimit
    requests_of_address: RateLimit
    reads_of_address: RateLimit
    wrong_keys: RateLimit
    strangers: RateLimit
    quarantine: RateLimit

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits that the settings say."""

        def limit(name: str, per_s: float, burst: float) -> RateLimit:
            return RateLimit("ingest", name, Allowance(per_s, max(burst, 1.0)))

        per_key, per_address = settings.requests_per_key_per_s, settings.requests_per_address_per_s
        of_bytes, wrong = settings.kib_per_key_per_s * KIB, settings.wrong_keys_per_address_per_min
        kept = settings.quarantine_mib_per_source * MIB
        return cls(
            limit("requests of a key", per_key, per_key * BURST_S),
            limit("bytes of a key", of_bytes, of_bytes * BURST_OF_BYTES_S),
            limit("requests of an address", per_address, per_address * BURST_S),
            limit("reads of an address", READS_PER_S, READS_PER_S * BURST_S),
            limit("wrong keys of an address", wrong / 60, wrong),
            limit("tries of an address without a key", STRANGER_TRIES / STRANGER_SPAN_S, STRANGER_TRIES),
            limit("bytes of a source in quarantine", kept * QUARANTINE_BACK / DAY_S, kept),
        )

    def write_of_address(self, address: str) -> int:
        """Return after how many seconds an address may send again; 0 for now."""
        return 0 if is_this_machine(address) else self.requests_of_address.retry_after_s(network_of(address))

    def read_of_address(self, address: str) -> int:
        """Return after how many seconds an address may ask again; 0 for now."""
        return 0 if is_this_machine(address) else self.reads_of_address.retry_after_s(network_of(address))
