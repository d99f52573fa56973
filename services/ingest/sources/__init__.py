"""Sources that we fetch from: one module for each type, found by itself. A module with a `RUNNER` is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from services.ingest.sources.means import Runner


@cache
def runners() -> dict[str, Runner]:
    """Return how each type of source is run, by its `type`; those that come to us by themselves are not among them."""
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found = (getattr(module, "RUNNER", None) for module in modules)
    return {each.type: each for each in found if isinstance(each, Runner)}
