"""Traces, by OpenTelemetry, where its standard environment variables ask for them; else nothing of it is imported.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_SERVICE_NAME=books sparrow-serve

A request is a span of kind server, its stages are spans inside. They are made when the request is over, from the times
that were taken anyway. The caller's W3C trace context is the parent. Names and attributes are the route as it is
declared, the method, the status and the request id: nothing that a user did.
"""

import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from starlette.types import Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

EXPORTERS = ("otlp", "console", "none")

UNTRACED = frozenset({"/livez", "/readyz", "/metrics"})
"""Routes that are asked all day by machines."""


class TracingError(Exception):
    """The environment asks for traces that cannot be made; the message says why."""


class Span(Protocol):
    """A stage of a request, by the clock of time.perf_counter()."""

    @property
    def name(self) -> str:
        """Of the stage."""

    @property
    def start(self) -> float:
        """Seconds."""

    @property
    def end(self) -> float:
        """Seconds."""


class Tracing:
    """Makes spans of requests that are over and hands them to an exporter, in a thread of its own."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("sparrow", installed("sparrow-recs"))
        self._propagator = TraceContextTextMapPropagator()

    def record(self, scope: Scope, method: str, route: str, status: int, start: float, stages: Sequence[Span]) -> None:
        """Spans of a request that began at `start` and ends now, by the clock of time.perf_counter()."""
        if route in UNTRACED:
            return
        now, clock = time.time_ns(), time.perf_counter()

        def at(moment: float) -> int:
            return now - int(1e9 * (clock - moment))

        names = (b"traceparent", b"tracestate")
        carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"] if key in names}
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "sparrow.request_id": scope["state"]["request_id"],
        }
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._propagator.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes=attributes,
            start_time=at(start),
        )
        if span.is_recording():
            inside = self._trace.set_span_in_context(span)
            for stage in stages:
                child = self._tracer.start_span(stage.name, context=inside, start_time=at(stage.start))
                child.end(at(stage.end))
            if status >= 500 or not status:
                span.set_status(self._trace.StatusCode.ERROR)
        span.end(now)

    def close(self) -> None:
        """Hand over what is left."""
        self._provider.shutdown()


def tracing_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for traces; TracingError where it asks for what cannot be."""
    wanted = _wanted(environment)
    if wanted == "none":
        return False
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise TracingError("OTEL_ variables ask for traces: pip install 'sparrow-recs[tracing]', or unset them")
    return True


def tracing(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """What the environment asks for; None for nothing. TracingError where that cannot be."""
    if not tracing_wanted(environment):
        return None
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = _exporter(_wanted(environment))
    name = environment.get("OTEL_SERVICE_NAME", "sparrow")
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


def _wanted(environment: Mapping[str, str]) -> str:
    """One of EXPORTERS."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "none"
    asked = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not asked:
        return "otlp" if any(environment.get(name) for name in ENDPOINTS) else "none"
    if asked not in EXPORTERS:
        raise TracingError(f"OTEL_TRACES_EXPORTER is {asked!r}, and can be {', '.join(EXPORTERS)}")
    return asked


def _exporter(wanted: str) -> "SpanExporter":
    if wanted == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
