"""Metrics against tables worked out by hand, an independent library, and what must hold for any list."""

import math
from collections.abc import Sequence

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import P, Qrel, R, ScoredDoc, nDCG

from training import evaluate, metrics, split
from training.evaluate import DEPTH
from training.interactions import Interactions
from training.models import popularity

RANKED = [7, 3, 9, 1, 5]
D = {rank: 1 / math.log2(1 + rank) for rank in range(1, 6)}

TABLE = [
    # targets, n, recall, calibrated recall, ndcg
    ([7], 1, 1.0, 1.0, 1.0),
    ([3], 1, 0.0, 0.0, 0.0),
    ([3], 2, 1.0, 1.0, D[2] / D[1]),
    ([7, 9], 3, 1.0, 1.0, (D[1] + D[3]) / (D[1] + D[2])),
    ([1, 3, 8], 5, 2 / 3, 2 / 3, (D[2] + D[4]) / (D[1] + D[2] + D[3])),
    ([1, 3, 8], 2, 1 / 3, 1 / 2, D[2] / (D[1] + D[2])),  # two places: two targets can be found, of three
    ([1, 3, 5, 7, 9], 5, 1.0, 1.0, 1.0),
    ([1, 3, 5, 7, 9], 2, 2 / 5, 1.0, 1.0),
    ([8], 5, 0.0, 0.0, 0.0),
    ([5], 100, 1.0, 1.0, D[5]),  # a list shorter than n
]

Lists = Sequence[Sequence[int]]


def found(ranked: Lists, targets: Lists) -> tuple[metrics.Found, np.ndarray]:
    depth = max(map(len, ranked))
    table = np.full((len(ranked), depth), metrics.NOTHING, np.int32)
    for row, items in enumerate(ranked):
        table[row, : len(items)] = items
    wanted = np.array([item for items in targets for item in sorted(items)], np.int32)
    sizes = np.array([len(items) for items in targets], np.int64)
    return metrics.find(table, wanted, sizes), sizes


@pytest.mark.parametrize(("targets", "n", "recall", "calibrated", "ndcg"), TABLE)
def test_hand_computed(targets: list[int], n: int, recall: float, calibrated: float, ndcg: float) -> None:
    hits = found([RANKED], [targets])
    assert metrics.recall(*hits, n) == pytest.approx([recall])
    assert metrics.calibrated_recall(*hits, n) == pytest.approx([calibrated])
    assert metrics.ndcg(*hits, n) == pytest.approx([ndcg])


def test_many_lists_are_judged_as_each_alone() -> None:
    hits = found([RANKED] * len(TABLE), [targets for targets, *_ in TABLE])
    for n in (1, 2, 3, 5):
        alone = [metrics.ndcg(*found([RANKED], [targets]), n)[0] for targets, *_ in TABLE]
        assert metrics.ndcg(*hits, n).tolist() == pytest.approx(alone)


def test_penalised_recall_by_hand() -> None:
    popularity = np.array([0, 1, 4, 16], np.float32)
    worth = metrics.worth(popularity, 0.5)
    assert worth.tolist() == [1, 1, 0.5, 0.25, 1]  # nobody counts as one; the last is of unknown items
    ranked = np.array([[3, 2, metrics.NOTHING], [0, 1, 2]], np.int32)
    sizes = np.array([2, 2])
    hits = metrics.find(ranked, np.array([2, 3, 2, 9], np.int32), sizes)
    totals = np.array([0.75, 1.5])
    shown = metrics.worth_of(worth, ranked)
    assert metrics.penalised_recall(hits, shown, totals, 1) == pytest.approx([1 / 3, 0])
    assert metrics.penalised_recall(hits, shown, totals, 3) == pytest.approx([1, 1 / 3])
    even = metrics.worth_of(metrics.worth(popularity, 0), ranked)
    assert metrics.penalised_recall(hits, even, sizes.astype(float), 3) == pytest.approx([1, 1 / 2])


unique = st.lists(st.integers(0, 40), unique=True, max_size=30)
some = st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=30)


@given(st.lists(st.tuples(unique, some), min_size=1, max_size=8))
def test_what_is_found_is_what_sets_share(pairs: list[tuple[list[int], list[int]]]) -> None:
    hits, _ = found([ranked for ranked, _ in pairs], [targets for _, targets in pairs])
    for row, (ranked, targets) in zip(hits, pairs, strict=True):
        assert row.tolist() == [item in set(targets) for item in ranked] + [False] * (len(row) - len(ranked))


@given(unique, some, st.integers(1, 35))
def test_between_nothing_and_everything(ranked: list[int], targets: list[int], n: int) -> None:
    for judge in (metrics.recall, metrics.calibrated_recall, metrics.ndcg):
        (value,) = judge(*found([ranked], [targets]), n)
        assert 0 <= value <= 1 + 1e-12
        assert (value == 0) == (not set(ranked[:n]) & set(targets))
        # the targets themselves, in any order, are a perfect list
        (best,) = judge(*found([targets[::-1]], [targets]), n)
        assert best == pytest.approx(1 if judge is not metrics.recall else min(n, len(targets)) / len(targets))


@given(unique, some, st.integers(1, 35))
def test_a_hit_is_worth_more_further_up(ranked: list[int], targets: list[int], n: int) -> None:
    better = sorted(ranked, key=lambda item: item not in targets)
    for judge in (metrics.recall, metrics.calibrated_recall, metrics.ndcg):
        assert judge(*found([better], [targets]), n)[0] >= judge(*found([ranked], [targets]), n)[0] - 1e-12


def test_coverage_is_a_share() -> None:
    assert metrics.coverage(np.array([True, False, False, True])) == 0.5


def test_an_independent_library_agrees_on_real_answers(books: Interactions) -> None:
    histories = books.matrix()
    asked = evaluate.ask(histories, np.arange(60, dtype=np.int32), 5, 1)
    model = popularity.fit(histories, popularity.Settings(), 0)
    answers = [hits.items.tolist() for hits in model.retriever(None).retrieve([q.given for q in asked], DEPTH)]
    # a few short lists, and one without an answer
    answers = [items[: 3 * row] if row < 8 else items for row, items in enumerate(answers)]
    judged = _independent(asked, answers)
    hits, sizes = found(answers, [each.targets.tolist() for each in asked])
    assert metrics.recall(hits, sizes, 20).tolist() == pytest.approx(judged["R@20"])
    assert metrics.ndcg(hits, sizes, 20).tolist() == pytest.approx(judged["nDCG@20"])
    assert metrics.ndcg(hits, sizes, 100).tolist() == pytest.approx(judged["nDCG@100"])
    precision = np.array(judged["P@20"]) * 20 / np.minimum(20, sizes)
    assert metrics.calibrated_recall(hits, sizes, 20).tolist() == pytest.approx(precision.tolist())


def _independent(asked: Sequence[split.Question], answers: Lists) -> dict[str, list[float]]:
    """What ir-measures (trec_eval) says, by measure, in the order of the questions."""
    wanted = [Qrel(str(q), str(item), 1) for q, each in enumerate(asked) for item in each.targets.tolist()]
    ranked = [ScoredDoc(str(q), str(item), -rank) for q, items in enumerate(answers) for rank, item in enumerate(items)]
    measures = [R @ 20, nDCG @ 20, nDCG @ 100, P @ 20]
    values = {(str(m.measure), int(m.query_id)): m.value for m in ir_measures.iter_calc(measures, wanted, ranked)}
    return {str(m): [values[str(m), q] for q in range(len(asked))] for m in measures}
