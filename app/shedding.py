"""Load shedding: what cannot be answered soon is refused at once, so that the rest still is.

A request is refused that waited longer than `max_queue_ms` for its turn, once that has been so for `PATIENCE_SECONDS`
(a burst is no reason: Nichols and Jacobson, Controlling Queue Delay, ACM Queue, 2012), and one that comes while a
worker answers as many as it may: at most `max_in_flight`, and fewer while the event loop is late by more than
`max_queue_ms`. That bound is halved at each late beat and grows again by a step a beat (additive increase,
multiplicative decrease: Chiu and Jain, Computer Networks and ISDN Systems, 1989), so it finds what this machine can do
with these requests. Refusing costs a fraction of answering: what is answered stays quick, whatever comes in.

What operators and their machines ask is never refused.
"""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import problem
from app.metrics import Metrics

ALWAYS = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that are answered however much there is to do."""

BEAT_SECONDS = 0.02
"""Between two looks at how late the event loop is."""

FEWEST = 4
"""Requests that a worker answers at a time, however late it is: each may be waiting for something else."""

STEP = 1 / 32
"""By how much the bound grows a beat, as a part of its largest."""

PATIENCE_SECONDS = 2.0
"""How long requests must be late before some are refused, and on time before none is."""

RETRY_AFTER = {"Retry-After": "1"}
"""Seconds."""


class Load:
    """What one worker has to do, and how much it takes."""

    def __init__(self, max_in_flight: int, max_queue_ms: int) -> None:
        self._most = max_in_flight
        self._fewest = min(FEWEST, max_in_flight)
        self.max_queue_seconds = max_queue_ms / 1000
        """The longest that a request may wait for its turn."""
        self.limit = float(max_in_flight)
        """How many requests may be answered at a time, now."""
        self.in_flight = 0
        """How many are."""
        self._shedding = False
        self._turning_since: float | None = None

    async def watch(self) -> None:
        """Look at the event loop for ever."""
        while True:
            start = time.perf_counter()
            await asyncio.sleep(BEAT_SECONDS)
            self.adapt(time.perf_counter() - start - BEAT_SECONDS)

    def adapt(self, late_seconds: float) -> None:
        """Take less where the loop is late, else a little more than before."""
        if late_seconds > self.max_queue_seconds:
            self.limit = max(self._fewest, self.limit / 2)
        else:
            self.limit = min(self._most, self.limit + STEP * self._most)

    def refusal(self, waited_seconds: float) -> str | None:
        """Why a request that waited so long is not answered; None where it is."""
        if self.in_flight >= self.limit:
            return "in_flight"
        late = waited_seconds > self.max_queue_seconds
        if late is self._shedding:
            self._turning_since = None
        elif self._turning_since is None:
            self._turning_since = time.perf_counter()
        elif time.perf_counter() - self._turning_since > PATIENCE_SECONDS:
            self._shedding, self._turning_since = late, None
        return "queue" if late and self._shedding else None


class Shedding:
    """Middleware that answers 503 where a worker has too much to do."""

    def __init__(self, app: ASGIApp, load: Load, metrics: Metrics) -> None:
        self._app = app
        self._load = load
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 503."""
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        load = self._load
        refusal = load.refusal(_waited_seconds(scope))
        if refusal is not None:
            self._metrics.shed.labels(refusal).inc()
            detail = "the server has more to do than it can answer in time: nothing was done, try again shortly"
            await problem(scope, 503, detail, headers=RETRY_AFTER)(scope, receive, send)
            return
        load.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            load.in_flight -= 1


def _waited_seconds(scope: Scope) -> float:
    """Since the request's headers were read; 0 where `app.protocol` is not what read them."""
    arrived: float | None = scope.get("state", {}).get("arrived")
    return 0.0 if arrived is None else time.perf_counter() - arrived
