"""The true answers, and how much of the truth another answer holds.

Scores of all queries at once (scipy, one pass) leave the few items whose score could reach the n-th place; these are
scored and ordered by `index.reference`, so that the answer is the oracle's to the last bit. Both sums are of at most k
float32 terms, so they differ by less than k * 2^-22 * |q| |row|: items within 1e-4 |q| of the n-th are kept, which
covers rows of 32 values up to a length of 13; those of our models are of length 1.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from benchmarks.queries import Query
from index import reference
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.reference import Hits
from index.types import Float32, Int32

MARGIN = 1e-4
BLOCK = 1 << 16
"""Items scored at once."""


def csr(rows: SparseRows) -> csr_array:
    """The same matrix for scipy, sharing the values; with 32-bit indices, which it is faster with."""
    starts, dims = rows.row_starts.astype(np.int32), rows.dims.astype(np.int32)
    return csr_array((rows.values, dims, starts), shape=(rows.n_rows, rows.n_dims))


def scaled(rows: SparseRows, scale: Float32 | None) -> SparseRows:
    """Rows with their item scale (n_rows,) multiplied in, for engines that know of none."""
    if scale is None:
        return rows
    return SparseRows(rows.row_starts, rows.dims, rows.values * np.repeat(scale, np.diff(rows.row_starts)), rows.n_dims)


def truth(embeddings: SparseItemEmbeddings, queries: Sequence[Query], n: int) -> list[Hits]:
    """The exact answer of each query: the n best items that are not excluded."""
    vectors = np.stack([query.vector for query in queries], axis=1)
    near = [np.empty(0, np.int32) for _ in queries]
    scores = [np.empty(0, np.float32) for _ in queries]
    for start in range(0, embeddings.n_items, BLOCK):
        block = _block(embeddings, start) @ vectors
        for number, query in enumerate(queries):
            inside = query.exclude[(query.exclude >= start) & (query.exclude < start + BLOCK)]
            block[inside - start, number] = -np.inf
            found = _above(block[:, number], scores[number], n, MARGIN * query.length)
            near[number] = np.concatenate([near[number], (start + found).astype(np.int32)])
            scores[number] = np.concatenate([scores[number], block[found, number]])
    return [_exact(embeddings, query, items, n) for query, items in zip(queries, near, strict=True)]


def exact_scores(embeddings: SparseItemEmbeddings, query: Query, items: Int32) -> Float32:
    """The scores of some items, as the oracle sums them."""
    scores = reference.score_rows(embeddings.decoder.take(items), query.vector)
    return scores if embeddings.item_scale is None else scores * embeddings.item_scale[items]


def all_scores(embeddings: SparseItemEmbeddings, query: Query) -> Float32:
    """The scores of all items, block by block."""
    items = np.arange(embeddings.n_items, dtype=np.int32)
    blocks = np.split(items, range(BLOCK, len(items), BLOCK))
    return np.concatenate([exact_scores(embeddings, query, block) for block in blocks])


def identical(found: Hits, true: Hits) -> bool:
    """Whether items, order and scores are the same, to the last bit."""
    same = np.array_equal(found.items, true.items)
    return same and np.array_equal(found.scores.view(np.uint32), true.scores.view(np.uint32))


def recall(embeddings: SparseItemEmbeddings, query: Query, items: Int32, true: Hits) -> float:
    """The share of the true items that are found; a wrong item that ties with the last true one counts as found."""
    if not len(true.items):
        return 1.0
    allowed = np.unique(items[~np.isin(items, query.exclude)])
    found = np.count_nonzero(exact_scores(embeddings, query, allowed) >= true.scores[-1])
    return min(int(found), len(true.items)) / len(true.items)


def _block(embeddings: SparseItemEmbeddings, start: int) -> csr_array:
    items = np.arange(start, min(start + BLOCK, embeddings.n_items), dtype=np.int32)
    scale = None if embeddings.item_scale is None else embeddings.item_scale[items]
    return csr(scaled(embeddings.decoder.take(items), scale))


def _above(scores: Float32, known: Float32, n: int, margin: float) -> Int32:
    """Places of the scores that could be among the n best of these and the known ones."""
    together = np.concatenate([scores, known])
    last = np.partition(together, len(together) - n)[len(together) - n] if n < len(together) else -np.inf
    return np.flatnonzero((scores >= last - margin) & (scores > -np.inf)).astype(np.int32)


def _exact(embeddings: SparseItemEmbeddings, query: Query, items: Int32, n: int) -> Hits:
    scores = exact_scores(embeddings, query, items)
    order = np.lexsort((items, -scores))[:n]
    return Hits(items[order], scores[order])
