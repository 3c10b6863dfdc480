"""Which snapshot is served: CURRENT names it. Rolling back pins it, so that the next publish does not undo that."""

from collections.abc import Callable
from pathlib import Path

from index import disk, snapshot
from index.errors import CorruptSnapshot, UnknownVersion
from index.versions import is_version
from index.versions import stored as versions

__all__ = ["before", "current", "pinned", "prune", "publish", "rollback", "unpin", "versions"]

CURRENT = "CURRENT"
PIN = "PIN"


def current(root: Path) -> str | None:
    """The version that is served, None before the first publish; CorruptSnapshot if CURRENT names nothing sensible."""
    return _read(root / CURRENT, "'sparrow-index publish VERSION' writes it anew")


def pinned(root: Path) -> str | None:
    """The version that a rollback pinned, None if publishing is free."""
    return _read(root / PIN, "'sparrow-index unpin' removes it")


def before(root: Path) -> str:
    """The newest version that is older than the current one; UnknownVersion if there is none."""
    served = current(root)
    if served is None:
        raise UnknownVersion(f"nothing is published in {root}, so there is nothing to roll back")
    older = [version for version in versions(root) if version < served]
    if not older:
        raise UnknownVersion(f"no version in {root} is older than the current {served}; name the version to go to")
    return older[-1]


def publish(root: Path, version: str, advance: Callable[[int], object] | None = None) -> bool:
    """Verify a stored snapshot and make it current: True. While another version is pinned it only stays stored: False.

    Errors, and `advance`, as of snapshot.verify; what is current then stays current.
    """
    with disk.writing(root):
        snapshot.verify(root, version, advance)
        pin = pinned(root)
        if pin is None:
            disk.replace_text(root / CURRENT, version + "\n")
        return pin is None or pin == version


def rollback(root: Path, version: str | None = None, advance: Callable[[int], object] | None = None) -> str:
    """Verify a version (by default the one before the current), make it current, pin it and return its name."""
    with disk.writing(root):
        version = before(root) if version is None else version
        snapshot.verify(root, version, advance)
        # in this order: a crash in between leaves a working version served, not an unwanted one pinned
        disk.replace_text(root / CURRENT, version + "\n")
        disk.replace_text(root / PIN, version + "\n")
    return version


def unpin(root: Path) -> bool:
    """Let publishing move CURRENT again; False if nothing was pinned."""
    with disk.writing(root):
        was_pinned = (root / PIN).exists()
        disk.remove_file(root / PIN)
    return was_pinned


def prune(root: Path, keep: int) -> tuple[str, ...]:
    """Remove all but the newest `keep` versions, the current, the one before it and the pinned; returns the removed."""
    if keep < 1:
        raise ValueError(f"keep is {keep}; at least 1 version must stay")
    with disk.writing(root):
        stored = versions(root)
        served = current(root)
        kept = {*stored[-keep:], served, pinned(root)}
        if served is not None:
            kept.update([old for old in stored if old < served][-1:])
        removed = tuple(version for version in stored if version not in kept)
        for version in removed:
            disk.retire_directory(root / version)
    return removed


def _read(path: Path, way_out: str) -> str | None:
    try:
        version = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorruptSnapshot(f"{path} cannot be read: {error.strerror}; mend or remove it") from error
    if not is_version(version):
        raise CorruptSnapshot(f"{path} holds {version[:40]!r}, which is not a version; {way_out}")
    return version
