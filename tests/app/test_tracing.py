"""Traces, as a collector receives them: the exporter speaks to a real HTTP server, which reads its protobuf."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.settings import Settings
from app.tracing import TracingError, tracing, tracing_wanted

PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{PARENT}-00f067aa0ba902b7-01"


class Collector:
    """Receives spans over HTTP, as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def of_kind(self, kind: int) -> list[Span]:
        return [span for span in self.spans if span.kind == kind]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """It is where the environment says that traces go."""
    found = Collector()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


def served(settings: Settings, serving: Any, *requests: tuple[str, str, Any, dict[str, str]]) -> list[Any]:
    """The answers; when this returns, every span has been handed over."""

    async def ask() -> list[Any]:
        async with serving(settings) as client:
            return [
                await client.request(method, path, json=body, headers=headers)
                for method, path, body, headers in requests
            ]

    return asyncio.run(ask())


def test_a_request_is_a_span_and_its_stages_lie_inside(settings: Settings, serving: Any, collector: Collector) -> None:
    body = {"user_id": "secret-user", "history": [{"item_id": "book-3"}]}
    headers = {"traceparent": TRACEPARENT, "X-Request-ID": "r-1"}
    (answer,) = served(settings, serving, ("POST", "/v1/recommend", body, headers))
    assert answer.status_code == 200
    (request,) = collector.of_kind(Span.SPAN_KIND_SERVER)
    assert request.name == "POST /v1/recommend"
    assert request.trace_id.hex() == PARENT
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/recommend",
        "http.response.status_code": 200,
        "sparrow.request_id": "r-1",
    }
    stages = collector.of_kind(Span.SPAN_KIND_INTERNAL)
    assert [stage.name for stage in sorted(stages, key=lambda one: one.start_time_unix_nano)] == [
        "state",
        "encode",
        "search",
        "compose",
    ]
    for stage in stages:
        assert stage.parent_span_id == request.span_id
        assert stage.trace_id == request.trace_id
        assert request.start_time_unix_nano <= stage.start_time_unix_nano
        assert stage.start_time_unix_nano <= stage.end_time_unix_nano <= request.end_time_unix_nano
    assert collector.services == {"sparrow"}
    assert b"secret" not in b"".join(span.SerializeToString() for span in collector.spans)
    assert b"book-3" not in b"".join(span.SerializeToString() for span in collector.spans)


def test_paths_are_never_told_and_health_is_not_traced(
    settings: Settings, serving: Any, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    served(
        settings,
        serving,
        ("GET", "/v1/users/secret-user", None, {}),
        ("GET", "/secret-path", None, {}),
        ("SECRETMETHOD", "/v1/recommend", None, {}),
        ("GET", "/livez", None, {}),
        ("GET", "/metrics", None, {}),
    )
    names = sorted(span.name for span in collector.of_kind(Span.SPAN_KIND_SERVER))
    assert names == ["GET /v1/users/{user_id:raw}", "GET unmatched", "other /v1/recommend"]
    assert b"secret" not in b"".join(span.SerializeToString() for span in collector.spans).lower()


def test_what_the_caller_does_not_trace_is_not_traced(settings: Settings, serving: Any, collector: Collector) -> None:
    unsampled = TRACEPARENT[:-1] + "0"
    served(settings, serving, ("GET", "/info", None, {"traceparent": unsampled}))
    assert collector.spans == []


def test_a_trace_context_that_is_none_begins_a_trace(settings: Settings, serving: Any, collector: Collector) -> None:
    served(settings, serving, ("GET", "/info", None, {"traceparent": "nonsense"}))
    (request,) = collector.of_kind(Span.SPAN_KIND_SERVER)
    assert request.parent_span_id == b""


def test_a_failure_is_marked_as_one(settings: Settings, serving: Any, collector: Collector) -> None:
    nothing = settings.model_copy(update={"snapshots": settings.data})
    (answer,) = served(nothing, serving, ("POST", "/v1/recommend", {}, {}))
    assert answer.status_code == 503
    (request,) = collector.of_kind(Span.SPAN_KIND_SERVER)
    assert request.status.code == request.status.STATUS_CODE_ERROR


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": " OTLP "}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_the_standard_variables_decide(environment: dict[str, str], wanted: bool) -> None:
    assert tracing_wanted(environment) is wanted


def test_an_exporter_that_is_not_known_is_refused() -> None:
    with pytest.raises(TracingError, match="'zipkin', and can be otlp, console, none"):
        tracing({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_where_the_library_is_missing_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.tracing.find_spec", lambda _: None)
    with pytest.raises(TracingError, match=r"pip install 'sparrow-recs\[tracing\]'"):
        tracing_wanted({"OTEL_TRACES_EXPORTER": "otlp"})


def test_without_the_variables_nothing_of_it_is_imported() -> None:
    program = (
        "import sys; from app.main import create_app; from app.settings import Settings;"
        "create_app(Settings.model_validate({'redis_url': 'redis://nowhere'}));"
        "print(*(set(sys.modules) & {'opentelemetry.sdk.trace', 'opentelemetry.exporter'}))"
    )
    environment = {"PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == []
