"""HTTP on a socket: uvicorn's protocol over httptools, with bounds and a gentle end.

A connection that does not send a whole request within `receive_seconds` gets 408 and is closed; headers over their
bounds get 431, what is no HTTP 400, all as application/problem+json. A draining connection is told so by
`Connection: close` in its next answer, so that no client finds a connection closed under the request it just sent.
"""

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Sized
from http import HTTPStatus
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.errors import MEDIA_TYPE, SORTS

MAX_HEADERS = 100
"""Number of headers of one request."""

MAX_HEADER_BYTES = 32 * 1024
"""Bytes of the request line and the headers of one request."""

LINGER_SECONDS = 3.0
"""How long an idle connection of a server that ends waits for a request, to answer it and say that it was the last."""

FRAMING = 8
"""A body that comes in chunks of single bytes takes six times its size; more is not about the body."""

DETAILS = {
    400: "this is not HTTP/1.1",
    408: "the request did not come in whole in time: send it again on a new connection",
    413: SORTS[413].detail,
    431: f"at most {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes of request line and headers are taken",
}


class _Flow(FlowControl):
    """Reads nothing more while requests that came in already wait for their turn.

    uvicorn's own reads on with each answer: who sends without reading fills the memory.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, if it is time."""
        if not self._waiting:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        receive_seconds: float,
        max_body_bytes: int,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._receive_seconds = receive_seconds
        self._max_bytes = MAX_HEADER_BYTES + FRAMING * max_body_bytes
        self._draining = False
        self._receiving = True  # a new connection owes a request
        self._in_headers = False
        self._n_bytes = 0  # of the current request, but for those that came together with its beginning
        self._began = False
        self._n_headers = 0
        self._refusal = 400
        self._unanswered: deque[RequestResponseCycle] = deque()  # the first is being answered
        self._late: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client has come."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._late = self.loop.call_later(self._receive_seconds, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: nothing is written to it any more."""
        self._disarm()
        for cycle in self._unanswered:  # uvicorn's own tells the last one alone
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came in. What the parser holds back is bounded here, and a request that began must end in time."""
        self._began = False
        super().data_received(data)
        if not self._receiving:
            self._disarm()
            return
        if self.transport.is_closing():
            return
        if self._late is None:
            self._late = self.loop.call_later(self._receive_seconds, self._too_late)
        if not self._began:
            self._n_bytes += len(data)
            if self._n_bytes > (MAX_HEADER_BYTES if self._in_headers else self._max_bytes):
                self._refuse(431 if self._in_headers else 413)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._receiving = self._in_headers = self._began = True
        self._n_bytes = self._n_headers = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is whole; also one behind a body in chunks."""
        self._n_headers += 1
        if self._n_headers > MAX_HEADERS:
            self._refusal = 431
            raise ValueError("too many headers")  # the parser makes an error of its own of it
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All of them: the request starts."""
        self._in_headers = False
        if len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > MAX_HEADER_BYTES:
            self._refusal = 431
            raise ValueError("too long headers")
        self.scope["state"]["arrived"] = time.perf_counter()
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """And its body."""
        self._receiving = False
        super().on_message_complete()

    # What the server calls.

    def on_response_complete(self) -> None:
        """The first request is answered."""
        self._unanswered.popleft()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's words are plain text)
        """Tell the client what is wrong with its bytes."""
        self._refuse(self._refusal)

    def shutdown(self) -> None:
        """The server ends, or a successor serves: answer what has begun, and say so to whoever sends within a moment.

        uvicorn's own way, to close what is idle at once, would close connections under requests that are on their way.
        """
        self._draining = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self._disarm()
        self._late = self.loop.call_later(LINGER_SECONDS, self._end)

    @property
    def _answering(self) -> bool:
        """Whether a request has no whole answer yet."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's types forget that it begins as None
        return cycle is not None and not cycle.response_complete

    @property
    def _begun(self) -> bool:
        """Whether a request has begun to come in and is not whole."""
        return self._receiving and self.scope is not None

    def _end(self) -> None:
        if self._begun or not self._answering:
            self._too_late()

    def _too_late(self) -> None:
        if self._begun:
            self._refuse(408)
        else:
            self._disarm()
            self.transport.close()  # it never said anything

    def _refuse(self, status: int) -> None:
        """Answer without the application, and close."""
        self._disarm()
        if self.transport.is_closing():
            return
        waiting = self._answering
        # Behind an unfinished answer there is no place for another.
        if not waiting or not (self._in_headers or self.pipeline or self.cycle.response_started):
            self.transport.write(_answer(status))
        if waiting:
            self.cycle.disconnected = True  # whoever waits for the rest of a body is told that it does not come
            self.cycle.message_event.set()
        self.transport.close()

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _answer(status: int) -> bytes:
    """An error as `app.errors` would word it, for what never becomes a request."""
    sort = SORTS[status]
    request_id = os.urandom(16).hex()
    document = {
        "type": f"urn:sparrow:{sort.name}",
        "title": sort.title,
        "status": status,
        "detail": DETAILS[status],
        "request_id": request_id,
    }
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
