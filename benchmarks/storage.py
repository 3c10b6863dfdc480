"""How large is a snapshot, and how long do building and opening it take beside writing and reading its bytes?

full     with the properties of the real items that the catalogue's were made from
codes    without properties: ids, codes, postings

Popularity is that of the real items; there are no segments. Hashing is timed apart and taken off. Files are read and
written through the page cache; what is written is forced to disk, as a snapshot is.
"""

import os
import shutil
from collections.abc import Callable, Sequence
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
from training.items import Properties

LARGEST = 1_000_000
"""Items: the properties of more take minutes to write."""
SMALL = 100_000
"""Items of which building is repeated."""
TIMES = 3
"""How often."""
KINDS = ("full", "codes")


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return len(KINDS) * _times(subject) + n_rounds * len(subject.queries)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Build, open, read and write; then search what is mapped beside what is in memory."""
    root = Path(mkdtemp(prefix="storage-", dir=subject.root))
    try:
        figures: dict[str, JSON] = {kind: _built(subject, kind, root / kind, done) for kind in KINDS}
        opened = snapshot.open_snapshot(root / KINDS[0], _version(root / KINDS[0]).name)
        tasks = {"in memory": subject.engines["sparrow"], "mapped": Sparrow(opened.searcher)}
        timed = {name: task(engine, subject.queries) for name, engine in tasks.items()}
        samples = timing.interleave(timed, len(subject.queries), n_rounds, done)
    finally:
        shutil.rmtree(root)
    parts = sizes.measured(opened.manifest)
    figures |= {
        "bytes": parts.disk_bytes,
        "bytes_per_item": {name: size / parts.n_items for name, size in parts.parts.items()},
        "bytes_per_nonzero": parts.searched_bytes_per_nonzero,
        "engines": summaries(samples),
        "mapped_times_memory": ratio(samples["mapped"], samples["in memory"]),
    }
    return Finding(figures, samples)


def _built(subject: Subject, kind: str, root: Path, done: Callable[[float], None]) -> dict[str, JSON]:
    """Build some times, one after the other, and leave the last."""
    properties = [subject.model.properties[base] if kind == "full" else {} for base in subject.bases.tolist()]
    seconds = []
    for _ in range(_times(subject)):
        if root.exists():
            shutil.rmtree(root)
        seconds.append(_once(subject, properties, root))
        done(1)
    median = {name: float(np.median([each[name] for each in seconds])) for name in seconds[0]}
    return {
        "seconds": dict(median),
        "build_times_write": median["build"] / median["write"],
        "open_times_read": median["open"] / median["read"],
        "cold_open_and_search_times_read": median["cold open and search"] / median["cold read"],
    }


def _once(subject: Subject, properties: Sequence[Properties], root: Path) -> dict[str, float]:
    """Seconds of each step."""
    building = timing.once(lambda: _build(subject, properties, root))
    directory = _version(root)
    hashing = timing.once(lambda: files.describe(directory))
    opening = timing.once(lambda: snapshot.open_snapshot(root, directory.name))
    reading = timing.once(lambda: _read(directory))
    content = _read(directory)
    writing = timing.once(lambda: _write(root.with_name("copy"), content))
    shutil.rmtree(root.with_name("copy"))
    _forget(directory)
    cold_opening = timing.once(lambda: _search(subject, snapshot.open_snapshot(root, directory.name)))
    _forget(directory)
    return {
        "build": building - hashing,
        "hash": hashing,
        "write": writing,
        "open": opening,
        "read": reading,
        "cold open and search": cold_opening,
        "cold read": timing.once(lambda: _read(directory)),
    }


def _times(subject: Subject) -> int:
    return TIMES if subject.embeddings.n_items <= SMALL else 1


def _version(root: Path) -> Path:
    return next(path for path in root.iterdir() if path.is_dir())


def _build(subject: Subject, properties: Sequence[Properties], root: Path) -> None:
    ids = segments.carry_over([], subject.embeddings, None)
    builder.build(
        root,
        embeddings=subject.embeddings,
        properties=properties,
        popularity=subject.model.popularity[subject.bases],
        segments=segments.assemble([], ids, [], [], subject.embeddings.n_dims),
    )


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
