"""The processes of sparrow-serve: a listening socket, and workers behind it."""

import http.client
import ipaddress
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.seeding import Api
from app.settings import Settings
from app.supervisor import ServerError, Supervisor

LINGER_SECONDS = 3
"""For idle connections of a worker that has a successor: a client that sends within it is told to come again."""

GRACE_SECONDS = 10
"""For requests that still run then."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ServerError where the address is taken or is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ServerError(
            f"cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}; choose another --port"
        ) from error


def reachable(host: str, port: int) -> Api:
    """Where this machine reaches a server that listens on `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (read, not bound to)
    return Api(everywhere.get(host, host), port)


def serve(settings: Settings, listening: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, and finish what runs then; ServerError where the application does not start."""
    with _shared_metrics():
        Supervisor(listening, settings.workers, LINGER_SECONDS + GRACE_SECONDS + 5).run()


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """A folder through which workers add up their metrics."""
    folder = tempfile.mkdtemp(prefix="sparrow-metrics-")
    os.environ["SPARROW_METRICS_FOLDER"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def await_status(api: Api, path: str, seconds: float | None = None) -> bool:
    """Ask until the answer is 200: True. False where it is not within the time given."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while deadline is None or time.monotonic() < deadline:
        try:
            if api.request("GET", path)[0] == 200:
                return True
        except (OSError, http.client.HTTPException):
            pass  # not yet
        time.sleep(0.1)
    return False


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
