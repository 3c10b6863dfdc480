"""Changing a directory of snapshots so that a crash at any point leaves the old state or the new one.

One writer at a time holds the lock. What it makes, it makes under a temporary name, forces to disk, and renames.
Whatever bears a temporary name while the lock is held was left by a writer that crashed, and is removed.
"""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from index.errors import UnknownVersion

LOCK = ".lock"
TEMPORARY = ".tmp-"

logger = logging.getLogger(__name__)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Be the only writer under `root`; waits for another one, cleans up after a crashed one."""
    if not root.is_dir():
        raise UnknownVersion(f"{root} is not a directory of snapshots")
    with (root / LOCK).open("a") as lock:
        _wait_for(lock.fileno(), root)
        for leftover in root.glob(TEMPORARY + "*"):
            logger.warning("removing %s, left by a writer that crashed", leftover)
            remove(leftover)
        yield  # closing the file releases the lock, as the end of the process does


def temporary(root: Path, name: str) -> Path:
    """A path beside `name` that the next writer removes, should this one crash."""
    return root / (TEMPORARY + name)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder, durably, where there is none."""
    if not path.is_dir():
        path.mkdir(mode, parents=True, exist_ok=True)
        _sync(path.parent)


def publish_directory(temporary: Path, final: Path) -> None:
    """Make a finished temporary directory appear under its final name, durably and at once."""
    force(temporary)
    temporary.rename(final)
    _sync(final.parent)


def force(directory: Path) -> None:
    """Force the files of a directory to disk, and that they are there."""
    for path in sorted(directory.iterdir()):
        _sync(path)
    _sync(directory)


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Give a file the content that `write` writes, durably and at once; what a crash leaves, the next replace takes.

    BlockingIOError where another one replaces the same file; the first goes on.
    """
    made = temporary(path.parent, path.name)
    try:
        with _only_writer(made) as file:
            try:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                made.unlink()
                raise
            made.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which file
        raise
    _sync(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Give a small file new text, durably and at once."""
    replace(path, lambda file: file.write(text.encode()))


def remove_file(path: Path) -> None:
    """Remove a small file, durably."""
    path.unlink(missing_ok=True)
    _sync(path.parent)


def retire_directory(path: Path) -> None:
    """Remove a directory so that no reader sees a part of it; maps that are open stay valid."""
    hidden = temporary(path.parent, path.name)
    path.rename(hidden)
    _sync(path.parent)
    remove(hidden)


def remove(path: Path) -> None:
    """Remove a file or a whole directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _only_writer(path: Path) -> BinaryIO:
    """Open a file to be written anew, unless another one is writing it: then cutting it would leave both with half."""
    file = open(path, "wb", opener=lambda name, flags: os.open(name, flags & ~os.O_TRUNC, 0o666))  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = os.path.samestat(os.fstat(file.fileno()), path.stat())  # it may be renamed before it is locked
    except (BlockingIOError, FileNotFoundError):
        alone = False
    if not alone:
        file.close()
        raise BlockingIOError(errno.EAGAIN, "Another process is writing it", str(path))
    file.truncate()
    return file


def _wait_for(lock: int, root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("another writer is at work in %s; waiting for it", root)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
