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

from benchmarks import timing
from benchmarks.queries import Query
from index.postings import Postings
from index.types import Array, Int32

SOURCE = Path(__file__).with_name("limits.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")
LINE_BYTES = 64
STREAM_BYTES = 1 << 28
"""Read to measure bandwidth: eight times the largest cache of the machines we know."""
READINGS = 15


class Touch:
    """Reads the posting lists of a query."""

    name = "touch"
    settings = "reads the same posting lines in the same order, nothing else"

    def __init__(self, built: Path, postings: Postings) -> None:
        self._library = _open(built)
        self._postings = postings
        self._n_blocks = len(postings.block_units)

    def prepare(self, query: Query) -> Int32:
        """The active dims."""
        return query.dims

    def answer(self, prepared: Int32) -> Int32:
        """Read; finds nothing."""
        self.read(prepared)
        return prepared[:0]

    def read(self, dims: Int32) -> int:
        """Read the lists of some dims; the exclusive or of what was read, as 64-bit numbers."""
        lists = self._postings
        where = _pointer(lists.lines), _pointer(lists.list_starts), self._n_blocks, n_dims(lists)
        return int(self._library.touch(*where, _pointer(dims), len(dims)))


class Stream:
    """Reads a buffer far larger than the caches from beginning to end.

    Not interleaved with the engines: it would leave them no cache, which no other engine does to a small catalogue.
    """

    def __init__(self, built: Path) -> None:
        self._library = _open(built)
        memory = np.ones(STREAM_BYTES // 8 + 8, np.uint64)
        shift = -memory.ctypes.data % LINE_BYTES // 8
        self._memory = memory[shift : shift + STREAM_BYTES // 8]

    def bytes_per_second(self) -> float:
        """The median of some readings."""
        seconds = [timing.once(self._read) for _ in range(READINGS)]
        return STREAM_BYTES / float(np.median(seconds))

    def _read(self) -> None:
        self._library.stream(_pointer(self._memory), STREAM_BYTES // LINE_BYTES)


def n_dims(postings: Postings) -> int:
    """How many lists each block has."""
    return (len(postings.list_starts) - 1) // len(postings.block_units)


def bytes_read(postings: Postings, dims: Int32) -> int:
    """Bytes of the lines that touch reads for these dims."""
    ends = postings.list_starts[1:].reshape(-1, n_dims(postings))[:, dims].astype(np.int64)
    starts = postings.list_starts[:-1].reshape(-1, n_dims(postings))[:, dims]
    return LINE_BYTES * int((ends - starts).sum())


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
