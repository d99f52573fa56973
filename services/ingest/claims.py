"""The devices that somebody has claimed, followed from the bucket CLAIMS."""

from __future__ import annotations

from pydantic import ValidationError

from services.ingest.registry import Registry
from shared.contracts import subjects
from shared.contracts.devices import Claim
from shared.runtime.bus import Bus
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)


async def follow_claims(bus: Bus, registry: Registry, readiness: Readiness) -> None:
    """Keep the registry as the bucket has it, for ever; `readiness` hears when all have been read once."""
    readiness.needs("claims", "the claimed devices have not been read yet")
    while True:
        try:
            async for updates in watch(bus, subjects.CLAIMS):
                for update in updates.updates:
                    take(registry, update)
                if updates.is_caught_up:
                    readiness.has("claims")
        except LogReset:
            log.warning("claims_bucket_replaced")
            for key in list(registry.claims):
                registry.drop_claim(key)


def take(registry: Registry, update: Update) -> None:
    """Take one update over; a claim that cannot be read changes nothing."""
    if update.entry is None:
        registry.drop_claim(update.key)
        return
    try:
        claim = Claim.model_validate_json(update.entry.value)
    except ValidationError as error:
        log.error("claim_refused", claim=update.key, faults=error.error_count())  # noqa: TRY400
        return
    registry.put_claim(update.key, claim)
