"""Segments: titled sets of items that come from signed dimensions, the raw material of homepage rows.

A signed dimension (dim, sign) of the sparse item space is a set of items; dimensions that fire together name one taste.
An item may belong to several segments, each time with a strength. A segment's row is its unit centroid in item space, so a
user with query q likes segment s by rows[s] . q.

Invariants: `items` of a segment are sorted by descending strength, ties by ascending row; a segment id is opaque, is carried
from snapshot to snapshot where items match one to one (Jaccard >= 0.5), and a retired id is never used again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.embeddings import SparseRows


@dataclass(frozen=True)
class Segment:
    """What is said about one segment; its items lie in `Segments`."""

    segment_id: str
    """Opaque and stable over snapshots."""
    title: str
    """At most 40 characters, unique in a snapshot."""
    terms: tuple[str, ...]
    """The most distinctive terms, best first, at most 8."""
    dims: tuple[tuple[int, int], ...]
    """Signed dimensions (dim, +1 or -1) that make the segment, strongest first."""
    size: int
    """Number of items."""


@dataclass(frozen=True)
class FoundSegment:
    """A discovered segment before it has a title or an id."""

    dims: tuple[tuple[int, int], ...]
    """Signed dimensions (dim, +1 or -1), strongest first."""
    items: NDArray[np.int32]
    """Item rows (size,), by descending strength, ties by ascending row."""
    strengths: NDArray[np.float32]
    """Membership strength (size,) in (0, 1]: cosine of the item to the centroid."""
    centroid: NDArray[np.float32]
    """Unit vector (n_dims,) in item space."""


@dataclass(frozen=True)
class Segments:
    """All segments of one snapshot, in CSR form: items of segment s are items[starts[s]:starts[s + 1]]."""

    segments: tuple[Segment, ...]
    """By segment number."""
    starts: NDArray[np.int64]
    """(n_segments + 1,)"""
    items: NDArray[np.int32]
    """Item rows, segment by segment, by descending strength."""
    strengths: NDArray[np.float32]
    """Parallel to `items`, in (0, 1]."""
    rows: SparseRows
    """(n_segments, n_dims) unit centroids, cut to their largest dimensions: rows[s] . q is the segment's score for query q."""
    retired: frozenset[str]
    """Ids of earlier snapshots that must never be used again."""

    def __len__(self) -> int:
        return len(self.segments)

    def items_of(self, number: int) -> NDArray[np.int32]:
        """Item rows of a segment, strongest first."""
        return self.items[self.starts[number] : self.starts[number + 1]]

    def strengths_of(self, number: int) -> NDArray[np.float32]:
        """Strengths parallel to `items_of`."""
        return self.strengths[self.starts[number] : self.starts[number + 1]]

    def number(self, segment_id: str) -> int | None:
        """The segment's number in this snapshot, None where the id is unknown."""
        numbers = (number for number, segment in enumerate(self.segments) if segment.segment_id == segment_id)
        return next(numbers, None)

    def to_json(self) -> dict[str, Any]:
        """The part of the segments that is not arrays, as the snapshot stores it in segments.json."""
        return {
            "segments": [
                {
                    "segment_id": s.segment_id,
                    "title": s.title,
                    "terms": list(s.terms),
                    "dims": [list(d) for d in s.dims],
                    "size": s.size,
                }
                for s in self.segments
            ],
            "retired": sorted(self.retired),
        }

    @staticmethod
    def from_json(
        document: Mapping[str, Any],
        starts: NDArray[np.int64],
        items: NDArray[np.int32],
        strengths: NDArray[np.float32],
        rows: SparseRows,
    ) -> "Segments":
        """The inverse of `to_json`, with the arrays of the snapshot. Checks nothing: the snapshot's hashes do."""
        segments = tuple(
            Segment(
                segment_id=s["segment_id"],
                title=s["title"],
                terms=tuple(s["terms"]),
                dims=tuple((int(dim), int(sign)) for dim, sign in s["dims"]),
                size=int(s["size"]),
            )
            for s in document["segments"]
        )
        return Segments(segments, starts, items, strengths, rows, frozenset(document["retired"]))


@dataclass(frozen=True)
class CarriedIds:
    """Ids for found segments, and every id that may not be used from now on."""

    ids: tuple[str, ...]
    """One a found segment."""
    retired: frozenset[str]
    """Ids of earlier snapshots that no segment carries now."""


def assemble(
    found: Sequence[FoundSegment],
    carried: CarriedIds,
    titles: Sequence[str],
    terms: Sequence[Sequence[str]],
    n_dims: int,
) -> Segments:
    """What `builder.build` takes, from `find`, `carry_over` and the labels (all parallel to `found`)."""
    lengths = [len(segment.items) for segment in found]
    segments = tuple(
        Segment(segment_id, title, tuple(words), segment.dims, len(segment.items))
        for segment, segment_id, title, words in zip(found, carried.ids, titles, terms, strict=True)
    )
    return Segments(
        segments=segments,
        starts=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        items=np.concatenate([np.empty(0, np.int32), *(segment.items for segment in found)]),
        strengths=np.concatenate([np.empty(0, np.float32), *(segment.strengths for segment in found)]),
        rows=sparse_centroids(found, n_dims),
        retired=carried.retired,
    )


CENTROID_DIMS = 96
"""Dimensions kept of a centroid in `Segments.rows`."""


def sparse_centroids(found: Sequence[FoundSegment], n_dims: int) -> SparseRows:
    """Unit centroids cut to their largest dimensions, dimensions ascending inside a row."""
    kept = [_largest(segment.centroid) for segment in found]
    values = [segment.centroid[dims] for segment, dims in zip(found, kept, strict=True)]
    values = [v / max(float(np.linalg.norm(v)), 1e-12) for v in values]
    return SparseRows(
        row_starts=np.concatenate(([0], np.cumsum([len(dims) for dims in kept]))).astype(np.int64),
        dims=np.concatenate([np.empty(0, np.int64), *kept]).astype(np.uint16 if n_dims <= 65_536 else np.uint32),
        values=np.concatenate([np.empty(0, np.float32), *values]).astype(np.float32),
        n_dims=n_dims,
    )


def _largest(centroid: NDArray[np.float32]) -> NDArray[np.int64]:
    order = np.argsort(-np.abs(centroid), kind="stable")[:CENTROID_DIMS]
    return np.sort(order[centroid[order] != 0])
