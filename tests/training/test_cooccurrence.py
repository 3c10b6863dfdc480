"""The first positions, found in blocks of dimensions, against the formula on dense matrices."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from training.interactions import Interactions
from training.models import cooccurrence


@pytest.mark.parametrize(("n_dims", "width"), [(40, 5), (256, 16), (600, 20), (600, 600)])
def test_blocks_choose_what_the_formula_chooses(books: Interactions, n_dims: int, width: int) -> None:
    histories = books.matrix()[:100, :80]
    dims = cooccurrence.first_positions(histories, n_dims, width, 3, "cpu")
    n_blocks = -(-n_dims // cooccurrence.BLOCK)
    random = np.concatenate([cooccurrence.initial_values(3, block, 80, n_dims) for block in range(n_blocks)], axis=1)
    assert random.shape == (80, n_dims)
    dense = histories.toarray().astype(np.float64)
    users, items = (np.maximum(dense.sum(axis), 1) for axis in (1, 0))
    normalised = dense / np.sqrt(users)[:, None] / np.sqrt(items)
    smooth = np.abs(normalised.T @ (normalised @ random))
    weakest_kept = np.take_along_axis(smooth, dims.numpy(), 1).min(axis=1)
    n_better = (smooth > weakest_kept[:, None] * (1 + 1e-4)).sum(axis=1)
    assert dims.shape == (80, width)
    assert all(len(set(row)) == width for row in dims.tolist())
    assert (n_better <= width - 1).all()
    initial = cooccurrence.initial_at(dims, n_dims, 3)
    assert np.array_equal(np.take_along_axis(random, dims.numpy(), 1), initial.numpy())


def test_non_negative_rows_keep_what_is_largest_with_its_sign(checkerboard: csr_array) -> None:
    dims = cooccurrence.first_positions(checkerboard, 300, 5, 1, "cpu", non_negative=True)
    random = np.concatenate([cooccurrence.initial_values(1, block, 30, 300) for block in range(2)], axis=1)
    dense = checkerboard.toarray().astype(np.float64)
    users, items = (np.maximum(dense.sum(axis), 1) for axis in (1, 0))
    normalised = dense / np.sqrt(users)[:, None] / np.sqrt(items)
    smooth = normalised.T @ (normalised @ random)
    kept = np.take_along_axis(smooth, dims.numpy(), 1)
    np.testing.assert_allclose(np.sort(kept), np.sort(smooth)[:, -5:], rtol=1e-4)
    assert (np.sort(np.abs(smooth))[:, -5:].min(axis=1) > kept.min(axis=1)).any()  # by size they would be others


def test_items_that_share_users_share_dimensions(checkerboard: csr_array) -> None:
    dims = cooccurrence.first_positions(checkerboard, 512, 16, 1, "cpu")
    sets = [set(row) for row in dims.tolist()]
    overlap = np.array([[len(one & other) for other in sets] for one in sets])
    same = np.equal.outer(np.arange(30) < 15, np.arange(30) < 15)
    np.fill_diagonal(same, False)
    assert overlap[same].mean() > 3 * overlap[np.arange(30) < 15][:, 15:].mean()


def test_the_values_come_from_the_seed() -> None:
    one, again, other = (cooccurrence.initial_values(seed, 1, 50, 512) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, cooccurrence.initial_values(1, 0, 50, 512))
    assert np.abs(one).max() <= np.sqrt(6 / 562)
    assert torch.from_numpy(one).dtype == torch.float32
