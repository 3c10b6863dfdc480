"""Catalogues to serve: published snapshots, and histories of the items that are in them."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import cache, catalogue
from benchmarks.catalogue import CLUSTERED, Catalogue
from benchmarks.model import Model
from index import builder, manifest, publication, segments
from index.embeddings import SparseItemEmbeddings
from index.segments import FoundSegment
from index.types import Int32

HISTORY = 77
"""Items that each user has a history of: the mean of the books' readers."""
SIZES = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
"""Items; 10k are the real books."""
REAL = "10k"
SEED = 13


@dataclass(frozen=True)
class Place:
    """What is served."""

    name: str
    """For tables."""
    snapshots: Path
    """Folder with one published version, or several."""
    histories: tuple[tuple[str, ...], ...]
    """Item ids, for each user."""
    n_items: int
    n_segments: int


def real(model: Model, run: Path, root: Path, n_users: int) -> Place:
    """The books, published as anyone publishes a run; readers who were held out and read enough."""

    def make(directory: Path) -> None:
        command = [sys.executable, "-m", "training", "publish", str(run.absolute()), "--snapshots", str(directory)]
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode:
            raise ChildProcessError(f"publishing {run} failed with exit code {done.returncode}, see above")

    snapshots = cache.directory(root, f"serving-{REAL}-{_fingerprint(model.embeddings)}", make)
    rng = np.random.default_rng(SEED)
    long = [history for history in model.histories if len(history) >= HISTORY]
    chosen = [rng.choice(long[number % len(long)], HISTORY, replace=False) for number in range(n_users)]
    return _place(REAL, snapshots, model.embeddings, chosen)


def scaled(model: Model, name: str, root: Path, n_users: int) -> Place:
    """A generated catalogue, whose items have the properties, and make the segments, of those they come from."""
    made = catalogue.stored(root, catalogue.codes(model.embeddings.decoder), CLUSTERED, SIZES[name])
    digest = _fingerprint(made.embeddings)
    snapshots = cache.directory(root, f"serving-{name}-{digest}", lambda directory: _publish(model, made, directory))
    return _place(name, snapshots, made.embeddings, _clones(made, model.histories, n_users))


def again(place: Place, model: Model, root: Path) -> str:
    """A second version of a generated catalogue in the same folder, which differs in one item; its name."""
    current = publication.current(place.snapshots)
    for version in versions(place.snapshots):
        if version != current:
            return version
    made = catalogue.stored(root, catalogue.codes(model.embeddings.decoder), CLUSTERED, place.n_items)
    return _build(model, made, place.snapshots, factor=1.5)


def versions(snapshots: Path) -> list[str]:
    """Names of what is stored, the oldest first."""
    return sorted(path.name for path in snapshots.iterdir() if (path / manifest.FILE_NAME).is_file())


def _publish(model: Model, made: Catalogue, directory: Path) -> None:
    publication.publish(directory, _build(model, made, directory, factor=1.0))


def _build(model: Model, made: Catalogue, directory: Path, factor: float) -> str:
    bases = made.bases.tolist()
    popularity = (factor * model.popularity[made.bases]).astype(np.float32)
    found = _segments(made, model.segments)
    ids = segments.carry_over(found, made.embeddings, None)
    titles = [f"Segment {number}" for number in range(len(found))]
    return builder.build(
        directory,
        embeddings=made.embeddings,
        properties=[model.properties[base] for base in bases],
        popularity=popularity,
        segments=segments.assemble(found, ids, titles, [()] * len(found), made.embeddings.n_dims),
    )


def _segments(made: Catalogue, real_ones: Sequence[Int32]) -> list[FoundSegment]:
    """Of the items that come from those of a real segment: strengths are cosines to their mean."""
    order = np.argsort(made.bases, kind="stable").astype(np.int32)
    ordered = made.bases[order]
    return [_segment(made.embeddings, _from(order, ordered, items)) for items in real_ones]


def _from(order: Int32, ordered: Int32, items: Int32) -> Int32:
    first, stop = np.searchsorted(ordered, items), np.searchsorted(ordered, items, side="right")
    return np.concatenate([order[slice(*each)] for each in zip(first, stop, strict=True)])


def _segment(embeddings: SparseItemEmbeddings, items: Int32) -> FoundSegment:
    rows = embeddings.decoder.take(items)
    owners = np.repeat(np.arange(len(items)), np.diff(rows.row_starts))
    centroid = np.bincount(rows.dims, rows.values, minlength=embeddings.n_dims).astype(np.float32)
    centroid /= np.linalg.norm(centroid)
    strengths = np.bincount(owners, rows.values * centroid[rows.dims], minlength=len(items)).astype(np.float32)
    strengths = np.clip(strengths, 1e-3, 1)
    ranked = np.lexsort((items, -strengths))
    dim = int(np.argmax(np.abs(centroid)))
    sign = 1 if centroid[dim] > 0 else -1
    return FoundSegment(((dim, sign),), items[ranked], strengths[ranked], centroid)


def _clones(made: Catalogue, histories: Sequence[Int32], n_users: int) -> list[Int32]:
    """Histories of real items, each replaced by a random one of those that come from it."""
    rng = np.random.default_rng(SEED)
    order = np.argsort(made.bases, kind="stable").astype(np.int32)
    ordered = made.bases[order]
    found = []
    long = [history for history in histories if len(history) >= HISTORY]
    for number in range(n_users):
        chosen = rng.permutation(long[number % len(long)])
        first, stop = np.searchsorted(ordered, chosen), np.searchsorted(ordered, chosen, side="right")
        there = stop > first  # an item without a complete code has no clones
        found.append(order[rng.integers(first[there], stop[there])][:HISTORY])
    return found


def _place(name: str, snapshots: Path, embeddings: SparseItemEmbeddings, chosen: Sequence[Int32]) -> Place:
    histories = tuple(tuple(embeddings.items.item_ids(items)) for items in chosen)
    path = snapshots / str(publication.current(snapshots)) / manifest.FILE_NAME
    told = manifest.from_bytes(path.read_bytes(), str(path))
    return Place(name, snapshots, histories, embeddings.n_items, told.n_segments)


def _fingerprint(embeddings: SparseItemEmbeddings) -> str:
    """Of the codes and of the format that they are stored in."""
    digest = hashlib.blake2b(embeddings.decoder.values.tobytes(), digest_size=6)
    digest.update(f"{manifest.FORMAT} {embeddings.n_items}".encode())
    return digest.hexdigest()
