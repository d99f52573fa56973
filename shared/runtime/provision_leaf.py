"""What the bus of a branch holds: the same streams as at the centre, as far as ingest needs them.

Its log differs in two points. It has no age: a reading that the centre has not fetched yet must not go because the line
was down for long; the centre itself takes away what it has (services/carrier). And where it is full it refuses: the
branch's ingest then answers 503, and whoever sends keeps what they have.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from shared.contracts import subjects
from shared.contracts.leaf import BUCKETS_AT_A_LEAF, STREAMS_AT_A_LEAF
from shared.contracts.streams import BUCKETS, DURABLES, MIB, STREAMS, StreamSpec
from shared.runtime.bus import Bus
from shared.runtime.provision import Provisioned, Wanted, provision

LOG_BYTES: Final = 1024 * MIB
"""Ten gates that report every ten seconds, one by one, fill a tenth of it in a week."""


def _at_a_leaf(spec: StreamSpec) -> StreamSpec:
    if spec.name != subjects.READINGS:
        return spec
    return replace(
        spec,
        subjects=(subjects.ANY_READINGS,),
        max_age=timedelta(0),
        max_bytes=LOG_BYTES,
        reason="readings until the centre has them, and a week longer",
    )


BRANCH: Final = Wanted(
    streams=tuple(_at_a_leaf(each) for each in STREAMS if each.name in STREAMS_AT_A_LEAF),
    buckets=tuple(each for each in BUCKETS if each.name in BUCKETS_AT_A_LEAF),
    durables=tuple(each for each in DURABLES if each.stream in STREAMS_AT_A_LEAF),
)


async def provision_leaf(bus: Bus, *, is_dry: bool = False) -> list[Provisioned]:
    """Make what a branch's bus holds; with `is_dry` only report what differs. Raises ProvisioningFailed."""
    return await provision(bus, replicas=1, is_dry=is_dry, wanted=BRANCH)
