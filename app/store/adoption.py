"""What versions before 0.2 stored about a user, read once and written anew in the form of `app.store.state`.

They kept sorted sets by timestamp under the same names: history of arrival number (8 bytes) + JSON [item_id, kind,
weight], seen and hidden of hashes of item ids, big-endian. Redis answers WRONGTYPE where such a key is read as a value,
so who has none of them pays nothing.
"""

import json
from collections.abc import Iterator, Sequence

import hiredis

from app.store.keys import UserKeys
from app.store.lane import Reply, pack
from app.store.script import ADOPTING
from app.store.state import MARK, Interaction, entry, join

FORMER = ("history", "seen", "hidden")


def is_former(reply: Reply) -> bool:
    """Whether a key holds another type than this version writes."""
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("WRONGTYPE")


def reading(keys: UserKeys) -> tuple[bytes, ...]:
    """The commands that read the former keys."""
    return tuple(pack(("ZRANGE", getattr(keys, name), 0, -1, "WITHSCORES")) for name in FORMER)


def adopting(keys: UserKeys, replies: Sequence[Reply], ttl_seconds: int) -> bytes:
    """The command that stores what the replies to `reading` say; what was adopted meanwhile stays as it is."""
    history, seen, hidden = (list(_pairs(reply)) for reply in replies)
    values = (join([_interaction(*pair) for pair in history]), *(_marks(found) for found in (seen, hidden)))
    former = (keys.history, keys.seen, keys.hidden, keys.arrivals)
    return pack(("EVAL", ADOPTING.text, len(former), *former, ttl_seconds, *values))


def _pairs(reply: Reply) -> Iterator[tuple[bytes, float]]:
    """Members and scores, oldest first; nothing where the key is of this version or of none."""
    if not isinstance(reply, list):
        return
    for at in range(0, len(reply), 2):
        yield reply[at], float(reply[at + 1])


def _interaction(member: bytes, timestamp: float) -> tuple[bytes, bytes]:
    item_id, kind, weight = json.loads(member[8:])
    return entry(Interaction(item_id, kind, weight, timestamp)), item_id.encode()


def _marks(found: Sequence[tuple[bytes, float]]) -> bytes:
    return b"".join(MARK.pack(timestamp, int.from_bytes(member, "big")) for member, timestamp in found)
