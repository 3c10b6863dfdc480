"""Flat arrays in .npy files: written plainly, opened by memory map, refused if they are not what they should be."""

from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

from index.errors import CorruptSnapshot
from index.types import Array

SUFFIX = ".npy"
_MAX_HEADER_BYTES = 1024


def save(directory: Path, arrays: Mapping[str, Array]) -> None:
    """Write each array to NAME.npy, in C order, little-endian."""
    for name, array in arrays.items():
        np.save(directory / (name + SUFFIX), np.ascontiguousarray(array), allow_pickle=False)


def load(directory: Path, name: str, *dtypes: type[np.generic], length: int | None = None) -> Array:
    """Memory-map NAME.npy, read-only and one-dimensional; CorruptSnapshot unless type, length and file size fit."""
    path = directory / (name + SUFFIX)
    try:
        array = _open(path)
    except FileNotFoundError as error:
        raise CorruptSnapshot(f"{path} is missing") from error
    # what numpy raises for a damaged header, which it reads as a Python literal
    except (ValueError, EOFError, SyntaxError, TokenError, TypeError, MemoryError, RecursionError, OSError) as error:
        raise CorruptSnapshot(f"{path} is not a .npy file: {_one_line(error)}") from error
    expected = [np.dtype(dtype).newbyteorder("<") for dtype in dtypes]
    if array.dtype not in expected or array.ndim != 1:
        wanted = " or ".join(str(dtype) for dtype in expected)
        raise CorruptSnapshot(f"{path} holds {array.dtype} of shape {array.shape}; expected one dimension of {wanted}")
    if length is not None and len(array) != length:
        raise CorruptSnapshot(f"{path} holds {len(array)} values; expected {length}")
    return array


def check_starts(directory: Path, name: str, starts: Array) -> None:
    """Refuse, in O(1), an array of starts that does not begin at 0 or ends below it."""
    if len(starts) == 0 or starts[0] != 0 or starts[-1] < 0:
        ends = f"{starts[0]} to {starts[-1]}" if len(starts) else "nothing"
        raise CorruptSnapshot(f"{directory / (name + SUFFIX)} runs from {ends}; it must start at 0")


def _open(path: Path) -> Array:
    with path.open("rb") as file:
        version = npy.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of the .npy format")
        shape, fortran_order, dtype = npy.read_array_header_1_0(file, max_header_size=_MAX_HEADER_BYTES)
        offset = file.tell()
        size = file.seek(0, 2)
    if dtype.hasobject or (fortran_order and len(shape) > 1) or min(shape, default=0) < 0:
        raise ValueError(f"an array of {dtype}, shape {shape}")
    count = int(np.prod(shape, dtype=object))
    if size != offset + count * dtype.itemsize:
        raise ValueError(f"{size} bytes, where the header promises {offset + count * dtype.itemsize}")
    if count == 0:  # an empty range cannot be mapped
        array = np.empty(shape, dtype)
        array.flags.writeable = False
        return array
    # the plain view keeps the map alive and spares each slice the cost of the memmap subclass
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
