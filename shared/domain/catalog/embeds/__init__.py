"""The words about embedding, for web editors and on what they embed: one module per language, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.domain.catalog.embeds.words import EmbedWords

_modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
_found = [module.WORDS for module in _modules if isinstance(getattr(module, "WORDS", None), EmbedWords)]

EMBED_WORDS: Final[Mapping[str, EmbedWords]] = MappingProxyType({each.language: each for each in _found})
"""Every language, by its tag; the same as in `shared.domain.catalog.CATALOGS`."""
