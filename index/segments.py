"""Segments: titled sets of items that come from signed dimensions, the raw material of homepage rows.

A signed dimension (dim, sign) of the item space is a set of items, and dimensions that fire together name one taste
(`index.discovery`). An item may belong to several segments, each time with a strength. A segment's row is its unit
centroid in item space, so a user with query q likes segment s by rows[s] . q.

Invariants: items of a segment descend by strength, ties by ascending row; a segment id is opaque, is carried from
snapshot to snapshot where items match one to one (Jaccard >= 0.5), and a retired id is never used again.
"""

from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index import arrays, discovery
from index._kernel import pursue as kernel_pursue
from index.discovery import Discovery, Memory
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Float32, Int32, Int64, UInt64
from index.vocabulary import Vocabulary

SAME = 0.5
"""Least Jaccard index of the items of a segment and the one whose id it carries on."""
CENTROID_DIMS = 96
"""Dimensions kept of a centroid in `Segments.rows`."""
TYPICAL = 0.35
"""A member is typical of a segment if it is at least so strong, as a part of the strongest."""
NAMED_DIMS = 8
"""Signed dimensions told of a segment."""


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
    group: str | None = None
    """Id of the group that it is of; None in a snapshot without groups."""


@dataclass(frozen=True)
class Group:
    """Segments of one broad taste (`index.groups`)."""

    group_id: str
    """Opaque and stable over snapshots."""
    title: str
    """At most 40 characters, unique among the groups of a snapshot."""


@dataclass(frozen=True)
class FoundSegment:
    """A discovered segment before it has a title or an id."""

    dims: tuple[tuple[int, int], ...]
    """Signed dimensions (dim, +1 or -1), strongest first."""
    items: Int32
    """Item rows (size,), by descending strength, ties by ascending row."""
    strengths: Float32
    """Membership strength (size,) in (0, 1]: cosine of the item to the centroid."""
    centroid: Float32
    """Unit vector (n_dims,) in item space."""


@dataclass(frozen=True)
class Segments:
    """All segments of one snapshot, in CSR form: items of segment s are items[starts[s]:starts[s + 1]]."""

    segments: tuple[Segment, ...]
    """By segment number."""
    starts: Int64
    """(n_segments + 1,)"""
    items: Int32
    """Item rows, segment by segment, by descending strength."""
    strengths: Float32
    """Parallel to `items`, in (0, 1]."""
    rows: SparseRows
    """(n_segments, n_dims): unit centroids, cut to their largest dimensions."""
    retired: frozenset[str]
    """Ids of earlier snapshots that must never be used again."""
    n_hidden: int = 0
    """So many, the last, are not to be shown: see `index.edited`."""
    merged: Mapping[str, str] = field(default_factory=dict)
    """Ids that stand for other segments by now, and the ids of these."""
    groups: tuple[Group, ...] = ()
    """Each segment is of one of them; none in a snapshot of an earlier release."""
    retired_groups: frozenset[str] = frozenset()
    """Ids of groups of earlier snapshots that must never be used again."""

    def __len__(self) -> int:
        return len(self.segments)

    def items_of(self, number: int) -> Int32:
        """Item rows of a segment, strongest first."""
        return self.items[self.starts[number] : self.starts[number + 1]]

    def strengths_of(self, number: int) -> Float32:
        """Strengths parallel to `items_of`."""
        return self.strengths[self.starts[number] : self.starts[number + 1]]

    def typical_of(self, number: int) -> Int32:
        """The first of `items_of`, those that may stand in the segment's row."""
        start = self.starts[number]
        return self.items[start : start + self._n_typical[number]]

    @cached_property
    def _n_typical(self) -> Int64:
        return np.bincount(self._owners[self._are_typical], minlength=len(self))

    @cached_property
    def _are_typical(self) -> NDArray[np.bool_]:
        """Whether each of `items` is typical of its segment."""
        strongest = np.zeros(len(self), dtype=np.float32)
        np.maximum.at(strongest, self._owners, self.strengths)
        return self.strengths >= TYPICAL * strongest[self._owners]

    def number(self, segment_id: str) -> int | None:
        """The segment's number in this snapshot, None where the id is unknown."""
        return self._numbers.get(segment_id)

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        own = {segment.segment_id: number for number, segment in enumerate(self.segments)}
        return own | {one: own[end] for one, end in self.merged.items()}

    @property
    def n_shown(self) -> int:
        """How many may be shown: those of the numbers below."""
        return len(self) - self.n_hidden

    @cached_property
    def shown_rows(self) -> SparseRows:
        """Those of `rows` that may be shown."""
        starts = self.rows.row_starts[: self.rows.n_rows - self.n_hidden + 1]
        dims, values = self.rows.dims[: starts[-1]], self.rows.values[: starts[-1]]
        return replace(self.rows, row_starts=starts, dims=dims, values=values)

    @cached_property
    def titles(self) -> frozenset[str]:
        """What the segments are called."""
        return frozenset(segment.title for segment in self.segments)

    @cached_property
    def sizes(self) -> Int64:
        """How many items are in each segment, (n_segments,)."""
        return np.diff(self.starts)

    @cached_property
    def numbers(self) -> Int32:
        """The numbers of all segments."""
        return np.arange(len(self), dtype=np.int32)

    @cached_property
    def shown_by_item(self) -> tuple[Int64, Int32]:
        """Where the segments of each item start, (last item with one + 2,), and their numbers, one behind the other.

        Of those that may be shown.
        """
        end = self.starts[self.n_shown]
        return _by_item(self.items[:end], self._owners[:end])

    @cached_property
    def typical_by_item(self) -> tuple[Int64, Int32]:
        """The same of all segments that an item is typical of."""
        return _by_item(self.items[self._are_typical], self._owners[self._are_typical])

    @cached_property
    def _owners(self) -> Int32:
        """The segment of each of `items`."""
        return np.repeat(self.numbers, np.diff(self.starts))

    @cached_property
    def owners(self) -> Int32:
        """(2, n_dims): the segment whose row is strongest in each dimension, upwards [0] and downwards [1]; -1: none.

        Of equally strong ones the first; of those that may be shown.
        """
        rows = self.shown_rows
        numbers = np.repeat(np.arange(rows.n_rows), np.diff(rows.row_starts))
        values = rows.values
        weakest_first = np.lexsort((-numbers, np.abs(values)))
        found = np.full((2, rows.n_dims), -1, dtype=np.int32)
        # of what is assigned to one place, the last stays
        found[(values < 0).astype(np.int8)[weakest_first], rows.dims[weakest_first]] = numbers[weakest_first]
        return found

    def to_json(self) -> dict[str, Any]:
        """The part of the segments that is not arrays, as the snapshot stores it in segments.json."""
        described = [
            {
                "segment_id": s.segment_id,
                "title": s.title,
                "terms": list(s.terms),
                "dims": [list(d) for d in s.dims],
                "size": s.size,
                **({} if s.group is None else {"group": s.group}),
            }
            for s in self.segments
        ]
        groups = [{"group_id": group.group_id, "title": group.title} for group in self.groups]
        optional = {"groups": groups, "retired_groups": sorted(self.retired_groups)}
        return {
            "segments": described,
            "retired": sorted(self.retired),
            **{name: value for name, value in optional.items() if value},
        }

    @staticmethod
    def from_json(
        document: Mapping[str, Any],
        starts: Int64,
        items: Int32,
        strengths: Float32,
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
                group=s.get("group"),
            )
            for s in document["segments"]
        )
        return Segments(
            segments,
            starts,
            items,
            strengths,
            rows,
            frozenset(document["retired"]),
            groups=tuple(Group(group["group_id"], group["title"]) for group in document.get("groups", ())),
            retired_groups=frozenset(document.get("retired_groups", ())),
        )


def _by_item(items: Int32, owners: Int32) -> tuple[Int64, Int32]:
    starts = np.concatenate([[0], np.cumsum(np.bincount(items))])
    return starts.astype(np.int64), owners[np.argsort(items, kind="stable")]


def pursue(
    cosines: Float32, numbers: Int32, scores: Float32, count: int, same: float, used: Sequence[int] = ()
) -> list[int]:
    """Up to `count` of the numbers by matching pursuit: the best first, and its direction is taken out of all scores.

    None has a cosine (n_segments, n_segments) above `same` to one before it or to one that is used.
    """
    picked: list[int] = kernel_pursue(cosines, numbers, scores, used, count, same).tolist()
    return picked


@dataclass(frozen=True)
class CarriedIds:
    """Ids for found segments, and every id that may not be used from now on."""

    ids: tuple[str, ...]
    """One a found segment."""
    retired: frozenset[str]
    """Ids of earlier snapshots that no segment carries now."""


class Published(Protocol):
    """What `carry_over` reads of the snapshot before."""

    @property
    def items(self) -> Vocabulary:
        """Ids of its items."""

    @property
    def found_segments(self) -> Segments:
        """Its segments as they were found: nobody's edits change what a segment is."""

    @property
    def popularity(self) -> Float32:
        """Users that each item had, (n_items,)."""


def find(
    embeddings: SparseItemEmbeddings,
    popularity: Float32,
    previous: Published | None = None,
    settings: Discovery | None = None,
) -> list[FoundSegment]:
    """Discover segments in the decoder's rows; popularity: users per item, (n_items,). None where dims are items.

    The segments of the previous snapshot live on where the new model allows it; without one, the search starts afresh.
    """
    if embeddings.dims_are == "items":
        return []
    memory = None if previous is None else _remembered(previous, embeddings.items)
    rows = embeddings.decoder.floats()
    found = discovery.clusters(rows, popularity, settings or Discovery(), memory)
    return [_found(rows, cluster.items, cluster.strengths) for cluster in found]


def _remembered(previous: Published, items: Vocabulary) -> Memory:
    """The items of each previous segment as rows of the new model, and the users that these had then."""
    hashes, old = _hashes_by_row(previous.items), previous.found_segments
    sets = [items.rows_of_hashes(hashes[old.items_of(number)]) for number in range(len(old))]
    rows = _rows_before(_hashes_by_row(items), previous.items)
    users = np.zeros(len(items), dtype=np.float32)
    users[rows >= 0] = previous.popularity[rows[rows >= 0]]
    return Memory(sets, users)


def _rows_before(hashes: UInt64, items: Vocabulary) -> Int32:
    """The rows that items with these hashes had, -1 for new ones."""
    if not len(items):
        return np.full(len(hashes), -1, dtype=np.int32)
    places = np.minimum(np.searchsorted(items.sorted_hashes, hashes), len(items) - 1)
    return np.where(items.sorted_hashes[places] == hashes, items.hash_rows[places], np.int32(-1))


def _found(rows: SparseRows, items: Int32, strengths: Float32) -> FoundSegment:
    members = rows.take(items)
    weights = members.values * np.repeat(strengths, np.diff(members.row_starts))
    summed = np.bincount(members.dims, weights=weights, minlength=rows.n_dims)
    centroid: Float32 = (summed / max(float(np.linalg.norm(summed)), 1e-12)).astype(np.float32)
    return FoundSegment(signed_dims(centroid), items, strengths, centroid)


def signed_dims(centroid: Float32) -> tuple[tuple[int, int], ...]:
    """What is told of the dimensions of a centroid (n_dims,): the strongest with their signs."""
    strongest = [int(dim) for dim in np.argsort(-np.abs(centroid), kind="stable")[:NAMED_DIMS]]
    return tuple((dim, 1 if centroid[dim] > 0 else -1) for dim in strongest if centroid[dim] != 0)


def carry_over(
    found: Sequence[FoundSegment], embeddings: SparseItemEmbeddings, previous: Published | None
) -> CarriedIds:
    """Give each found segment the id of the previous segment with the same items, or a new one that was never used."""
    hashes = _hashes_by_row(embeddings.items)
    names = [_name(hashes[segment.items], 0) for segment in found]
    if previous is None:
        return CarriedIds(_unused(found, hashes, dict[int, str](), frozenset()), frozenset())
    old = previous.found_segments
    old_ids = [segment.segment_id for segment in old.segments]
    matches = [(-jaccard, old_ids[s], names[f], f) for f, s, jaccard in _matches(found, hashes, previous)]
    carried: dict[int, str] = {}
    for _, old_id, _, number in sorted(matches):
        if number not in carried and old_id not in carried.values():
            carried[number] = old_id
    retired = old.retired | (set(old_ids) - set(carried.values()))
    return CarriedIds(_unused(found, hashes, carried, retired), frozenset(retired))


def _matches(found: Sequence[FoundSegment], hashes: UInt64, previous: Published) -> list[tuple[int, int, float]]:
    """(found number, previous number, Jaccard) of all that are similar enough; rows are matched by the ids' hashes."""
    old, old_items = previous.found_segments, previous.items
    if not len(old) or not len(old_items):
        return []
    old_rows = _rows_before(hashes, old_items)
    order = np.argsort(old.items, kind="stable")
    by_item, owners = old.items[order], np.repeat(np.arange(len(old)), np.diff(old.starts))[order]
    sizes = np.diff(old.starts)
    similar = []
    for number, segment in enumerate(found):
        first, last = (np.searchsorted(by_item, old_rows[segment.items], side) for side in ("left", "right"))
        shared = np.bincount(owners[arrays.ranges(first, last - first)], minlength=len(old))
        jaccard = shared / (sizes + len(segment.items) - shared)
        similar += [(number, int(other), float(jaccard[other])) for other in np.flatnonzero(jaccard >= SAME)]
    return similar


def _unused(
    found: Sequence[FoundSegment], hashes: UInt64, carried: Mapping[int, str], retired: frozenset[str] | set[str]
) -> tuple[str, ...]:
    """Ids of all found segments: the carried ones, else names of their items that no segment has or had."""
    taken = set(carried.values()) | retired
    ids = []
    for number, segment in enumerate(found):
        attempts = (_name(hashes[segment.items], attempt) for attempt in count())
        ids.append(carried.get(number) or next(name for name in attempts if name not in taken))
        taken.add(ids[-1])
    return tuple(ids)


def _name(item_hashes: UInt64, attempt: int) -> str:
    """An "s" with 10 letters or digits: the same for the same items and attempt, in any order, on any machine."""
    digest = blake2b(np.sort(item_hashes).astype("<u8").tobytes(), digest_size=8, salt=attempt.to_bytes(16, "little"))
    return "s" + b32encode(digest.digest()).decode().lower()[:10]


def _hashes_by_row(items: Vocabulary) -> UInt64:
    hashes = np.empty(len(items), dtype=np.uint64)
    hashes[items.hash_rows] = items.sorted_hashes
    return hashes


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


def sparse_centroids(found: Sequence[FoundSegment], n_dims: int) -> SparseRows:
    """Unit centroids cut to their largest dimensions, (len(found), n_dims)."""
    kept = [np.argsort(-np.abs(segment.centroid), kind="stable")[:CENTROID_DIMS] for segment in found]
    values = [segment.centroid[dims] for segment, dims in zip(found, kept, strict=True)]
    values = [cut / max(float(np.linalg.norm(cut)), 1e-12) for cut in values]
    return SparseRows.from_csr(
        np.concatenate(([0], np.cumsum([len(dims) for dims in kept]))).astype(np.int64),
        np.concatenate([np.empty(0, np.int64), *kept]),
        np.concatenate([np.empty(0, np.float32), *values]),
        n_dims,
    )
