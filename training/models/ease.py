"""EASE: every item as a weighted sum of all others, in closed form.

    min ||X - X B||^2 + l2 ||B||^2 with diag(B) = 0       P = (X^T X + l2 I)^-1,  B_ij = -P_ij / P_jj

So scores are x B = x - (x P) / diag(P). P has n_items^2 cells. Where there are fewer users than items, the inverse of
the users' side is the smaller one and says the same (Woodbury), for less time and memory:

    P = (I - X^T M X) / l2,  M = (X X^T + l2 I)^-1

Either matrix is inverted in place, in float32: 4 min(n_users, n_items)^2 bytes and three columns of blocks at the peak,
which is refused beyond MAX_SIDE. It is swept block by block (Gauss-Jordan, of a symmetric matrix, so n^3 operations as
by Cholesky; LAPACK's own, as scipy 1.17 has it, crashes beyond some 25,000 rows). It is a yardstick of the sparse
models: measured, not published.
Reference: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

Shapes: I items, U users, S the smaller side, Q histories.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, eye_array

from index.types import Float32, Int32
from index.vocabulary import Vocabulary
from training.errors import CatalogueTooLargeError, TrainingError
from training.evaluate import DenseRetriever

MAX_SIDE = 46_340
"""Users or items, whichever are fewer: a matrix of so many squared is 8.6 GB."""
BLOCK = 512
"""Rows worked on at once."""
SPARSE_BELOW = 0.02  # share of non-zeros up to which a sparse product beats a dense one


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    l2: float = 100.0
    """Weight of the ridge, above 0."""


@dataclass(frozen=True)
class Precision:
    """P, by way of the smaller side."""

    histories_UI: csr_array
    """X, binary."""
    items_IU: csr_array
    """X^T, by row."""
    l2: float
    """Weight of the ridge."""
    inverse_SS: Float32
    """P itself where there are at most as many items as users, else M."""

    def times(self, histories_QI: csr_array) -> Float32:
        """The products of some histories x with P: x P, (n, n_items)."""
        if self._by_items:
            return _product(histories_QI, self.inverse_SS)
        shared_QU = _product(csr_array(histories_QI @ self.items_IU), self.inverse_SS)
        explained_IQ = self.items_IU @ np.ascontiguousarray(shared_QU.T)
        explained_IQ *= -1 / np.float32(self.l2)
        items_Q, values_Q = histories_QI.indices, histories_QI.data / np.float32(self.l2)
        explained_IQ[items_Q, np.repeat(np.arange(histories_QI.shape[0]), np.diff(histories_QI.indptr))] += values_Q
        return np.asarray(explained_IQ.T)

    def diagonal(self) -> Float32:
        """P_jj of every item, (n_items,); above 0."""
        if self._by_items:
            return np.array(np.diagonal(self.inverse_SS))
        explained = [
            part_BU.multiply(_product(part_BU, self.inverse_SS)).sum(axis=1)
            for part_BU in (self.items_IU[start : start + BLOCK] for start in self._starts())
        ]
        return ((1 - np.concatenate(explained)) / self.l2).astype(np.float32)

    def blocks(self) -> Iterator[tuple[Int32, Float32]]:
        """P in blocks of rows: their numbers (n,), and the rows (n, n_items)."""
        unit_II = csr_array(eye_array(self.histories_UI.shape[1], dtype=np.float32, format="csr"))
        for start in self._starts():
            part = unit_II[start : start + BLOCK]
            yield np.arange(start, start + part.shape[0], dtype=np.int32), self.times(part)

    @property
    def _by_items(self) -> bool:
        return len(self.inverse_SS) == self.histories_UI.shape[1]

    def _starts(self) -> range:
        return range(0, self.histories_UI.shape[1], BLOCK)


def precision(histories_UI: csr_array, l2: float) -> Precision:
    """Invert X^T X + l2 I. Raises CatalogueTooLargeError beyond MAX_SIDE, TrainingError where float32 cannot tell."""
    if not l2 > 0:
        raise TrainingError(f"model.l2 is {l2:g}; it must be above 0, as there are items with the same users")
    histories_UI = csr_array(histories_UI.astype(np.float32))
    n_users, n_items = histories_UI.shape
    side = min(n_users, n_items)
    if side > MAX_SIDE:
        raise CatalogueTooLargeError(
            f"{n_items:,} items and {n_users:,} users: EASE would invert a dense matrix of {side:,} squared, "
            f"{4 * side**2 / 1e9:.1f} GB, which is supported up to {MAX_SIDE:,}; raise filters.min_item_support, "
            "or use a model that never makes it: sansa, item-knn"
        )
    items_IU = csr_array(histories_UI.T.tocsr())
    gram_SS = _gram(items_IU if n_items <= n_users else histories_UI, l2)
    _invert(gram_SS, l2)
    return Precision(histories_UI, items_IU, l2, gram_SS)


def _gram(rows: csr_array, l2: float) -> Float32:
    """R R^T + l2 I, dense."""
    n = rows.shape[0]
    gram = np.empty((n, n), np.float32)
    for start in range(0, n, BLOCK):
        gram[start : start + BLOCK] = (rows[start : start + BLOCK] @ rows.T).toarray()
    gram[np.diag_indices(n)] += np.float32(l2)
    return gram


def _invert(matrix: Float32, l2: float) -> None:
    """Replace a positive definite matrix by its inverse; only the lower triangle is worked on, then mirrored."""
    n = len(matrix)
    blocks = [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    for block in blocks:
        _sweep(matrix, block, blocks, l2)
    for block in blocks:
        rows = matrix[block, : block.stop]
        np.negative(rows, out=rows)
        inner = np.tril(matrix[block, block])
        matrix[block, block] = inner + np.tril(inner, -1).T
        matrix[: block.start, block] = matrix[block, : block.start].T


def _sweep(matrix: Float32, block: slice, blocks: list[slice], l2: float) -> None:
    """One block of the symmetric sweep; after all of them the matrix is minus its inverse."""
    above, below = matrix[block, : block.start], matrix[block.stop :, block]
    inner = np.tril(matrix[block, block]).astype(np.float64)
    pivot = inner + np.tril(inner, -1).T
    try:
        np.linalg.cholesky(pivot)
    except np.linalg.LinAlgError as error:
        raise TrainingError(f"model.l2 = {l2:g} is too small to invert the matrix in float32; raise it") from error
    pivot = np.linalg.inv(pivot).astype(np.float32)
    panel = np.concatenate([above.T, np.zeros_like(pivot), below])
    scaled = panel @ pivot
    for rows in blocks:
        matrix[rows, : rows.stop] -= scaled[rows] @ panel[: rows.stop].T
    matrix[block, : block.start] = scaled[: block.start].T
    matrix[block, block] = -pivot
    matrix[block.stop :, block] = scaled[block.stop :]


def _product(sparse: csr_array, dense: Float32) -> Float32:
    """A sparse matrix times a dense one, as a dense product where it is hardly sparse."""
    if sparse.nnz < SPARSE_BELOW * sparse.shape[0] * sparse.shape[1]:
        return np.asarray(sparse @ dense)
    return np.asarray(sparse.toarray() @ dense)


@dataclass(frozen=True)
class Ease:
    """A fitted model."""

    precision: Precision
    """P."""
    diagonal_I: Float32
    """P_jj."""

    def scores(self, histories_QI: csr_array) -> Float32:
        """The scores x B of some histories x, (n, n_items)."""
        scores_QI = self.precision.times(histories_QI)
        scores_QI /= -self.diagonal_I
        return np.asarray(scores_QI + histories_QI.toarray())

    def retriever(self, item_scale: Float32 | None) -> DenseRetriever:
        """Answer by dense scores of a batch of histories."""
        scale_I = np.float32(1) if item_scale is None else item_scale
        return DenseRetriever(lambda histories_QI: self.scores(histories_QI) * scale_I, len(self.diagonal_I))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> None:
        """Nothing: a dense model is measured, not published."""


def fit(histories: csr_array, settings: Settings, seed: int) -> Ease:  # noqa: ARG001 (nothing is drawn)
    """Solve for binary histories (n_users, n_items). Raises as `precision`."""
    solved = precision(histories, settings.l2)
    return Ease(solved, solved.diagonal())
