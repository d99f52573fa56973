"""Traces from a reading to a post, where somebody wants them: OpenTelemetry, sent by OTLP over HTTP.

Off unless PLACELIBRE_OTLP_ENDPOINT is set, and then nothing of OpenTelemetry is even loaded. A trace begins at ingest:
what senders claim to be part of is not believed. On the bus it travels as the W3C header `traceparent`, which an older
version passes over. A change that time alone brings about (closing, silence) belongs to no reading and has no trace;
neither has what is said later than its change, when a pause is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from shared.runtime.settings import ServiceSettings

HEADER: Final = "traceparent"
QUEUE: Final = 2048
"""Spans that wait to be sent; more are dropped, for a trace is worth less than what it traces."""
SEND_EVERY_MS: Final = 2_000
SEND_TIMEOUT_S: Final = 5.0

Value = str | int | float | bool


class TracingUnavailable(Exception):  # noqa: N818  the operator is told what to do
    """Traces are asked for, and this installation cannot make them; the message says what to do."""


class _Tracing:
    """What is loaded once traces are on."""

    def __init__(self) -> None:
        self.tracer: Any = None
        self.propagator: Any = None
        self.provider: Any = None


_ON: Final = _Tracing()


def configure(service: str, settings: ServiceSettings) -> None:
    """Begin to trace as a service, if the settings name where to.

    Raises:
        TracingUnavailable: the libraries are not there.
    """
    if not settings.otlp_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  loaded only where they are wanted
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415
    except ImportError as error:
        raise TracingUnavailable(
            "PLACELIBRE_OTLP_ENDPOINT is set, and this installation has no OpenTelemetry; install placelibre[tracing]"
        ) from error
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=SEND_TIMEOUT_S)
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.namespace": "placelibre"}),
        sampler=ParentBasedTraceIdRatio(settings.trace_ratio),
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE, schedule_delay_millis=SEND_EVERY_MS))
    _ON.provider = provider
    _ON.tracer = provider.get_tracer("placelibre")
    _ON.propagator = TraceContextTextMapPropagator()


def into(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a message's headers with the trace that is under way, if one is."""
    carrier = dict(headers)
    if _ON.propagator is not None:
        _ON.propagator.inject(carrier)
    return carrier


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, **attributes: Value) -> Iterator[None]:
    """Trace what happens in the block; as a part of the message's trace whose headers are given.

    With headers that name no trace, and while traces are off, nothing is traced. Attributes hold no words of people,
    no address and no secret; an error's type is noted, its words are not.
    """
    if _ON.tracer is None or (headers is not None and HEADER not in headers):
        yield
        return
    context = None if headers is None else _ON.propagator.extract(dict(headers))
    with _ON.tracer.start_as_current_span(
        name, context=context, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as under_way:
        try:
            yield
        except BaseException as error:
            under_way.set_attribute("error.type", type(error).__name__)
            raise


def part(name: str, **attributes: Value) -> AbstractContextManager[None]:
    """Trace what happens in the block as a part of what is traced already; nothing, if nothing is."""
    return span(name, into({}), **attributes)


def mark(**attributes: Value) -> None:
    """Note something about the span that is under way, if one is."""
    if _ON.tracer is not None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415  there, since it is on

        get_current_span().set_attributes(attributes)
