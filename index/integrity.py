"""What must hold between the parts of an index, beyond what opening it checks; O(everything).

The builder refuses input by it (InvalidEmbeddings), and verification refuses what is stored.
"""

import numpy as np

from index import arrays, embeddings, sparse
from index.embeddings import SparseItemEmbeddings
from index.errors import InvalidEmbeddings
from index.segments import Segments
from index.types import Float32, Int32


def by_popularity(popularity: Float32) -> Int32:
    """All item rows by descending popularity, ties by ascending row."""
    return np.argsort(-popularity, kind="stable").astype(np.int32)


def check(model: SparseItemEmbeddings, popularity: Float32, segments: Segments) -> None:
    """Refuse what does not fit together with InvalidEmbeddings naming the array, the place and the value."""
    embeddings.check(model)
    _check_popularity(popularity, model.n_items)
    _check_segments(segments, model)


def _check_popularity(popularity: Float32, n_items: int) -> None:
    if popularity.dtype != np.float32 or popularity.shape != (n_items,):
        found = f"{popularity.dtype} of {popularity.shape}"
        raise InvalidEmbeddings(f"popularity is {found}; must be float32 of ({n_items},)")
    place = arrays.first(~(np.isfinite(popularity) & (popularity >= 0)))
    if place is not None:
        raise InvalidEmbeddings(
            f"popularity of item row {place} is {popularity[place]}; must be finite and not negative"
        )


def _check_segments(segments: Segments, model: SparseItemEmbeddings) -> None:
    sparse.check(segments.rows, "segment centroids")
    if (segments.rows.n_rows, segments.rows.n_dims) != (len(segments), model.n_dims):
        shape = f"{segments.rows.n_rows} x {segments.rows.n_dims}"
        raise InvalidEmbeddings(f"segment centroids are {shape}; must be {len(segments)} x {model.n_dims}")
    arrays.check_starts(segments.starts, len(segments.items), "segment starts")
    if len(segments.starts) != len(segments) + 1 or len(segments.strengths) != len(segments.items):
        counts = f"{len(segments.starts) - 1} starts, {len(segments.items)} items, {len(segments.strengths)} strengths"
        raise InvalidEmbeddings(f"{len(segments)} segments have {counts}")
    ids = [segment.segment_id for segment in segments.segments]
    if len(set(ids)) != len(ids) or segments.retired.intersection(ids):
        raise InvalidEmbeddings("segment ids must be unique, and a retired id must not be used again")
    _check_groups(segments)
    for number in range(len(segments)):
        _check_segment(segments, number, model)


def _check_groups(segments: Segments) -> None:
    """Each segment is of one group, if there are groups at all, and each group has segments."""
    ids = [group.group_id for group in segments.groups]
    if len(set(ids)) != len(ids) or segments.retired_groups.intersection(ids):
        raise InvalidEmbeddings("group ids must be unique, and a retired id must not be used again")
    if len({group.title for group in segments.groups}) != len(ids):
        raise InvalidEmbeddings("titles of groups must be unique")
    of = {segment.group for segment in segments.segments}
    for segment in segments.segments:
        if segment.group not in ids and (ids or segment.group is not None):
            raise InvalidEmbeddings(f"segment {segment.segment_id!r} is of group {segment.group!r}, which is not there")
    empty = next((group_id for group_id in ids if group_id not in of), None)
    if empty is not None:
        raise InvalidEmbeddings(f"group {empty!r} has no segments")


def _check_segment(segments: Segments, number: int, model: SparseItemEmbeddings) -> None:
    segment, items = segments.segments[number], segments.items_of(number)
    strengths = segments.strengths[segments.starts[number] : segments.starts[number + 1]]
    rules = {
        f"states {segment.size} items but has {len(items)}": segment.size == len(items),
        f"has items outside 0..{model.n_items - 1}": bool(np.all((items >= 0) & (items < model.n_items))),
        "has an item twice": len(np.unique(items)) == len(items),
        "has strengths that are not finite or do not descend": bool(
            np.all(np.isfinite(strengths)) and np.all(strengths[1:] <= strengths[:-1])
        ),
        f"has dims other than (0..{model.n_dims - 1}, +1 or -1)": all(
            0 <= dim < model.n_dims and sign in (1, -1) for dim, sign in segment.dims
        ),
    }
    for problem, holds in rules.items():
        if not holds:
            raise InvalidEmbeddings(f"segment {segment.segment_id!r} {problem}")
