"""Directories that are expensive to make, kept under a name that says what is in them; whole or not there at all."""

from collections.abc import Callable
from pathlib import Path

from index import disk


def directory(root: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The directory root/name; if it is not there, `make` fills an empty one, which then appears under that name."""
    final = root / name
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with disk.writing(root):
        if not final.is_dir():
            making = disk.temporary(root, name)
            making.mkdir()
            make(making)
            making.rename(final)
    return final
