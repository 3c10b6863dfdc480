"""Evaluation: sparse and dense answers agree, figures are means over users, errors are those of the mean."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Float32
from index.vocabulary import Vocabulary
from training import evaluate, metrics
from training.errors import DataError
from training.evaluate import COVERAGE, MAIN, DenseRetriever, SparseRetriever
from training.interactions import Interactions
from training.models.elsa import DenseFactors
from training.split import Question


@pytest.fixture
def vectors() -> Float32:
    """300 unit vectors with 4 of 24 values."""
    rng = np.random.default_rng(0)
    dense = np.zeros((300, 24), np.float32)
    np.put_along_axis(dense, np.argsort(rng.random((300, 24)))[:, :4], rng.normal(size=(300, 4)), axis=1)
    return np.asarray(dense / np.linalg.norm(dense, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_search_that_serves_answers_as_dense_algebra_does(vectors: Float32, scaled: bool) -> None:
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.5, 1, 300).astype(np.float32) if scaled else None
    starts = np.arange(0, 1201, 4)
    rows = SparseRows.from_csr(starts, np.nonzero(vectors)[1], vectors[np.nonzero(vectors)], 24)
    items = Vocabulary.build([str(row) for row in range(300)])
    sparse = SparseRetriever(SparseItemEmbeddings(items, rows, scale, "tied", None, "latents", {}))
    dense = DenseFactors(torch.from_numpy(vectors)).retriever(scale)
    histories = [np.sort(rng.choice(300, size, replace=False)).astype(np.int32) for size in rng.integers(1, 30, 600)]
    for one, other in zip(sparse.retrieve(histories, 20), dense.retrieve(histories, 20), strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert len(np.intersect1d(one.items, other.items)) >= 19  # equal but for ties by rounding


def constant(n_items: int) -> DenseRetriever:
    """Recommends 0, 1, 2, ... to everyone."""
    return DenseRetriever(lambda x: np.broadcast_to(-np.arange(n_items, dtype=np.float32), x.shape), n_items)


def rows(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, np.int32)


def test_figures_are_means_over_folds_and_then_over_users() -> None:
    asked = [
        Question(4, rows(0), rows(1)),  # first
        Question(4, rows(0), rows(5)),  # fifth, as 0 is left out
        Question(9, rows(1), rows(0)),  # first
    ]
    found = evaluate.evaluate(constant(200), asked, 200)
    assert found.users.tolist() == [4, 9]
    fifth = 1 / np.log2(6)
    np.testing.assert_allclose(found.per_user[MAIN], [(1 + fifth) / 2, 1])
    assert found.mean(MAIN) == pytest.approx((3 + fifth) / 4)
    spread = np.std([(1 + fifth) / 2, 1], ddof=1)
    assert found.standard_error(MAIN) == pytest.approx(spread / np.sqrt(2))
    assert found.coverage == pytest.approx(101 / 200)
    assert set(found.summary()) == {*(n + e for n in evaluate.JUDGES for e in ("", "_se")), COVERAGE, "users"}


def test_it_is_the_metric_it_says(books: Interactions) -> None:
    histories, n_items = books.matrix(), len(books.items)
    asked = evaluate.ask(histories, np.arange(40, dtype=np.int32), 5, 1)
    retriever = constant(n_items)
    found = evaluate.evaluate(retriever, asked, n_items)
    answers = [hits.items for hits in retriever.retrieve([each.given for each in asked], 100)]
    pairs = [(ranked, each.targets) for ranked, each in zip(answers, asked, strict=True) if each.user == 7]
    assert found.per_user["recall@20"][7] == pytest.approx(np.mean([metrics.recall(*pair, 20) for pair in pairs]))
    assert found.per_user["recall@50"][7] == pytest.approx(np.mean([metrics.recall(*pair, 50) for pair in pairs]))


def test_users_without_two_items_are_not_asked() -> None:
    histories = csr_array(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], np.float32))
    asked = evaluate.ask(histories, rows(0, 1, 2), 5, 1)
    assert [each.user for each in asked] == [1, 1]
    with pytest.raises(DataError, match="no held-out user has two items or more"):
        evaluate.ask(histories, rows(0, 2), 5, 1)


def test_the_error_of_a_single_user_is_unknown() -> None:
    assert np.isnan(evaluate.standard_error(np.array([0.5])))
