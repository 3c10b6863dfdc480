"""Arithmetic of sparse and dense rows in blocks, so that nothing is ever held for all pairs of rows."""

from collections.abc import Iterator

import numpy as np

from index.sparse import SparseRows
from index.types import Float32

BLOCK = 1024  # rows handled at a time
NONZEROS = 16_384  # non-zeros handled at a time


def orthonormal(columns: Float32) -> Float32:
    """Orthonormal columns that span the same space, 0 where the rank is less; much faster than QR, and exact enough."""
    eigenvalues, turn = np.linalg.eigh(columns.T @ columns)
    kept = eigenvalues > 1e-6 * eigenvalues[-1]
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, eigenvalues, 1)), 0)
    return np.asarray(columns @ (turn * scale), dtype=np.float32)


def transposed(rows: SparseRows) -> SparseRows:
    """The same matrix by column, (n_dims, n_rows)."""
    owners = np.repeat(np.arange(rows.n_rows, dtype=np.uint32), np.diff(rows.row_starts))
    order = np.argsort(rows.dims, kind="stable")
    starts = np.zeros(rows.n_dims + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows.dims, minlength=rows.n_dims), out=starts[1:])
    return SparseRows(starts, owners[order], rows.values[order], rows.n_rows)


def times(rows: SparseRows, dense: Float32) -> Float32:
    """Multiply (n_rows, n_dims) by (n_dims, m), in float32."""
    out = np.zeros((rows.n_rows, dense.shape[1]), dtype=np.float32)
    first = 0
    while first < rows.n_rows:
        enough = int(np.searchsorted(rows.row_starts, rows.row_starts[first] + NONZEROS))
        last = min(max(enough, first + 1), rows.n_rows)
        starts = rows.row_starts[first : last + 1]
        filled = np.flatnonzero(np.diff(starts))  # reduceat has no empty sums
        if len(filled):
            inside = slice(int(starts[0]), int(starts[-1]))
            products = dense[rows.dims[inside]] * rows.values[inside, None]
            out[first + filled] = np.add.reduceat(products, starts[filled] - starts[0], axis=0)
        first = last
    return out


def unit(rows: Float32) -> Float32:
    """Rows of length 1; empty ones stay 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 1e-12, lengths, np.inf), dtype=np.float32)


def largest(scores: Float32, count: int) -> Float32:
    """Scores with all but the largest `count` of each row, and all negative ones, set to 0."""
    if count < scores.shape[1]:
        least = np.partition(scores, -count, axis=1)[:, -count, None]
        scores = np.where(scores >= least, scores, 0)
    return np.maximum(scores, 0)


def blocks(n: int) -> Iterator[slice]:
    """Cut 0..n-1 into slices of BLOCK."""
    return (slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK))
