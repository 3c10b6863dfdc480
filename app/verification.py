"""Full hashes of a snapshot, checked once per host and not once per worker.

A file in the host's private folder remembers which snapshot directories were verified: by place, version, and identity
and time of the manifest, so that a replaced directory is checked again. One worker checks, the others wait for it.
Whatever else can be wrong with a snapshot, publishing has refused.
"""

import fcntl
import logging
from pathlib import Path

from index.snapshot import verify_hashes

log = logging.getLogger(__name__)

REMEMBERED = 16
"""Snapshots that the file names."""


def verify_once(root: Path, version: str, data: Path) -> None:
    """Check the snapshot's hashes unless this host has done so; raises what `index.snapshot.verify_hashes` raises."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        # unbuffered: nothing is left to write when it is closed
        opened = (data / "verified").open("a+b", buffering=0)
    except OSError as error:
        log.warning("every worker verifies for itself, the folder of the host cannot be written: %s", error)
        verify_hashes(root, version)
        return
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # until it is closed
        opened.seek(0)
        known = opened.read().splitlines()
        mark = _mark(root, version)
        if mark in known:
            return
        verify_hashes(root, version)
        try:
            opened.truncate(0)
            opened.write(b"".join(line + b"\n" for line in [*known[1 - REMEMBERED :], mark]))
        except OSError as error:
            # a line that is cut off is no mark of anything
            log.warning("%s was verified, but that cannot be remembered in %s: %s", version, data / "verified", error)


def _mark(root: Path, version: str) -> bytes:
    manifest = (root / version / "manifest.json").resolve()
    try:
        found = manifest.stat()
    except OSError:
        return b"a missing manifest"  # verify_hashes() says what is wrong with it
    return f"{str(manifest)!r} {found.st_dev} {found.st_ino} {found.st_mtime_ns}".encode()
