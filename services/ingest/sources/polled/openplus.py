"""bibliotheca open+: who has logged in at the door, by the vendor's cloud.

Each record has an id and an amount. Records come in pages with a token that leads to the next; aggregated ones come at
once, and both together there is not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, JsonValue, SecretStr

from services.ingest.devices import fields
from services.ingest.secrets import Secrets
from services.ingest.sources.polled.api import Answer, Api, Authority, Heard, Options, Question, options_of
from services.ingest.sources.polled.authority import Tokens, client_credentials
from services.ingest.sources.polled.windows import Report, Reported, Row
from shared.contracts.devices import PollSource

TOKEN_URL: Final = "https://identity.opnbibliotheca.com/connect/token"  # noqa: S105  an address
SCOPE: Final = "OpenPlusAPI"
PAGE: Final = 1000
PERIODS: Final = {"": timedelta(0), "minute": timedelta(minutes=1), "quarter": timedelta(minutes=15)}
TIMES: Final = ("serverTime", "clientTime", "localTime")
"""The server's clock first: a door's own may be wrong."""
IDENTITIES: Final = ("name", "category", "from", *TIMES)


class OpenPlusOptions(Options):
    """What open+ is asked."""

    aggregation: Literal["", "minute", "quarter"] = Field(
        default="", description="Sums by the minute or the quarter of an hour instead of each record."
    )
    settle_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=30.0, description="How long a record is left alone."
    )
    overlap_min: Annotated[float, Field(ge=0, le=1440)] = Field(
        default=60.0, description="For how long after that records that come late are still looked for."
    )
    token_url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)] = Field(
        default=TOKEN_URL, description="Where tokens are had."
    )


@dataclass(frozen=True, slots=True)
class OpenPlus(Reported):
    """One customer's account."""

    options: OpenPlusOptions

    def question(self, after: datetime, until: datetime) -> Question:
        """Return the question in this vendor's words."""
        query = {"from": _iso(after), "to": _iso(until)}
        if self.options.aggregation:
            query["aggregation"] = self.options.aggregation
        else:
            query["limit"] = str(PAGE)
        return Question(f"{self.url}/v1/peoplecount", query, {"Accept": "application/json"}, until)

    def heard(self, place: JsonValue, question: Question, answer: Answer, now: datetime) -> Heard:
        """Return the records that are new, and the question for the next page if there is one."""
        token = _next_token(answer.body)
        is_last = not token or token == question.query.get("startToken") or bool(self.options.aggregation)
        heard = self.report.heard(self.begin(place, now), question, answer, now, is_last=is_last)
        if is_last or heard.odd:
            return heard
        return replace(heard, following=replace(question, query={**question.query, "startToken": token}))


def _make(source: PollSource, zone: ZoneInfo) -> OpenPlus:
    options = options_of(source, OpenPlusOptions)
    period = PERIODS[options.aggregation]

    def row_of(raw: dict[str, Any]) -> Row:
        key = str(raw["id"]) if raw.get("id") else "\n".join(str(raw.get(each)) for each in IDENTITIES)
        return Row(key, _made_at(raw, zone, period))

    report = Report(
        rows_of=lambda body: fields.items(fields.table(body, "answer").get("result"), "result"),
        body_of=lambda rows: {"metadata": {"count": len(rows)}, "result": rows},
        row_of=row_of,
        counts=(("amount",),),
        settle=timedelta(seconds=options.settle_s),
        overlap=timedelta(minutes=options.overlap_min),
    )
    return OpenPlus(re.sub(r"(/v1(/peoplecount)?)?/?$", "", source.url), zone, report, options)


def _made_at(raw: dict[str, Any], zone: ZoneInfo, period: timedelta) -> datetime:
    """Return when a record was made, or when its interval was over. Raises Malformed."""
    if raw.get("to"):
        return fields.moment(raw["to"], "result.to", fields.UTC_ZONE)
    for name in TIMES:
        if raw.get(name):
            at = fields.moment(raw[name], f"result.{name}", zone if name == "localTime" else fields.UTC_ZONE)
            return at + period
    raise fields.Malformed("result", f"one of {', '.join(TIMES)} is wanted")


def _next_token(body: bytes) -> str:
    try:
        token = json.loads(body)["metadata"]["startToken"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return token if isinstance(token, str) and len(token) <= 4000 else ""


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _form(user: str, secret: SecretStr) -> dict[str, str]:
    return {**client_credentials(user, secret), "scope": SCOPE}


def _authority(source: PollSource, secrets: Secrets) -> Authority:
    options = options_of(source, OpenPlusOptions)
    return Tokens(options.token_url, secrets, source.credentials, _form)


API: Final = Api(
    name="openplus",
    title="bibliotheca open+ (People Count API)",
    options=OpenPlusOptions,
    make=_make,
    authority=_authority,
    needs_credentials=True,
    formats=("openplus",),
    notes="`url` is https://api.opnbibliotheca.com, the secrets file holds id:secret of an API client. It counts people"
    " who log in at the door, in the hours without staff; nobody is counted out.",
)
