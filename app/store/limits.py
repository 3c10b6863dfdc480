"""How many requests a caller may make: a rate and a burst of one second of it, over all workers together.

Redis counts, by GCRA, the generic cell rate algorithm (ITU-T I.371): one timestamp a caller, up to which what was
granted lasts. A worker does not ask it for each request: it takes a tenth of a second's worth at once, spends that in
its own memory, and fetches more in the background before it runs out. So no more is ever granted than the rate and the
burst, and a request costs a subtraction. A worker that Redis does not answer grants its share of the rate by itself.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from app.store.users import StoreUnavailable

LEASE_SECONDS = 0.1
"""A worker takes what the rate allows in so long at once."""

HOLD_SECONDS = 1.0
"""What it has not spent by then is lost."""

ALONE_SECONDS = 1.0
"""For so long a worker that Redis did not answer goes by its share, before it asks again."""

# KEYS: the caller. ARGV: microseconds a request, requests of a burst, requests wanted.
# Returns the requests granted, and microseconds until one will be where none was.
GRANT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lasting = tonumber(redis.call('GET', KEYS[1]) or '0')
-- Also not far ahead: a clock that was set back must not lock a caller out.
lasting = math.min(math.max(lasting, now), now + burst * interval)
local free = math.floor(burst - (lasting - now) / interval + 0.000001)
if free < 1 then
  return {0, math.ceil(lasting - now - (burst - 1) * interval)}
end
local granted = math.min(free, wanted)
lasting = lasting + granted * interval
redis.call('SET', KEYS[1], string.format('%.0f', lasting), 'PX', math.ceil((lasting - now) / 1000) + 1)
return {granted, 0}
"""

Ask = Callable[[str, bytes, list[Any]], Awaitable[list[int]]]
"""Runs a script on one key with arguments; StoreUnavailable where Redis does not."""


class _Allowance:
    """What one caller may still do in this worker."""

    __slots__ = ("alone", "alone_at", "alone_until", "fetching", "left", "lost_at", "refused_until")

    def __init__(self, share: float) -> None:
        self.left = 0.0
        """Requests granted and not yet made."""
        self.lost_at = 0.0
        """When they are lost."""
        self.refused_until = 0.0
        """Before that there is no use in asking."""
        self.fetching: asyncio.Task[None] | None = None
        self.alone = share
        """Requests that this worker may grant by itself, at `alone_at`."""
        self.alone_at = 0.0
        self.alone_until = 0.0


class Limits:
    """The rate of each caller. `rate` is in requests a second, of all `workers` together."""

    def __init__(self, rate: float, workers: int, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.burst = max(1, math.floor(rate))
        """Requests that may come at once."""
        self._lease = max(1, math.ceil(rate * LEASE_SECONDS / workers))
        self._share = rate / workers
        self._ask = ask
        self._clock = clock
        self._callers: dict[str, _Allowance] = {}

    def spend(self, caller: str) -> float | None:
        """0: one request may be made. Above 0: none before so many seconds. None: await `refill`."""
        now = self._clock()
        allowance = self._callers.get(caller)
        if allowance is None:
            return None
        if allowance.left >= 1 and now < allowance.lost_at:
            allowance.left -= 1
            if 2 * allowance.left < self._lease and self._lease > 1 and now >= allowance.refused_until:
                self._fetch(caller, allowance)
            return 0.0
        if now < allowance.refused_until:
            return allowance.refused_until - now
        return None

    async def refill(self, caller: str) -> float:
        """Fetch more, and spend one: 0, or the seconds to wait."""
        allowance = self._callers.setdefault(caller, _Allowance(max(1.0, self._share)))
        while True:
            await asyncio.shield(self._fetch(caller, allowance))
            wait_seconds = self.spend(caller)
            if wait_seconds is not None:
                return wait_seconds

    def headers(self, wait_seconds: float) -> Mapping[str, str]:
        """Of a refusal, as in draft-ietf-httpapi-ratelimit-headers."""
        seconds = max(1, math.ceil(wait_seconds))
        window = max(1, math.ceil(self.burst / self.rate))
        return {
            "Retry-After": str(seconds),
            "RateLimit": f'"requests";r=0;t={seconds}',
            "RateLimit-Policy": f'"requests";q={max(1, math.floor(self.rate * window))};w={window}',
        }

    def _fetch(self, caller: str, allowance: _Allowance) -> asyncio.Task[None]:
        """The one task that fetches for this caller."""
        if allowance.fetching is None or allowance.fetching.done():
            allowance.fetching = asyncio.create_task(self._fetched(caller, allowance))
        return allowance.fetching

    async def _fetched(self, caller: str, allowance: _Allowance) -> None:
        if self._clock() < allowance.alone_until:
            self._grant_alone(allowance)
            return
        arguments = [1e6 / self.rate, self.burst, self._lease]
        try:
            granted, wait_us = await self._ask(GRANT, b"sparrow:limit:" + caller.encode(), arguments)
        except StoreUnavailable:
            allowance.alone_until = self._clock() + ALONE_SECONDS
            self._grant_alone(allowance)
            return
        self._grant(allowance, granted, wait_us / 1e6)

    def _grant(self, allowance: _Allowance, n_requests: float, wait_seconds: float) -> None:
        now = self._clock()
        if n_requests < 1:
            allowance.refused_until = now + wait_seconds
            return
        allowance.left = n_requests + (allowance.left if now < allowance.lost_at else 0)
        allowance.lost_at = now + HOLD_SECONDS

    def _grant_alone(self, allowance: _Allowance) -> None:
        """By a bucket of this worker's own, which its share of the rate fills."""
        now = self._clock()
        since = max(0.0, now - allowance.alone_at)
        allowance.alone = min(max(1.0, self._share), allowance.alone + since * self._share)
        allowance.alone_at = now
        n_requests = min(math.floor(allowance.alone), self._lease)
        allowance.alone -= n_requests
        self._grant(allowance, n_requests, (1 - allowance.alone) / self._share)
