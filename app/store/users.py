"""What is known about users: their history, the items they have seen or hidden, their steering, what was served.

Writing is one script per user and batch, so that an event and its idempotency key change together or not at all.
Reading is one round trip, of keys that hold what an answer needs as it needs it (see `app.store.state`). The history is
ordered by timestamp, then arrival. Every write renews the time to live.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import hiredis
import numpy as np
from numpy.typing import NDArray

from app.metrics import Metrics
from app.settings import Settings
from app.store.adoption import adopting, is_former, reading
from app.store.connection import Call, Connection, Doing, StoreUnavailable
from app.store.keys import UserKeys, event_key, partition, user_keys
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
    entry,
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

HIDING_KINDS = frozenset({"dislike", "hide"})
"""Kinds of events whose items never come back."""

UNSEEN_KINDS = frozenset({"impression"})
"""Kinds of events that do not make an item seen."""

BATCH = 100
"""Events in one run of the script: a run blocks all other users."""

SERVED_LIMIT = 1000
"""Items served last that are kept for rotation."""

SERVED_SECONDS = 7 * 86_400
"""How long they are kept after the last answer."""

MERGE_TRIES = 10
"""Of a merge while events of the two users come in."""

EventResult = Literal["accepted", "duplicate"]


class Event(NamedTuple):
    """An interaction to record."""

    user_id: str
    interaction: Interaction
    event_id: str | None
    """Repeats of it within 24 hours are ignored, per user."""


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
        batches = [[events[number] for number in numbers] for numbers in _batches(events)]
        # Only an event_id tells whether an event whose answer was lost has been recorded.
        repeat = all(event.event_id is not None for event in events)
        telling = any(_stores(event) for event in events)
        calls = [(partition(own[0].user_id), self._recording(own)) for own in batches]
        replies = await self._run(RECORDING, calls, "recording", repeat=repeat, telling=telling)
        if -1 in replies:
            former = [number for number, reply in enumerate(replies) if reply == -1]
            for user_id in {batches[number][0].user_id for number in former}:
                await self._adopt(user_id)
            again = await self._run(RECORDING, [calls[number] for number in former], "recording", repeat=repeat)
            if -1 in again:
                raise self.connection.failed("recording", Unreadable("a key holds another type than it should"))
            for number, reply in zip(former, again, strict=True):
                replies[number] = reply
        results: list[EventResult] = ["accepted"] * len(events)
        for numbers, reply in zip(_batches(events), replies, strict=True):
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
        arguments = (1, user_keys(user_id).served, SERVED_LIMIT, SERVED_SECONDS, *marks)
        await self._run(SERVING, [(partition(user_id), arguments)], "recording", repeat=True)

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
                await self.delete(source_id)  # what was served, which nobody misses
                return
        busy = TimeoutError(f"events came in during each of {MERGE_TRIES} tries to merge")
        raise self.connection.failed("recording", busy)

    async def run(self, script: str, key: bytes, arguments: Sequence[Any]) -> list[int]:
        """Run a script of somebody else's on one key, whose name gets a hash tag at its end; StoreUnavailable."""
        p = partition(key.decode())
        call = (p, (1, b"%s{%d}" % (key, p), *arguments))
        (reply,) = await self._run(Script.of(script), [call], "counting", repeat=False)
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
        arguments = (4, *user_keys(user_id)[:4], self._ttl_seconds, *before, *after)
        # Repeating is no harm: it finds its own work done, or something else and says so.
        (done,) = await self._run(REPLACING, [(partition(user_id), arguments)], "recording", repeat=True)
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

    async def _run(
        self,
        script: Script,
        calls: Sequence[tuple[int, tuple[Any, ...]]],
        doing: Doing,
        *,
        repeat: bool,
        telling: bool = True,
    ) -> list[Reply]:
        """Run a script once for each partition and arguments, in one round trip; two where Redis forgot the script."""

        async def evaluate(numbers: Sequence[int], command: tuple[str, str]) -> list[Reply]:
            packed = [Call(calls[number][0], (pack((*command, *calls[number][1])),)) for number in numbers]
            found = await self.connection.run(packed, "write", doing, repeat=repeat, telling=telling)
            return [reply for (reply,) in found]

        replies = await evaluate(range(len(calls)), ("EVALSHA", script.sha))
        missing = [number for number, reply in enumerate(replies) if _is_unknown(reply)]
        if missing:
            # Its text, which a node remembers: one such run for each node would do.
            for number, reply in zip(missing, await evaluate(missing, ("EVAL", script.text)), strict=True):
                replies[number] = reply
        self.connection.checked(replies, doing)
        return replies

    def _recording(self, events: Sequence[Event]) -> tuple[Any, ...]:
        """Number of keys, keys and arguments of one run of the script: events of one user."""
        user_id = events[0].user_id
        keys = [*user_keys(user_id)[:4], *(event_key(user_id, e.event_id) for e in events if e.event_id is not None)]
        packed = [part for event in events for part in _packed(event)]
        return (len(keys), *keys, *self._bounds, self._ttl_seconds, *packed)


def _gets(keys: UserKeys, served: bool) -> tuple[bytes, ...]:
    return tuple([pack(("GET", key)) for key in (keys[:5] if served else keys[:4])])


def _is_unknown(reply: Reply) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")


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
    _, record, _, flags = _packed(event)
    return bool(record or flags)


def _packed(event: Event) -> tuple[bytes, bytes, bytes, str]:
    """The four arguments the script takes for an event."""
    one = event.interaction
    record = entry(one)
    mark = record[:8] + record[16:24]
    flags = ("s" if one.kind not in UNSEEN_KINDS else "") + ("h" if one.kind in HIDING_KINDS else "")
    flags += "i" if event.event_id is not None else ""
    # What weighs nothing stays outside: impressions would push out of the history what the user really did.
    return (mark, record, one.item_id.encode(), flags) if one.weight else (mark, b"", b"", flags)
