"""Fewer values per item than a model was trained with: several sizes from one run.

Of every item the k largest values stay. Where users are encoded with the same rows, each row is brought back to the
length it had, so that an item of many small values does not lose more than others; else values stay as they are.
What that costs against training at k itself is in RESULTS.md.
"""

from dataclasses import replace

import numpy as np

from index import sparse
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Float32
from training.errors import RunError


def cut(embeddings: SparseItemEmbeddings, k: int) -> SparseItemEmbeddings:
    """The same items with at most k values each; k is at least 1. Raises RunError if no item has as many."""
    most = int(np.diff(embeddings.decoder.row_starts).max(initial=0))
    if k > most:
        raise RunError(f"no item of the run has more than {most} values, so that --k {k} would keep them all")
    decoder = sparse.largest(embeddings.decoder, k)
    if embeddings.encoder == "tied":
        return replace(embeddings, decoder=_stretched(decoder, _lengths(embeddings.decoder)))
    if isinstance(embeddings.encoder, SparseRows):
        return replace(embeddings, decoder=decoder, encoder=sparse.largest(embeddings.encoder, k))
    return replace(embeddings, decoder=decoder)


def _stretched(rows: SparseRows, lengths: Float32) -> SparseRows:
    """Rows of these lengths, (n_rows,), in the directions that they have."""
    own = _lengths(rows)
    factors = np.divide(lengths, own, out=np.ones_like(own), where=own > 0)
    return replace(rows, values=rows.values * np.repeat(factors, np.diff(rows.row_starts)))


def _lengths(rows: SparseRows) -> Float32:
    """The Euclidean length of each row, (n_rows,)."""
    owners = np.repeat(np.arange(rows.n_rows), np.diff(rows.row_starts))
    values = rows.floats().values.astype(np.float64)
    return np.sqrt(np.bincount(owners, weights=values * values, minlength=rows.n_rows)).astype(np.float32)
