"""Two limits that no inverted index gets below without leaving postings out.

touch    reading the lines of the query's posting lists, in the order in which they are searched, and nothing else
stream   the same bytes at the rate at which one core reads memory from beginning to end

Both read with plain vector loads, without software prefetch; a kernel that prefetches, or prunes, can beat touch.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.queries import Query
from index.types import Array, Int32

SOURCE = Path(__file__).with_name("limits.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")
LINE_BYTES = 64
STREAM_BYTES = 1 << 28
"""Read to measure bandwidth: eight times the largest cache of the machines we know."""


class Touch:
    """Reads the posting lists of a query."""

    name = "touch"
    settings = "reads the same posting lines in the same order, nothing else"

    def __init__(self, built: Path, lines: NDArray[np.uint16], list_starts: NDArray[np.uint32], n_dims: int) -> None:
        self._library = _open(built)
        self._lines, self._list_starts, self._n_dims = lines, list_starts, n_dims

    def prepare(self, query: Query) -> Int32:
        """The active dims."""
        return query.dims

    def answer(self, prepared: Int32) -> Int32:
        """Read; finds nothing."""
        n_blocks = (len(self._list_starts) - 1) // self._n_dims
        where = _pointer(self._lines), _pointer(self._list_starts), n_blocks, self._n_dims
        self._library.touch(*where, _pointer(prepared), len(prepared))
        return prepared[:0]

    def n_bytes(self, prepared: Int32) -> int:
        """Bytes of the lines that are read."""
        starts = self._list_starts[:-1].reshape(-1, self._n_dims)[:, prepared].astype(np.int64)
        ends = self._list_starts[1:].reshape(-1, self._n_dims)[:, prepared].astype(np.int64)
        return LINE_BYTES * int((ends - starts).sum())


class Stream:
    """Reads a large buffer from beginning to end, whatever the query."""

    name = "stream"
    settings = f"reads {STREAM_BYTES >> 20} MiB from beginning to end"

    def __init__(self, built: Path) -> None:
        self._library = _open(built)
        self._memory = np.ones(STREAM_BYTES // 8 + 8, np.uint64)
        shift = -self._memory.ctypes.data % LINE_BYTES // 8
        self._memory = self._memory[shift : shift + STREAM_BYTES // 8]

    def prepare(self, query: Query) -> Int32:
        """Nothing to do."""
        return query.exclude[:0]

    def answer(self, prepared: Int32) -> Int32:
        """Read; finds nothing."""
        self._library.stream(_pointer(self._memory), STREAM_BYTES // LINE_BYTES)
        return prepared


def build(root: Path) -> Path:
    """Compile limits.cpp once for this machine; ChildProcessError or FileNotFoundError in one sentence if it fails."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise FileNotFoundError("no C++ compiler was found for the limits; install g++ or clang++, or set CXX")
    identity = f"{compiler} {FLAGS} {_cpu()}".encode() + SOURCE.read_bytes()
    built = root / f"limits-{hashlib.blake2b(identity, digest_size=6).hexdigest()}.so"
    if not built.is_file():
        root.mkdir(parents=True, exist_ok=True)
        making = built.with_suffix(f".{os.getpid()}.tmp")
        done = subprocess.run(
            [compiler, *FLAGS, "-o", str(making), str(SOURCE)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ChildProcessError(f"{compiler} could not compile {SOURCE.name}: {done.stderr.strip()}")
        making.replace(built)
    return built


@cache
def _open(built: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(built.resolve()))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.touch.argtypes = [pointer, pointer, size, size, pointer, size]
    library.stream.argtypes = [pointer, size]
    for function in (library.touch, library.stream):
        function.restype = ctypes.c_uint64
    return library


def _pointer(array: Array) -> Any:  # noqa: ANN401 - ctypes takes a plain address
    return array.ctypes.data


def _cpu() -> str:
    """What -march=native depends on."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), " ".join(os.uname()))
