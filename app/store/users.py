"""What is known about users: their history, and the items they have seen or hidden.

Writing is one script per user and batch, so that an event and its idempotency key change together or not at all.
Reading is one pipelined round trip. The history is ordered by timestamp, then arrival, and keeps the newest
`history_limit` interactions; seen and hidden items are 8-byte hashes of their ids. Every write renews the time to live.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from app.metrics import Metrics
from app.settings import Settings
from app.store.keys import event_key, user_keys
from app.store.script import RECORD, RECORD_SHA
from index.vocabulary import hash_id

log = logging.getLogger(__name__)

HIDING_KINDS = frozenset({"dislike", "hide"})
"""Kinds of events whose items never come back."""

UNSEEN_KINDS = frozenset({"impression"})
"""Kinds of events that do not make an item seen."""

BATCH = 100
"""Events in one run of the script: a run blocks all other users."""

CONNECTIONS = 64
"""Most connections of one process."""

Doing = Literal["reading", "recording", "forgetting", "limiting"]
"""What may fail apart from the rest: a full Redis can be read, records nothing, and forgets."""

EventResult = Literal["accepted", "duplicate"]

Steering = Mapping[str, float | Literal["never"]]
"""By segment id: how much more (up to 1) or less (down to -1) of it, or "never"."""

UNSTEERED: Steering = MappingProxyType({})

SERVED_LIMIT = 1000
"""Items served last that are kept for rotation."""

SERVED_SECONDS = 7 * 86_400
"""How long they are kept after the last answer."""


class StoreUnavailable(Exception):  # noqa: N818  (the name says what is the matter)
    """The user store cannot be reached or cannot answer; the caller may go on without it."""


class Interaction(NamedTuple):
    """One thing a user did with an item."""

    item_id: str
    kind: str
    weight: float
    """What it says about the user's taste; below 0: the user did not like the item."""
    timestamp: float
    """Unix seconds."""


class Served(NamedTuple):
    """What was returned to a user lately, each item once."""

    hashes: NDArray[np.uint64]
    """Of item ids."""
    times: NDArray[np.float64]
    """Unix seconds of the last time each was served."""


NOTHING_SERVED = Served(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.float64))


class UserState(NamedTuple):
    """All that is stored about a user."""

    history: tuple[Interaction, ...]
    """Newest first, weights are not 0."""
    seen: NDArray[np.uint64]
    """Hashes of item ids, oldest first."""
    hidden: NDArray[np.uint64]
    """Hashes of item ids, oldest first."""
    steering: Steering = UNSTEERED
    """What the user asked for more or less of."""
    served: Served = NOTHING_SERVED
    """Only where it was asked for."""

    @property
    def empty(self) -> bool:
        """True where nothing is stored."""
        return not (self.history or len(self.seen) or len(self.hidden) or self.steering)


class Event(NamedTuple):
    """An interaction to record."""

    user_id: str
    interaction: Interaction
    event_id: str | None
    """Repeats of it within 24 hours are ignored, per user."""


class Users:
    """The user store. Every method raises StoreUnavailable where Redis is away, too slow, or refuses."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        if settings.redis_url is None:
            raise ValueError("redis_url is not set: give SPARROW_REDIS_URL, or use sparrow-serve, which starts a store")
        timeout = settings.store_timeout_ms / 1000
        pool = BlockingConnectionPool.from_url(
            settings.redis_url.get_secret_value(),
            max_connections=CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # A second try could record events twice: the first may have been carried out before its answer was lost.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._redis = Redis.from_pool(pool)
        self._settings = settings
        self._metrics = metrics
        self._failing: set[Doing] = set()

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        async with self._translated("reading"):
            await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]

    async def run(self, script: str, key: bytes, arguments: Sequence[Any]) -> list[int]:
        """Run a script on one key, which answers with numbers."""
        async with self._translated("limiting"):
            found: list[int] = await self._redis.execute_command("EVAL", script, 1, key, *arguments)  # type: ignore[no-untyped-call]
        return found

    async def read(self, user_id: str, *, served: bool = False) -> UserState:
        """The user's state, in one round trip; empty where nothing is stored. `served`: with what was served lately."""
        (state,) = await self.read_many([user_id], served=served)
        return state

    async def read_many(self, user_ids: Sequence[str], *, served: bool = False) -> list[UserState]:
        """The state of each user, all in one round trip."""
        async with self._translated("reading"), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                keys = user_keys(user_id)
                pipeline.zrevrange(keys.history, 0, self._settings.history_limit - 1, withscores=True)
                pipeline.zrange(keys.seen, 0, -1)
                pipeline.zrange(keys.hidden, 0, -1)
                pipeline.get(keys.steering)
                pipeline.zrange(keys.served, 0, -1 if served else -SERVED_LIMIT - 1, withscores=True)
            found = await pipeline.execute()
        return [_state(*found[at : at + 5]) for at in range(0, len(found), 5)]

    async def steer(self, user_id: str, steering: Steering) -> None:
        """Replace what the user asked for more or less of; nothing where it is empty."""
        key = user_keys(user_id).steering
        async with self._translated("recording"):
            if steering:
                value = json.dumps(dict(steering), separators=(",", ":"))
                await self._redis.set(key, value, ex=self._settings.user_ttl_days * 86_400)
            else:
                await self._redis.unlink(key)

    async def note_served(self, user_id: str, item_hashes: NDArray[np.uint64], now: float) -> None:
        """Remember that items were served at this time (Unix seconds), the newest 1,000 for 7 days; may be lost."""
        if not len(item_hashes):
            return
        key = user_keys(user_id).served
        async with self._translated("recording"), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zadd(key, {one.to_bytes(8, "big"): now for one in item_hashes.tolist()})
            pipeline.zremrangebyrank(key, 0, -1 - SERVED_LIMIT)
            pipeline.expire(key, SERVED_SECONDS)
            await pipeline.execute()

    async def record(self, events: Sequence[Event]) -> list[EventResult]:
        """Record events, in order within each user; one result for each, in the order given.

        Where StoreUnavailable is raised some of the events may have been recorded.
        """
        batches = list(_batches(events))
        calls = [self._arguments([events[number] for number in batch]) for batch in batches]
        async with self._translated("recording", telling=any(_stores(event) for event in events)):
            replies = await self._run(calls)
        results: list[EventResult] = ["accepted"] * len(events)
        for batch, reply in zip(batches, replies, strict=True):
            for number, recorded in zip(batch, reply, strict=True):
                if not recorded:
                    results[number] = "duplicate"
        return results

    async def delete(self, user_id: str) -> None:
        """Forget the user."""
        async with self._translated("forgetting"):
            await self._redis.unlink(*user_keys(user_id))

    async def _run(self, calls: Sequence[list[Any]]) -> list[list[int]]:
        """Run the script once a call, in one round trip; a second one after Redis has forgotten the script."""
        replies = await self._evaluate(calls)
        missing = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            await self._redis.script_load(RECORD)
            again = await self._evaluate([calls[number] for number in missing])
            for number, reply in zip(missing, again, strict=True):
                replies[number] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _evaluate(self, calls: Sequence[list[Any]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command("EVALSHA", RECORD_SHA, *call)
            return await pipeline.execute(raise_on_error=False)

    def _arguments(self, events: Sequence[Event]) -> list[Any]:
        """Number of keys, keys and arguments of one run of the script: events of one user."""
        user_id = events[0].user_id
        keys = [*user_keys(user_id)[:4], *(event_key(user_id, e.event_id) for e in events if e.event_id is not None)]
        limits = self._settings
        arguments: list[Any] = [limits.history_limit, limits.seen_limit, limits.hidden_limit]
        arguments += [limits.user_ttl_days * 86_400]
        for event in events:
            arguments += _packed(event)
        return [len(keys), *keys, *arguments]

    @asynccontextmanager
    async def _translated(self, doing: Doing, *, telling: bool = True) -> AsyncIterator[None]:
        """Failures as StoreUnavailable; `telling` is false where success would not mean that an outage is over."""
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            self._metrics.store_errors.inc()
            if doing not in self._failing:  # once an outage, not once a request
                log.warning("user store unavailable for %s: %s: %s", doing, type(error).__name__, error)
            self._failing.add(doing)
            raise StoreUnavailable("the user store does not answer") from error
        if telling and doing in self._failing:
            log.info("user store available again for %s", doing)
            self._failing.discard(doing)


def _batches(events: Sequence[Event]) -> Iterator[list[int]]:
    """Positions of events, user by user, at most `BATCH` together."""
    by_user: dict[str, list[int]] = {}
    for number, event in enumerate(events):
        by_user.setdefault(event.user_id, []).append(number)
    for numbers in by_user.values():
        for start in range(0, len(numbers), BATCH):
            yield numbers[start : start + BATCH]


def _stores(event: Event) -> bool:
    """Whether recording it needs memory; a full Redis takes what does not."""
    return any(_packed(event)[2:])


def _packed(event: Event) -> list[Any]:
    """The four arguments the script takes for an event."""
    one = event.interaction
    # What weighs nothing stays outside: impressions would push out of the history what the user really did.
    entry = json.dumps([one.item_id, one.kind, one.weight], separators=(",", ":")) if one.weight else ""
    marks = ("s" if one.kind not in UNSEEN_KINDS else "") + ("h" if one.kind in HIDING_KINDS else "")
    marks += "i" if event.event_id is not None else ""
    return [repr(one.timestamp), hash_id(one.item_id).to_bytes(8, "big"), entry, marks]


def _unpacked(member: bytes, timestamp: float) -> Interaction:
    item_id, kind, weight = json.loads(member[8:])
    return Interaction(item_id, kind, weight, timestamp)


def _state(
    history: Sequence[tuple[bytes, float]],
    seen: Sequence[bytes],
    hidden: Sequence[bytes],
    steering: bytes | None,
    served: Sequence[tuple[bytes, float]],
) -> UserState:
    return UserState(
        history=tuple(_unpacked(*entry) for entry in history),
        seen=_hashes(seen),
        hidden=_hashes(hidden),
        steering=UNSTEERED if steering is None else json.loads(steering),
        served=Served(_hashes([one for one, _ in served]), np.array([at for _, at in served], dtype=np.float64)),
    )


def _hashes(members: Sequence[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(members), dtype=">u8").astype(np.uint64)
