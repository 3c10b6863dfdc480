"""EASE against its formula in dense float64."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from index.types import Array
from training.errors import CatalogueTooLargeError, TrainingError
from training.interactions import Interactions
from training.models import ease


def weights(histories: csr_array, l2: float) -> Array:
    """B, as the paper has it."""
    dense = histories.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + l2 * np.eye(dense.shape[1]))
    found = -inverse / np.diagonal(inverse)
    np.fill_diagonal(found, 0)
    return found


@pytest.mark.parametrize("l2", [1, 30.0, 1000])
@pytest.mark.parametrize("n_users", [300, 60])
@pytest.mark.parametrize("block", [7, 512])
def test_scores_are_those_of_the_formula(
    books: Interactions, n_users: int, l2: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of users and items are fewer, and however many rows are worked on at once."""
    monkeypatch.setattr(ease, "BLOCK", block)
    histories = books.matrix()[:, :200][:n_users]
    asked = books.matrix()[-40:, :200]
    fitted = ease.fit(histories, ease.Settings(l2), 0)
    assert len(fitted.precision.inverse_SS) == min(n_users, 200)
    expected = asked @ weights(histories, l2)
    np.testing.assert_allclose(fitted.scores(asked), expected, rtol=1e-3, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("n_users", [300, 60])
def test_blocks_and_diagonal_are_those_of_the_inverse(books: Interactions, n_users: int) -> None:
    histories = books.matrix()[:n_users, :200]
    dense = histories.toarray().astype(np.float64)
    expected = np.linalg.inv(dense.T @ dense + 5 * np.eye(200))
    solved = ease.precision(histories, 5)
    numbers, rows = (np.concatenate(parts) for parts in zip(*solved.blocks(), strict=True))
    assert np.array_equal(numbers, np.arange(200))
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    np.testing.assert_allclose(solved.diagonal(), np.diagonal(expected), rtol=1e-4)
    assert np.array_equal(solved.inverse_SS, solved.inverse_SS.T)


def test_a_sparse_product_is_a_dense_one(books: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    histories = books.matrix()[:, :100]
    fitted = ease.fit(histories, ease.Settings(10), 0)
    dense = fitted.scores(histories)
    monkeypatch.setattr(ease, "SPARSE_BELOW", 1)
    np.testing.assert_allclose(fitted.scores(histories), dense, rtol=1e-4, atol=1e-5)


def test_histories_are_left_as_they_were(books: Interactions) -> None:
    histories = books.matrix()
    before = histories.copy()
    ease.fit(histories, ease.Settings(10), 0)
    np.testing.assert_array_equal(histories.toarray(), before.toarray())


@pytest.mark.parametrize("l2", [0, -1, float("nan")])
def test_a_ridge_that_is_none_is_refused(checkerboard: csr_array, l2: float) -> None:
    with pytest.raises(TrainingError, match=r"model.l2 is .*; it must be above 0"):
        ease.fit(checkerboard, ease.Settings(l2), 0)


def test_a_ridge_below_what_float32_can_tell_is_refused() -> None:
    """Two items with the same users: the matrix has no inverse without a ridge."""
    twins = csr_array(np.ones((5_000, 2), np.float32))
    with pytest.raises(TrainingError, match=r"model.l2 = 1e-06 is too small to invert the matrix in float32; raise it"):
        ease.fit(twins, ease.Settings(1e-6), 0)


def test_a_matrix_too_large_is_refused_with_its_bytes() -> None:
    wide = csr_array((np.ones(1, np.float32), ([0], [0])), shape=(46_341, 50_000))
    with pytest.raises(CatalogueTooLargeError, match=r"50,000 items and 46,341 users.* 8.6 GB, .*46,340"):
        ease.fit(wide, ease.Settings(1), 0)
