"""iALS: the library does what its formula says, here and for users it never saw."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array

from training.errors import TrainingError
from training.interactions import Interactions
from training.models import ials
from training.models.ials import Settings


def test_a_history_is_answered_by_its_least_squares(books: Interactions) -> None:
    histories, asked = books.matrix()[:200], books.matrix()[200:220]
    fitted = ials.fit(histories, Settings(n_dims=8, alpha=7, l2=3, epochs=4), 1)
    vectors = fitted.solver.item_factors.astype(np.float64)
    confidence = 1 + 6 * asked.toarray()
    expected = [
        vectors @ np.linalg.solve(vectors.T @ (c[:, None] * vectors) + 3 * np.eye(8), vectors.T @ (c * x))
        for c, x in zip(confidence, asked.toarray(), strict=True)
    ]
    np.testing.assert_allclose(fitted.scores(asked), expected, rtol=1e-2, atol=1e-4)


def test_more_epochs_come_closer_to_what_is_minimised(books: Interactions) -> None:
    histories = books.matrix()

    def objective(epochs: int) -> float:
        solver = ials.fit(histories, Settings(n_dims=8, alpha=7, l2=3, epochs=epochs), 1).solver
        users, items, likes = solver.user_factors, solver.item_factors, histories.toarray()
        errors = (1 + 6 * likes) * (likes - users @ items.T) ** 2
        return float(errors.sum() + 3 * ((users**2).sum() + (items**2).sum()))

    assert objective(1) > objective(3) > objective(12)


def test_no_warning_where_blas_has_threads(checkerboard: csr_array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ials.fit(checkerboard, Settings(n_dims=2), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(n_dims=0), r"model.n_dims is 0; it must be above 0"),
        (Settings(l2=0), r"model.l2 is 0; it must be above 0, or some vectors have no solution"),
    ],
)
def test_settings_that_cannot_be(checkerboard: csr_array, settings: Settings, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ials.fit(checkerboard, settings, 1)
