"""The words: one module per language, one typed Catalog."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.domain.catalog import en, fr, nb, nl, uk
from shared.domain.catalog.catalog import Catalog

CATALOGS: Final[Mapping[str, Catalog]] = MappingProxyType(
    {each.CATALOG.language: each.CATALOG for each in (en, fr, nl, nb, uk)}
)
"""Every language this project speaks, by its tag."""
