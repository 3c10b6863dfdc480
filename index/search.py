"""The public entry to search: score every item once, then keep the best of all, of each segment, or both."""

from collections.abc import Sequence

import numpy as np

from index import reference
from index.embeddings import SparseItemEmbeddings
from index.reference import Hits
from index.segments import Segments
from index.types import Float32, Int32

__all__ = ["NONE", "Hits", "score_items", "score_segments", "top_n", "top_n_per_segment"]

NONE: Int32 = np.empty(0, dtype=np.int32)
"""No items."""


def top_n(
    embeddings: SparseItemEmbeddings, query: Float32, n: int, *, exclude: Int32 = NONE, within: Int32 | None = None
) -> Hits:
    """The n items with the highest scores for a query of (n_dims,), without `exclude` and only in `within`.

    Fewer come back where fewer are left; nothing is padded. Rows may repeat in `exclude` and `within`.
    """
    return reference.select(_score_all(embeddings, query), n, exclude, within)


def top_n_per_segment(
    embeddings: SparseItemEmbeddings, query: Float32, segments: Sequence[Int32 | None], n: int, *, exclude: Int32 = NONE
) -> list[Hits]:
    """The n best items of each segment, from one scoring pass; a segment is item rows without repeats, None all items.

    So [None, *segments] gives the top n and the rows of a whole homepage.
    """
    scores = _score_all(embeddings, query)
    left = reference.candidates(len(scores), exclude, None)
    allowed = np.zeros(len(scores), dtype=bool)
    allowed[left] = True
    return [reference.best(scores, left if items is None else items[allowed[items]], n) for items in segments]


def score_items(embeddings: SparseItemEmbeddings, query: Float32, items: Int32) -> Float32:
    """The scores of the given item rows, (len(items),): bit for bit those of top_n."""
    scores = reference.score_rows(embeddings.decoder.take(items), query)
    return scores if embeddings.item_scale is None else scores * embeddings.item_scale[items]


def score_segments(segments: Segments, query: Float32) -> Float32:
    """How much a query of (n_dims,) leans towards each segment, (n_segments,)."""
    return reference.score_rows(segments.rows, query)


def _score_all(embeddings: SparseItemEmbeddings, query: Float32) -> Float32:
    scores = reference.score_rows(embeddings.decoder, query)
    return scores if embeddings.item_scale is None else scores * embeddings.item_scale
