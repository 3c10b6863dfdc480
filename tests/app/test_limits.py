"""Rates: what is granted, over several workers, against a real Redis and without one."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from redis import Redis

from app.metrics import Metrics
from app.settings import Settings
from app.store.limits import GRANT, LEASE_SECONDS, Limits
from app.store.users import StoreUnavailable, Users

pytestmark = pytest.mark.anyio


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bucket:
    """What Redis would say, by a clock: the slow and obvious one, a level that fills."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self.clock, self.rate, self.at, self.calls = clock, rate, clock(), 0
        self.capacity = max(1, int(rate))
        self.level = float(self.capacity)
        self.away = False

    async def ask(self, script: str, key: bytes, arguments: list[Any]) -> list[int]:
        assert script is GRANT
        assert key.startswith(b"sparrow:limit:")
        self.calls += 1
        if self.away:
            raise StoreUnavailable("away")
        self.level = min(self.capacity, self.level + (self.clock() - self.at) * self.rate)
        self.at = self.clock()
        granted = min(int(self.level), arguments[2])
        self.level -= granted
        return [granted, 0 if granted else int(1e6 * (1 - self.level) / self.rate) + 1]


async def made(limits: Limits, n_requests: int, caller: str = "shop") -> int:
    """How many of them may be made now."""
    n_made = 0
    for _ in range(n_requests):
        wait_seconds = limits.spend(caller)
        if wait_seconds is None:
            wait_seconds = await limits.refill(caller)
        n_made += not wait_seconds
    return n_made


@pytest.mark.parametrize("n_workers", [1, 2, 7])
async def test_workers_together_grant_the_rate_and_no_more(n_workers: int) -> None:
    clock = Clock()
    redis = Bucket(clock, 50)
    workers = [Limits(50, n_workers, redis.ask, clock) for _ in range(n_workers)]
    total = 0
    for _ in range(100):  # ten seconds, far more than is allowed
        total += sum([await made(worker, 30) for worker in workers])
        clock.now += 0.1
    held = n_workers * 2 * max(1, 50 * LEASE_SECONDS / n_workers)
    assert 50 + 500 - held - 50 <= total <= 50 + 500


async def test_an_empty_caller_is_refused_without_asking_again() -> None:
    clock = Clock()
    redis = Bucket(clock, 10)
    limits = Limits(10, 1, redis.ask, clock)
    assert await made(limits, 50) == 10
    calls = redis.calls
    assert await made(limits, 1000) == 0
    assert redis.calls == calls
    wait_seconds = limits.spend("shop")
    assert wait_seconds is not None
    assert 0 < wait_seconds <= 0.11
    clock.now += wait_seconds + 0.001
    assert await made(limits, 5) == 1


async def test_most_requests_ask_nobody() -> None:
    clock = Clock()
    redis = Bucket(clock, 1000)
    limits = Limits(1000, 1, redis.ask, clock)
    assert await made(limits, 1000) == 1000
    assert redis.calls <= 22


async def test_callers_are_counted_apart() -> None:
    clock = Clock()
    buckets = {b"sparrow:limit:a": Bucket(clock, 5), b"sparrow:limit:b": Bucket(clock, 5)}

    async def ask(script: str, key: bytes, arguments: list[Any]) -> list[int]:
        return await buckets[key].ask(script, key, arguments)

    limits = Limits(5, 1, ask, clock)
    assert await made(limits, 20, "a") == 5
    assert await made(limits, 20, "b") == 5


async def test_many_at_once_share_one_question() -> None:
    clock = Clock()
    redis = Bucket(clock, 1000)
    limits = Limits(1000, 1, redis.ask, clock)
    waits = await asyncio.gather(*(limits.refill("shop") for _ in range(50)))
    assert waits == [0.0] * 50
    assert redis.calls <= 2


async def test_without_redis_each_worker_grants_its_share() -> None:
    clock = Clock()
    redis = Bucket(clock, 100)
    redis.away = True
    workers = [Limits(100, 4, redis.ask, clock) for _ in range(4)]
    total = 0
    for _ in range(100):
        total += sum([await made(worker, 50) for worker in workers])
        clock.now += 0.1
    assert 900 <= total <= 100 + 1000
    assert redis.calls <= 4 * 11, "it is not asked for each request"
    redis.away = False
    clock.now += 2
    assert sum([await made(worker, 200) for worker in workers]) <= 100 + 4 * 10


# --- the script, in every Redis of this machine -----------------------------------------------------------------------


@pytest.fixture
def oldest(any_redis: Any) -> Redis:
    client: Redis = any_redis.client()
    return client


def grant(redis: Redis, interval_us: float, burst: int, wanted: int) -> list[int]:
    found: list[int] = redis.eval(GRANT, 1, "sparrow:limit:x", interval_us, burst, wanted)
    return found


def test_redis_grants_a_burst_and_then_says_how_long(oldest: Redis) -> None:
    hour = 3.6e9
    assert grant(oldest, hour, 10, 4) == [4, 0]
    assert grant(oldest, hour, 10, 4) == [4, 0]
    assert grant(oldest, hour, 10, 4) == [2, 0]
    granted, wait_us = grant(oldest, hour, 10, 4)
    assert granted == 0
    assert 0.9 * hour < wait_us <= hour
    assert 0 < oldest.pttl("sparrow:limit:x") <= 36_000_001


def test_a_clock_that_was_set_back_locks_nobody_out(oldest: Redis) -> None:
    oldest.set("sparrow:limit:x", "%.0f" % (1e6 * (time.time() + 86_400)))
    granted, wait_us = grant(oldest, 1000.0, 10, 4)
    assert granted == 0
    assert wait_us <= 1001


async def test_the_store_runs_the_script_and_says_when_it_is_away(settings: Settings) -> None:
    users = Users(settings, Metrics())
    assert await users.run(GRANT, b"sparrow:limit:y", [1e6, 3, 2]) == [2, 0]
    await users.close()
    away = Users(Settings.model_validate({**settings.model_dump(), "redis_url": "unix:///nowhere"}), Metrics())
    with pytest.raises(StoreUnavailable):
        await away.run(GRANT, b"sparrow:limit:y", [1e6, 3, 2])
    await away.close()


async def test_a_full_redis_is_one_that_does_not_count(settings: Settings, redis_server: Any) -> None:
    users = Users(Settings.model_validate({**settings.model_dump(), "redis_url": redis_server.url}), Metrics())
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await users.run(GRANT, b"sparrow:limit:y", [1e6, 3, 2])
    limits = Limits(10, 2, users.run)
    assert await made(limits, 50) == 5, "the worker's own share"
    await users.close()


# --- on the wire ------------------------------------------------------------------------------------------------------


async def test_over_the_rate_is_429_and_says_when_to_come_back(settings: Settings, serving: Any) -> None:
    async with serving(settings.model_copy(update={"rate_limit": 0.02})) as client:
        assert (await client.get("/v1/segments")).status_code == 200
        refused: httpx.Response = await client.get("/v1/segments")
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "urn:sparrow:too-many"
        assert 1 <= int(refused.headers["retry-after"]) <= 50
        assert refused.headers["ratelimit"] == f'"requests";r=0;t={refused.headers["retry-after"]}'
        assert refused.headers["ratelimit-policy"] == '"requests";q=1;w=50'
        for path in ("/livez", "/readyz", "/metrics", "/info", "/"):
            assert (await client.get(path)).status_code == 200, path
        assert 'sparrow_refusals_total{reason="rate"} 1.0' in (await client.get("/metrics")).text


async def test_without_redis_the_rate_holds_too(settings: Settings, serving: Any) -> None:
    gone = {**settings.model_dump(), "redis_url": "unix:///nowhere/redis.sock", "rate_limit": 5}
    async with serving(Settings.model_validate(gone)) as client:
        statuses = [(await client.get("/v1/segments")).status_code for _ in range(30)]
    assert statuses[:5] == [200] * 5
    assert 429 in statuses
