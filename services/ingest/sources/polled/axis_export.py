"""Axis P8815-2: the windows that a camera keeps, asked of the camera itself.

It is asked by days, in its own time, which names no zone; it must be the source's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, JsonValue

from services.ingest.devices import fields
from services.ingest.devices.axis import SETTLES
from services.ingest.secrets import Secrets
from services.ingest.sources.polled.api import Api, Authority, Options, Question, options_of
from services.ingest.sources.polled.authority import Fixed, Scheme
from services.ingest.sources.polled.windows import Report, Reported, Row, told_apart
from shared.contracts.devices import PollSource


class AxisOptions(Options):
    """What the camera is asked."""

    auth: Literal["digest", "basic"] = Field(default="digest", description="As the camera is set up.")
    resolution: Literal["minute", "hour"] = Field(default="minute", description="How long the windows are.")
    overlap_min: Annotated[float, Field(ge=0, le=1440)] = Field(
        default=10.0, description="For how long after that it is looked at again."
    )


@dataclass(frozen=True, slots=True)
class AxisExport(Reported):
    """One camera."""

    options: AxisOptions

    def ask(self, place: JsonValue, now: datetime) -> Question:
        """Return the question for the windows that are not done with; the camera knows what now is."""
        question = Reported.ask(self, place, now)
        return replace(question, query={**question.query, "end": "now"}) if question.until == now else question

    def question(self, after: datetime, until: datetime) -> Question:
        """Return the question in this vendor's words."""
        end = until.astimezone(self.zone).date() + timedelta(days=1)
        query = {
            "start": after.astimezone(self.zone).strftime("%Y%m%d"),
            "end": end.strftime("%Y%m%d"),
            "resolution": self.options.resolution,
        }
        return Question(f"{self.url}/a3dpc/api/export/json", query, {"Accept": "application/json"}, until)


def _make(source: PollSource, zone: ZoneInfo) -> AxisExport:
    options = options_of(source, AxisOptions)

    def row_of(raw: dict[str, Any]) -> Row:
        end = fields.moment(raw.get("end"), "end", zone)
        return Row(f"{raw.get('start')} {raw.get('end')}", end)

    def rows_of(body: Any) -> list[Any]:
        rows = fields.items(fields.table(body, "answer").get("data"), "data")
        return told_apart(rows, zone, (), ("start", "end"))

    report = Report(
        rows_of=rows_of,
        body_of=lambda rows: {"data": rows},
        row_of=row_of,
        counts=(("in",), ("out",)),
        settle=SETTLES,  # the format leaves a younger last row for the next body, and here no row comes in two
        overlap=timedelta(minutes=options.overlap_min),
        span=timedelta(days=2),  # by the minute a day has 1440 rows
    )
    return AxisExport(source.url.rstrip("/"), zone, report, options)


def _authority(source: PollSource, secrets: Secrets) -> Authority:
    options = options_of(source, AxisOptions)
    scheme: Scheme = options.auth if source.credentials else "none"
    return Fixed(secrets, source.credentials, scheme)


API: Final = Api(
    name="axis-export",
    title="Axis P8815-2 3D People Counter (export)",
    options=AxisOptions,
    make=_make,
    authority=_authority,
    formats=("axis",),
    notes="`url` is the camera's address, the secrets file holds user:password. The camera's clock must run in the"
    " source's time zone.",
)
