"""Item-kNN against its formula, and against the library `implicit`."""

import numpy as np
import pytest
from implicit.nearest_neighbours import CosineRecommender  # type: ignore[import-untyped]  # it has no types
from scipy.sparse import csr_array, csr_matrix

from index.types import Array
from training.errors import TrainingError
from training.interactions import Interactions
from training.models import item_item, item_knn
from training.models.item_item import ItemItem
from training.models.item_knn import Settings


def weights(histories: csr_array, settings: Settings) -> Array:
    """D, dense: (targets, history)."""
    dense = histories.toarray().astype(np.float64)
    users_of, items_of = np.maximum(dense.sum(axis=0), 1), np.maximum(dense.sum(axis=1), 1)
    found = dense.T @ (dense / items_of[:, None] ** settings.user_power)
    found /= users_of[:, None] ** settings.target_power * users_of[None, :] ** settings.history_power
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def rows(fitted: ItemItem) -> Array:
    return np.stack([fitted.rows.dense_row(row) for row in range(fitted.rows.n_rows)])


@pytest.mark.parametrize("powers", [(0, 0.5, 0.5), (0.7, 0.7, 0.3), (0.5, 0.5, 0.5), (0, 0, 0), (1, -0.5, 2)])
@pytest.mark.parametrize("cells", [1, 1 << 24])
def test_the_strongest_of_the_formula_are_kept(
    books: Interactions, powers: tuple[float, float, float], cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_item, "BLOCK_CELLS", cells)
    histories, settings = books.matrix()[:, :150], Settings(10, *powers)
    expected, kept = weights(histories, settings), rows(item_knn.fit(histories, settings, 0))
    for target in range(150):
        places = np.flatnonzero(kept[target])
        assert len(places) == min(10, np.count_nonzero(expected[target]))
        np.testing.assert_allclose(kept[target][places], expected[target][places], rtol=1e-5)
        assert np.delete(expected[target], places).max() <= kept[target][places].min(initial=np.inf) * (1 + 1e-5)


@pytest.mark.filterwarnings("ignore:Method expects CSR input")  # of what they made themselves
def test_cosine_is_that_of_implicit(books: Interactions) -> None:
    histories = books.matrix()[:, :150]
    theirs = CosineRecommender(K=150, num_threads=1)
    theirs.fit(csr_matrix(histories), show_progress=False)
    expected = theirs.similarity.toarray()
    np.fill_diagonal(expected, 0)
    ours = item_knn.fit(histories, Settings(149, 0, 0.5, 0.5), 0)
    np.testing.assert_allclose(rows(ours), expected, atol=1e-6)


def test_a_smaller_k_comes_of_the_same_fit(books: Interactions) -> None:
    histories = books.matrix()[:, :150]
    large, small = (item_knn.fit(histories, Settings(k=k), 0) for k in (32, 5))
    assert np.array_equal(rows(large.cut(5)), rows(small))


def test_answers_are_sums_over_the_history(books: Interactions) -> None:
    histories = books.matrix()[:, :150]
    fitted = item_knn.fit(histories, Settings(k=20), 0)
    given = np.array([3, 40, 77], np.int32)
    (hits,) = fitted.retriever(None).retrieve([given], 20)
    np.testing.assert_allclose(hits.scores, rows(fitted)[:, given].sum(axis=1)[hits.items], rtol=1e-5)


@pytest.mark.parametrize("k", [0, 30])
def test_more_neighbours_than_other_items_are_refused(checkerboard: csr_array, k: int) -> None:
    with pytest.raises(TrainingError, match=rf"model.k is {k}; with so many items it must be within 1..29"):
        item_knn.fit(checkerboard, Settings(k=k), 0)
