"""Exact search, by the compiled kernel: the best of all items, of a set, of each segment, for one query or for many.

Answers are those of `index.reference`, to the last bit, on every CPU.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, repeat

import numpy as np

from index import postings
from index._kernel import Kernel, best_sets, score_rows, split_by_set
from index._kernel import best_of as kernel_best_of
from index.bitmap import Bitmap
from index.boosts import Boosts
from index.embeddings import SparseItemEmbeddings
from index.postings import Postings
from index.reference import Floor, Hits
from index.segments import Segments
from index.sparse import Chosen, SparseRows
from index.types import Float32, Float64, Int32, Int64, UInt64

__all__ = [
    "NONE",
    "Floor",
    "Hits",
    "Searcher",
    "best_of",
    "best_segments",
    "products",
    "score_segments",
    "typical_hits",
]

NONE: Int32 = np.empty(0, dtype=np.int32)
"""No items."""


@dataclass(frozen=True)
class Searcher:
    """Embeddings with their postings, ready to be searched, from several threads at once.

    A query is float32 of (n_dims,); item rows are int32, may repeat, and must exist. ValueError if a row does not, or
    if the query is not finite or so large that scores might not be.
    """

    embeddings: SparseItemEmbeddings
    """What is searched."""
    postings: Postings
    """The same, by dimension."""
    level: str = ""
    """The instruction set to use, of `index._kernel.levels()`; by default the best that this CPU has."""
    kernel: Kernel = field(init=False, repr=False, compare=False)
    """The compiled code, looking into the arrays of the other two."""

    def __post_init__(self) -> None:
        rows, by_dim = self.embeddings.decoder, self.postings
        matrix = (rows.row_starts, rows.dims, rows.values, rows.n_dims, self.embeddings.item_scale)
        blocks = (by_dim.block_units, by_dim.block_norms, by_dim.block_lengths)
        object.__setattr__(
            self, "kernel", Kernel(*matrix, by_dim.lines, by_dim.list_starts, *blocks, self.level, rows.steps)
        )

    @classmethod
    def of(cls, embeddings: SparseItemEmbeddings, level: str = "") -> "Searcher":
        """Build the postings in memory; InvalidEmbeddings as of postings.build."""
        return cls(embeddings, postings.build(embeddings), level)

    def top_n(
        self,
        query: Float32,
        n: int,
        *,
        exclude: Int32 = NONE,
        within: Int32 | Bitmap | None = None,
        boosts: Boosts | None = None,
        floor: Floor | None = None,
    ) -> Hits:
        """The n items with the highest scores, without `exclude`, only in `within` and down to a floor.

        Fewer come back where fewer are left; nothing is padded. Boosted scores come back boosted. With a floor a search
        costs about what one for those above it does, however large n is.
        """
        factors = _factors(boosts)
        if within is None or isinstance(within, Bitmap):
            bits = _bits(within)
            return Hits(*self.kernel.top_n(query, _size(n), exclude, *bits, factors, floor=floor))
        return Hits(*self.kernel.top_n_within(query, _size(n), exclude, within, factors, floor))

    def top_n_per_segment(
        self,
        query: Float32,
        segments: Sequence[Int32 | None],
        n: int,
        *,
        exclude: Int32 = NONE,
        boosts: Boosts | None = None,
    ) -> list[Hits]:
        """The n best items of each segment for about the cost of one search; None is all items.

        A segment's items are rows without repeats. [None, *segments] gives the top n and the rows of a whole homepage.
        """
        return list(_each(*self.kernel.top_n_per_set(query, _size(n), exclude, segments, _factors(boosts))))

    def batch(
        self, queries: Float32, n: int, *, exclude: Sequence[Int32] | None = None, within: Bitmap | None = None
    ) -> list[Hits]:
        """What top_n answers to each of queries (n_queries, n_dims), `exclude` having an entry a query.

        From about eight queries up this takes less time than asking one by one, and answers after the last.
        """
        excluded = list(repeat(NONE, len(queries)) if exclude is None else exclude)
        return list(_each(*self.kernel.batch(queries, _size(n), excluded, *_bits(within))))

    def score_items(self, query: Float32, items: Int32) -> Float32:
        """The scores of the given items, (len(items),): bit for bit those of top_n."""
        return self.kernel.score_items(query, items)

    def anchors(
        self, items: Int32, weights: Float32, users: Float32, *, strong: float, most: int, distinct: float
    ) -> Int64:
        """Places of items of a history that are strong, well known and not alike, in the order of the history.

        Strong: of a weight of at least `strong` times the largest. Well known: of `users` (n_items,) no fewer than the
        upper half of those have. The first `most` of them are tried; none has a cosine above `distinct` to one before.
        """
        return self.kernel.anchors(items, weights, users, strong, most, distinct)

    def likeness(
        self, items: Int32, taste: Float32, heads: Int32, queries: Chosen, n_best: int
    ) -> tuple[Float32, Float64]:
        """How well items go with a taste (len(items),) and with each of some heads, by its query: the geometric mean.

        (len(heads), len(items)): 0 where the score or the taste is less, and for the head itself; and of each head the
        sum of its n_best best, (len(heads),).
        """
        rows, numbers = queries
        scores, worth = self.kernel.likeness(items, taste, heads, rows.csr, numbers, _size(n_best))
        return scores.reshape(len(heads), len(items)), worth


def best_of(items: Int32, scores: Float32, n: int, *, positive: bool = False) -> Hits:
    """The n best of some items that are scored already, ties by row; where they must be positive, those above 0."""
    return Hits(*kernel_best_of(items, scores, _size(n), positive))


def score_segments(segments: Segments, query: Float32) -> Float32:
    """How much a query of (n_dims,) leans towards each segment, (n_segments,)."""
    return products(segments.rows, query)


def best_segments(
    segments: Segments, query: Float32, n: int, *, exclude: Int32, fewest: int, least: float = 0.0
) -> tuple[Int32, Float32]:
    """Numbers and scores of the n segments that a query leans to most, above 0 and from a score on.

    Each may be shown, and has so many items at least that are not one of `exclude`, none twice.
    """
    rows, sizes = segments.shown_rows, segments.sizes[: segments.n_shown]
    matrix = (rows.row_starts, rows.dims, rows.values, rows.n_dims)
    return best_sets(*matrix, query, *segments.shown_by_item, sizes, exclude, fewest, least, _size(n))


def typical_hits(segments: Segments, numbers: Sequence[int], hits: Hits) -> Iterator[Hits]:
    """Those of some hits that are typical of each of some segments, none twice."""
    return _each(*split_by_set(*segments.typical_by_item, len(segments), numbers, *hits))


def products(rows: SparseRows, query: Float32) -> Float32:
    """The product of each row, of float32 values, with a dense query of (n_dims,), (n_rows,)."""
    return score_rows(rows.row_starts, rows.dims, rows.values, rows.n_dims, query)


def _size(n: int) -> int:
    if n < 0:
        raise ValueError(f"n is {n}; it must not be negative")
    return n


def _bits(within: Bitmap | None) -> tuple[UInt64 | None, int]:
    return (None, 0) if within is None else (within.words, within.count)


def _factors(boosts: Boosts | None) -> tuple[Float32, float, float] | None:
    return None if boosts is None else (boosts.factors, boosts.least, boosts.greatest)


def _each(starts: list[int], items: Int32, scores: Float32) -> Iterator[Hits]:
    made = tuple.__new__  # a page has a dozen rows, and Hits(...) takes as long as to search a segment
    return (made(Hits, (items[first:last], scores[first:last])) for first, last in pairwise(starts))
