"""Sparse models whose dimensions are items, searched by the code that serves.

    scores = item_scale * (D q),  q = x (encoder "identity") or x D (encoder "tied"),  D (n_items, n_items) sparse rows

With the identity, D_ji is the weight of item i in a history for item j: `pruned_ease`, `item_knn`. Tied, items share
dimensions as those of latent models do, but each dimension is that of one item: `sansa`.

Shapes: I items, B items of a block.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Float32
from index.vocabulary import Vocabulary
from training.errors import TrainingError
from training.evaluate import SparseRetriever

BLOCK_CELLS = 1 << 24
"""Weights held at once (n_items x items of a block): 64 MB per buffer."""


@dataclass(frozen=True)
class ItemItem:
    """Fitted weights."""

    rows: SparseRows
    """D, (n_items, n_items)."""
    encoder: Literal["tied", "identity"]
    """What makes queries of histories."""
    scale_I: Float32 | None
    """Factor on each item's score that belongs to the model; None: 1."""

    def retriever(self, item_scale: Float32 | None) -> SparseRetriever:
        """Answer through `index.search`."""
        # searches never look at an id, so any will do
        numbers = Vocabulary.build([str(number) for number in range(self.rows.n_rows)])
        return SparseRetriever(self.embeddings(numbers, item_scale))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> SparseItemEmbeddings:
        """The artifact that is published; its provenance is still empty."""
        scales = [scale for scale in (self.scale_I, item_scale) if scale is not None]
        scale = np.prod(scales, axis=0, dtype=np.float32) if scales else None
        return SparseItemEmbeddings(items, self.rows, scale, self.encoder, None, "items", {})

    def cut(self, k: int) -> "ItemItem":
        """Only the k largest weights of each row: where k are kept per target, as if it had been fitted so."""
        kept = strongest(as_matrix(self.rows), k)
        return replace(self, rows=as_rows(kept))


def blocks(n_items: int) -> Iterator[slice]:
    """All item rows, cut into blocks of at most BLOCK_CELLS weights."""
    size = max(1, BLOCK_CELLS // n_items)
    return (slice(start, min(start + size, n_items)) for start in range(0, n_items, size))


def refuse_k(k: int, greatest: int) -> None:
    """Raise TrainingError unless k is within 1..greatest."""
    if not 0 < k <= greatest:
        raise TrainingError(f"model.k is {k}; with so many items it must be within 1..{greatest}")


def strongest(rows: csr_array, k: int) -> csr_array:
    """The k largest magnitudes of each row, of equal ones those of the lower columns."""
    counts = np.diff(rows.indptr)
    owners = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rows.indices, -np.abs(rows.data), owners))
    ranks = np.arange(len(order)) - np.repeat(rows.indptr[:-1], counts)
    kept = np.sort(order[ranks < k])
    starts = np.concatenate([[0], np.cumsum(np.minimum(counts, k))])
    return csr_array((rows.data[kept], rows.indices[kept], starts), shape=rows.shape)


def strongest_of_dense(values_BI: Float32, k: int) -> csr_array:
    """The same of dense rows; zeros are left out."""
    sizes_BI = np.abs(values_BI)
    n = sizes_BI.shape[1]
    # all that are at least as large as the k-th, so that few are left to sort
    last_B1 = np.partition(sizes_BI, n - k, axis=1)[:, n - k, None]
    rows, columns = np.nonzero((sizes_BI >= last_B1) & (sizes_BI > 0))
    return strongest(csr_array((values_BI[rows, columns], (rows, columns)), shape=values_BI.shape), k)


def stack(parts: Iterable[csr_array], n_items: int) -> SparseRows:
    """Blocks of rows, one below the other."""
    counts, dims, values = [np.zeros(1, np.int64)], [], []
    for part in parts:
        counts.append(np.diff(part.indptr).astype(np.int64))
        dims.append(part.indices)
        values.append(part.data.astype(np.float32))
    return SparseRows.from_csr(np.cumsum(np.concatenate(counts)), np.concatenate(dims), np.concatenate(values), n_items)


def transposed(rows: SparseRows) -> SparseRows:
    """By column."""
    return as_rows(csr_array(as_matrix(rows).T.tocsr()))


def as_rows(matrix: csr_array) -> SparseRows:
    """In the form of the index."""
    return SparseRows.from_csr(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1])


def as_matrix(rows: SparseRows) -> csr_array:
    """In the form of scipy."""
    dims = rows.dims.astype(np.int32)
    return csr_array((rows.values, dims, rows.row_starts), shape=(rows.n_rows, rows.n_dims))
