"""SpaceAPI 13, 14 and 15: how many people a place publishes to have inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

SENSOR: Final = "people_now_present"


def _recognises(document: Document) -> bool:
    body = document.json
    return (
        isinstance(body, dict)
        and isinstance(body.get("space"), str)
        and ("api" in body or "api_compatibility" in body)
        and ("sensors" in body or "state" in body)
    )


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    with gathering.part():
        body = fields.table(document.json, "body")
        sensors = fields.table(body.get("sensors"), "sensors")
        counters = fields.items(sensors.get(SENSOR), f"sensors.{SENSOR}")
        device = gathering.device("")
        names = Counter(_name_of(each) for each in counters)
        for index, item in enumerate(counters):
            place = f"sensors.{SENSOR}[{index}]"
            with gathering.part():
                counter = fields.table(item, place)
                name = _name_of(counter)
                people = fields.people(counter.get("value"), f"{place}.value")
                device.measurements.append(
                    Measurement(
                        line=name if names[name] == 1 else f"{name} {index}",
                        meaning=Meaning.OCCUPANCY,
                        # `lastchange` is when the figure changed last; it is said to hold now.
                        value=float(people),
                    )
                )
    return gathering.reports()


def _name_of(counter: Any) -> str:
    """Return what a counter is called: its room, else its own name, else the sensor's; never its `names`."""
    told = counter if isinstance(counter, dict) else {}
    return fields.optional_text(told.get("location"), 100) or fields.optional_text(told.get("name"), 100) or SENSOR


FORMAT: Final = Format(
    name="spaceapi",
    title="SpaceAPI 13, 14 and 15 (people_now_present)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.OCCUPANCY,),
    notes=(
        "Poll the place's SpaceAPI address every minute. Each entry of `people_now_present` is a line by its"
        " `location`, else its `name`, else `people_now_present`: lead it to a zone or to `inside`, by its name where"
        " there are several. Whether the place is open is not taken from there, for the hours here say so, and the"
        " `names` of people are never read. A figure is taken to hold when it is asked for: nothing tells a sensor"
        " that has died from one that has nothing to report."
    ),
    examples=("JSON by polling",),
)
