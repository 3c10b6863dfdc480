"""What is known about users: their history, the items they have seen or hidden, their steering, what was served.

Writing is one script per user and batch, so that an event and its idempotency key change together or not at all.
Reading is one round trip, of keys that hold what an answer needs as it needs it (see `app.store.state`). The history is
ordered by timestamp, then arrival. Every write renews the time to live.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.metrics import Metrics
from app.settings import Settings
from app.store.connection import Call, Command, Connection, Doing, StoreUnavailable
from app.store.evaluation import Run, evaluate
from app.store.events import Event, EventResult, batches, deletion_entry, keys_and_records, merge_entry, stores
from app.store.gathering import Gathering
from app.store.keys import PARTITIONS, gone_key, log_key, partition, user_keys
from app.store.merging import Bounds, Values, merged
from app.store.script import FORGETTING, RECORDING, REPLACING, SERVING, Script
from app.store.state import (
    MARK,
    NOTHING_SERVED,
    History,
    Interaction,
    Marks,
    Steering,
    Unreadable,
    UserState,
    hashes,
    read_marks,
    read_steering,
    write_steering,
)

__all__ = [
    "Event",
    "EventResult",
    "Interaction",
    "LogFull",
    "Steering",
    "StoreUnavailable",
    "Stored",
    "UserState",
    "Users",
]

SERVED_LIMIT = 1000
"""Items served last that are kept for rotation."""

SERVED_SECONDS = 7 * 86_400
"""How long they are kept after the last answer."""

MERGE_TRIES = 10
"""Of a merge while events of the two users come in."""


class LogFull(StoreUnavailable):
    """Nothing can be recorded before somebody drains the event log."""


class Stored(NamedTuple):
    """Everything that is stored about a user, with its times."""

    history: History
    seen: Marks
    hidden: Marks
    steering: Steering
    served: Marks

    @property
    def empty(self) -> bool:
        """True where nothing is stored."""
        return not (len(self.history) or any(len(one.hashes) for one in self[1:3] + self[4:]) or self.steering)


class Users:
    """The user store. Every method raises StoreUnavailable where Redis is away, too slow, or refuses."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.connection = Connection(settings, metrics)
        self._gathering = Gathering(self.connection)
        self._metrics = metrics
        self._ttl_seconds = settings.user_ttl_days * 86_400
        self._bounds = Bounds(settings.history_limit, settings.seen_limit, settings.hidden_limit)
        self._log_limit = max(1, settings.max_undrained // PARTITIONS) if settings.event_log else 0

    async def close(self) -> None:
        """Close all connections."""
        await self._gathering.close()
        await self.connection.close()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        await self.connection.ping()

    async def read(self, user_id: str, *, served: bool = False, within: float | None = None) -> UserState:
        """The user's state, empty where nothing is stored, in a round trip that others may share.

        `served`: with what was served lately. TimeoutError where `within` seconds were too few.
        """
        return self._state(await self._gathering.get(*_keys(user_id, 5 if served else 4), within))

    async def read_many(
        self, user_ids: Sequence[str], *, served: bool = False, within: float | None = None
    ) -> list[UserState]:
        """The state of each user, as `read` tells it, all in one round trip."""
        keys = [_keys(user_id, 5 if served else 4) for user_id in user_ids]
        async with asyncio.timeout(within):
            found = await self.connection.get(keys, "reading")
        return [self._state(values) for values in found]

    async def everything(self, user_id: str) -> Stored:
        """All that is stored about the user but for the hashes of event ids."""
        history, seen, hidden, steering, served = await self._values(user_id, "reading")
        try:
            marks = (read_marks(seen), read_marks(hidden))
            return Stored(History(history), *marks, read_steering(steering), read_marks(served))
        except Unreadable as error:
            raise self.connection.failed("reading", error) from error

    async def record(self, events: Sequence[Event]) -> list[EventResult]:
        """Record events, in order within each user; one result for each, in the order given.

        Where StoreUnavailable is raised, of which LogFull is one, some of the events may have been recorded.
        """
        numbered = list(batches(events))
        runs = [self._recording([events[number] for number in numbers]) for numbers in numbered]
        # Only an event_id tells whether an event whose answer was lost has been recorded.
        repeat = all(event.event_id is not None for event in events)
        telling = self._log_limit > 0 or any(stores(event) for event in events)
        replies = await evaluate(self.connection, RECORDING, runs, "recording", repeat=repeat, telling=telling)
        if None in replies:
            raise self._full()
        results: list[EventResult] = ["accepted"] * len(events)
        for numbers, reply in zip(numbered, replies, strict=True):
            for number, recorded in zip(numbers, reply, strict=True):
                if not recorded:
                    results[number] = "duplicate"
        return results

    async def steer(self, user_id: str, steering: Steering) -> None:
        """Replace what the user asked for more or less of; nothing where it is empty."""
        keys, value = user_keys(user_id), write_steering(steering)
        await self._write(
            user_id,
            ("SET", keys.steering, value, "EX", self._ttl_seconds) if value else ("UNLINK", keys.steering),
            *(("EXPIRE", key, self._ttl_seconds) for key in keys[:3]),
            doing="recording",
        )

    async def note_served(self, user_id: str, item_hashes: NDArray[np.uint64], now: float) -> None:
        """Remember that items were served at this time (Unix seconds), the newest 1,000 for 7 days; may be lost."""
        if not len(item_hashes):
            return
        marks = [MARK.pack(now, one) for one in item_hashes.tolist()]
        run = Run(partition(user_id), [user_keys(user_id).served], [SERVED_LIMIT, SERVED_SECONDS, *marks])
        await evaluate(self.connection, SERVING, [run], "recording", repeat=True)

    async def delete(self, user_id: str) -> None:
        """Forget the user. LogFull where the event log holds twice its bound: nobody stays known because it is full."""
        await self._forget(user_id, deletion_entry(user_id), len(user_keys(user_id)), ())

    async def merge(self, target_id: str, source_id: str) -> None:
        """Add all that is known about the source to the target, within the bounds, then forget the source.

        A crash in between leaves the source as it was, and the target with or without what it got: repeating the merge
        completes it. Events that come in meanwhile are kept.
        """
        for _ in range(MERGE_TRIES):
            source = await self._values(source_id, "recording")
            if any(source[:4]):
                target = await self._values(target_id, "recording")
                both = merged(Values(*target[:4]), Values(*source[:4]), self._bounds)
                if not await self._replace(target_id, target[:4], both):
                    continue  # an event of the target came in
            if await self._forget(source_id, merge_entry(target_id, source_id), 4, source[:4]):
                # The rest, which nobody misses. Not all keys: an event may have begun a new user by now.
                await self._write(source_id, ("UNLINK", *user_keys(source_id)[4:]), doing="forgetting")
                return
        busy = TimeoutError(f"events came in during each of {MERGE_TRIES} tries to merge")
        raise self.connection.failed("recording", busy)

    async def run(self, script: str, key: bytes, arguments: Sequence[Any]) -> list[int]:
        """Run a script of somebody else's on one key, whose name gets a hash tag at its end; StoreUnavailable."""
        p = partition(key.decode())
        run = Run(p, [b"%s{%d}" % (key, p)], arguments)
        (reply,) = await evaluate(self.connection, Script.of(script), [run], "counting", repeat=False)
        found: list[int] = reply
        return found

    async def _values(self, user_id: str, doing: Doing) -> list[bytes]:
        """Of all keys of a user; b"" for none."""
        (values,) = await self.connection.get([_keys(user_id, 5)], doing)
        return [value or b"" for value in values]

    async def _replace(self, user_id: str, before: Sequence[bytes], after: Sequence[bytes]) -> bool:
        """Store new values, unless somebody changed the old ones meanwhile."""
        run = Run(partition(user_id), user_keys(user_id)[:4], [self._ttl_seconds, *before, *after])
        # Repeating is no harm: it finds its own work done, or something else and says so.
        (done,) = await evaluate(self.connection, REPLACING, [run], "recording", repeat=True)
        return bool(done)

    def _state(self, values: Sequence[bytes | None]) -> UserState:
        try:
            return UserState(
                History(values[0]),
                hashes(values[1]),
                hashes(values[2]),
                read_steering(values[3]),
                read_marks(values[4]) if len(values) > 4 else NOTHING_SERVED,
            )
        except Unreadable as error:
            raise self.connection.failed("reading", error) from error

    async def _forget(self, user_id: str, entry: bytes, n_keys: int, before: Sequence[bytes]) -> bool:
        """Remove the first keys of a user and log why, unless somebody changed what was in them `before`."""
        p = partition(user_id)
        keys = [log_key(p), gone_key(user_id), *user_keys(user_id, p)[:n_keys]]
        run = Run(p, keys, [2 * self._log_limit, entry, *before])
        (done,) = await evaluate(self.connection, FORGETTING, [run], "forgetting", repeat=True)
        if done is None:
            raise self._full()
        return bool(done)

    def _full(self) -> LogFull:
        self._metrics.log_full.inc()
        return LogFull("the event log is full because nothing drains it: see to its collector")

    async def _write(self, user_id: str, *commands: Command, doing: Doing) -> None:
        """Commands that may be repeated."""
        calls = [Call(partition(user_id), command) for command in commands]
        self.connection.checked(await self.connection.run(calls, doing, repeat=True), doing)

    def _recording(self, events: Sequence[Event]) -> Run:
        """One run of the script: events of one user."""
        keys, records = keys_and_records(events, logged=self._log_limit > 0)
        bounds = (*self._bounds, self._ttl_seconds, self._log_limit)
        return Run(partition(events[0].user_id), keys, [*bounds, *records])


def _keys(user_id: str, n: int) -> tuple[int, Sequence[bytes]]:
    """The user's first n keys, with their partition."""
    p = partition(user_id)
    return p, user_keys(user_id, p)[:n]
