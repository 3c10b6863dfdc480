"""SANSA: EASE where nothing is left out; else each row is a regression, solved here one by one."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings
from index.types import Array
from index.vocabulary import Vocabulary
from training.errors import CatalogueTooLargeError, TrainingError
from training.interactions import Interactions
from training.models import ease, item_item, regression, sansa
from training.models.item_item import ItemItem
from training.models.sansa import Settings


def rows(fitted: ItemItem) -> Array:
    return np.stack([fitted.rows.dense_row(row) for row in range(fitted.rows.n_rows)])


def scores(fitted: ItemItem, histories: csr_array) -> Array:
    assert fitted.scale_I is not None
    return np.asarray(histories @ rows(fitted) @ rows(fitted).T * fitted.scale_I)


def factor(histories: csr_array, settings: Settings) -> Array:
    """G with its rows and columns in the order of the items."""
    dense, k = histories.toarray().astype(np.float64), settings.k
    users_of, items_of = (np.maximum(dense.sum(axis=axis), 1) / dense.sum(axis=axis).mean() for axis in (0, 1))
    gram = dense.T @ (dense / items_of[:, None] ** settings.user_power)
    gram += settings.l2 * np.diag(users_of**settings.ridge_power)
    order = np.argsort(-dense.sum(axis=0), kind="stable")
    found = np.zeros_like(gram)
    for place, item in enumerate(order):
        strength = {int(other): gram[item, other] / np.sqrt(gram[other, other]) for other in order[:place]}
        chosen = sorted((each for each in strength if strength[each] > 0), key=lambda each: -strength[each])[: k - 1]
        coefficients = np.linalg.solve(gram[np.ix_(chosen, chosen)], gram[chosen, item])
        residual = gram[item, item] - gram[item, chosen] @ coefficients
        found[item, item] = residual**-0.5
        found[item, chosen] = -coefficients * residual**-0.5
    return np.asarray(found)


@pytest.mark.parametrize("l2", [1.0, 40.0])
def test_where_all_items_share_users_and_are_kept_it_is_ease(books: Interactions, l2: float) -> None:
    popular = np.argsort(-books.popularity())[:30]
    histories = csr_array(books.matrix()[:, popular])
    assert (histories.T @ histories).nnz == 30 * 30
    asked = csr_array(histories[:50])
    fitted = sansa.fit(histories, Settings(30, l2, 0, 0), 0)
    expected = ease.fit(histories, ease.Settings(l2), 0).scores(asked)
    # on the own items of a history EASE has no say (its diagonal is 0), and these are never recommended
    others = asked.toarray() == 0
    np.testing.assert_allclose(scores(fitted, asked)[others], expected[others], atol=2e-4)


@pytest.mark.parametrize("k", [2, 7, 40])
@pytest.mark.parametrize("cells", [1, 1 << 20])
@pytest.mark.parametrize("powers", [(0, 0), (0.5, 0.5), (1, -0.3)])
def test_each_row_is_a_regression_on_the_strongest_earlier_items(
    books: Interactions, k: int, cells: int, powers: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is worked on at once. Strengths that tie may be chosen either way."""
    monkeypatch.setattr(item_item, "BLOCK_CELLS", cells)
    monkeypatch.setattr(regression, "SYSTEM_CELLS", cells)
    histories = books.matrix()[:, :120]
    settings = Settings(k, 3.7, *powers)
    fitted, expected = sansa.fit(histories, settings, 0), factor(histories, settings)
    ours = rows(fitted).T
    same = (np.abs(ours - expected) < 1e-5).all(axis=1)
    assert same.mean() > 0.9
    # a row with other non-zeros is as good: it explains as much of its item
    assert np.all(np.abs(np.diagonal(ours)[~same] / np.diagonal(expected)[~same] - 1) < 0.05)
    assert fitted.scale_I is not None
    np.testing.assert_allclose(fitted.scale_I, -1 / (ours**2).sum(axis=0), rtol=1e-5)
    assert np.count_nonzero(ours, axis=1).max() == np.count_nonzero(expected, axis=1).max() <= k


def test_a_single_value_per_item_knows_nothing_of_others(checkerboard: csr_array) -> None:
    fitted = sansa.fit(checkerboard, Settings(1, 5, 0, 0), 0)
    counts = np.bincount(checkerboard.indices)
    np.testing.assert_allclose(rows(fitted), np.diag((counts + 5.0) ** -0.5), rtol=1e-6)


def test_the_artifact_scores_as_the_factor_does(books: Interactions, tmp_path: Path) -> None:
    histories = books.matrix()[:, :150]
    fitted = sansa.fit(histories, Settings(8, 5), 0)
    scale = np.linspace(0.5, 2, 150).astype(np.float32)
    fitted.embeddings(Vocabulary.build([f"item {row}" for row in range(150)]), scale).save(tmp_path / "made")
    loaded = SparseItemEmbeddings.load(tmp_path / "made")
    assert (loaded.encoder, loaded.dims_are, loaded.n_dims) == ("tied", "items", 150)
    given = np.flatnonzero(histories[:1].toarray()[0]).astype(np.int32)
    (hits,) = fitted.retriever(scale).retrieve([given], 20)
    expected = scale * scores(fitted, histories[:1])[0]
    expected[given] = -np.inf
    np.testing.assert_allclose(hits.scores, expected[hits.items], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(hits.scores, np.sort(expected)[::-1][:20], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("l2", [0, -3, float("nan")])
def test_no_ridge_is_refused(checkerboard: csr_array, l2: float) -> None:
    with pytest.raises(TrainingError, match=r"model.l2 is .*; it must be above 0"):
        sansa.fit(checkerboard, Settings(4, l2), 0)


@pytest.mark.parametrize("k", [0, 31])
def test_more_values_than_items_are_refused(checkerboard: csr_array, k: int) -> None:
    with pytest.raises(TrainingError, match=rf"model.k is {k}; with so many items it must be within 1..30"):
        sansa.fit(checkerboard, Settings(k, 1), 0)


def test_more_pairs_than_memory_is_meant_for_are_refused(
    checkerboard: csr_array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regression, "MAX_PAIRS", 100)
    with pytest.raises(CatalogueTooLargeError, match=r"more than 100 pairs of the 30 items share a user, 0.0 GB"):
        sansa.fit(checkerboard, Settings(4, 1), 0)
