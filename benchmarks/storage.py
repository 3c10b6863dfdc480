"""How large is a snapshot, and how long do building and opening it take beside writing and reading its bytes?

Properties and popularity are those of the real items that the catalogue's were made from; there are no segments.
Hashing is timed apart and taken off. Files are read and written through the page cache, and forced to disk, as a
snapshot is.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from benchmarks import timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.engines import N, Sparrow, task
from benchmarks.subject import Subject
from index import builder, files, segments, sizes, snapshot
from index.snapshot import Snapshot
from index.types import JSON

LARGEST = 1_000_000
"""Items: the properties of more take minutes to write."""
TIMES = 3
"""How often each is built, opened, read and written."""


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return TIMES + n_rounds * len(subject.queries)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Build, open, read and write; then search what is mapped beside what is in memory."""
    root = Path(mkdtemp(prefix="storage-", dir=subject.root))
    try:
        seconds = []
        for number in range(TIMES):
            seconds.append(_once(subject, root / str(number)))
            done(1)
        last = root / str(TIMES - 1)
        opened = snapshot.open_snapshot(last, next(path.name for path in last.iterdir() if path.is_dir()))
        tasks = {"in memory": subject.engines["sparrow"], "mapped": Sparrow(opened.searcher)}
        timed = {name: task(engine, subject.queries) for name, engine in tasks.items()}
        samples = timing.interleave(timed, len(subject.queries), n_rounds, done)
        figures = _figures(opened, {name: float(np.median([each[name] for each in seconds])) for name in seconds[0]})
    finally:
        shutil.rmtree(root)
    figures |= {"engines": summaries(samples), "mapped_times_memory": ratio(samples["mapped"], samples["in memory"])}
    return Finding(figures, samples)


def _once(subject: Subject, root: Path) -> dict[str, float]:
    """Seconds of each step, in a directory of its own."""
    building = timing.once(lambda: _build(subject, root))
    directory = next(path for path in root.iterdir() if path.is_dir())
    hashing = timing.once(lambda: files.describe(directory))
    opening = timing.once(lambda: snapshot.open_snapshot(root, directory.name))
    reading = timing.once(lambda: _read(directory))
    content = _read(directory)
    writing = timing.once(lambda: _write(root / "copy", content))
    shutil.rmtree(root / "copy")
    _forget(directory)
    cold_opening = timing.once(lambda: _search(subject, snapshot.open_snapshot(root, directory.name)))
    _forget(directory)
    return {
        "build_seconds": building - hashing,
        "hash_seconds": hashing,
        "write_seconds": writing,
        "open_seconds": opening,
        "read_seconds": reading,
        "cold_open_and_search_seconds": cold_opening,
        "cold_read_seconds": timing.once(lambda: _read(directory)),
    }


def _build(subject: Subject, root: Path) -> None:
    n_dims = subject.embeddings.n_dims
    none = segments.assemble([], segments.carry_over([], subject.embeddings, None), [], [], n_dims)
    known, bases = subject.model, subject.bases
    builder.build(
        root,
        embeddings=subject.embeddings,
        properties=[known.properties[base] for base in bases.tolist()],
        popularity=known.popularity[bases],
        segments=none,
    )


def _figures(opened: Snapshot, seconds: dict[str, float]) -> dict[str, JSON]:
    parts = sizes.measured(opened.manifest)
    return {
        "seconds": dict(seconds),
        "bytes": parts.disk_bytes,
        "bytes_per_item": {name: size / parts.n_items for name, size in parts.parts.items()},
        "bytes_per_nonzero": parts.searched_bytes_per_nonzero,
        "build_times_write": seconds["build_seconds"] / seconds["write_seconds"],
        "open_times_read": seconds["open_seconds"] / seconds["read_seconds"],
        "cold_open_and_search_times_read": seconds["cold_open_and_search_seconds"] / seconds["cold_read_seconds"],
    }


def _search(subject: Subject, opened: Snapshot) -> None:
    query = subject.queries[0]
    opened.searcher.top_n(query.vector, N, exclude=query.exclude)


def _read(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def _write(directory: Path, content: dict[str, bytes]) -> None:
    """Write and force to disk, file by file and then all of them, as building does."""
    directory.mkdir()
    for name, data in content.items():
        (directory / name).write_bytes(data)
    for name in content:
        with (directory / name).open("rb") as file:
            os.fsync(file.fileno())


def _forget(directory: Path) -> None:
    """Drop the files from the page cache, where the system can."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
