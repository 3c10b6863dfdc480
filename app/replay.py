"""What the event log says of users, by going through it as the store did: events, deletions, merges, and time.

Pure: rows in, values of `app.store.state` out.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.store.events import Event, packed
from app.store.merging import Bounds, Values, merged, records
from app.store.restoring import Lost
from app.store.state import Interaction, join

NOTHING = Values(b"", b"", b"", b"")


class Row(NamedTuple):
    """An entry of the log, as far as state goes; a deletion and a merge have no item."""

    op: str
    user_id: str
    source: str | None
    recorded_ms: int
    item_id: str
    kind: str
    weight: float
    timestamp: float


class Past:
    """What is known of one user so far."""

    __slots__ = ("_hidden", "_history", "_seen", "written_ms")

    def __init__(self) -> None:
        self._history: list[tuple[bytes, bytes]] = []
        self._seen: list[bytes] = []
        self._hidden: list[bytes] = []
        self.written_ms = 0

    def add(self, row: Row) -> None:
        """An event."""
        one = Interaction(row.item_id, row.kind, row.weight, row.timestamp)
        mark, record, item_id, flags = packed(Event(row.user_id, one, None))
        if record:
            self._history.append((record, item_id))
        if "s" in flags:
            self._seen.append(mark)
        if "h" in flags:
            self._hidden.append(mark)
        self.written_ms = row.recorded_ms

    def take(self, other: "Past", bounds: Bounds, now_ms: int) -> None:
        """All of another user."""
        both = merged(self.values(bounds), other.values(bounds), bounds)
        self._history = [(record, item_id) for _, record, item_id in records(both.history)]
        self._seen, self._hidden = [both.seen], [both.hidden]
        self.written_ms = now_ms

    def values(self, bounds: Bounds) -> Values:
        """As the store holds them."""
        history = join(self._history) if self._history else b""
        return merged(Values(history, b"".join(self._seen), b"".join(self._hidden), b""), NOTHING, bounds)


def replay(rows: Iterable[Row], bounds: Bounds, ttl_seconds: int) -> dict[str, Past]:
    """What is known of each user after all rows, which come in the order of recording."""
    users: dict[str, Past] = {}

    def living(user_id: str, now_ms: int) -> Past | None:
        past = users.get(user_id)
        return past if past is not None and now_ms - past.written_ms < 1000 * ttl_seconds else None

    for row in rows:
        if row.op == "event":
            past = users[row.user_id] = living(row.user_id, row.recorded_ms) or Past()
            past.add(row)
        elif row.op == "delete":
            users.pop(row.user_id, None)
        elif row.op == "merge" and row.source is not None:
            source = living(row.source, row.recorded_ms)
            users.pop(row.source, None)
            if source is not None:
                past = users[row.user_id] = living(row.user_id, row.recorded_ms) or Past()
                past.take(source, bounds, row.recorded_ms)
    return users


def lost(users: dict[str, Past], bounds: Bounds, ttl_seconds: int, now: float) -> Iterator[Lost]:
    """What the store should hold of them now (Unix seconds), but for those whose time is over; empties `users`."""
    while users:
        user_id, past = users.popitem()
        seconds = math.ceil(past.written_ms / 1000 + ttl_seconds - now)
        values = past.values(bounds)
        if seconds > 0 and any(values):
            yield Lost(user_id, values, min(seconds, ttl_seconds))
