"""The collector: from the streams of the event log into its files, and the edits of segments beside them.

It reads what is on the streams, adds what of it is in no file yet, and trims the streams behind that: nothing is lost
or doubled, wherever it is killed. It remembers nothing, for the files say what they hold. One collector at a time
writes to a folder, by a lock.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from app import erasure, log_files
from app.store import streams
from app.store.clients import AWAY, Client
from app.store.edits import NEVER_EDITED, read_by
from app.store.keys import EDITS_VERSION
from app.store.process import take_lock
from index.disk import make_folder
from index.edits import write_file
from index.errors import InvalidEdits

log = logging.getLogger(__name__)

BATCH = 50_000
"""Entries in one file, about."""

EACH = BATCH // 64

EDITS_FILE = "segment-edits.json"

RETRY_SECONDS = 1.0


class LogBusy(Exception):  # noqa: N818  (the name says what is the matter)
    """Another collector writes to the folder."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Be the only writer of the log; LogBusy."""
    make_folder(folder, 0o700)
    lock = take_lock(folder / "lock")
    if lock is None:
        raise LogBusy(f"another collector writes to {folder}: one is enough, or name another folder by --log")
    try:
        log_files.tidy(folder)
        yield
    finally:
        os.close(lock)


def collect(client: Client, folder: Path, every_seconds: float, keep_days: int, stop: threading.Event) -> None:
    """Drain until told to stop, and then what is there; what is away is waited for. Holds the lock; LogBusy."""
    draining, tending, tended = _Work("the event log", "written"), _Work("the event log", "compacted"), 0
    keeping, edits = _Work("the file of edits of segments", "written"), EditsFile(folder)
    with writing(folder):
        while True:
            last, now = stop.is_set(), time.time()
            whole = draining.done(lambda: drain(client, folder))
            keeping.done(lambda: edits.keep(client))
            if last:
                return
            if tended != now // 3600:
                tending.done(lambda now=now: tend(folder, now, keep_days))  # type: ignore[misc]
                tended = int(now // 3600)
            stop.wait(every_seconds if whole else RETRY_SECONDS)


class EditsFile:
    """What people say of segments, beside the log, for the next build: whole or not at all, and not older for long.

    A store that was never edited takes nothing from it: it may have lost what it held.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EDITS_FILE
        self._version = NEVER_EDITED

    def keep(self, client: Client) -> None:
        """Write them where they have changed; InvalidEdits, and what clients raise."""
        if (client.get(EDITS_VERSION) or NEVER_EDITED) in (self._version, NEVER_EDITED):
            return
        stored = read_by(client)
        write_file(self._path, stored.edits)
        self._version = stored.version


def drain(client: Client, folder: Path) -> int:
    """Write what is on the streams now and trim them; how many entries that were."""
    n_written = 0
    while True:
        entries = streams.read(client, EACH)
        if not entries:
            return n_written
        # Ids of a stream grow, so what is of the oldest day stands in front of the rest.
        day = min(map(log_files.day_of, entries))
        first = [one for one in entries if log_files.day_of(one) == day]
        n_written += log_files.add(folder, first)
        streams.trim(client, first)
        if len(entries) == len(first) and not _any_full(entries):
            return n_written


def tend(folder: Path, now: float, keep_days: int) -> int:
    """Once an hour: remove old days, make one file of each full hour's, drop the rows of who was forgotten.

    Returns how many rows those were.
    """
    if keep_days:
        log_files.keep(folder, keep_days, datetime.fromtimestamp(now, UTC).date())
    log_files.compact(folder, now)
    return erasure.erase(folder)


def _any_full(entries: list[streams.Entry]) -> bool:
    """Whether more than what was asked for may be there."""
    counts: dict[int, int] = {}
    for one in entries:
        counts[one.partition] = counts.get(one.partition, 0) + 1
    return max(counts.values()) >= EACH


class _Work:
    """Something that may fail for a while: that is logged once, and not each time."""

    def __init__(self, subject: str, what: str) -> None:
        self._subject, self._what = subject, what
        self._failing = False

    def done(self, work: Callable[[], object]) -> bool:
        """Do it; whether that went well."""
        try:
            work()
        except (*AWAY, OSError, log_files.DAMAGED, InvalidEdits) as error:
            if not self._failing:
                log.warning("%s cannot be %s: %s: %s", self._subject, self._what, type(error).__name__, error)
            self._failing = True
        else:
            if self._failing:
                log.info("%s is %s again", self._subject, self._what)
            self._failing = False
        return not self._failing
