"""The streams of the event log: what happened to users, from when it happened until it is in a file.

Each of the 64 partitions has one, `sparrow:{p}:log`. An entry has one field `e`, JSON:

    {"op": "event", "user_id", "item_id", "kind", "weight", "timestamp", "event_id"?, "recomm_id"?}
    {"op": "delete", "user_id"}        {"op": "merge", "user_id": the target, "source"}

The script that changes the state of a user adds it, so there is one entry for each change and none for a repeat. Its id
is Redis' time in milliseconds, and a number within it: when it was recorded. Ids of a stream only grow.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.store.clients import Client
from app.store.keys import PARTITIONS, log_key

log = logging.getLogger(__name__)

OPS = ("event", "delete", "merge")

UNREADABLE = {"op": "unreadable"}
"""Stands for an entry that Sparrow did not write: it must not hold up those behind it."""


class Entry(NamedTuple):
    """One change of a user's state."""

    partition: int
    recorded_ms: int
    """Unix milliseconds, of Redis' clock."""
    recorded_number: int
    """Among those of a millisecond."""
    said: Mapping[str, Any]
    """What the entry says, see above."""


def read(client: Client, count: int | None) -> list[Entry]:
    """The oldest entries of each partition, at most `count` of each; in one round trip."""
    with client.pipeline(transaction=False) as pipeline:
        for p in range(PARTITIONS):
            pipeline.xrange(log_key(p), count=count)
        streams = pipeline.execute()
    return [_entry(p, name, fields) for p, stream in enumerate(streams) for name, fields in stream]


def trim(client: Client, entries: Sequence[Entry]) -> None:
    """Remove these entries and those before them."""
    last: dict[int, tuple[int, int]] = {}
    for one in entries:
        at = (one.recorded_ms, one.recorded_number)
        last[one.partition] = max(at, last.get(one.partition, at))
    with client.pipeline(transaction=False) as pipeline:
        for p, (milliseconds, number) in last.items():
            pipeline.xtrim(log_key(p), minid=f"{milliseconds}-{number + 1}", approximate=False)
        pipeline.execute()


def _entry(p: int, name: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    milliseconds, _, number = name.decode().partition("-")
    try:
        said = json.loads(fields[b"e"])
        known = said["op"] in OPS
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        log.warning("an entry of the stream of partition %d is not what this version writes", p)
    return Entry(p, int(milliseconds), int(number), said if known else UNREADABLE)
