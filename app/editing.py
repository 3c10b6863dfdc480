"""Edits of segments, in one worker: those of the store, laid over the open snapshots within seconds, or at once.

Every worker asks for their version every `POLL_SECONDS`, and for them where it has changed; the one that answers a
change has it before it answers. While the store is away, what was last known stays; a worker that starts then has the
edits that its snapshots were built with.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from app.errors import Invalid
from app.live_index import LiveIndex
from app.store.connection import StoreUnavailable
from app.store.edits import NEVER_EDITED, EditStore, StoredEdits
from index.edits import MAX_EDITS, Edit, Edits, check, over
from index.errors import InvalidEdits
from index.snapshot import Snapshot

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""Between looks at the version."""

TAKEN_BACK = Edit(title=None, hidden=None, merged_into=None)
"""An edit that stays: a snapshot that holds what it takes back may be built already, and be served tomorrow."""


class Editing:
    """Between the store of edits and the live index."""

    def __init__(self, store: EditStore, live_index: LiveIndex) -> None:
        self._store = store
        self._live_index = live_index
        self._version = NEVER_EDITED
        # Whoever reads or changes the edits also takes them before the next one does: no one goes back to older ones.
        self._one_at_a_time = asyncio.Lock()

    async def watch(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Take what the store holds now. Never raises: whatever is wrong, what was last known stays."""
        try:
            async with self._one_at_a_time:
                if await self._store.version() != self._version:
                    await self._take(await self._store.read())
        except StoreUnavailable:
            return  # counted and logged
        except Exception:
            log.exception("the edits of segments cannot be used, those before stay")

    async def change(self, make: Callable[[Edits], Edits]) -> None:
        """Store what `make` makes of the edits in the store, and take it; StoreUnavailable, and what `make` raises."""
        async with self._one_at_a_time:
            await self._take(await self._store.change(make))

    async def _take(self, stored: StoredEdits) -> None:
        await self._live_index.edit(stored.edits)
        self._version = stored.version
        log.info("%d segments are edited in the store", len(stored.edits))


def patched(snapshot: Snapshot, stored: Edits, segment_id: str, edit: Edit) -> Edits:
    """The edits of the store with one more, of a segment that the snapshot has; Invalid where that cannot be."""
    _check_target(snapshot, segment_id, edit.get("merged_into"))
    _check_title(snapshot, segment_id, edit.get("title"))
    edits = _bounded(over(stored, {segment_id: edit}) if edit else stored)
    try:
        check(over(snapshot.built_edits, edits))
    except InvalidEdits as error:
        raise Invalid("that segment is part of this one: merges would go round in a circle", MERGED_INTO) from error
    return edits


MERGED_INTO = "body.merged_into"


def _check_target(snapshot: Snapshot, segment_id: str, into: str | None) -> None:
    if into == segment_id:
        raise Invalid("a segment cannot be merged into itself", MERGED_INTO)
    if into is not None and snapshot.found_segments.number(into) is None:
        raise Invalid("there is no segment of this id in this index version", MERGED_INTO)


def _check_title(snapshot: Snapshot, segment_id: str, title: str | None) -> None:
    same = (one.segment_id for one in snapshot.segments.segments if one.title == title and one.segment_id != segment_id)
    other = next(same, None) if title is not None else None
    if other is not None:
        raise Invalid(f"the segment {other} is called so", "body.title")


def check_document(edits: Edits) -> None:
    """Refuse edits that are to replace all others; Invalid says what is wrong."""
    try:
        check(edits)
    except InvalidEdits as error:
        raise Invalid(str(error), "body.edits") from error


def replaced(snapshots: tuple[Snapshot, ...], stored: Edits, edits: Edits) -> Edits:
    """What makes these edits all there are: what snapshots were built with, and the store holds, besides is taken back.

    Of segments that no open snapshot has any more, nothing is kept but what the edits say.
    """
    known: dict[str, Any] = dict.fromkeys(
        segment_id
        for layer in (stored, *(one.built_edits for one in snapshots))
        for segment_id in layer
        if any(one.found_segments.number(segment_id) is not None for one in snapshots)
    )
    return _bounded(over(dict.fromkeys(known, TAKEN_BACK), edits))


def _bounded(edits: Edits) -> Edits:
    if len(edits) > MAX_EDITS:
        raise Invalid(f"{len(edits)} segments would be edited; at most {MAX_EDITS} may be (PUT replaces all)")
    return edits
