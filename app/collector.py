"""The collector: from the streams of the event log into its files.

It reads what is on the streams, adds what of it is in no file yet, and trims the streams behind that: nothing is lost
or doubled, wherever it is killed. It remembers nothing, for the files say what they hold. One collector at a time
writes to a folder, by a lock.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
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
    with writing(folder):
        tended = 0
        failing = False
        while True:
            last = stop.is_set()
            try:
                drain(client, folder)
                hour = int(time.time() // 3600)
                if hour != tended and not last:
                    tend(folder, time.time(), keep_days)
                    tended = hour
                if failing:
                    log.info("the event log is written again")
                failing = False
            except (*AWAY, OSError) as error:
                if not failing:
                    log.warning("the event log cannot be written: %s: %s", type(error).__name__, error)
                failing = True
            if last:
                return
            stop.wait(RETRY_SECONDS if failing else every_seconds)


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
