"""Pruned EASE against sorting all of the dense matrix."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings
from index.query import encode
from index.sparse import SparseRows
from index.types import Array
from index.vocabulary import Vocabulary
from training.errors import TrainingError
from training.interactions import Interactions
from training.models import item_item, pruned_ease
from training.models.pruned_ease import Settings


def weights(histories: csr_array, l2: float) -> Array:
    dense = histories.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + l2 * np.eye(dense.shape[1]))
    found = -inverse / np.diagonal(inverse)
    np.fill_diagonal(found, 0)
    return found


def dense(rows: SparseRows) -> Array:
    return np.stack([rows.dense_row(row) for row in range(rows.n_rows)])


@pytest.mark.parametrize("n_users", [300, 60])
def test_the_largest_weights_per_target_are_kept(books: Interactions, n_users: int) -> None:
    histories = books.matrix()[:n_users, :150]
    fitted = pruned_ease.fit(histories, Settings(k=9, l2=20), 0)
    by_target = weights(histories, 20).T
    kept = dense(fitted.rows)
    for target in range(150):
        sizes = np.sort(np.abs(by_target[target]))[::-1]
        places = np.flatnonzero(kept[target])
        assert len(places) == min(9, np.count_nonzero(by_target[target]))
        np.testing.assert_allclose(kept[target][places], by_target[target][places], atol=1e-5)
        np.testing.assert_allclose(np.sort(np.abs(kept[target][places]))[::-1], sizes[: len(places)], atol=1e-5)


def test_the_largest_weights_per_source_are_kept(books: Interactions) -> None:
    histories = books.matrix()[:, :150]
    fitted = pruned_ease.fit(histories, Settings(k=9, l2=20, kept_per="source"), 0)
    by_source, kept = weights(histories, 20), dense(fitted.rows).T
    for source in range(150):
        places = np.flatnonzero(kept[source])
        assert len(places) == 9
        np.testing.assert_allclose(kept[source][places], by_source[source][places], atol=1e-5)
        assert np.abs(np.delete(by_source[source], places)).max() <= np.abs(kept[source][places]).min() + 1e-5


def test_a_smaller_k_comes_of_the_same_fit(books: Interactions) -> None:
    histories = books.matrix()[:, :150]
    large, small = (pruned_ease.fit(histories, Settings(k=k, l2=20), 0) for k in (32, 5))
    assert np.array_equal(dense(large.cut(5).rows), dense(small.rows))


def test_the_artifact_scores_as_the_weights_do(books: Interactions, tmp_path: Path) -> None:
    """Of equal histories, through save and load and the code that serves."""
    histories = books.matrix()[:, :150]
    fitted = pruned_ease.fit(histories, Settings(k=12, l2=20), 0)
    scale = np.linspace(0.5, 2, 150).astype(np.float32)
    fitted.embeddings(Vocabulary.build([f"item {row}" for row in range(150)]), scale).save(tmp_path / "made")
    loaded = SparseItemEmbeddings.load(tmp_path / "made")
    assert (loaded.encoder, loaded.dims_are, loaded.n_dims) == ("identity", "items", 150)
    given = np.array([3, 40, 77], np.int32)
    assert np.array_equal(np.flatnonzero(encode(loaded, given, np.ones(3, np.float32))), given)
    (hits,) = fitted.retriever(scale).retrieve([given], 20)
    expected = scale * (dense(fitted.rows) @ np.isin(np.arange(150), given))
    expected[given] = -np.inf
    np.testing.assert_allclose(hits.scores, np.sort(expected)[::-1][:20], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hits.scores, expected[hits.items], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [0, 30, 1000])
def test_more_weights_than_other_items_are_refused(checkerboard: csr_array, k: int) -> None:
    with pytest.raises(TrainingError, match=rf"model.k is {k}; with so many items it must be within 1..29"):
        pruned_ease.fit(checkerboard, Settings(k=k), 0)


def test_all_other_items_may_be_kept(checkerboard: csr_array) -> None:
    fitted = pruned_ease.fit(checkerboard, Settings(k=29, l2=5), 0)
    np.testing.assert_allclose(dense(fitted.rows), weights(checkerboard, 5).T, atol=1e-5)


def test_no_ridge_is_refused(checkerboard: csr_array) -> None:
    with pytest.raises(TrainingError, match=r"model.l2 is 0; it must be above 0"):
        pruned_ease.fit(checkerboard, replace(Settings(), l2=0.0), 0)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_ties_go_to_the_lower_columns(k: int) -> None:
    values = np.array([[0, 2, -3, 2, 0, 1, -2, 3], [0, 0, 0, 1, 0, 0, 0, 0], np.zeros(8)], np.float32)
    order = [2, 7, 1, 3, 6, 5]
    kept = item_item.strongest_of_dense(values, k).toarray()
    assert np.flatnonzero(kept[0]).tolist() == sorted(order[:k])
    assert np.flatnonzero(kept[1]).tolist() == [3]
    assert not kept[2].any()
    assert np.array_equal(kept[kept != 0], values[kept != 0])
