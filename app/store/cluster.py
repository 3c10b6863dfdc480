"""Which node of a Redis Cluster holds which partition.

All keys of a user carry the hash tag {p} of one of 64 partitions, so a slot a partition is all there is to know. What
is known may be out of date: a node that does not hold a slot (any more) names the one that does.
"""

from binascii import crc_hqx
from collections.abc import Sequence

import hiredis

from app.store.keys import PARTITIONS
from app.store.lane import Reply, Target, pack

N_SLOTS = 16_384

ASKING = pack(("ASKING",))

SLOTS = pack(("CLUSTER", "SLOTS"))


def slot(partition: int) -> int:
    """The slot of all keys of a partition: CRC16 of the hash tag."""
    return crc_hqx(b"%d" % partition, 0) % N_SLOTS


def holders(ranges: Sequence[Reply], asked: Target) -> dict[int, Target]:
    """The master of each partition, as CLUSTER SLOTS tells it; partitions of slots that nobody holds are left out."""
    found: dict[int, Target] = {}
    for first, last, master, *_ in ranges:
        target = _sibling(asked, (master[0] or b"").decode(), master[1])
        found.update((p, target) for p in range(PARTITIONS) if first <= slot(p) <= last)
    return found


def redirection(reply: Reply, asked: Target) -> tuple[Target, bool] | None:
    """Where the node that was asked sends us, and whether for this once (ASK); None for any other reply."""
    if not isinstance(reply, hiredis.ReplyError):
        return None
    kind, *rest = str(reply).split(" ")
    if kind not in ("MOVED", "ASK"):
        return None
    host, _, port = rest[1].rpartition(":")
    return _sibling(asked, host.strip("[]"), int(port)), kind == "ASK"


def _sibling(asked: Target, host: str, port: int) -> Target:
    """Another node, to which we are let in the same way; an empty host stands for the one that was asked."""
    return asked._replace(place=host or asked.place, port=port)
