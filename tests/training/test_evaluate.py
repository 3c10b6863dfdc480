"""Evaluation: sparse and dense answers agree, figures are means over users, errors are those of the mean."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Float32
from index.vocabulary import Vocabulary
from training import evaluate
from training.errors import DataError
from training.evaluate import COVERAGE, MAIN, PENALISED, DenseRetriever, SparseRetriever
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


def test_figures_are_means_over_questions_and_then_over_users() -> None:
    asked = [
        Question(4, rows(0), rows(1)),  # first
        Question(4, rows(0), rows(5)),  # fifth, as 0 is left out
        Question(9, rows(1), rows(0)),  # first
    ]
    found = evaluate.evaluate(constant(200), asked, np.ones(200, np.float32))
    assert found.users.tolist() == [4, 9]
    fifth = 1 / np.log2(6)
    np.testing.assert_allclose(found.per_user[MAIN].values, [(1 + fifth) / 2, 1])
    assert found.mean(MAIN) == pytest.approx((3 + fifth) / 4)
    assert found.coverage == pytest.approx(101 / 200)
    names = {n + e for n in evaluate.METRICS for e in ("", "_se")}
    assert set(found.summary()) == {*names, COVERAGE, "users", "questions"}
    assert found.summary()["questions"] == 3


def test_what_everybody_has_is_worth_less() -> None:
    popularity = np.ones(200, np.float32)
    popularity[:30] = 16
    asked = [Question(4, rows(9), rows(0, 50)), Question(4, rows(0), rows(1)), Question(9, rows(1), rows(60, 70))]
    found = evaluate.evaluate(constant(200), asked, popularity, beta=0.5)  # 16^-.5 = 1/4
    # user 4: found 0 (1/4) of 0 and 50 (1/4 + 1), found 1 of 1; user 9 found nothing of 2
    assert found.per_user[PENALISED].values.tolist() == pytest.approx([0.5 / 1.5, 0])
    assert found.per_user[PENALISED].weights.tolist() == pytest.approx([1.5, 2])
    assert found.mean(PENALISED) == pytest.approx(0.5 / 3.5)
    plain = evaluate.evaluate(constant(200), asked, popularity, beta=0)
    assert plain.mean(PENALISED) == pytest.approx(2 / 5)  # hits over all targets


def test_targets_beyond_the_catalogue_are_never_found_but_count() -> None:
    found = evaluate.evaluate(constant(200), [Question(0, rows(9), rows(0, 200, 777))], np.full(200, 16, np.float32))
    assert found.mean("recall@20") == pytest.approx(1 / 3)
    found = evaluate.evaluate(constant(3), [Question(0, rows(0), rows(3))], np.full(3, 16, np.float32))
    assert found.mean("recall@20") == 0
    assert found.per_user[PENALISED].weights.tolist() == [1]


def test_lists_are_judged_in_parts_as_they_are_at_once(books: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = evaluate.ask(books.matrix(), np.arange(30, dtype=np.int32), 5, 1)
    whole = evaluate.evaluate(constant(len(books.items)), asked, books.popularity())
    monkeypatch.setattr(evaluate, "_JUDGED", 7)
    parts = evaluate.evaluate(constant(len(books.items)), asked, books.popularity())
    assert parts.summary() == whole.summary()


def test_users_without_two_items_are_not_asked() -> None:
    histories = csr_array(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], np.float32))
    asked = evaluate.ask(histories, rows(0, 1, 2), 5, 1)
    assert [each.user for each in asked] == [1, 1]
    with pytest.raises(DataError, match="no held-out user has two items or more"):
        evaluate.ask(histories, rows(0, 2), 5, 1)
