"""Names of the keys in Redis.

Every key of a user carries the hash tag {p}, p = hash(user_id) mod 64, so that one script may touch them together, also
in Redis Cluster. The user id is the tail of a key, whatever bytes it holds: no id can reach into another user's keys.
Keys of event ids, and of users who were forgotten, hold a hash only, so that deleting leaves no trace of the id.
"""

from hashlib import blake2b
from typing import NamedTuple

from index.vocabulary import hash_id

PARTITIONS = 64
"""Never change this: it is in every key."""


EDITS = b"sparrow:{0}:edits"
"""A hash, without a time to live: what people say of segments, by segment id (see `app.store.edits`)."""

EDITS_VERSION = b"sparrow:{0}:edits-version"
"""What changes whenever they do."""


class UserKeys(NamedTuple):
    """The keys of one user; all have a TTL and a bound. For the form of their values see `app.store.state`."""

    history: bytes
    seen: bytes
    hidden: bytes
    steering: bytes
    served: bytes


def partition(user_id: str) -> int:
    """The partition of a user, in [0, 64)."""
    return hash_id(user_id) % PARTITIONS


def user_keys(user_id: str, p: int | None = None) -> UserKeys:
    """All keys that hold something about the user, but for event ids; `p`: the partition, where it is known."""
    tail, tag = user_id.encode(), b"sparrow:{%d}:" % (partition(user_id) if p is None else p)
    return UserKeys(
        tag + b"history:" + tail,
        tag + b"seen:" + tail,
        tag + b"hidden:" + tail,
        tag + b"steering:" + tail,
        tag + b"served:" + tail,
    )


def log_key(p: int) -> bytes:
    """The stream of a partition: what happened to its users and is in no file yet (see `app.store.streams`)."""
    return b"sparrow:{%d}:log" % p


def event_key(user_id: str, event_id: str) -> bytes:
    """The idempotency key of an event id, which counts per user."""
    return b"sparrow:{%d}:event:%s" % (partition(user_id), _digest(user_id, event_id))


def gone_key(user_id: str) -> bytes:
    """Is there for a day after a user was forgotten: what an older log says of the user must not be restored."""
    return b"sparrow:{%d}:gone:%s" % (partition(user_id), _digest(user_id))


def _digest(user_id: str, more: str = "") -> bytes:
    user = user_id.encode()
    # The length in front keeps ("ab", "c") and ("a", "bc") apart.
    return blake2b(b"%d:" % len(user) + user + more.encode(), digest_size=16).hexdigest().encode()
