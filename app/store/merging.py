"""The union of what is stored about two users, by values and without Redis.

It is idempotent: merging once more what was merged changes nothing, so a merge that was interrupted can be repeated.
"""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from app.store.state import MARK, MAX_STEERED, join, marks, read_steering, split, write_steering


class Values(NamedTuple):
    """The values of a user's keys; b"" for none."""

    history: bytes
    seen: bytes
    hidden: bytes
    steering: bytes


class Bounds(NamedTuple):
    """How much is kept, the newest."""

    history: int
    seen: int
    hidden: int


def merged(target: Values, source: Values, bounds: Bounds) -> Values:
    """What is known about either, within the bounds.

    Of equal interactions as many are kept as one of the two had, of equal items the later mark. Where both steer a
    segment "never" wins, and else the target.
    """
    return Values(
        _histories(target.history, source.history, bounds.history),
        _marks(target.seen, source.seen, bounds.seen),
        _marks(target.hidden, source.hidden, bounds.hidden),
        _steerings(target.steering, source.steering),
    )


def _histories(target: bytes, source: bytes, limit: int) -> bytes:
    # Of equal times the source's come first, and sorted() is stable: what fell out once falls out again.
    known = Counter(records(source)) | Counter(records(target))
    oldest_first = sorted(known.elements(), key=lambda one: one[0])[-limit:]
    return join([(record, item_id) for _, record, item_id in oldest_first]) if oldest_first else b""


def records(stored: bytes) -> list[tuple[float, bytes, bytes]]:
    """Time, record and item id of each interaction of a history, oldest first."""
    entries, ids = split(stored)
    ends = np.cumsum(entries["id_bytes"], dtype=np.int64).tolist()
    starts = [0, *ends][: len(ends)]
    raw = [entries[number].tobytes() for number in range(len(entries))]
    return [(time, one, ids[a:b]) for time, one, a, b in zip(entries["time"].tolist(), raw, starts, ends, strict=True)]


def _marks(target: bytes, source: bytes, limit: int) -> bytes:
    latest: dict[int, float] = {}
    for time, item in (*marks(source).tolist(), *marks(target).tolist()):
        if time > latest.get(item, -math.inf):
            latest.pop(item, None)  # so that it takes its new place
            latest[item] = time
    oldest_first = sorted(latest.items(), key=lambda one: one[1])[-limit:]
    return b"".join([MARK.pack(time, item) for item, time in oldest_first])


def _steerings(target: bytes, source: bytes) -> bytes:
    own, other = read_steering(target), read_steering(source)
    nevers = {segment_id: strength for segment_id, strength in other.items() if strength == "never"}
    both = {**own, **{one: strength for one, strength in other.items() if one not in own}, **nevers}
    nevers_first = sorted(both, key=lambda segment_id: both[segment_id] != "never")
    return write_steering({segment_id: both[segment_id] for segment_id in nevers_first[:MAX_STEERED]})
