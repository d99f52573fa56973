"""Every route of an application, also those of routers in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def routes_of(app: Any) -> Iterator[tuple[str, str]]:
    """Yield each verb with its path pattern, but for HEAD, which goes with GET."""
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
            continue
        for verb in sorted((route.methods or set()) - {"HEAD"}):
            yield verb, route.path
