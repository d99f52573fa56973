"""The words: one module per language, found by itself, and one typed Catalog."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.domain.catalog.catalog import Catalog

_modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
_catalogs = [module.CATALOG for module in _modules if isinstance(getattr(module, "CATALOG", None), Catalog)]

CATALOGS: Final[Mapping[str, Catalog]] = MappingProxyType({each.language: each for each in _catalogs})
"""Every language this project speaks, by its tag, in the tags' order."""
