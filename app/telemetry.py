"""What can be known about a request from outside: its id, its time by stage, its metrics, one line of log.

Logs carry the request id and the route as it is declared, never a path, an id or a body: nothing that a user did.
"""

import json
import logging
import os
import re
import time
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import unquote_to_bytes

from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import problem
from app.metrics import Metrics
from app.tracing import Tracing

log = logging.getLogger(__name__)

Stage = Literal["state", "encode", "search", "compose"]

SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""What a caller may choose as a request id; anything else is replaced."""

SAMPLED = 8
"""Of so many requests one is looked at more closely."""

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that the running task answers; the formatter of logs reads it."""


class StageSpan(NamedTuple):
    """When a stage ran, by the clock of time.perf_counter()."""

    name: Stage
    start: float
    end: float


class _Running:
    """A stage while it runs. A class: a generator's context manager takes three times as long to enter and leave."""

    __slots__ = ("_name", "_start", "_timings")

    def __init__(self, name: Stage, timings: "Timings") -> None:
        self._name, self._timings = name, timings

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        end = time.perf_counter()
        name, timings = self._name, self._timings
        timings.stages[name] = timings.stages.get(name, 0.0) + end - self._start
        if timings.spans is not None:
            timings.spans.append(StageSpan(name, self._start, end))


class Timings:
    """Seconds by stage of one request, the codes of warnings that its answer carries, and what was measured."""

    __slots__ = ("effect_seconds", "n_postings", "sampled", "spans", "stages", "start", "warnings")

    def __init__(self, *, traced: bool = False, sampled: bool = False) -> None:
        self.start = time.perf_counter()
        self.stages: dict[str, float] = {}
        self.spans: list[StageSpan] | None = [] if traced else None
        """Each run of a stage, where somebody wants to know."""
        self.warnings: list[str] = []
        self.effect_seconds: float | None = None
        """Since the user's newest event, where the answer is made of it."""
        self.sampled = sampled
        """Whether to look at what takes time to find out."""
        self.n_postings: int | None = None
        """Entries in the lists that the query reaches, where that was looked at."""

    def stage(self, name: Stage) -> _Running:
        """Add the time of a block to a stage: with timings.stage("search"): ..."""
        return _Running(name, self)

    @property
    def total_seconds(self) -> float:
        """Since the request came in."""
        return time.perf_counter() - self.start

    @property
    def took_ms(self) -> float:
        """Since the request came in, in milliseconds: what an answer says about itself."""
        return round(1000 * self.total_seconds, 3)

    def header(self) -> str:
        """The value of Server-Timing."""
        return _header_format(tuple(self.stages)) % (
            *[1000 * seconds for seconds in self.stages.values()],
            1000 * self.total_seconds,
        )


@cache
def _header_format(stages: tuple[str, ...]) -> str:
    return ", ".join(f"{name};dur=%.2f" for name in (*stages, "total"))


class _Counted(NamedTuple):
    """What is counted for each answer of one method, route and status."""

    requests: Counter
    seconds: Histogram


class Telemetry:
    """Outermost middleware: request id, Server-Timing, metrics, spans, and an answer where the application raised."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._counted: dict[tuple[str, str, int], _Counted] = {}
        self._stages = {stage: metrics.stage_seconds.labels(stage) for stage in get_args(Stage)}
        self._n_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timings = Timings(traced=self._tracing is not None, sampled=self._n_requests % SAMPLED == 0)
        self._n_requests += 1
        given = header(scope, b"x-request-id")
        request_id = given if given is not None and SANE_ID.fullmatch(given) else os.urandom(16).hex()
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "timings": timings}
        token = REQUEST_ID.set(request_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", request_id.encode()), (b"server-timing", timings.header().encode())
                message["headers"] = [*message.get("headers", ()), *own, NOSNIFF]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            log.exception("unexpected error")
            if status:
                raise  # half an answer is out: only closing the connection tells the caller
            await problem(scope, 500)(scope, receive, send_with_headers)
        finally:
            self._observe(scope, status, timings)
            if self._tracing is not None:
                what = _method(scope["method"]), route_of(scope), status
                self._tracing.record(scope, *what, timings.start, timings.spans or ())
            REQUEST_ID.reset(token)

    def _observe(self, scope: Scope, status: int, timings: Timings) -> None:
        metrics = self._metrics
        what = (scope["method"], route_of(scope), status)
        counted = self._counted.get(what) or self._counting(*what)
        counted.requests.inc()
        counted.seconds.observe(timings.total_seconds)
        if timings.sampled:
            for stage, seconds in timings.stages.items():
                self._stages[stage].observe(seconds)
        for code in timings.warnings:
            metrics.warnings.labels(code).inc()
        if timings.effect_seconds is not None:
            metrics.effect_seconds.observe(timings.effect_seconds)
        if timings.n_postings is not None:
            metrics.query_postings.observe(timings.n_postings)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s %d in %.2f ms", _method(scope["method"]), what[1], status, timings.took_ms)

    def _counting(self, method: str, route: str, status: int) -> _Counted:
        counted = _Counted(
            self._metrics.requests.labels(_method(method), route, str(status)),
            self._metrics.request_seconds.labels(route),
        )
        if method in KNOWN_METHODS:  # else the caller would decide how much is kept
            self._counted[method, route, status] = counted
        return counted


NOSNIFF = (b"x-content-type-options", b"nosniff")
"""No browser shall take an answer for anything but what it says it is."""


def header(scope: Scope, name: bytes) -> str | None:
    """A header of a request by its name in small letters; of several the first."""
    for key, value in scope["headers"]:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None


def route_of(scope: Scope) -> str:
    """The path as it is declared: never what somebody asked for."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path or "unmatched"


def _method(method: str) -> str:
    return method if method in KNOWN_METHODS else "other"


KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""A caller may send any word; a metric must not keep them all."""


class PathCheck:
    """Refuses paths that are not UTF-8: decoded leniently, all of them would name one and the same user."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 404."""
        if scope["type"] == "http" and not _is_text(scope.get("raw_path") or b""):
            await problem(scope, 404, "the path is not UTF-8, so it names nothing")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_text(raw_path: bytes) -> bool:
    if b"%" not in raw_path and raw_path.isascii():
        return True
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return False
    return True


class BodyLimit:
    """Refuses bodies over a limit, by their announced length or else while they come in."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = header(scope, b"content-length")
        if announced is not None and announced.isdecimal():
            # Servers hand on no more than what was announced.
            fits = int(announced[:20]) <= self._max_bytes
            await (self._app if fits else problem(scope, 413, self._detail()))(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_bytes:
                raise HTTPException(413, self._detail())
            return message

        await self._app(scope, counted, send)

    def _detail(self) -> str:
        return f"the body is over {self._max_bytes} bytes: send fewer events or shorter lists at once"


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := REQUEST_ID.get()) is not None:
            line["request_id"] = request_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_config(level: str) -> dict[str, Any]:
    """JSON lines on stderr. Of uvicorn only what went wrong."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "app.telemetry.JSONFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"app": {"level": level.upper()}, "uvicorn": {"level": "WARNING"}},
    }
