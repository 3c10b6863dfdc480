"""The snapshot that is served now, and the watch over CURRENT that replaces it.

A new snapshot is verified, opened and warmed in a thread, then one reference is swapped: a request that took `snapshot`
before keeps its own to the end. A bad one is refused, logged and counted, and the last good one stays. CURRENT may move
back.
"""

import asyncio
import logging
import time
from datetime import datetime
from pathlib import Path

import numpy as np

from app.metrics import Metrics
from app.verification import verify_once
from index.publication import current
from index.query import encode
from index.search import score_segments
from index.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""A refused snapshot is tried again after so long: the disk may have been at fault."""


class NothingPublished(Exception):  # noqa: N818  (the name says what is the matter)
    """There is no snapshot to answer from yet."""


class LiveIndex:
    """Holds the snapshot that CURRENT names."""

    def __init__(self, root: Path, data: Path, poll_seconds: float, metrics: Metrics) -> None:
        self._root = root
        self._data = data
        self._poll_seconds = poll_seconds
        self._metrics = metrics
        self._snapshot: Snapshot | None = None
        self._refused: str | None = None
        self._refused_at = 0.0

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot served now; NothingPublished where there is none. Take it once a request."""
        if self._snapshot is None:
            raise NothingPublished("no index is published yet: run sparrow-train publish")
        return self._snapshot

    @property
    def version(self) -> str | None:
        """Its version, None where nothing is published."""
        return None if self._snapshot is None else self._snapshot.version

    @property
    def created_at(self) -> float | None:
        """When it was built, in Unix seconds."""
        return (
            None if self._snapshot is None else datetime.fromisoformat(self._snapshot.manifest.created_at).timestamp()
        )

    async def watch(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.refresh()

    async def refresh(self) -> None:
        """Serve what CURRENT names now. Never raises: whatever is wrong with it, the last good snapshot stays."""
        name = "CURRENT"
        try:
            version = await asyncio.to_thread(current, self._root)
            if version is None or version == self.version:
                self._refused = None
                return
            name = version
            if self._waits(name):
                return
            snapshot = await asyncio.to_thread(self._prepared, version)
        except Exception as error:  # noqa: BLE001  (a snapshot may break in any way; what is served must not)
            self._refuse(name, error)
            return
        before, self._snapshot, self._refused = self.version, snapshot, None
        log.info("serving snapshot %s, before: %s", version, before)

    def _prepared(self, version: str) -> Snapshot:
        verify_once(self._root, version, self._data)
        snapshot = open_snapshot(self._root, version)
        warm(snapshot)
        return snapshot

    def _waits(self, name: str) -> bool:
        return self._refused == name and time.monotonic() - self._refused_at < RETRY_SECONDS

    def _refuse(self, name: str, error: Exception) -> None:
        if self._waits(name):
            return
        self._refused, self._refused_at = name, time.monotonic()
        self._metrics.refused_snapshots.inc()
        log.error("refused snapshot %s, %s stays: %s: %s", name, self.version or "nothing", type(error).__name__, error)


def warm(snapshot: Snapshot) -> None:
    """One search of each sort, which pages in what every request touches."""
    items = snapshot.popular[:10]
    query = encode(snapshot.embeddings, items, np.ones(len(items), dtype=np.float32))
    snapshot.searcher.top_n(query, 10)
    score_segments(snapshot.segments, query)
    snapshot.catalogue.properties(items)
