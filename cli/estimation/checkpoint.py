"""An estimator's state as bytes, as the aggregator's checkpoint keeps it."""

from __future__ import annotations

import zlib
from typing import Final

from pydantic import TypeAdapter

from shared.domain.estimation.estimator import Estimator

ESTIMATOR: Final = TypeAdapter(Estimator)


def packed(estimator: Estimator) -> bytes:
    """Return everything that has to be kept of an estimator."""
    return zlib.compress(ESTIMATOR.dump_json(estimator))


def unpacked(state: bytes) -> Estimator:
    """Return the estimator that was packed; it goes on as if nothing had happened."""
    return ESTIMATOR.validate_json(zlib.decompress(state))
