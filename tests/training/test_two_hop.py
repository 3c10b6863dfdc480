"""Two hops: with all items as neighbours its weights are EASE's, and the rest is the formula."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from index.types import Array
from index.vocabulary import Vocabulary
from training.errors import TrainingError
from training.interactions import Interactions
from training.models import two_hop
from training.models.two_hop import Settings


def expected_scores(histories: csr_array, settings: Settings, given: Array) -> Array:
    """All items scored for one history, by dense algebra, item by item."""
    x = histories.toarray().astype(np.float64)
    together, users = x.T @ x, np.maximum(x.sum(axis=0), 1)
    n_items = len(users)
    weights = np.zeros((n_items, n_items))
    for item in range(n_items):
        closeness = together[item] / np.sqrt(users)
        closeness[item] = 0
        near = np.argsort(-closeness, kind="stable")[: settings.n_neighbours]
        near = near[closeness[near] > 0]
        ridge = together[np.ix_(near, near)] + settings.l2 * np.eye(len(near))
        weights[item, near] = np.linalg.solve(ridge, together[near, item])
    both = weights + weights.T
    rows = np.zeros((n_items, n_items))
    for item in range(n_items):
        kept = np.argsort(-np.abs(both[item]) * users**settings.neighbour_power, kind="stable")[: settings.k - 1]
        rows[item, kept] = np.sign(both[item, kept]) * np.abs(both[item, kept]) ** settings.sharpness
        own = settings.own_share * np.abs(rows[item]).sum()
        rows[item, item] = own or float(x[:, item].any())
        rows[item] /= np.linalg.norm(rows[item]) or 1
    query = (given * users**-settings.history_power) @ rows
    return np.asarray(users**settings.target_power * (rows @ query))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(k=8, n_neighbours=5, l2=3.0, sharpness=1.0, own_share=1.0),
        Settings(k=1, n_neighbours=5),
        Settings(k=60, n_neighbours=60, neighbour_power=0.0, history_power=0.0, target_power=0.0),
    ],
)
def test_the_search_answers_what_the_formula_says(books: Interactions, settings: Settings) -> None:
    histories = csr_array(books.matrix()[:, :60])
    model = two_hop.fit(histories, settings, 0)
    for user in (0, 7, 100):
        items = histories.indices[histories.indptr[user] : histories.indptr[user + 1]].astype(np.int32)
        given = np.zeros(60)
        given[items] = 1
        (hits,) = model.retriever(None).retrieve([items], 60)
        np.testing.assert_allclose(
            hits.scores, expected_scores(histories, settings, given)[hits.items], rtol=2e-4, atol=1e-5
        )


def test_rows_have_k_values_and_their_lengths_hold_popular_items_back(books: Interactions) -> None:
    model = two_hop.fit(books.matrix(), Settings(k=8, history_power=0.5), 0)
    found = model.embeddings(books.items, None)
    assert found.encoder == "tied"
    assert found.dims_are == "items"
    counts = np.diff(found.decoder.row_starts)
    assert counts.max() == 8
    assert counts.min() >= 1
    lengths = np.sqrt(np.add.reduceat(found.decoder.values.astype(np.float64) ** 2, found.decoder.row_starts[:-1]))
    np.testing.assert_allclose(lengths, books.popularity() ** -0.5, rtol=1e-5)
    assert found.item_scale is not None
    np.testing.assert_allclose(found.item_scale, books.popularity() ** 0.95, rtol=1e-5)


def test_an_item_without_users_has_no_row_and_one_without_company_itself(checkerboard: csr_array) -> None:
    wide = np.zeros((121, 32), np.float32)
    wide[:120, :30] = checkerboard.toarray()
    wide[120, 30] = 1
    rows = two_hop.fit(csr_array(wide), Settings(k=4), 0).embeddings(
        Vocabulary.build([str(item) for item in range(32)]), None
    )
    lengths = np.diff(rows.decoder.row_starts)
    assert lengths[31] == 0
    assert lengths[30] == 1
    assert rows.decoder.dims[rows.decoder.row_starts[30]] == 30
    assert (lengths[:30] == 4).all()


@pytest.mark.parametrize("l2", [0.0, -1.0])
def test_a_ridge_that_is_none_is_refused(checkerboard: csr_array, l2: float) -> None:
    with pytest.raises(TrainingError, match=r"model.l2 is .*; it must be above 0"):
        two_hop.fit(checkerboard, replace(Settings(), l2=l2), 0)


@pytest.mark.parametrize("k", [0, 31])
def test_more_values_than_items_are_refused(checkerboard: csr_array, k: int) -> None:
    with pytest.raises(TrainingError, match=rf"model.k is {k}; .*within 1\.\.30"):
        two_hop.fit(checkerboard, Settings(k=k), 0)
