"""The formats of devices: one module each, found by itself. A module with `FORMAT` or `FORMATS` is one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from services.ingest.devices.documents import Document
from services.ingest.devices.format import MAX_MEASUREMENTS, Context, DeviceReport, Format, Unreadable

MAX_DEVICES: Final = 500
"""In one body."""
MAPPED: Final = ("generic-json", "generic-xml", "generic-csv")
"""Formats that read by a source's mapping and recognise nothing by themselves."""


class UnknownFormat(Unreadable):
    """No format recognises a body."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a body says, and in which format."""

    format: str
    reports: tuple[DeviceReport, ...]


@cache
def formats() -> dict[str, Format]:
    """Return every format by its name, envelopes first."""
    modules = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    found: list[object] = []
    for module in modules:
        found += [getattr(module, "FORMAT", None), *getattr(module, "FORMATS", ())]
    kept = [each for each in found if isinstance(each, Format)]
    return {each.name: each for each in sorted(kept, key=lambda each: (not each.is_envelope, each.name))}


def recognised(document: Document) -> list[str]:
    """Return the names of the formats that a body may be: an envelope before what is inside; mostly one or none."""
    return [each.name for each in formats().values() if each.recognises(document)]


def read(document: Document, context: Context, name: str | None = None) -> Read:
    """Return what a body says, in the format of this name, or in the one that recognises it.

    Raises:
        UnknownFormat: no format recognises it, and none was named.
        Unreadable: the format cannot read it.
    """
    if name is None and context.mapping is not None:
        name = f"generic-{context.mapping.body}"
    if document.is_binary and name is None:
        parts = f" (parts: {', '.join(document.others)})" if document.others else ""
        raise UnknownFormat(f"the body is binary{parts}; give the source its format")
    chosen = _chosen(document, name)
    reports = chosen.read(document, replace(context, read_inner=lambda inner: read(inner, context).reports))
    _refuse_too_many(reports)
    return Read(chosen.name, tuple(reports))


def _chosen(document: Document, name: str | None) -> Format:
    if name is not None:
        known = formats().get(name)
        if known is None:
            raise UnknownFormat(f"there is no format {name!r}")
        return known
    names = recognised(document)
    if not names:
        kind = "JSON" if document.json is not None else "XML" if document.xml is not None else "text"
        raise UnknownFormat(f"no format recognises this {kind}; give the source a mapping")
    return formats()[names[0]]


def _refuse_too_many(reports: Sequence[DeviceReport]) -> None:
    if len(reports) > MAX_DEVICES:
        raise Unreadable(f"it speaks of {len(reports)} devices; at most {MAX_DEVICES} are read from one body")
    count = sum(len(each.measurements) for each in reports)
    if count > MAX_MEASUREMENTS:
        raise Unreadable(f"it has {count} figures; at most {MAX_MEASUREMENTS} are read from one body")
