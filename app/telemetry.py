"""What can be known about a request from outside: its id, its time by stage, its metrics, one line of log.

Logs carry the request id and the route as it is declared, never a path, an id or a body: nothing that a user did.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import problem
from app.metrics import Metrics

log = logging.getLogger(__name__)

Stage = Literal["state", "encode", "search", "compose"]

SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""What a caller may choose as a request id; anything else is replaced."""

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that the running task answers; the formatter of logs reads it."""


class Timings:
    """Seconds by stage of one request, and the codes of warnings that its answer carries."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.stages: dict[str, float] = {}
        self.warnings: list[str] = []

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - start

    @property
    def total_seconds(self) -> float:
        """Since the request came in."""
        return time.perf_counter() - self._start

    @property
    def took_ms(self) -> float:
        """Since the request came in, in milliseconds: what an answer says about itself."""
        return round(1000 * self.total_seconds, 3)

    def header(self) -> str:
        """The value of Server-Timing."""
        parts = [*self.stages.items(), ("total", self.total_seconds)]
        return ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in parts)


class Telemetry:
    """Outermost middleware: request id, Server-Timing, metrics, and an answer where the application raised."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
        timings = Timings()
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "timings": timings}
        token = REQUEST_ID.set(request_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["Server-Timing"] = timings.header()
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
            REQUEST_ID.reset(token)

    def _observe(self, scope: Scope, status: int, timings: Timings) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(timings.total_seconds)
        for stage, seconds in timings.stages.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        for code in timings.warnings:
            self._metrics.warnings.labels(code).inc()
        log.debug("%s %s %d in %.2f ms", method, route, status, timings.took_ms)


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
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > self._max_bytes:
            await problem(scope, 413, self._detail())(scope, receive, send)
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
