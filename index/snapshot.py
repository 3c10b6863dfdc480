"""Snapshots: immutable directories that hold one built index, and how they are written, opened and verified.

Equal content gives an equal content hash. What opening checks is independent of the size of the catalogue: names,
sizes, format, headers of arrays, and that arrays end where others begin. `verify` reads everything.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from index import arrays, catalogue, disk, embeddings, files, integrity, manifest, sparse, vocabulary
from index.catalogue import Catalogue
from index.embeddings import SparseItemEmbeddings
from index.errors import CorruptSnapshot, InvalidEmbeddings, UnknownVersion
from index.manifest import FileInfo, Manifest
from index.segments import Segments
from index.types import JSON, Array, Float32, Int32
from index.vocabulary import Vocabulary

__all__ = [
    "FileInfo",
    "Manifest",
    "Snapshot",
    "SnapshotContent",
    "open_snapshot",
    "read_manifest",
    "verify",
    "versions",
    "write",
]

SEGMENTS = "segments.json"
_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class SnapshotContent:
    """What a snapshot is made of."""

    embeddings: SparseItemEmbeddings
    """Ids, decoder, encoder, provenance."""
    properties: Sequence[Mapping[str, JSON]]
    """Of each item, by row."""
    popularity: Float32
    """(n_items,): users of each item in training."""
    segments: Segments
    """May be none."""


@dataclass(frozen=True)
class Snapshot:
    """One open snapshot; arrays are memory-mapped and read-only."""

    version: str
    """Its name."""
    directory: Path
    """Where it lies."""
    manifest: Manifest
    """What it is."""
    items: Vocabulary
    """Ids <-> rows."""
    embeddings: SparseItemEmbeddings
    """The model."""
    segments: Segments
    """The titled sets of items."""
    catalogue: Catalogue
    """Properties and text search."""
    popularity: Float32
    """(n_items,): users of each item in training."""
    popular: Int32
    """(n_items,): all rows by descending popularity, ties by row."""


def is_version(name: str) -> bool:
    """Whether this can be the name of a version: a time, a dash, 8 hexadecimal digits."""
    try:
        _time_of(name)
    except ValueError:
        return False
    return _VERSION.fullmatch(name) is not None


def versions(root: Path) -> tuple[str, ...]:
    """All stored versions, in the order in which they were written."""
    return tuple(sorted(path.name for path in root.iterdir() if is_version(path.name))) if root.is_dir() else ()


def write(root: Path, content: SnapshotContent, *, now: datetime | None = None) -> str:
    """Store a snapshot durably under `root` and return its version; it is not yet served (see publication)."""
    root.mkdir(parents=True, exist_ok=True)
    with disk.writing(root):
        building = disk.temporary(root, "build")
        building.mkdir()
        try:
            popular = integrity.by_popularity(content.popularity)
            _write_files(building, content, popular)
            made = _manifest(root, building, content, popular, now or datetime.now(UTC))
            (building / manifest.FILE_NAME).write_bytes(manifest.to_bytes(made))
            disk.publish_directory(building, root / made.version)
        except BaseException:
            if building.exists():
                disk.remove(building)
            raise
    return made.version


def open_snapshot(root: Path, version: str) -> Snapshot:
    """Memory-map a snapshot in time independent of its size.

    UnknownVersion if it is not stored; UnsupportedFormat or CorruptSnapshot, naming file and reason, if it is no use.
    """
    directory = root / version
    found = read_manifest(root, version)
    files.check_sizes(directory, found.files)
    model = embeddings.from_arrays(directory, vars(found), found.provenance)
    popularity: Float32 = arrays.load(directory, "popularity", np.float32, length=found.n_items)
    popular: Int32 = arrays.load(directory, "popular", np.int32, length=found.n_items)
    segments = _open_segments(directory, found)
    if len(model.decoder.dims) != found.n_nonzeros:
        raise CorruptSnapshot(
            f"{directory}: decoder_dims has {len(model.decoder.dims)} of {found.n_nonzeros} non-zeros"
        )
    opened = catalogue.open_catalogue(directory, popular)
    return Snapshot(version, directory, found, model.items, model, segments, opened, popularity, popular)


def read_manifest(root: Path, version: str) -> Manifest:
    """What a stored snapshot says of itself; errors as of open_snapshot."""
    directory = root / version
    if not is_version(version):  # also keeps a name that came from outside inside `root`
        raise UnknownVersion(f"{version!r} is not the name of a version (such as 20261121T081200Z-3f9a2c1d)")
    if not directory.is_dir():
        raise UnknownVersion(f"version {version} is not stored in {root}; 'sparrow-index list' shows what is")
    path = directory / manifest.FILE_NAME
    try:
        found = manifest.from_bytes(path.read_bytes(), str(path))
    except OSError as error:
        raise CorruptSnapshot(f"{path} cannot be read: {error.strerror}") from error
    if found.version != version:
        raise CorruptSnapshot(f"{path} belongs to version {found.version}")
    return found


def verify(root: Path, version: str, advance: Callable[[int], object] | None = None) -> Snapshot:
    """Read every byte of a snapshot, check hashes and all invariants, and open it; errors as of open_snapshot.

    `advance` is told each number of bytes as it is hashed, for a progress bar.
    """
    directory = root / version
    found = read_manifest(root, version)
    files.check_sizes(directory, found.files)
    files.check_hashes(directory, found.files, advance)
    opened = open_snapshot(root, version)
    try:
        _check_invariants(opened)
    except InvalidEmbeddings as error:
        raise CorruptSnapshot(f"{directory}: {error}") from error
    catalogue.check(opened.catalogue, directory)
    hashes = {name: info.sha256 for name, info in found.files.items()}
    if _content_hash(opened.embeddings, hashes, opened.catalogue) != found.content_hash:
        raise CorruptSnapshot(f"{directory / manifest.FILE_NAME}: content_hash is not that of the content")
    return opened


def _check_invariants(opened: Snapshot) -> None:
    integrity.check(opened.embeddings, opened.popularity, opened.segments)
    vocabulary.check(opened.items)
    if not np.array_equal(opened.popular, integrity.by_popularity(opened.popularity)):
        raise InvalidEmbeddings("popular is not the order of popularity")


def _write_files(directory: Path, content: SnapshotContent, popular: Int32) -> None:
    segments = content.segments
    named: dict[str, Array] = {
        **embeddings.to_arrays(content.embeddings),
        **sparse.to_arrays("segment_centroids", segments.rows),
        "segment_starts": segments.starts,
        "segment_items": segments.items,
        "segment_strengths": segments.strengths,
        "popularity": content.popularity,
        "popular": popular,
    }
    arrays.save(directory, named)
    document = json.dumps(segments.to_json(), indent=1, sort_keys=True, allow_nan=False)
    (directory / SEGMENTS).write_text(document + "\n")
    catalogue.write(directory, content.properties, popular)


def _manifest(root: Path, directory: Path, content: SnapshotContent, popular: Int32, now: datetime) -> Manifest:
    described = files.describe(directory)
    written = catalogue.open_catalogue(directory, popular)
    content_hash = _content_hash(content.embeddings, {name: info.sha256 for name, info in described.items()}, written)
    created = _after(versions(root), now)
    return Manifest(
        format=manifest.FORMAT,
        version=f"{created.strftime(_TIME)}-{content_hash[:8]}",
        created_at=created.isoformat().replace("+00:00", "Z"),
        content_hash=content_hash,
        files=described,
        n_nonzeros=len(content.embeddings.decoder.dims),
        n_segments=len(content.segments),
        provenance=content.embeddings.provenance,
        **embeddings.header(content.embeddings),
    )


def _after(stored: Sequence[str], now: datetime) -> datetime:
    """The second that names a new version: now, but later than all before, even if the clock was set back."""
    newest = _time_of(stored[-1]) + timedelta(seconds=1) if stored else now
    return max(now, newest).replace(microsecond=0)


def _time_of(version: str) -> datetime:
    return datetime.strptime(version.split("-")[0], _TIME).replace(tzinfo=UTC)


def _content_hash(model: SparseItemEmbeddings, hashes: Mapping[str, str], opened: Catalogue) -> str:
    """Take the catalogue by its content: the bytes of an SQLite file depend on the version of SQLite."""
    return manifest.content_hash(embeddings.header(model), {**hashes, catalogue.FILE_NAME: opened.digest()})


def _open_segments(directory: Path, found: Manifest) -> Segments:
    n_segments = found.n_segments
    starts = arrays.load_starts(directory, "segment_starts", n_segments)
    items = arrays.load(directory, "segment_items", np.int32, length=int(starts[-1]))
    strengths = arrays.load(directory, "segment_strengths", np.float32, length=int(starts[-1]))
    rows = sparse.from_arrays(directory, "segment_centroids", n_segments, found.n_dims)
    path = directory / SEGMENTS
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        segments = Segments.from_json(document, starts, items, strengths, rows)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptSnapshot(f"{path} cannot be read: {error!r}") from error
    if len(segments) != n_segments:
        raise CorruptSnapshot(f"{path} has {len(segments)} segments; expected {n_segments}")
    return segments
