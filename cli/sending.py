"""Sending readings to ingest as a device would: in order, none skipped, the same request again until it is stored."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from cli.terminal import Trouble
from cli.wire import WireFields
from shared.contracts.readings import MAX_READINGS_PER_REQUEST
from shared.runtime.clock import monotonic_s, pause_s

TIMEOUT: Final = httpx.Timeout(15.0, connect=2.0)
"""Longer than ingest itself waits for the bus, so that its answer is heard."""
FIRST_WAIT_S: Final = 0.25
MAX_WAIT_S: Final = 5.0
"""Ingest is usually back by then, and a person who watches should not wait longer for the next try."""
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which the same request may be taken; whatever was stored already counts once."""


@dataclass(slots=True)
class Sent:
    """What has been sent so far, and what ingest said of it."""

    requests: int = 0
    stored: int = 0
    remarks: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Sender:
    """One connection to ingest with one key. `tell` gets a line when trouble begins and when it ends."""

    url: str
    key: str
    tell: Callable[[str], None]
    first_wait_s: float = FIRST_WAIT_S
    certificate: Path | None = None
    """That which ingest shows, in PEM: it is the only one trusted then, and under whatever name it is reached."""
    sent: Sent = field(default_factory=Sent)
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Make the client; nothing is sent yet. Raises Trouble for what is no address: it would never answer."""
        if not self.url.startswith(("http://", "https://")):
            raise Trouble(f"{self.url!r} is no address of ingest", "write it like http://127.0.0.1:8001")
        self._client = self._connection()

    def send(self, readings: Sequence[WireFields]) -> None:
        """Send readings in their order and return once all are stored, however long that takes.

        Raises:
            Trouble: ingest refuses them for good.
        """
        for start in range(0, len(readings), MAX_READINGS_PER_REQUEST):
            self._send_body(json.dumps(readings[start : start + MAX_READINGS_PER_REQUEST]).encode())

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _connection(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        verify: ssl.SSLContext | bool = True if self.certificate is None else _only(self.certificate)
        return httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT, trust_env=False, verify=verify)

    def _send_body(self, body: bytes) -> None:
        wait_s, trouble_since = self.first_wait_s, None
        while True:
            try:
                response = self._client.post("/v1/readings", content=body)
            except httpx.TransportError as error:
                reason = f"{self.url} does not answer ({type(error).__name__})"
                if self.certificate is not None:  # it may have been renewed
                    self._client.close()
                    self._client = self._connection()
            else:
                if response.status_code not in PASSING:
                    self._note(response)
                    if trouble_since is not None:
                        self.tell(f"sending again after {monotonic_s() - trouble_since:.0f} s; nothing was skipped")
                    return
                reason = f"{self.url} answers {response.status_code} {_title(response)}"
            if trouble_since is None:
                trouble_since = monotonic_s()
                self.tell(f"{reason}; trying again until it is stored")
            pause_s(wait_s)
            wait_s = min(wait_s * 2, MAX_WAIT_S)

    def _note(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise Trouble(f"ingest refuses the readings: {response.status_code} {_title(response)}", _detail(response))
        receipt = response.json()
        self.sent.requests += 1
        self.sent.stored += receipt["stored"]
        for row in receipt["readings"]:
            if "remark" in row:
                self.sent.remarks[row["remark"]] = self.sent.remarks.get(row["remark"], 0) + 1


def _only(certificate: Path) -> ssl.SSLContext:
    """Return what trusts the first certificate of a file and nothing else. Raises Trouble if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # there is one certificate that is right, whatever it is called
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        end = "-----END CERTIFICATE-----"
        context.load_verify_locations(cadata=certificate.read_text().partition(end)[0] + end)
    except (OSError, UnicodeDecodeError, ssl.SSLError) as error:
        remedy = "name the file that `placelibre up` has as --ingest-certificate"
        raise Trouble(f"{certificate} holds no certificate in PEM that can be read", remedy) from error
    return context


def _title(response: httpx.Response) -> str:
    """Return a problem's title, for people."""
    try:
        return str(response.json()["title"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase


def _detail(response: httpx.Response) -> str:
    """Return what a problem says about the first readings at fault, or what it says at all."""
    try:
        problem = response.json()
        errors = problem.get("errors") or []
        first = [f"reading {each['index']}: {each['reason']}" for each in errors[:3]]
        return "; ".join(first) or str(problem.get("detail", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "see the log of ingest"
