"""One trace from a reading to the post that it brings about, told by three processes to a receiver of OTLP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from shared.runtime import tracing
from shared.runtime.settings import ServiceSettings
from tests.conftest import free_port
from tests.house import House

SECRET = "made-up-secret"
LIBRARY: dict[str, Any] = {
    "id": "branch",
    "name": "Branch",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 80,
    "gates": [{"id": "front"}],
    "keys": [{"id": "desk", "sha256": sha256(SECRET.encode()).hexdigest(), "device": "desk", "role": "staff"}],
    "channels": [{"type": "console", "min_interval_min": 0}],
}


class Receiver:
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.port = free_port()
        self.spans: list[tuple[str, Any]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                body = await reader.readexactly(int(fields[b"content-length"]))
                if fields.get(b"content-encoding") == b"gzip":
                    body = gzip.decompress(body)
                self.take(head.split(b" ")[1], body)
                said = ExportTraceServiceResponse().SerializeToString()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % len(said) + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def take(self, path: bytes, body: bytes) -> None:
        assert path == b"/v1/traces"
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            [service] = [a.value.string_value for a in each.resource.attributes if a.key == "service.name"]
            self.spans += [(service, span) for scope in each.scope_spans for span in scope.spans]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", receiver.port)
    async with server:
        yield receiver


@pytest.mark.slow
async def test_a_reading_can_be_followed_to_the_post_that_it_brings_about(tmp_path: Path) -> None:
    body: dict[str, Any]
    async with receiving() as receiver, httpx.AsyncClient(trust_env=False, timeout=20) as client:
        house = House(tmp_path, PLACELIBRE_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}")
        try:
            await house.start("ingest", "aggregator", "publisher")
            await house.apply(LIBRARY)
            authorization = {"Authorization": f"Bearer desk.{SECRET}", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
            body = {"kind": "head_count", "library": "branch", "people": 25, "note": "canary of a note"}
            async with asyncio.timeout(60):
                while not house.printed("publisher"):
                    answer = await client.post(f"{house.url('ingest')}/v1/readings", headers=authorization, json=body)
                    body["people"] += 11  # the first ones may come before the key is known, or change nothing
                    await asyncio.sleep(1)
            assert answer.status_code == 202
        finally:
            await house.stop()  # which sends what is still to be sent

    sent = next(span for _, span in receiver.spans if span.name == "send a post")
    trace = {span.span_id: (service, span) for service, span in receiver.spans if span.trace_id == sent.trace_id}
    road = [("publisher", sent)]
    while road[-1][1].parent_span_id:
        road.append(trace[road[-1][1].parent_span_id])
    assert [(service, span.name) for service, span in reversed(road)] == [
        ("ingest", "store readings"),
        ("aggregator", "tell of changes"),
        ("publisher", "take a change"),
        ("publisher", "take a post"),
        ("publisher", "send a post"),
    ]
    assert [span.start_time_unix_nano for _, span in road] == sorted(
        (span.start_time_unix_nano for _, span in road), reverse=True
    )
    assert ("aggregator", "apply readings") in [(service, span.name) for service, span in trace.values()]
    assert {each.key: each.value.string_value for each in sent.attributes} == {"channel": "console", "outcome": "Done"}
    assert b"\xab" * 16 not in {span.trace_id for _, span in receiver.spans}, "a sender's word begins no trace"
    assert "canary" not in str(receiver.spans)
    assert SECRET not in str(receiver.spans)


def test_while_traces_are_off_nothing_is_noted_and_nothing_loaded() -> None:
    tracing.configure("ingest", ServiceSettings())
    with tracing.span("store readings"), tracing.part("a part"):
        tracing.mark(outcome="none")
        assert tracing.into({"ce-id": "1"}) == {"ce-id": "1"}
