"""The processes of sparrow-serve: a listening socket, and workers behind it."""

import gc
import http.client
import ipaddress
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from fastapi import FastAPI
from uvicorn import Config

from app.locking import CannotLock, check_lockable, lock_memory
from app.main import create_app
from app.metrics import FOLDER
from app.protocol import Protocol
from app.seeding import Api
from app.settings import Settings
from app.telemetry import log_config
from app.workers import Workers

GRACE_SECONDS = 10
"""For requests that run when a worker is told to stop."""

START_SECONDS = 600
"""For the successor of a worker to serve: the first one of a host may have to read every byte of the snapshot."""

KEEP_ALIVE_SECONDS = 75
"""An idle connection is closed after so long: later than common clients and proxies close it, which then never race."""


class ServerError(Exception):
    """The server cannot start; the message says why and what to do."""


def create_worker() -> FastAPI:
    """The application of one process, with the settings of its environment."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A parent that is killed can stop nobody: orphans would keep the port.
        threading.Thread(target=_end_after, args=(parent.join,), daemon=True, name="parent-watch").start()
    settings = Settings()
    if settings.lock_memory:
        lock_memory()
    application = create_app(settings)
    gc.collect()
    gc.freeze()  # what is there by now stays: no later collection need look at it, which is a tenth of a request
    return application


def _end_after(wait: Callable[[], None]) -> None:
    wait()
    os.kill(os.getpid(), signal.SIGTERM)


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
    """Serve until SIGINT or SIGTERM, and finish what runs then; ServerError where the application does not start.

    The workers share the listening socket, and this process keeps it open, so the port never refuses. One that dies is
    replaced; SIGHUP replaces all, one after the other, each when its successor serves.
    """
    if settings.lock_memory:
        try:
            check_lockable()
        except CannotLock as error:
            raise ServerError(str(error)) from error
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)  # in this process alone: it tells of workers
    with _shared_metrics():
        workers = Workers(config_of(settings, "app.server:create_worker"), sockets=[listening])
        workers.run()
    if any(process.exitcode not in (0, -signal.SIGTERM) for process in workers.processes):
        raise ServerError("the application did not start or stop in order; the lines above say why")


def config_of(settings: Settings, factory: str | Callable[[], FastAPI]) -> Config:
    """How uvicorn serves an application."""
    protocol = partial(Protocol, receive_seconds=settings.receive_seconds, max_body_bytes=settings.max_body_bytes)
    return Config(
        factory,
        factory=True,
        workers=settings.workers,
        http=cast(Any, protocol),
        log_config=log_config(settings.log_level),
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=START_SECONDS,
    )


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """A folder in which workers add up their metrics."""
    folder = tempfile.mkdtemp(prefix="sparrow-metrics-")
    os.environ[FOLDER] = folder
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
