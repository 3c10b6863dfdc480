"""The open snapshots, and the watch over CURRENT.

Open are the one that CURRENT names, the one that was served before it, and those that requests name by `index_version`;
`max_open` in all. Where that would be more, the one that nobody has asked for the longest is closed: its maps are
given back when the last request that holds it ends.

Over each lie the edits of its segments that the store holds (see `app.editing`): when they change, every open snapshot
is edited and warmed anew, in a thread, and then stands in the place of what it was.

A new snapshot is verified, opened and warmed in a thread, then one reference is swapped: a request that took `snapshot`
before keeps its own to the end. A bad one is refused, logged and counted, and the last good one stays. CURRENT may move
back.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from app.metrics import Metrics
from app.verification import verify_once
from index import publication
from index.edits import NO_EDITS, Edits
from index.errors import UnknownVersion
from index.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""A refused snapshot is tried again after so long: the disk may have been at fault."""

OPENING_SECONDS = 2.0
"""How long a request waits for the version that it names to be verified and opened."""

CURRENT = "CURRENT"


class NothingPublished(Exception):  # noqa: N818  (the name says what is the matter)
    """There is no snapshot to answer from yet."""


class NotOpen(Exception):  # noqa: N818
    """A request names a version that cannot be answered from; the message names those that are open."""


class StillOpening(Exception):  # noqa: N818
    """A request names a version that is being opened: ask again shortly."""


class Roles(NamedTuple):
    """What the open versions are."""

    current: str | None
    """Requests that name none are answered from it."""
    before: str | None
    """What this process served before; after a start, the newest one older than CURRENT."""


class LiveIndex:
    """Holds the open snapshots by version."""

    def __init__(
        self,
        root: Path,
        data: Path,
        poll_seconds: float,
        metrics: Metrics,
        max_open: int = 4,
        warm: Callable[[Snapshot], None] = lambda _: None,
    ) -> None:
        self._root = root
        self._data = data
        self._poll_seconds = poll_seconds
        self._metrics = metrics
        self._max_open = max_open
        self._warm = warm
        self._snapshot: Snapshot | None = None
        self._before: str | None = None
        self._open: dict[str, Snapshot] = {}  # the least recently asked for first
        self._opening: dict[str, asyncio.Task[Snapshot]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._edits: Edits = NO_EDITS
        self._refused: dict[str, float] = {}

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

    @property
    def roles(self) -> Roles:
        """Which of the open versions is which."""
        return Roles(self.version, self._before if self._before in self._open else None)

    @property
    def open_snapshots(self) -> tuple[Snapshot, ...]:
        """All that is open, the newest version first."""
        return tuple(self._open[version] for version in sorted(self._open, reverse=True))

    def pinned(self) -> str | None:
        """The version that a rollback pinned; reads a file."""
        return publication.pinned(self._root)

    def open_version(self, version: str) -> Snapshot | None:
        """The snapshot of this version where it is open. Asking keeps it open longer."""
        found = self._open.pop(version, None)
        if found is not None:
            self._open[version] = found
        return found

    async def named(self, version: str) -> Snapshot:
        """The snapshot of a version that a request names, which is opened if it is stored.

        NothingPublished, or NotOpen where it is not stored or no use, or StillOpening.
        """
        found = self.open_version(version)
        if found is not None:
            return found
        if self._snapshot is None:
            return self.snapshot  # raises
        if self._waits(version):
            raise NotOpen(self._told("was refused, the server's log says why"))
        task = self._opening.get(version)
        if task is None:
            task = self._opening[version] = asyncio.create_task(self._opened(version))
            task.add_done_callback(lambda done: self._forget(version, done))
        try:
            return await asyncio.wait_for(asyncio.shield(task), OPENING_SECONDS)
        except TimeoutError as error:
            raise StillOpening("the index_version is being opened") from error
        except UnknownVersion as error:
            raise NotOpen(self._told("is not stored")) from error
        except Exception as error:  # (whatever is wrong with it is in the log)
            raise NotOpen(self._told("was refused, the server's log says why")) from error

    async def edit(self, edits: Edits) -> None:
        """Lay these edits over every open snapshot, and over those that are opened from now on."""
        async with self._one_at_a_time:  # else one that is being opened would miss them
            before, self._edits = self._edits, edits
            try:
                edited = await asyncio.to_thread(self._edited, tuple(self._open.values()))
            except BaseException:
                self._edits = before
                raise
            # In its place, so that it is no younger in the order of asking; what was closed meanwhile stays so.
            self._open.update({one.version: one for one in edited if one.version in self._open})
            if self._snapshot is not None:
                self._snapshot = self._open[self._snapshot.version]

    def _edited(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """Those that these edits change, ready to be served."""
        pairs = [(one, one.edited(self._edits)) for one in snapshots]
        changed = [after for before, after in pairs if after is not before]
        for one in changed:
            self._warm(one)
        return changed

    async def watch(self) -> None:
        """Refresh for ever."""
        await self._open_before()
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.refresh()

    async def refresh(self) -> None:
        """Serve what CURRENT names now. Never raises: whatever is wrong with it, the last good snapshot stays."""
        name = CURRENT
        try:
            version = await asyncio.to_thread(publication.current, self._root)
            self._refused.pop(CURRENT, None)
            if version is None or version == self.version:
                return
            name = version
            if self._waits(name):
                return
            snapshot = self.open_version(version) or await self._prepare(version)
        except Exception as error:  # noqa: BLE001  (a snapshot may break in any way; what is served must not)
            self._refuse(name, error)
            return
        self._before, self._snapshot = self.version or self._before, snapshot
        self._keep(snapshot)
        log.info("serving snapshot %s, before: %s", version, self._before)

    async def _open_before(self) -> None:
        """After a start: what other processes of this server served before, which cursors of theirs still name."""
        if self._snapshot is None or self._before is not None:
            return
        name = "before CURRENT"
        try:
            name = await asyncio.to_thread(publication.before, self._root)
            self._keep(await self._prepare(name))
        except UnknownVersion:
            return  # there is none
        except Exception as error:  # noqa: BLE001  (as above)
            self._refuse(name, error)
            return
        self._before = name

    async def _opened(self, version: str) -> Snapshot:
        """For a request: open a stored version, and keep it open."""
        try:
            snapshot = await self._prepare(version)
        except UnknownVersion:
            raise
        except Exception as error:
            self._refuse(version, error)
            raise
        self._keep(snapshot)
        log.info("opened snapshot %s, which a request names", version)
        return snapshot

    def _forget(self, version: str, done: asyncio.Task[Snapshot]) -> None:
        del self._opening[version]
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    async def _prepare(self, version: str) -> Snapshot:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._prepared, version)

    def _prepared(self, version: str) -> Snapshot:
        verify_once(self._root, version, self._data)
        snapshot = open_snapshot(self._root, version).edited(self._edits)
        self._warm(snapshot)
        return snapshot

    def _keep(self, snapshot: Snapshot) -> None:
        """Hold it, and close what is one too many."""
        self._open.pop(snapshot.version, None)
        self._open[snapshot.version] = snapshot
        served = (self.version, self._before)
        unused = [version for version in self._open if version not in served and version != snapshot.version]
        for version in unused[: max(0, len(self._open) - self._max_open)]:
            del self._open[version]
            log.info("closed snapshot %s", version)

    def _told(self, what: str) -> str:
        return f"this index_version {what}; open are {', '.join(sorted(self._open))}, GET /v1/versions describes them"

    def _waits(self, name: str) -> bool:
        return time.monotonic() - self._refused.get(name, -math.inf) < RETRY_SECONDS

    def _refuse(self, name: str, error: Exception) -> None:
        if self._waits(name):
            return
        # Only what is stored is ever refused, so these are not many.
        self._refused[name] = time.monotonic()
        self._metrics.refused_snapshots.inc()
        log.error("refused snapshot %s, %s stays: %s: %s", name, self.version or "nothing", type(error).__name__, error)
