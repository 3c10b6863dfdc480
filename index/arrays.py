"""Flat arrays in .npy files: written plainly, opened by memory map, refused if they are not what they should be."""

import mmap
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index import _kernel
from index.errors import CorruptSnapshot, InvalidEmbeddings
from index.types import Array, Int32, Int64

SUFFIX = ".npy"

POPULATE_READ = 22
"""MADV_POPULATE_READ of Linux 5.14, which the mmap module does not name."""
# Version 1.0 of the .npy format, as numpy writes an array of one dimension. It is matched, not evaluated.
_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNMENT = 64  # where numpy lets the values begin; the kernel reads whole cache lines
_HEADER = re.compile(rb"\{'descr': '([<|][fiu][1248])', 'fortran_order': False, 'shape': \(([0-9]{1,18}),\), \} *\n")


def save(directory: Path, arrays: Mapping[str, Array]) -> None:
    """Write each array to NAME.npy, in C order, little-endian."""
    for name, array in arrays.items():
        np.save(directory / (name + SUFFIX), np.ascontiguousarray(array), allow_pickle=False)


def load(directory: Path, name: str, dtype: type[np.generic], *, length: int | None = None) -> Array:
    """Memory-map NAME.npy, read-only and one-dimensional; CorruptSnapshot unless type, length and file size fit."""
    path = directory / (name + SUFFIX)
    try:
        array = _open(path)
    except FileNotFoundError as error:
        raise CorruptSnapshot(f"{path} is missing") from error
    except (ValueError, TypeError, OSError) as error:
        raise CorruptSnapshot(f"{path} is not an array of one dimension: {error}") from error
    if array.dtype != np.dtype(dtype):
        raise CorruptSnapshot(f"{path} holds {array.dtype}; expected {np.dtype(dtype)}")
    if length is not None and len(array) != length:
        raise CorruptSnapshot(f"{path} holds {len(array)} values; expected {length}")
    return array


def page_in(array: object) -> None:
    """Read and map all of a memory-mapped array now, so that no search waits for it; any other is in memory anyway.

    Where the system cannot (Linux before 5.14, other systems, too little memory) it stays to be read when it is needed.
    """
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    if isinstance(array, mmap.mmap) and sys.platform == "linux":
        with suppress(OSError):
            array.madvise(POPULATE_READ)


def load_starts(directory: Path, name: str, n_parts: int) -> Int64:
    """Load where n_parts consecutive parts start, (n_parts + 1,); CorruptSnapshot unless that begins at 0. O(1)."""
    starts = load(directory, name, np.int64, length=n_parts + 1)
    if starts[0] != 0 or starts[-1] < 0:
        raise CorruptSnapshot(f"{directory / (name + SUFFIX)} runs from {starts[0]} to {starts[-1]}; must start at 0")
    return starts


def check_starts(starts: Int64, total: int, name: str) -> None:
    """Refuse starts that do not run from 0 to total without stepping back."""
    if starts.dtype != np.int64 or starts.ndim != 1 or len(starts) == 0:
        raise InvalidEmbeddings(f"{name} is {starts.dtype} of shape {starts.shape}; must be int64 of (n + 1,)")
    if starts[0] != 0 or starts[-1] != total:
        raise InvalidEmbeddings(f"{name} runs from {starts[0]} to {starts[-1]}; must run from 0 to {total}")
    place = first(np.diff(starts) < 0)
    if place is not None:
        raise InvalidEmbeddings(f"{name} steps back from {starts[place]} to {starts[place + 1]} after row {place}")


def ranges(starts: Int64, counts: Int64) -> Int64:
    """All places of ranges that start somewhere and have counts[i] places each, range by range: (counts.sum(),)."""
    shifts: Int64 = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return np.arange(len(shifts)) + shifts


def among(values: Int32, others: Int32) -> NDArray[np.bool_]:
    """Whether each value is one of the others, (len(values),): np.isin of a few, which has more to do than that."""
    return _kernel.among(values, others)


def distinct(values: Int32) -> Int32:
    """Each value once, ascending: np.unique in one call instead of several, of which each has more to do than sort."""
    return _kernel.distinct(values)


def first(wrong: Array) -> int | None:
    """The first place where something is wrong."""
    place = int(np.argmax(wrong)) if len(wrong) else 0
    return place if len(wrong) and wrong[place] else None


def _open(path: Path) -> Array:
    with path.open("rb") as file:
        start = file.read(len(_MAGIC) + 2)
        header = file.read(int.from_bytes(start[-2:], "little"))
        size = file.seek(0, os.SEEK_END)
    read = _HEADER.fullmatch(header)
    if not start.startswith(_MAGIC) or read is None:
        raise ValueError(f"begins with {(start + header)[:40]!r}")
    dtype, length = np.dtype(read[1].decode()), int(read[2])
    expected = len(start) + len(header) + length * dtype.itemsize
    if size != expected:
        raise ValueError(f"has {size} bytes; its header promises {expected}")
    if (len(start) + len(header)) % _ALIGNMENT:
        raise ValueError(f"its values begin at byte {len(start) + len(header)}, not at a multiple of {_ALIGNMENT}")
    if length == 0:  # an empty range cannot be mapped
        return np.frombuffer(b"", dtype)
    # the plain view keeps the map alive and spares each slice the cost of the memmap subclass
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", offset=len(start) + len(header), shape=(length,)))
