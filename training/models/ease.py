"""EASE: every item as a weighted sum of all others, in closed form.

    min ||X - X B||^2 + l2 ||B||^2 with diag(B) = 0       P = (X^T X + l2 I)^-1,  B_ij = -P_ij / P_jj

So scores are x B = x - (x P) / diag(P). P has n_items^2 cells. Where there are fewer users than items, the inverse of
the users' side is the smaller one and says the same (Woodbury), for less time and memory:

    P = (I - X^T M X) / l2,  M = (X X^T + l2 I)^-1

Either matrix is factorised (Cholesky) and inverted in place, in float32: 4 min(n_users, n_items)^2 bytes at the peak,
which is refused beyond MAX_SIDE. It is a yardstick of the sparse models: measured, not published.
Reference: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

Shapes: I items, U users, S the smaller side, Q histories.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_array, eye_array

from index.types import Float32, Int32
from index.vocabulary import Vocabulary
from training.errors import CatalogueTooLargeError, TrainingError
from training.evaluate import DenseRetriever

MAX_SIDE = 46_340
"""Users or items, whichever are fewer: a matrix of so many squared is 8.6 GB, and its cells count in 31 bits."""
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
    return Precision(histories_UI, items_IU, l2, gram_SS.T)


def _gram(rows: csr_array, l2: float) -> Float32:
    """R R^T + l2 I, dense, in the order of Fortran, which LAPACK works on without a copy."""
    n = rows.shape[0]
    gram = np.empty((n, n), np.float32, order="F")
    for start in range(0, n, BLOCK):
        gram[:, start : start + BLOCK] = (rows @ rows[start : start + BLOCK].T).toarray()
    gram[np.diag_indices(n)] += np.float32(l2)
    return gram


def _invert(gram: Float32, l2: float) -> None:
    """Replace a positive definite matrix by its inverse; LAPACK does one triangle, the other is mirrored."""
    factor, failed = spotrf(gram, lower=1, clean=0, overwrite_a=1)
    if failed == 0:
        inverse, failed = spotri(factor, lower=1, overwrite_c=1)
    if failed != 0:
        raise TrainingError(f"model.l2 = {l2:g} is too small to invert the matrix in float32; raise it")
    if not np.shares_memory(inverse, gram):
        raise TypeError("LAPACK had to copy the matrix: it is not float32 in the order of Fortran")
    n = len(gram)
    for start in range(0, n, BLOCK):
        end = min(start + BLOCK, n)
        inner = np.tril(gram[start:end, start:end])
        gram[start:end, start:end] = inner + np.tril(inner, -1).T
        gram[start:end, end:] = gram[end:, start:end].T


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
