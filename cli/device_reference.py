"""The reference of devices: what their formats, sources and ways of asking say of themselves. Pure."""

from __future__ import annotations

from typing import Final, get_args

from pydantic import BaseModel

from cli.key_table import key_table
from services.ingest import devices
from services.ingest.devices.format import FLAGS, Format
from services.ingest.sources import polled
from services.ingest.sources.polled.api import Api
from shared.contracts.devices import AnySource, Device, Line, Mapping, SourceTable
from shared.domain.meaning import Meaning

INTRODUCTION: Final = """\
A *source* is a way in which bodies of devices arrive: a secret address, a poll, a folder, a broker. A *format* is what
the bodies are; it is found out by itself, unless a source names it. A *device* is a box that a source speaks for, with
its lines led to gates, zones or the queue. Sources stand in `libraries.toml`; devices stand there too, or are claimed
with `placelibre devices`."""
MEANING_WORDS: Final = {
    Meaning.CROSSING: "somebody has just gone through",
    Meaning.WINDOW: "people who went through within a window",
    Meaning.TOTAL: "a register since power-on; differences count",
    Meaning.DAY_TOTAL: "a register that begins anew at midnight; differences count",
    Meaning.OCCUPANCY: "how many are inside now",
    Meaning.QUEUE_LENGTH: "how many queue now",
    Meaning.QUEUEING_TIME: "how long somebody waits, in minutes",
}
MEANINGS: Final = """\
The first four are of passages. Where a device says the same passages in several ways, only the first of these that it
uses counts, line by line, and is kept from then on; a line may name another one."""
SOURCES: Final = """\
A source is a table `[[libraries.sources]]`. These keys are common to all types:"""
MAPPINGS: Final = """\
For a body that no format knows, `[libraries.sources.mapping]` says where its figures stand:"""
FORMATS: Final = """\
What a device says that is personal, such as pictures, ages or ids of people, is never read, and never kept."""
WAYS: Final = """\
How a source of `type = "poll"` is asked is its `api`; what stands in the tables below goes into its `options`."""


def devices_page() -> str:
    """Return docs/reference/devices.md but for the line that says who writes it."""
    lines = ["# Devices", "", INTRODUCTION, ""]
    lines += ["## What a figure means", "", MEANINGS, "", "| meaning | is |", "|---|---|"]
    lines += [f"| `{each}` | {MEANING_WORDS[each]} |" for each in Meaning]
    lines += ["", "## Formats", "", FORMATS, ""]
    for each in sorted(devices.formats().values(), key=lambda each: each.name):
        lines += _format(each)
    lines += ["## What devices say is wrong with them", "", "| flag | of the device |", "|---|---|"]
    lines += [f"| `{flag}` | {words} |" for flag, words in FLAGS.items()]
    lines += ["", "## Sources", "", SOURCES, "", *key_table(SourceTable), ""]
    for source in get_args(AnySource):
        lines += _source(source)
    lines += ["## Ways of asking", "", WAYS, ""]
    for api in polled.apis().values():
        lines += _way(api)
    lines += ["## Mappings", "", MAPPINGS, "", *key_table(Mapping), "", _of_docstring(Mapping).partition("\n\n")[2], ""]
    lines += [
        "## Devices and their lines",
        "",
        "A device is a table `[[libraries.devices]]`:",
        "",
        *key_table(Device),
        "",
    ]
    lines += ["Each of its `lines` is a table `[[libraries.devices.lines]]`:", "", *key_table(Line)]
    return "\n".join(lines) + "\n"


def _format(found: Format) -> list[str]:
    lines = [f"### `{found.name}`: {found.title}", ""]
    if found.is_envelope:
        lines += ["- around the other formats"]
    if found.examples:
        lines += [f"- comes as: {', '.join(found.examples)}"]
    if found.meanings and len(found.meanings) < len(Meaning):
        lines += [f"- says: {', '.join(f'`{each}`' for each in found.meanings)}"]
    if found.notes:
        lines += ["", found.notes]
    return [*lines, ""]


def _source(source: type[SourceTable]) -> list[str]:
    [kind] = get_args(source.model_fields["type"].annotation)
    lines = [f'### `type = "{kind}"`', "", _of_docstring(source), ""]
    common = frozenset({*SourceTable.model_fields, "type"})
    return [*lines, *key_table(source, common), ""]


def _way(api: Api) -> list[str]:
    lines = [f"### `{api.name}`: {api.title}", ""]
    lines += [f"- credentials: {'needed' if api.needs_credentials else 'where the other side wants them'}"]
    if api.formats:
        lines += [f"- formats: {', '.join(f'`{each}`' for each in api.formats)}"]
    if api.notes:
        lines += ["", api.notes]
    return [*lines, "", *key_table(api.options), ""] if api.options.model_fields else [*lines, ""]


def _of_docstring(model: type[BaseModel]) -> str:
    """Return a table's docstring as Markdown, without the indentation of its source."""
    return "\n".join(line.strip() for line in (model.__doc__ or "").strip().splitlines())
