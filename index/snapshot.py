"""Snapshots: immutable directories that hold one built index, and how they are opened and verified.

Equal content gives an equal content hash. What opening checks hardly depends on the size of the catalogue: names,
sizes, format, headers of arrays, and that arrays end where others begin; only where the lists of postings start is read
(one byte in a thousand). `verify` reads and checks everything, `verify_hashes` only that no byte has changed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from index import (
    arrays,
    catalogue,
    coding,
    columns,
    embeddings,
    files,
    integrity,
    manifest,
    postings,
    sparse,
    texts,
    versions,
    vocabulary,
)
from index.catalogue import Catalogue
from index.edited import laid_over
from index.edits import NO_EDITS, Edits, from_document, over
from index.embeddings import SparseItemEmbeddings
from index.errors import CorruptSnapshot, InvalidEmbeddings, UnknownVersion
from index.filters import Filters
from index.manifest import FileInfo, Manifest
from index.query import encode
from index.search import Searcher
from index.segments import Segments
from index.types import Float32, Int32
from index.vocabulary import Vocabulary

__all__ = ["Manifest", "Snapshot", "content_hash", "open_snapshot", "read_manifest", "verify", "verify_hashes"]

SEGMENTS = "segments.json"

CROWD = 1000
"""Most popular items that stand for everybody's taste."""


class Crowd(NamedTuple):
    """Everybody's taste, as that of one user."""

    items: Int32
    """The most popular ones."""
    weights: Float32
    """Their shares of the users of the most popular."""
    query: Float32
    """(n_dims,): what follows."""


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
    searcher: Searcher
    """Search in it."""
    segments: Segments
    """The titled sets of items, as edited."""
    catalogue: Catalogue
    """Properties and text search."""
    filters: Filters
    """Sets of items by their properties."""
    popularity: Float32
    """(n_items,): users of each item in the data."""
    popular: Int32
    """(n_items,): all rows by descending popularity, ties by row."""
    found_segments: Segments
    """The segments as they were found."""
    built_edits: Edits
    """What this snapshot says of them over that."""
    edits: Edits
    """What `segments` were edited by: those, and others over them."""

    def edited(self, above: Edits) -> "Snapshot":
        """The same with edits over those that it was built with, instead of what else was over them."""
        edits = over(self.built_edits, above)
        if edits == self.edits:
            return self
        return replace(self, segments=laid_over(self.found_segments, edits), edits=edits)

    @cached_property
    def crowd(self) -> Crowd:
        """Everybody's taste."""
        items = self.popular[:CROWD]
        share = self.popularity[items] / max(float(self.popularity[items].max(initial=0)), 1.0)
        weights = share.astype(np.float32)
        query = encode(self.embeddings, items, weights)
        for array in (weights, query):
            array.flags.writeable = False
        return Crowd(items, weights, query)

    @cached_property
    def segment_cosines(self) -> Float32:
        """(n_segments, n_segments): how near the tastes of segments are to each other; 0 for one without any."""
        return self.segments.rows.cosines(self.segments.numbers)


def open_snapshot(root: Path, version: str) -> Snapshot:
    """Memory-map a snapshot without reading its arrays, but for where the lists of postings start.

    UnknownVersion if it is not stored; UnsupportedFormat or CorruptSnapshot, naming file and reason, if it is no use.
    """
    directory = root / version
    with _reading(directory):
        found = read_manifest(root, version)
        files.check_sizes(directory, found.files)
        model = embeddings.from_arrays(directory, vars(found), found.provenance)
        searcher = Searcher(model, postings.from_arrays(directory, found.n_items, found.n_dims))
        popularity: Float32 = arrays.load(directory, "popularity", np.float32, length=found.n_items)
        popular: Int32 = arrays.load(directory, "popular", np.int32, length=found.n_items)
        segments, edits = _open_segments(directory, found)
        opened = catalogue.open_catalogue(directory, popular)
        filters = Filters(columns.load(directory, found.n_items))
        if len(model.decoder.dims) != found.n_nonzeros:
            raise CorruptSnapshot(f"{directory} has {len(model.decoder.dims)} of {found.n_nonzeros} non-zeros")
    parts = (model.items, model, searcher, segments, opened, filters, popularity, popular, segments, edits, NO_EDITS)
    return Snapshot(version, directory, found, *parts).edited(NO_EDITS)


def read_manifest(root: Path, version: str) -> Manifest:
    """What a stored snapshot says of itself; errors as of open_snapshot."""
    directory = root / version
    if not versions.is_version(version):  # also keeps a name that came from outside inside `root`
        raise UnknownVersion(f"{version!r} is not the name of a version (such as 20261121T081200Z-3f9a2c1d)")
    if not directory.is_dir():
        raise UnknownVersion(f"version {version} is not stored in {root}; 'sparrow-index list' shows what is")
    path = directory / manifest.FILE_NAME
    with _reading(directory):
        found = manifest.from_bytes(path.read_bytes(), str(path))
    if found.version != version:
        raise CorruptSnapshot(f"{path} belongs to version {found.version}")
    return found


def verify(root: Path, version: str, advance: Callable[[int], object] | None = None) -> Snapshot:
    """Read every byte of a snapshot, check hashes and all invariants, and open it; errors as of open_snapshot.

    `advance` is told each number of bytes as it is hashed, for a progress bar.
    """
    directory = root / version
    found = verify_hashes(root, version, advance)
    opened = open_snapshot(root, version)
    catalogue.check(opened.catalogue, directory)
    try:
        _check_invariants(opened)
    except InvalidEmbeddings as error:
        raise CorruptSnapshot(f"{directory}: {error}") from error
    if content_hash(opened.embeddings, found.files) != found.content_hash:
        raise CorruptSnapshot(f"{directory / manifest.FILE_NAME}: content_hash is not that of the content")
    return opened


def verify_hashes(root: Path, version: str, advance: Callable[[int], object] | None = None) -> Manifest:
    """Check that the files are byte for byte those of the manifest: of a published version, all that can have changed.

    Returns the manifest; `advance` and errors as of verify.
    """
    directory = root / version
    found = read_manifest(root, version)
    with _reading(directory):
        files.check_sizes(directory, found.files)
        files.check_hashes(directory, found.files, advance)
    return found


def content_hash(model: SparseItemEmbeddings, described: Mapping[str, FileInfo]) -> str:
    """One hash of what is stored, without the text index: that is derived, and its bytes depend on SQLite's version."""
    hashes = {name: info.sha256 for name, info in described.items() if name != texts.FILE_NAME}
    return manifest.content_hash(embeddings.header(model), hashes)


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    """Name what cannot be read; and a version that is pruned while we read it is not corrupt, it is gone."""
    try:
        yield
    except (CorruptSnapshot, OSError) as error:
        if not directory.is_dir():
            raise UnknownVersion(f"{directory} was removed while it was read") from error
        if isinstance(error, OSError):
            raise CorruptSnapshot(f"{error.filename or directory} cannot be read: {error.strerror}") from error
        raise


def _check_invariants(opened: Snapshot) -> None:
    integrity.check(opened.embeddings, opened.popularity, opened.found_segments)
    vocabulary.check(opened.items)
    postings.check(opened.searcher.postings, opened.embeddings)
    coding.check(opened.filters.columns, opened.catalogue.all_properties())
    if not np.array_equal(opened.popular, integrity.by_popularity(opened.popularity)):
        raise InvalidEmbeddings("popular is not the order of popularity")


def _open_segments(directory: Path, found: Manifest) -> tuple[Segments, Edits]:
    """Those that were found, and the edits of them."""
    n_segments = found.n_segments
    starts = arrays.load_starts(directory, "segment_starts", n_segments)
    items = arrays.load(directory, "segment_items", np.int32, length=int(starts[-1]))
    strengths = arrays.load(directory, "segment_strengths", np.float32, length=int(starts[-1]))
    rows = sparse.from_arrays(directory, "segment_centroids", n_segments, found.n_dims)
    path = directory / SEGMENTS
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        segments = Segments.from_json(document, starts, items, strengths, rows)
        edits = from_document({"edits": document.get("edits", {})})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise CorruptSnapshot(f"{path} cannot be read: {error!r}") from error
    if not all(type(each) is str for each in _texts(segments)):
        raise CorruptSnapshot(f"{path} cannot be read: ids of segments must be texts, as ids and titles of groups")
    if len(segments) != n_segments:
        raise CorruptSnapshot(f"{path} has {len(segments)} segments; expected {n_segments}")
    return segments, edits


def _texts(segments: Segments) -> Iterator[object]:
    """What must be texts before anything is looked up by it."""
    yield from (*segments.retired, *segments.retired_groups)
    for segment in segments.segments:
        yield segment.segment_id
        if segment.group is not None:
            yield segment.group
    for group in segments.groups:
        yield from (group.group_id, group.title)
