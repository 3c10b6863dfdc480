"""The collector: from the streams of the event log into its files.

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
from app.store.process import take_lock
from index.disk import make_folder

log = logging.getLogger(__name__)

BATCH = 50_000
"""Entries in one file, about."""

EACH = BATCH // 64

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
    draining, tending, tended = _Work("written"), _Work("compacted"), 0
    with writing(folder):
        while True:
            last, now = stop.is_set(), time.time()
            whole = draining.done(lambda: drain(client, folder))
            if last:
                return
            if tended != now // 3600:
                tending.done(lambda now=now: tend(folder, now, keep_days))  # type: ignore[misc]
                tended = int(now // 3600)
            stop.wait(every_seconds if whole else RETRY_SECONDS)


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

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing = False

    def done(self, work: Callable[[], object]) -> bool:
        """Do it; whether that went well."""
        try:
            work()
        except (*AWAY, OSError, log_files.DAMAGED) as error:
            if not self._failing:
                log.warning("the event log cannot be %s: %s: %s", self._what, type(error).__name__, error)
            self._failing = True
        else:
            if self._failing:
                log.info("the event log is %s again", self._what)
            self._failing = False
        return not self._failing
