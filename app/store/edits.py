"""Edits of segments in Redis: a hash of JSON by segment id, and a version that changes whenever they do.

    sparrow:{0}:edits            HASH    segment id -> {"title", "hidden", "merged_into"}, see `index.edits`
    sparrow:{0}:edits-version    STRING  32 hexadecimal digits, drawn anew by each change

Whoever changes them says which version they have read; where it is another by now, they read again and try again. So
each change is checked against all that came before it, by whichever worker. The version is no number that counts: after
a failover that lost a change, the next one would have the number of the lost.
"""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import uuid4

from app.store.clients import Client
from app.store.connection import Call, Connection
from app.store.evaluation import Run, evaluate
from app.store.keys import EDITS, EDITS_VERSION
from app.store.script import EDITING
from index.edits import Edits, read
from index.errors import InvalidEdits

PARTITION = 0
"""That the keys lie in."""

TRIES = 10
"""Of a change while others change the edits."""

NEVER_EDITED = b""


class StoredEdits(NamedTuple):
    """All edits, as of one version."""

    version: bytes
    """`NEVER_EDITED` where there are none and never were."""
    edits: Edits


class EditStore:
    """The edits in Redis. Every method raises StoreUnavailable where it is away, too slow, or refuses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def version(self) -> bytes:
        """Of the edits as they are now."""
        found = await self._connection.run([Call(PARTITION, ("GET", EDITS_VERSION))], "reading", repeat=True)
        self._connection.checked(found, "reading")
        return found[0] or NEVER_EDITED

    async def read(self) -> StoredEdits:
        """As they are now."""
        # The version first: where they change in between, it is the older one, and whoever compares it reads again.
        calls = [Call(PARTITION, ("GET", EDITS_VERSION)), Call(PARTITION, ("HGETALL", EDITS))]
        found = await self._connection.run(calls, "reading", repeat=True)
        self._connection.checked(found, "reading")
        version, fields = found
        try:
            return StoredEdits(version or NEVER_EDITED, parse(fields))
        except InvalidEdits as error:
            raise self._connection.failed("reading", error) from error

    async def change(self, make: Callable[[Edits], Edits]) -> StoredEdits:
        """Store what `make` makes of all edits, and return them; what it raises goes through."""
        for _ in range(TRIES):
            stored = await self.read()
            edits = make(stored.edits)
            if edits == stored.edits:
                return stored
            changed = StoredEdits(uuid4().hex.encode(), edits)
            fields = _changes(stored.edits, edits)
            run = Run(PARTITION, [EDITS, EDITS_VERSION], [stored.version, changed.version, *fields])
            # Repeating is no harm: it finds that the version is another, and the next try that nothing is to be done.
            (done,) = await evaluate(self._connection, EDITING, [run], "recording", repeat=True)
            if done:
                return changed
        busy = TimeoutError(f"others changed the edits of segments during each of {TRIES} tries")
        raise self._connection.failed("recording", busy)


def parse(fields: Mapping[bytes, bytes]) -> Edits:
    """Of the hash; InvalidEdits where it holds what no version up to this one wrote."""
    try:
        named = {segment_id.decode(): json.loads(value) for segment_id, value in fields.items()}
    except ValueError as error:
        raise InvalidEdits("the edits in Redis are not what this version writes") from error
    return {segment_id: read(segment_id, edit) for segment_id, edit in named.items()}


def _changes(before: Edits, after: Edits) -> list[str]:
    """What the script puts in place of what."""
    gone = [part for segment_id in before.keys() - after.keys() for part in (segment_id, "")]
    changed = [(segment_id, edit) for segment_id, edit in after.items() if before.get(segment_id) != edit]
    new = [part for segment_id, edit in changed for part in (segment_id, json.dumps(edit, separators=(",", ":")))]
    return [*gone, *new]


def read_by(client: Client) -> StoredEdits:
    """As `EditStore.read`, for command lines; InvalidEdits, and what clients raise."""
    version = client.get(EDITS_VERSION)
    return StoredEdits(version or NEVER_EDITED, parse(client.hgetall(EDITS)))  # type: ignore[arg-type]
