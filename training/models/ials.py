"""iALS: weighted matrix factorisation, solved for users and items in turn; through the library `implicit`.

    min over U, V of sum_ui c_ui (x_ui - u . v_i)^2 + l2 (||U||^2 + ||V||^2),  c_ui = alpha where x_ui = 1, else 1

A held-out history is answered by solving for its user's vector with the items' fixed. `implicit` has the plain l2, not
the one scaled by frequency of later work. A dense model: measured, not published.
Reference: Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
"""

from dataclasses import dataclass

import numpy as np
from implicit.als import AlternatingLeastSquares  # type: ignore[import-untyped]  # it has no types
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from index.types import Float32
from index.vocabulary import Vocabulary
from training.errors import TrainingError
from training.evaluate import DenseRetriever


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    n_dims: int = 256
    """Width of the vectors, above 0."""
    alpha: float = 5.0
    """Weight of an interaction; everything else weighs 1."""
    l2: float = 10.0
    """Weight of the ridge, above 0."""
    epochs: int = 15
    """How often users and items are solved for."""


@dataclass(frozen=True)
class Ials:
    """A fitted model."""

    solver: AlternatingLeastSquares
    """Holds the items' vectors, and solves for users."""

    def scores(self, histories: csr_array) -> Float32:
        """For binary histories (n, n_items), float32 of the same shape."""
        with threadpool_limits(1, "blas"):
            users = self.solver.recalculate_user(np.arange(histories.shape[0]), csr_matrix(histories))
        return np.asarray(users @ self.solver.item_factors.T)

    def retriever(self, item_scale: Float32 | None) -> DenseRetriever:
        """Answer by dense scores of a batch of histories."""
        scale = np.float32(1) if item_scale is None else item_scale
        return DenseRetriever(lambda histories: self.scores(histories) * scale, len(self.solver.item_factors))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> None:
        """Nothing: a dense model is measured, not published."""


def fit(histories: csr_array, settings: Settings, seed: int) -> Ials:
    """Solve for binary histories (n_users, n_items). Raises TrainingError without dimensions or ridge."""
    if settings.n_dims < 1:
        raise TrainingError(f"model.n_dims is {settings.n_dims}; it must be above 0")
    if not settings.l2 > 0:
        raise TrainingError(f"model.l2 is {settings.l2:g}; it must be above 0, or some vectors have no solution")
    # its own threads share out the users: more of them inside each solution are in the way, and it warns of them
    with threadpool_limits(1, "blas"):
        solver = AlternatingLeastSquares(
            factors=settings.n_dims,
            regularization=settings.l2,
            alpha=settings.alpha,
            iterations=settings.epochs,
            random_state=np.random.default_rng(seed),
        )
        solver.fit(csr_matrix(histories), show_progress=False)
    return Ials(solver)
