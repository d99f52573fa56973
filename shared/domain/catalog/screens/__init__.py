"""The words of screens and signs: one module per language, found by itself, and one typed ScreenWords."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.domain.catalog.screens.words import ScreenWords

_modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
_found = [module.WORDS for module in _modules if isinstance(getattr(module, "WORDS", None), ScreenWords)]

SCREEN_WORDS: Final[Mapping[str, ScreenWords]] = MappingProxyType({each.language: each for each in _found})
"""Every language, by its tag; the same as in `shared.domain.catalog.CATALOGS`."""
