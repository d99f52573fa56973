"""Traf-Sys: the hours of each location, by the vendor's portal.

A token is had for a user and a password. A report is asked for by days, both included, in the site's own time; it names
no zone. The portal throttles, and for longer the more often it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import Field

from services.ingest.devices import fields
from services.ingest.devices.trafsys import COUNTS
from services.ingest.secrets import Secrets
from services.ingest.sources.polled.api import Api, Authority, Options, Question, options_of
from services.ingest.sources.polled.authority import Tokens, password_grant
from services.ingest.sources.polled.windows import Report, Reported, Row, listed, told_apart
from shared.contracts.devices import PollSource


class TrafsysOptions(Options):
    """What Traf-Sys is asked."""

    site: Annotated[str, Field(max_length=100)] = Field(default="", description="One site's code; all if left out.")
    internal: bool = Field(default=False, description="Whether locations within the building are asked for too.")
    only: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="The sites' codes or locations' names that are wanted, with commas; all if left out."
    )
    settle_s: Annotated[float, Field(ge=0, le=7200)] = Field(
        default=300.0, description="How long after its end an hour is left alone."
    )
    overlap_min: Annotated[float, Field(ge=0, le=2880)] = Field(
        default=720.0, description="For how long after that it is looked at again, for counters that send late."
    )


@dataclass(frozen=True, slots=True)
class Trafsys(Reported):
    """One account."""

    options: TrafsysOptions

    def question(self, after: datetime, until: datetime) -> Question:
        """Return the question in this vendor's words."""
        query = {
            "SiteCode": self.options.site,
            "DateFrom": after.astimezone(self.zone).date().isoformat(),
            "DateTo": until.astimezone(self.zone).date().isoformat(),
            "IncludeInternalLocations": "true" if self.options.internal else "false",
            "DataSummedByDay": "false",
        }
        return Question(f"{self.url}/api/traffic", query, {"Accept": "application/json"}, until)


def _make(source: PollSource, zone: ZoneInfo) -> Trafsys:
    options = options_of(source, TrafsysOptions)

    def row_of(raw: dict[str, Any]) -> Row:
        end = fields.moment(raw.get("PeriodEnding"), "PeriodEnding", zone)
        return Row(f"{raw.get('SiteCode')}\n{raw.get('Location')}\n{end.isoformat()}", end)

    report = Report(
        rows_of=lambda body: told_apart(
            fields.items(body, "answer"), zone, ("SiteCode", "Location"), ("PeriodEnding",)
        ),
        body_of=lambda rows: rows,
        row_of=row_of,
        counts=COUNTS,
        settle=timedelta(seconds=options.settle_s),
        overlap=timedelta(minutes=options.overlap_min),
        only=listed(options.only),
        ids=("SiteCode", "Location"),
    )
    return Trafsys(source.url.rstrip("/"), zone, report, options)


def _authority(source: PollSource, secrets: Secrets) -> Authority:
    return Tokens(f"{source.url.rstrip('/')}/token", secrets, source.credentials, password_grant)


API: Final = Api(
    name="trafsys",
    title="Traf-Sys",
    options=TrafsysOptions,
    make=_make,
    authority=_authority,
    needs_credentials=True,
    formats=("trafsys",),
    notes="`url` is https://portal.trafnet.com/rest, the secrets file holds user:password. Its hours say nothing of"
    " now; ask every ten minutes or less often, it throttles.",
)
