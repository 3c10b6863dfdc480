"""From a history to a query vector, and back to what each item of the history contributed.

q = x E, x the weighted history and E the encoder, or q = x E F F^T if there is a query factor F; it may be steered by
a tilt, q + |q| * tilt; then, if query_dims is set, only its largest |q_d| are kept. For a target t the score q . t is a
sum over the history: item i owes x_i * sum over d of E_id * s_d, where s = t at the kept dims and 0 elsewhere, or that
multiplied by F F^T; the rest is owed to the tilt.
"""

from collections.abc import Callable

import numpy as np

from index import _kernel
from index._kernel import sum_rows
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.sparse import Chosen
from index.types import Float32, Float64, Int32, Int64


def encode(embeddings: SparseItemEmbeddings, items: Int32, weights: Float32, tilt: Float32 | None = None) -> Float32:
    """The query vector, float32 (n_dims,), of item rows and their weights (both (n,)); existing rows, may repeat.

    With a query factor its last bits may differ from one machine to another: BLAS sums in an order of its own.
    """
    query = whole(embeddings, items, weights)
    if tilt is not None:
        query += np.float32(length(query)) * tilt
    return _cut(query, embeddings.query_dims)


def strongest(rows: Int32, times: Float64, weights: Float64, hidden: Int32, least: float) -> Int64:
    """The places of the acts that count, those of the newest items first; columns of equal length, rows -1 for no item.

    Of each item the strongest, the newest among equals; of equal times the first is the newest. None counts that is
    weaker than `least`, and of hidden rows only weights below 0 do.
    """
    return _kernel.strongest(rows, times, weights, hidden, least)


def encode_each(embeddings: SparseItemEmbeddings, items: Int32) -> Chosen:
    """The query of each item, of weight 1 and alone, as `encode` makes it."""
    encoded = _encoded(embeddings, items)
    if embeddings.query_factor is None and embeddings.query_dims is None:
        return encoded
    made = [_cut(_through(embeddings.query_factor, query), embeddings.query_dims) for query in encoded.dense()]
    return _all_of(made, embeddings.n_dims)


def length(query: Float32) -> float:
    """Of the query (L2), 1 where there is none; np.linalg.norm has five times as much to do before it does this."""
    return float(np.sqrt(query.dot(query))) or 1.0


def whole(embeddings: SparseItemEmbeddings, items: Int32, weights: Float32) -> Float32:
    """The query vector before it is steered and cut."""
    rows = encoder_rows(embeddings)
    if rows is None:
        summed = np.bincount(items, weights=weights, minlength=embeddings.n_dims).astype(np.float32)
    else:
        summed = sum_rows(rows.row_starts, rows.dims, rows.values, rows.n_dims, items, weights, rows.steps)
    return _through(embeddings.query_factor, summed)


def contributions(
    embeddings: SparseItemEmbeddings, items: Int32, weights: Float32, query: Float32, target: Float32
) -> Float32:
    """What each item of the history adds to query . target, float32 (len(items),); without a tilt they sum up to it.

    `query` is the answer of encode for this history, `target` a dense row (n_dims,): of an item or of a segment.
    """
    return contributor(embeddings, items, weights, query)(target).astype(np.float32)


def contributor(
    embeddings: SparseItemEmbeddings, items: Int32, weights: Float32, query: Float32
) -> Callable[[Float32], Float64]:
    """What `contributions` of one history is for many targets, without the last rounding: the history is read once."""
    kept = query != 0
    rows = encoder_rows(embeddings)

    def seen(target: Float32) -> Float32:
        return _through(embeddings.query_factor, np.where(kept, target, np.float32(0)))

    if rows is None:
        return lambda target: weights.astype(np.float64) * seen(target)[items]
    chosen = rows.take(items)
    lengths = np.diff(chosen.row_starts)
    owners = np.repeat(np.arange(len(items)), lengths)
    values = chosen.values * np.repeat(weights.astype(np.float64), lengths)

    def owed(target: Float32) -> Float64:
        # of nothing, bincount makes whole numbers
        return np.bincount(owners, weights=values * seen(target)[chosen.dims], minlength=len(items)).astype(np.float64)

    return owed


def causes(
    embeddings: SparseItemEmbeddings, items: Int32, weights: Float32, query: Float32, targets: Chosen
) -> list[int]:
    """The place in the history of what `contributions` says adds most to query . target, for each target.

    Summed in float32. Of items with a weight above 0, of equal ones the first; 0 where there is none.
    """
    if embeddings.query_factor is not None:
        kept = np.where(query != 0, targets.dense(), np.float32(0))
        targets = _all_of([_through(embeddings.query_factor, target) for target in kept], embeddings.n_dims)
        query = np.ones_like(query)  # what was left out stays so
    encoded = _encoded(embeddings, items)
    history = (encoded.rows.csr, embeddings.n_dims, encoded.numbers, weights, query)
    return _kernel.causes(*history, targets.rows.csr, targets.numbers)


def encoder_rows(embeddings: SparseItemEmbeddings) -> SparseRows | None:
    """The rows of E, None where E is the identity."""
    if isinstance(embeddings.encoder, SparseRows):
        return embeddings.encoder
    return embeddings.decoder if embeddings.encoder == "tied" else None


def _encoded(embeddings: SparseItemEmbeddings, items: Int32) -> Chosen:
    """The rows of E of some items."""
    rows = encoder_rows(embeddings)
    if rows is not None:
        return Chosen(rows, items)
    ones = np.ones(len(items), dtype=np.float32)
    return Chosen.all_of(SparseRows.from_csr(np.arange(len(items) + 1), items, ones, embeddings.n_dims))


def _all_of(queries: list[Float32], n_dims: int) -> Chosen:
    return Chosen.all_of(SparseRows.from_dense(np.array(queries, dtype=np.float32).reshape(len(queries), n_dims)))


def _through(factor: Float32 | None, query: Float32) -> Float32:
    """F F^T q; only those rows of F are read twice where q is not 0."""
    if factor is None:
        return query
    active = np.flatnonzero(query)
    return np.asarray(factor @ (query[active] @ factor[active]), dtype=np.float32)


def _cut(query: Float32, query_dims: int | None) -> Float32:
    """Keep the query_dims largest magnitudes; of equal ones those of the lower dims, so that the cut is one answer."""
    if query_dims is None or np.count_nonzero(query) <= query_dims:
        return query
    sizes = np.abs(query)
    last = np.partition(sizes, len(sizes) - query_dims)[len(sizes) - query_dims]
    above = sizes > last
    tied = np.flatnonzero(sizes == last)[: query_dims - np.count_nonzero(above)]
    above[tied] = True
    return np.where(above, query, np.float32(0))
