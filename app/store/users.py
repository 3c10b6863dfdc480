"""What is known about users: their history, the items they have seen or hidden, their steering, what was served.

Writing is one script per user and batch, so that an event and its idempotency key change together or not at all.
Reading is one round trip, of keys that hold what an answer needs as it needs it (see `app.store.state`). The history is
ordered by timestamp, then arrival. Every write renews the time to live.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import hiredis
import numpy as np
from numpy.typing import NDArray

from app.metrics import Metrics
from app.settings import Settings
from app.store.adoption import adopting, is_former, reading
from app.store.connection import Call, Connection, Doing, StoreUnavailable
from app.store.evaluation import Run, evaluate
from app.store.events import Event, EventResult, batches, keys_and_records, stores
from app.store.keys import UserKeys, partition, user_keys
from app.store.lane import Reply, pack
from app.store.merging import Bounds, Values, merged
from app.store.script import RECORDING, REPLACING, SERVING, Script
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
        self._settings = settings
        self._ttl_seconds = settings.user_ttl_days * 86_400
        self._bounds = Bounds(settings.history_limit, settings.seen_limit, settings.hidden_limit)

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        await self.connection.ping()

    async def read(self, user_id: str, *, served: bool = False) -> UserState:
        """The user's state, in one round trip; empty where nothing is stored. `served`: with what was served lately."""
        p = partition(user_id)
        keys = user_keys(user_id, p)
        (values,) = await self.connection.run([Call(p, _gets(keys, served))], "read", "reading", repeat=True)
        return await self._state(user_id, values, served)

    async def read_many(self, user_ids: Sequence[str], *, served: bool = False) -> list[UserState]:
        """The state of each user, all in one round trip."""
        calls = [Call(partition(user_id), _gets(user_keys(user_id), served)) for user_id in user_ids]
        found = await self.connection.run(calls, "read", "reading", repeat=True)
        return [await self._state(user_id, own, served) for user_id, own in zip(user_ids, found, strict=True)]

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

        Where StoreUnavailable is raised some of the events may have been recorded.
        """
        numbered = list(batches(events))
        runs = [self._recording([events[number] for number in numbers]) for numbers in numbered]
        # Only an event_id tells whether an event whose answer was lost has been recorded.
        repeat = all(event.event_id is not None for event in events)
        telling = any(stores(event) for event in events)
        replies = await evaluate(self.connection, RECORDING, runs, "recording", repeat=repeat, telling=telling)
        former = [number for number, reply in enumerate(replies) if reply == -1]
        if former:
            for user_id in {events[numbered[number][0]].user_id for number in former}:
                await self._adopt(user_id)
            left = [runs[number] for number in former]
            again = await evaluate(self.connection, RECORDING, left, "recording", repeat=repeat)
            if -1 in again:
                raise self.connection.failed("recording", Unreadable("a key holds another type than it should"))
            for number, reply in zip(former, again, strict=True):
                replies[number] = reply
        results: list[EventResult] = ["accepted"] * len(events)
        for numbers, reply in zip(numbered, replies, strict=True):
            for number, recorded in zip(numbers, reply, strict=True):
                if not recorded:
                    results[number] = "duplicate"
        return results

    async def steer(self, user_id: str, steering: Steering) -> None:
        """Replace what the user asked for more or less of; nothing where it is empty."""
        keys, value = user_keys(user_id), write_steering(steering)
        commands = [
            pack(("SET", keys.steering, value, "EX", self._ttl_seconds) if value else ("UNLINK", keys.steering))
        ]
        commands += [pack(("EXPIRE", key, self._ttl_seconds)) for key in keys[:3]]
        await self._write(user_id, commands, "recording")

    async def note_served(self, user_id: str, item_hashes: NDArray[np.uint64], now: float) -> None:
        """Remember that items were served at this time (Unix seconds), the newest 1,000 for 7 days; may be lost."""
        if not len(item_hashes):
            return
        marks = [MARK.pack(now, one) for one in item_hashes.tolist()]
        run = Run(partition(user_id), [user_keys(user_id).served], [SERVED_LIMIT, SERVED_SECONDS, *marks])
        await evaluate(self.connection, SERVING, [run], "recording", repeat=True)

    async def delete(self, user_id: str) -> None:
        """Forget the user."""
        await self._write(user_id, [pack(("UNLINK", *user_keys(user_id)))], "forgetting")

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
            if await self._replace(source_id, source[:4], [b""] * 4):
                # The rest, which nobody misses. Not all keys: an event may have begun a new user by now.
                await self._write(source_id, [pack(("UNLINK", *user_keys(source_id)[4:]))], "forgetting")
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
        call = Call(partition(user_id), _gets(user_keys(user_id), served=True))
        (values,) = await self.connection.run([call], "read", doing, repeat=True)
        if any(is_former(value) for value in values):
            await self._adopt(user_id)
            (values,) = await self.connection.run([call], "read", doing, repeat=True)
        self.connection.checked(values, doing)
        return [value or b"" for value in values]

    async def _replace(self, user_id: str, before: Sequence[bytes], after: Sequence[bytes]) -> bool:
        """Store new values, unless somebody changed the old ones meanwhile."""
        run = Run(partition(user_id), user_keys(user_id)[:4], [self._ttl_seconds, *before, *after])
        # Repeating is no harm: it finds its own work done, or something else and says so.
        (done,) = await evaluate(self.connection, REPLACING, [run], "recording", repeat=True)
        return bool(done)

    async def _state(self, user_id: str, values: Sequence[Reply], served: bool) -> UserState:
        try:
            return UserState(
                History(values[0]),
                hashes(values[1]),
                hashes(values[2]),
                read_steering(values[3]),
                read_marks(values[4]) if served else NOTHING_SERVED,
            )
        except Unreadable as error:
            raise self.connection.failed("reading", error) from error
        except TypeError:
            if not any(isinstance(value, hiredis.ReplyError) for value in values):
                raise
        # A refusal, which is no value: of an earlier version's keys, or of a server that is not ready.
        stored = await self._values(user_id, "reading")
        return await self._state(user_id, stored, served)

    async def _adopt(self, user_id: str) -> None:
        """Write anew what an earlier version stored about the user."""
        p, keys = partition(user_id), user_keys(user_id)
        (found,) = await self.connection.run([Call(p, reading(keys))], "write", "recording", repeat=True)
        command = adopting(keys, found, self._ttl_seconds)
        ((done,),) = await self.connection.run([Call(p, (command,))], "write", "recording", repeat=True)
        self.connection.checked([done], "recording")

    async def _write(self, user_id: str, commands: Sequence[bytes], doing: Doing) -> None:
        """Commands that may be repeated."""
        call = Call(partition(user_id), tuple(commands))
        (replies,) = await self.connection.run([call], "write", doing, repeat=True)
        self.connection.checked(replies, doing)

    def _recording(self, events: Sequence[Event]) -> Run:
        """One run of the script: events of one user."""
        keys, records = keys_and_records(events)
        return Run(partition(events[0].user_id), keys, [*self._bounds, self._ttl_seconds, *records])


def _gets(keys: UserKeys, served: bool) -> tuple[bytes, ...]:
    return tuple([pack(("GET", key)) for key in (keys[:5] if served else keys[:4])])
