"""What sources of devices cannot work with: formats that there are not, mappings and polls that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from cli.toml_lines import Location
from services.ingest import devices
from services.ingest.devices import generic
from services.ingest.sources import polled
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import PollSource


def faults_of_sources(library: LibraryConfig) -> Iterator[tuple[Location, tuple[str, str]]]:
    """Yield where in a library's table something is wrong, what, and what to do."""
    for index, source in enumerate(library.sources):
        if source.format in devices.MAPPED:
            words = f"{source.format} reads by a mapping, and there is none"
            yield ("sources", index, "format"), (words, "give the source a mapping in place of its format")
        elif source.format is not None and source.format not in devices.formats():
            words = f"there is no format {source.format!r}"
            yield ("sources", index, "format"), (words, "docs/reference/devices.md has them; left out, it is found out")
        for key, reason in generic.faults_of(source.mapping) if source.mapping is not None else ():
            yield ("sources", index, "mapping", key), (reason, "docs/reference/devices.md says what a mapping takes")
        for key, reason in polled.faults(source) if isinstance(source, PollSource) else ():
            words = "docs/reference/devices.md says what each way of asking takes"
            yield ("sources", index, *key.split(".")), (reason, words)
