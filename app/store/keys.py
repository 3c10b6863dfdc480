"""Names of the keys in Redis.

Every key of a user carries the hash tag {p}, p = hash(user_id) mod 64, so that one script may touch them together, also
in Redis Cluster. The user id is the tail of a key, whatever bytes it holds: no id can reach into another user's keys.
Keys of event ids hold a hash only, so that deleting a user leaves no trace of the id.
"""

from hashlib import blake2b
from typing import NamedTuple

from index.vocabulary import hash_id

PARTITIONS = 64
"""Never change this: it is in every key."""


class UserKeys(NamedTuple):
    """The keys of one user; all have a TTL and a bound."""

    history: bytes
    """Sorted set: arrival number + interaction by timestamp."""
    seen: bytes
    """Sorted set: hashes of item ids by timestamp."""
    hidden: bytes
    """Sorted set: hashes of item ids by timestamp."""
    arrivals: bytes
    """Counter that orders interactions of the same timestamp."""
    steering: bytes
    """JSON: strength or "never" by segment id."""
    served: bytes
    """Sorted set: hashes of item ids by the time they were last served."""


def partition(user_id: str) -> int:
    """The partition of a user, in [0, 64)."""
    return hash_id(user_id) % PARTITIONS


def user_keys(user_id: str) -> UserKeys:
    """All keys that hold something about the user, but for event ids."""
    tail = user_id.encode()
    p = partition(user_id)
    names = (b"sparrow:{%d}:%s:" % (p, field.encode()) + tail for field in UserKeys._fields)
    return UserKeys(*names)


def event_key(user_id: str, event_id: str) -> bytes:
    """The idempotency key of an event id, which counts per user."""
    user = user_id.encode()
    # The length in front keeps ("ab", "c") and ("a", "bc") apart.
    digest = blake2b(b"%d:" % len(user) + user + event_id.encode(), digest_size=16).hexdigest()
    return b"sparrow:{%d}:event:%s" % (partition(user_id), digest.encode())
