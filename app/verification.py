"""Full hashes of a snapshot, checked once per host and not once per worker.

A file in the host's private folder remembers which snapshot directories were verified: by place, version, and identity
and time of the manifest, so that a replaced directory is checked again. One worker checks, the others wait for it.
"""

import fcntl
import logging
from pathlib import Path

from index.snapshot import verify

log = logging.getLogger(__name__)

REMEMBERED = 16
"""Snapshots that the file names."""


def verify_once(root: Path, version: str, data: Path) -> None:
    """Check the snapshot's hashes unless this host has done so; raises what `index.snapshot.verify` raises."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = (data / "verified").open("a+")
    except OSError as error:
        log.warning("every worker verifies for itself, the folder of the host cannot be written: %s", error)
        verify(root, version)
        return
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # until it is closed, and so written
        opened.seek(0)
        known = opened.read().splitlines()
        mark = _mark(root, version)
        if mark in known:
            return
        verify(root, version)
        opened.truncate(0)
        opened.writelines(f"{line}\n" for line in [*known[1 - REMEMBERED :], mark])


def _mark(root: Path, version: str) -> str:
    manifest = (root / version / "manifest.json").resolve()
    try:
        found = manifest.stat()
    except OSError:
        return f"{manifest!s} is missing"  # verify() says what is wrong with it
    return f"{str(manifest)!r} {found.st_dev} {found.st_ino} {found.st_mtime_ns}"
