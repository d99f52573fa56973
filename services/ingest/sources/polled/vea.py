"""SenSource Vea: the traffic of each zone in windows, by the vendor's cloud.

A token is had for the id and the secret of an API client. A report is asked for by days; it holds every window of every
zone that the client may see. Dates are the account's, so a day more is asked for at the end. Times are UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from services.ingest.devices import fields
from services.ingest.devices.vea import COUNTS, ENTITIES, record_window
from services.ingest.secrets import Secrets
from services.ingest.sources.polled.api import Api, Authority, Options, Question, options_of
from services.ingest.sources.polled.authority import Tokens, client_credentials
from services.ingest.sources.polled.windows import Report, Reported, Row, listed
from shared.contracts.devices import PollSource

TOKEN_URL: Final = "https://auth.sensourceinc.com/oauth/token"  # noqa: S105  an address


class VeaOptions(Options):
    """What Vea is asked."""

    grouping: Annotated[str, Field(pattern=r"^(minute\((1|5|10|15|20|30)\)|hour(\(\d{1,2}\))?)$")] = Field(
        default="minute(15)", description="How long the windows are: `minute(15)`, `hour(1)`."
    )
    entity: Literal["zone", "sensor"] = Field(default="zone", description="Whether to count by zone or by sensor.")
    only: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="The ids of the zones that are wanted, with commas; all if left out."
    )
    settle_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=180.0, description="How long after its end a window is left alone; Vea is up to date by the minute."
    )
    overlap_min: Annotated[float, Field(ge=0, le=1440)] = Field(
        default=180.0, description="For how long after that it is looked at again, for counters that send late."
    )
    token_url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)] = Field(
        default=TOKEN_URL, description="Where tokens are had."
    )


@dataclass(frozen=True, slots=True)
class Vea(Reported):
    """One account."""

    options: VeaOptions

    def question(self, after: datetime, until: datetime) -> Question:
        """Return the question in this vendor's words."""
        query = {
            "relativeDate": "custom",
            "startDate": min(after.date(), after.astimezone(self.zone).date()).isoformat(),
            # What the last day is good for is not documented; a week asked for in the field held the days before it.
            "endDate": (max(until.date(), until.astimezone(self.zone).date()) + timedelta(days=1)).isoformat(),
            "dateGroupings": self.options.grouping,
            "entityType": self.options.entity,
            "metrics": "ins,outs",
            "excludeClosedHours": "false",
        }
        return Question(f"{self.url}/api/data/traffic", query, {"Accept": "application/json"}, until)


def _make(source: PollSource, zone: ZoneInfo) -> Vea:
    options = options_of(source, VeaOptions)
    report = Report(
        rows_of=rows_of,
        body_of=lambda rows: {"results": rows},
        row_of=_row_of,
        counts=COUNTS,
        settle=timedelta(seconds=options.settle_s),
        overlap=timedelta(minutes=options.overlap_min),
        only=listed(options.only),
        ids=ENTITIES,
    )
    return Vea(re.sub(r"/(api/?)?$", "", source.url), zone, report, options)


def rows_of(body: Any) -> list[Any]:
    """Return the rows of a report. Raises Malformed."""
    return fields.items(fields.table(body, "answer").get("results"), "results")


def _row_of(raw: dict[str, Any]) -> Row:
    start, end = record_window(raw, "row")
    entity = next((str(raw[each]) for each in ENTITIES if raw.get(each)), "")
    return Row(f"{entity} {start.isoformat()} {end.isoformat()}", end)


def _authority(source: PollSource, secrets: Secrets) -> Authority:
    options = options_of(source, VeaOptions)
    return Tokens(options.token_url, secrets, source.credentials, client_credentials)


API: Final = Api(
    name="vea",
    title="SenSource Vea",
    options=VeaOptions,
    make=_make,
    authority=_authority,
    needs_credentials=True,
    formats=("vea",),
    notes="`url` is https://vea.sensourceinc.com, the secrets file holds id:secret of an API client. Vea keeps one"
    " token of a client alive, so the client must be for this source alone.",
)
