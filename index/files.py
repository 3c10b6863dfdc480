"""The files of a snapshot: their sizes and hashes, as the manifest lists them."""

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from index import manifest
from index.errors import CorruptSnapshot
from index.manifest import FileInfo

_CHUNK_BYTES = 1 << 22


def describe(directory: Path) -> dict[str, FileInfo]:
    """Size and hash of every file, by name."""
    return {path.name: FileInfo(path.stat().st_size, _hash(path, None)) for path in sorted(directory.iterdir())}


def check_sizes(directory: Path, files: Mapping[str, FileInfo]) -> None:
    """CorruptSnapshot unless exactly these files (and the manifest) are there, with these sizes."""
    with os.scandir(directory) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}
    sizes.pop(manifest.FILE_NAME, None)
    for name in sorted(sizes.keys() | files.keys()):
        if name not in files:
            raise CorruptSnapshot(f"{directory / name} does not belong to the snapshot")
        if name not in sizes:
            raise CorruptSnapshot(f"{directory / name} is missing")
        if sizes[name] != files[name].bytes:
            raise CorruptSnapshot(f"{directory / name} has {sizes[name]} bytes; expected {files[name].bytes}")


def check_hashes(
    directory: Path, files: Mapping[str, FileInfo], advance: Callable[[int], object] | None = None
) -> None:
    """CorruptSnapshot unless every file has its hash; `advance` is told each number of bytes read."""
    for name, info in files.items():
        if _hash(directory / name, advance) != info.sha256:
            raise CorruptSnapshot(f"{directory / name} does not match its hash")


def _hash(path: Path, advance: Callable[[int], object] | None) -> str:
    hashed = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hashed.update(chunk)
            if advance is not None:
                advance(len(chunk))
    return hashed.hexdigest()
