"""Segments as edited: what people say (`index.edits`) laid over what the model found.

Invariants: those of `index.segments`; what is hidden lies behind what is shown; each id that the model found is still
known, that of a merged segment as the one it went into.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from index.edits import MAX_TITLE, Edits, ends, merges
from index.segments import FoundSegment, Segment, Segments, signed_dims, sparse_centroids
from index.sparse import SparseRows
from index.types import Float64, Int32


def laid_over(found: Segments, edits: Edits) -> Segments:
    """The segments under these edits.

    A merged one has the items of all that went into it, each with its greatest strength; its centroid is that of the
    parts, weighted by their sizes. Of two that would be called the same, the later gets a number, and a title that was
    given comes before one that was found.
    """
    if not edits:
        return found
    numbers = {segment.segment_id: number for number, segment in enumerate(found.segments)}
    merged = ends(merges(edits), numbers)
    hidden = [bool(edits.get(segment_id, {}).get("hidden")) for segment_id in numbers]
    alive = [number for segment_id, number in numbers.items() if segment_id not in merged]
    order = sorted(alive, key=hidden.__getitem__)
    unions = _unions(found, numbers, merged)
    segments = [_segment(found.segments[number], unions.get(number)) for number in order]
    items = [unions[number].items if number in unions else found.items_of(number) for number in order]
    strengths = [unions[number].strengths if number in unions else found.strengths_of(number) for number in order]
    return Segments(
        segments=_titled(segments, edits),
        starts=np.concatenate(([0], np.cumsum([len(own) for own in items]))).astype(np.int64),
        items=np.concatenate([np.empty(0, np.int32), *items]),
        strengths=np.concatenate([np.empty(0, np.float32), *strengths]),
        rows=_rows(found.rows, unions, order),
        retired=found.retired,
        n_hidden=sum(hidden[number] for number in alive),
        merged=merged,
        groups=found.groups,
        retired_groups=found.retired_groups,
    )


def _unions(found: Segments, numbers: Mapping[str, int], merged: Mapping[str, str]) -> dict[int, FoundSegment]:
    """What segments are made into that others are merged into, by number."""
    parts: dict[int, list[int]] = {}
    for one, end in merged.items():
        parts.setdefault(numbers[end], [numbers[end]]).append(numbers[one])
    return {number: _union(found, own) for number, own in parts.items()}


def _union(found: Segments, parts: Sequence[int]) -> FoundSegment:
    items = np.concatenate([found.items_of(number) for number in parts])
    strengths = np.concatenate([found.strengths_of(number) for number in parts])
    order = np.lexsort((items, -strengths))
    _, first = np.unique(items[order], return_index=True)
    kept = order[np.sort(first)]
    summed: Float64 = np.zeros(found.rows.n_dims)
    for number in parts:
        dims, values = found.rows.row(number)
        summed[dims] += float(found.sizes[number]) * values
    length = float(np.linalg.norm(summed))
    # parts that are opposites leave no direction: then that of the one the others went into
    centroid = (summed / length).astype(np.float32) if length > 1e-6 else found.rows.dense_row(parts[0])
    return FoundSegment(signed_dims(centroid), items[kept], strengths[kept], centroid)


def _segment(segment: Segment, union: FoundSegment | None) -> Segment:
    return segment if union is None else replace(segment, dims=union.dims, size=len(union.items))


def _rows(rows: SparseRows, unions: Mapping[int, FoundSegment], order: Sequence[int]) -> SparseRows:
    """The centroids in order."""
    made = sparse_centroids(list(unions.values()), rows.n_dims)
    both = SparseRows(
        np.concatenate((rows.row_starts, rows.row_starts[-1] + made.row_starts[1:])),
        np.concatenate((rows.dims, made.dims)),
        np.concatenate((rows.values, made.values)),
        rows.n_dims,
    )
    places = {number: rows.n_rows + place for place, number in enumerate(unions)}
    wanted: Int32 = np.array([places.get(number, number) for number in order], dtype=np.int32)
    return both.take(wanted)


def _titled(segments: Sequence[Segment], edits: Edits) -> tuple[Segment, ...]:
    given = [edits.get(segment.segment_id, {}).get("title") for segment in segments]
    wanted = [title or segment.title for title, segment in zip(given, segments, strict=True)]
    titles = _distinct(wanted, first=[number for number, title in enumerate(given) if title])
    return tuple(
        segment if segment.title == title else replace(segment, title=title)
        for segment, title in zip(segments, titles, strict=True)
    )


def _distinct(wanted: Sequence[str], first: Collection[int]) -> list[str]:
    """The titles, of which those named `first` come before others that are the same."""
    titles, taken = list(wanted), set[str]()
    counts: dict[str, int] = {}
    own = set(first)
    for number in sorted(range(len(wanted)), key=lambda number: number not in own):
        title = wanted[number]
        while title in taken:
            counts[wanted[number]] = nth = counts.get(wanted[number], 1) + 1
            mark = f" ({nth})"
            title = wanted[number][: MAX_TITLE - len(mark)].rstrip() + mark
        titles[number] = title
        taken.add(title)
    return titles
