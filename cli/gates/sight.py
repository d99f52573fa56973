"""What the command line knows of devices: the overview, over the operator's connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from cli.terminal import Trouble
from services.ingest.device_overview import Found, Overview, Row, hours_of, look, overview, values_of
from services.ingest.preview import Preview, preview
from services.ingest.quarantined import Waiting, bodies_of
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import AnySource
from shared.runtime.bus import Bus
from shared.runtime.opening_hours import OsmOpeningHours

BODIES_READ = 2048
"""Of one device; quarantine keeps no more."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything of devices at one moment."""

    libraries: Mapping[str, LibraryConfig]
    found: Found
    overview: Overview

    def library(self, name: str) -> LibraryConfig:
        """Return an applied library. Raises Trouble."""
        if name in self.libraries:
            return self.libraries[name]
        close = get_close_matches(name, self.libraries, n=1)
        names = ", ".join(sorted(self.libraries)) or "none"
        raise Trouble(f"no library {name!r} is applied", f"did you mean {close[0]}?" if close else f"there are {names}")

    def source(self, name: str) -> tuple[LibraryConfig, AnySource]:
        """Return a source with the library in which it stands. Raises Trouble."""
        for library in self.libraries.values():
            for source in library.sources:
                if source.id == name:
                    return library, source
        names = sorted(source.id for library in self.libraries.values() for source in library.sources)
        close = get_close_matches(name, names, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(names) or 'none'}"
        raise Trouble(f"no library has a source {name!r}", f"{remedy}; `placelibre devices new` makes one")

    def device(self, name: str) -> Row:
        """Return a device by its id, or by `library.id` where several libraries have one. Raises Trouble."""
        rows = [row for row in self.overview.rows if name in {row.device.id, row.key}]
        if len(rows) == 1:
            return rows[0]
        if rows:
            names = ", ".join(row.key for row in rows)
            raise Trouble(f"there are {len(rows)} devices {name}", f"say which: {names}")
        close = get_close_matches(name, [row.device.id for row in self.overview.rows], n=1)
        hint = f"did you mean {close[0]}?" if close else "see `placelibre devices`"
        raise Trouble(f"there is no device {name!r}", hint)

    def claimed(self, library: str, source: str, serial: str | None) -> Row | None:
        """Return the device of a source that has been claimed already; None if there is none.

        Raises:
            Trouble: there are several, or none has this serial number.
        """
        rows = [each for each in self.overview.rows if each.device.source == source]
        ours = [each for each in rows if each.is_claimed and each.library.id == library]
        if serial is not None:
            ours = [each for each in ours if each.device.serial == serial]
            if not ours:
                raise Trouble(
                    f"nothing with the serial number {serial!r} waits on source {source}, and none has been claimed",
                    "see `placelibre devices`; a box has to send something before it can be claimed by its number",
                )
        if len(ours) > 1:
            numbers = ", ".join(each.device.serial or "none" for each in ours)
            raise Trouble(f"{len(ours)} devices of source {source} count already", f"say which: --serial {numbers}")
        if rows and not ours:
            names = ", ".join(each.device.id for each in rows)
            raise Trouble(f"what sends through {source} counts already: {names}", "`placelibre devices release` first")
        return ours[0] if ours else None

    def box(self, source: str, serial: str | None) -> Waiting | None:
        """Return what nobody has claimed of a source, None if nothing waits. Raises Trouble if that may be several."""
        boxes = [each for each in self.overview.unclaimed if each.source == source]
        if serial is not None:
            return next((each for each in boxes if each.last.serial == serial), None)
        named = [each for each in boxes if each.last.code == "unclaimed"] or boxes
        if len(named) > 1:
            names = ", ".join(sorted(each.last.serial or "(no serial number)" for each in named))
            raise Trouble(f"{len(named)} boxes send through {source}", f"say which with --serial: {names}")
        return named[0] if named else None


async def sight(bus: Bus, now: datetime) -> Sight:
    """Return everything of devices. Raises BusUnavailable."""
    libraries = await values_of(bus, subjects.LIBRARIES, ">", LibraryConfig)
    found = await look(bus)
    return Sight(libraries, found, overview(libraries, found, hours_of(libraries), now))


async def preview_of_box(bus: Bus, box: Waiting, library: LibraryConfig, source: AnySource, now: datetime) -> Preview:
    """Return what would be counted of a box. Raises BusUnavailable."""
    bodies = await bodies_of(bus, box.library, box.source, box.token, newest=BODIES_READ)
    found = preview(bodies, source, library.to_domain(OsmOpeningHours), now)
    return found.get(box.last.serial) or Preview(box.last.serial, bodies=len(bodies))
