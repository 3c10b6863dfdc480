"""Redis, or a Redis Cluster, for the rest of the store: calls in, replies out, StoreUnavailable where that fails.

redis-py does the work: pools, the protocol (by hiredis), TLS, the map of a cluster. What may be repeated without harm
is asked once more, a little later, where a connection broke; a call that was slow is not, for whoever waits has waited
enough. A circuit breaker spares those who come then.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import ReadOnlyError, RedisClusterException, RedisError, ResponseError

from app.metrics import Metrics
from app.settings import Settings
from app.store.address import Target, parse_url
from app.store.breaker import Breaker
from app.store.keys import PARTITIONS

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.02
"""Before a call is repeated; a random part of it, so that many callers do not come back at once."""

MAX_CONNECTIONS = 1000
"""Of one process to one server, each with a call that waits; a call more is refused at once."""

Client = Redis | RedisCluster

Reply = Any
"""bytes, int, None, a list of these, or an Exception: a refusal is an answer."""

Doing = Literal["reading", "recording", "forgetting", "counting"]
"""What may fail apart from the rest: a full Redis can be read, records nothing, and forgets."""


class StoreUnavailable(Exception):  # noqa: N818  (the name says what is the matter)
    """The user store cannot be reached or cannot answer; the caller may go on without it."""


class _LeftAlone(Exception):  # noqa: N818
    """The server failed several times in a row."""


Command = Sequence[bytes | str | float]
"""Its name and its arguments."""


class Call(NamedTuple):
    """One command, on keys of one partition."""

    partition: int
    command: Command


class Connection:
    """All connections of one process. It opens nothing before it is asked, and needs a running event loop then."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        if settings.redis_url is None:
            raise ValueError("redis_url is not set: give SPARROW_REDIS_URL, or use sparrow-serve, which starts a store")
        self._once, self._repeating = _client(settings, repeats=0), _client(settings, repeats=1)
        self.cluster = isinstance(self._once, RedisCluster)
        """Whether users are spread over several servers."""
        self._breakers = [Breaker() for _ in range(PARTITIONS if self.cluster else 1)]
        # One clock for all of a round trip costs less than redis-py's for each step; of a cluster the client must see
        # which node is slow, to look for its successor.
        self._seconds = None if self.cluster else settings.store_timeout_ms / 1000
        self._metrics = metrics
        self._failing: set[Doing] = set()
        self.waiting = 0
        """Round trips that are not over yet."""

    @property
    def left_alone(self) -> float:
        """The share of the users whose server failed so often that it is not asked at present."""
        return sum(breaker.open for breaker in self._breakers) / len(self._breakers)

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._once, self._repeating):
            await client.aclose()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers; of a cluster, the node of the first partition."""
        self.checked(await self.run([Call(0, ("EXISTS", "sparrow:{0}"))], "reading", repeat=True), "reading")

    async def run(self, calls: Sequence[Call], doing: Doing, *, repeat: bool, telling: bool = True) -> list[Reply]:
        """The reply to each call, in one round trip (one to each node of a cluster).

        `repeat`: carrying it out twice does no harm. `telling` is false where success would not mean that an outage of
        what is being done is over. A refusal is a reply, see `checked`.
        """
        breakers = {self._breakers[call.partition % len(self._breakers)] for call in calls}
        if any([breaker.refuses() for breaker in breakers]):  # noqa: C419  (each is to be asked)
            raise self.failed(doing, _LeftAlone("it failed several times in a row and is left alone for a moment"))
        self.waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                replies = await _replies(self._repeating if repeat else self._once, calls)
        except (RedisError, RedisClusterException, OSError) as error:
            if len(breakers) == 1:  # else nobody knows whose failure it was
                for breaker in breakers:
                    breaker.failed()
            raise self.failed(doing, error) from error
        finally:
            self.waiting -= 1
        for breaker in breakers:
            breaker.succeeded()
        if telling and doing in self._failing:
            self._recovered(doing, replies)
        return replies

    async def get(self, keys: Sequence[tuple[int, Sequence[bytes]]], doing: Doing) -> list[list[bytes | None]]:
        """The values of keys, each list with its partition, in one round trip."""
        if self.cluster:  # while a slot moves, its nodes answer for single keys only
            calls = [Call(p, ("GET", key)) for p, own in keys for key in own]
            replies = await self.run(calls, doing, repeat=True)
            self.checked(replies, doing)
        else:
            command: Command = ("MGET", *(key for _, own in keys for key in own))
            found = await self.run([Call(0, command)], doing, repeat=True)
            self.checked(found, doing)
            (replies,) = found
        values = iter(replies)
        return [[next(values) for _ in own] for _, own in keys]

    def checked(self, replies: Sequence[Reply], doing: Doing) -> None:
        """Raise StoreUnavailable where Redis refused a command."""
        for reply in replies:
            if isinstance(reply, Exception):
                raise self.failed(doing, reply)

    def failed(self, doing: Doing, error: Exception) -> StoreUnavailable:
        """Count and log a failure, once an outage and not once a request; the exception to raise."""
        self._metrics.store_errors.inc()
        if doing not in self._failing:
            why = str(error) or "no answer in time"
            log.warning("user store unavailable for %s: %s: %s", doing, type(error).__name__, why)
        self._failing.add(doing)
        return StoreUnavailable("the user store does not answer")

    def _recovered(self, doing: Doing, replies: Sequence[Reply]) -> None:
        if not any(isinstance(reply, Exception) for reply in replies):
            log.info("user store available again for %s", doing)
            self._failing.discard(doing)


async def _replies(client: Client, calls: Sequence[Call]) -> list[Reply]:
    if len(calls) == 1:
        try:
            return [await client.execute_command(*calls[0].command)]
        except ResponseError as refusal:
            replies: list[Reply] = [refusal]
    else:
        pipeline = client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*call.command)
        replies = await pipeline.execute(raise_on_error=False)
    if isinstance(client, Redis) and any(isinstance(reply, ReadOnlyError) for reply in replies):
        # No master any more: the address may lead to the new one by now.
        await client.connection_pool.disconnect(inuse_connections=False)
    return replies


def _client(settings: Settings, repeats: int) -> Client:
    address = parse_url(settings.redis_url.get_secret_value() if settings.redis_url else "")
    first = address.targets[0]
    seconds = settings.store_timeout_ms / 1000 if address.cluster else None
    options: dict[str, Any] = {
        "username": first.username,
        "password": first.password,
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "max_connections": MAX_CONNECTIONS,
        "retry": Retry(FullJitterBackoff(RETRY_SECONDS, RETRY_SECONDS), repeats, (BrokenConnection,)),
        **_tls(settings, first),
    }
    if address.cluster:
        nodes = [ClusterNode(target.place, target.port) for target in address.targets]
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
    if not first.port:
        return Redis(unix_socket_path=first.place, db=first.db, **options)
    return Redis(host=first.place, port=first.port, db=first.db, **options)


def _tls(settings: Settings, target: Target) -> dict[str, Any]:
    if not target.tls:
        return {}
    try:
        ssl.create_default_context(cafile=settings.redis_ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"SPARROW_REDIS_CA: {settings.redis_ca} holds no certificates that can be read") from error
    return {"ssl": True, "ssl_ca_certs": str(settings.redis_ca) if settings.redis_ca else None}
