"""Memory that stays where it is: for machines that take away what was not touched for a moment.

An index is mapped from files, and pages of files are the first that a system takes, under a tight limit or because it
reclaims all day what looks idle (DAMON, senpai). A search that touches such a page waits for the disk, and so does
everybody behind it. Locked pages are never taken. They are locked when they are first used, so nothing is read earlier.
"""

import ctypes
import os
import resource
import sys
from pathlib import Path

CURRENT, FUTURE, ON_FAULT = 1, 2, 4
"""MCL_ flags of mlockall(2)."""

IPC_LOCK = 14
"""The capability that knows no limit."""

REMEDY = (
    "allow it (ulimit -l unlimited, LimitMEMLOCK=infinity, or memlock: -1 under ulimits) or unset SPARROW_LOCK_MEMORY"
)


class CannotLock(Exception):  # noqa: N818  (the name says what is the matter)
    """Memory cannot be locked here; the message says why and what to do."""


def check_lockable() -> None:
    """Raise CannotLock where this process may not lock all of its memory, which would fail it later on."""
    if sys.platform != "linux":
        raise CannotLock(f"memory can be locked on Linux only, not on {sys.platform}: unset SPARROW_LOCK_MEMORY")
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY and not _capable(IPC_LOCK):
        raise CannotLock(f"memory cannot be locked, the limit is {limit} bytes: {REMEDY}")


def lock_memory() -> None:
    """Lock what this process has in memory, and what it will have; CannotLock."""
    check_lockable()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(CURRENT | FUTURE | ON_FAULT) != 0:
        raise CannotLock(f"memory cannot be locked, {os.strerror(ctypes.get_errno())}: {REMEDY}")


def _capable(capability: int) -> bool:
    _, _, told = Path("/proc/self/status").read_text().partition("CapEff:")
    return bool(int(told.split(maxsplit=1)[0], 16) >> capability & 1)
