"""One Redis server as this process sees it: a connection for reading, one for writing, and a circuit breaker.

Two connections, so that a request's read does not wait behind a thousand events that are being sent.
"""

import asyncio
import random
import ssl
from contextlib import suppress
from typing import Literal

from app.store.breaker import Breaker
from app.store.lane import Lane, Lost, Reply, Target, Unreachable, open_lane, pack

PROBE_SECONDS = 0.25
"""Between probes of a server that is left alone; each wait is up to half as long again."""

Use = Literal["read", "write"]

PING = pack(("PING",))


class Node:
    """A server. Its methods raise Lost, and Slow, where it cannot be reached; nothing is opened before it is needed."""

    def __init__(self, target: Target, timeout: float, context: ssl.SSLContext | None) -> None:
        self.target = target
        self._timeout = timeout
        self._context = context
        self._lanes: dict[Use, Lane] = {}
        self._opening: dict[Use, asyncio.Task[Lane]] = {}
        self._breaker = Breaker()
        self._probing: asyncio.Task[None] | None = None

    @property
    def left_alone(self) -> bool:
        """Whether it failed so often that nobody asks it at present."""
        return self._breaker.open

    @property
    def waiting(self) -> int:
        """Calls that were sent and not answered yet."""
        return sum(lane.waiting for lane in self._lanes.values())

    async def ask(self, packed: bytes, n: int, use: Use) -> list[Reply]:
        """Send n commands at once; their replies in order."""
        if self._breaker.open:
            raise Unreachable(f"{self.target} failed several times in a row and is left alone until it answers")
        try:
            lane = self._lanes.get(use)
            if lane is None or lane.closed:
                lane = await self._opened(use)
            replies = await lane.ask(packed, n)
        except Lost:
            if self._breaker.failed():
                self._probing = asyncio.create_task(self._probe(), name="redis-probe")
            raise
        self._breaker.succeeded()
        return replies

    async def close(self) -> None:
        """Close all connections and stop probing."""
        tasks = [*self._opening.values(), *([self._probing] if self._probing else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Lost):
                await task
        self.drop("closed here")

    def drop(self, reason: str) -> None:
        """Close the connections; the next call opens new ones."""
        for lane in self._lanes.values():
            if not lane.closed:
                lane.close(Lost(reason))
        self._lanes.clear()

    async def _opened(self, use: Use) -> Lane:
        """A new connection; all who need it wait for the same one."""
        task = self._opening.get(use)
        if task is None:
            opening = open_lane(self.target, self._timeout, self._context)
            task = self._opening[use] = asyncio.create_task(opening, name="redis-connect")
            task.add_done_callback(lambda done: self._arrived(use, done))
        # Shielded: a request that is given up must not take the connection from the others.
        return await asyncio.shield(task)

    def _arrived(self, use: Use, done: "asyncio.Task[Lane]") -> None:
        del self._opening[use]
        if not done.cancelled() and done.exception() is None:
            self._lanes[use] = done.result()

    async def _probe(self) -> None:
        """Half open: ask for a sign of life until there is one, which closes the breaker."""
        self.drop("it failed several times in a row")
        while self._breaker.open:
            await asyncio.sleep(PROBE_SECONDS * random.uniform(1, 1.5))  # noqa: S311  (workers must not come in step)
            with suppress(Lost):
                lane = await self._opened("read")
                await lane.ask(PING, 1)
                self._breaker.succeeded()
