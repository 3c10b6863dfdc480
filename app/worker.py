"""One server process: python -m app.worker LISTENING CHANNEL, two file descriptors that `app.supervisor` hands over.

It listens only when its index is open and warm, and says so on the channel. It ends when told so, on the channel where
it has a successor, else by SIGTERM, or by the end of the channel where its parent is gone: it takes no more
connections, answers `Connection: close` on those there are, closes the ones that stay silent, and finishes what runs.
"""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from fastapi import FastAPI
from uvicorn import Config, Server

from app.main import create_app
from app.protocol import Protocol
from app.server import GRACE_SECONDS, LINGER_SECONDS, log_config
from app.settings import Settings
from app.supervisor import READY

LAST_LINGER_SECONDS = 0.3
"""The same where there is no successor to come to."""

KEEP_ALIVE_SECONDS = 75
"""An idle connection is closed after so long: later than common clients and proxies close it, which then never race."""


class WorkerServer(Server):
    """uvicorn's server with a gentler end, whose parent speaks for the terminal."""

    def __init__(self, config: Config, channel: socket.socket) -> None:
        super().__init__(config)
        self._channel = channel
        self._linger_seconds = LAST_LINGER_SECONDS

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM ends the worker; Ctrl-C and hang-up are for the parent."""
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop at the next beat of the main loop."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen, then say so."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is there by now stays: no later collection need look at it
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._told)
        self._channel.send(READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let every connection come to its end."""
        for server in self.servers:
            server.close()
        connections: set[Any] = self.server_state.connections
        for connection in connections:
            connection.drain()
        until = time.monotonic() + self._linger_seconds
        while connections and time.monotonic() < until:  # noqa: ASYNC110  (uvicorn keeps a set, and tells nobody)
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _told(self) -> None:
        asyncio.get_running_loop().remove_reader(self._channel)
        if self._channel.recv(64):
            self._linger_seconds = LINGER_SECONDS
        self.should_exit = True


def config_of(settings: Settings, application: FastAPI) -> Config:
    """How an application is served."""
    protocol: Any = partial(Protocol, receive_seconds=settings.receive_seconds, max_body_bytes=settings.max_body_bytes)
    return Config(
        application,
        loop="auto" if sys.platform == "win32" else "uvloop",
        http=protocol,
        log_config=log_config(settings.log_level),
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def main() -> None:
    """Serve until told to end."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    listening, channel = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    settings = Settings()
    config = config_of(settings, create_app(settings))
    WorkerServer(config, channel).run([listening])


if __name__ == "__main__":
    main()
