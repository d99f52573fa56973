"""An estimator's state as bytes, as the aggregator's checkpoint keeps it."""

from __future__ import annotations

import zlib

from shared.domain.estimation.estimator import Estimator, read, write


def packed(estimator: Estimator) -> bytes:
    """Return everything that has to be kept of an estimator."""
    return zlib.compress(write(estimator).encode())


def unpacked(state: bytes) -> Estimator:
    """Return the estimator that was packed; it goes on as if nothing had happened."""
    return read(zlib.decompress(state).decode())
