"""Metrics against tables worked out by hand, and what must hold for any list."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics

RANKED = np.array([7, 3, 9, 1, 5], np.int32)
D = {rank: 1 / math.log2(1 + rank) for rank in range(1, 6)}

TABLE = [
    # targets, n, recall, ndcg
    ([7], 1, 1.0, 1.0),
    ([3], 1, 0.0, 0.0),
    ([3], 2, 1.0, D[2] / D[1]),
    ([7, 9], 3, 1.0, (D[1] + D[3]) / (D[1] + D[2])),
    ([3, 1, 8], 5, 2 / 3, (D[2] + D[4]) / (D[1] + D[2] + D[3])),
    ([3, 1, 8], 2, 1 / 2, D[2] / (D[1] + D[2])),  # calibrated: two places, so two targets can be found
    ([7, 3, 9, 1, 5], 5, 1.0, 1.0),
    ([8], 5, 0.0, 0.0),
    ([5], 100, 1.0, D[5]),  # a list shorter than n
]


@pytest.mark.parametrize(("targets", "n", "recall", "ndcg"), TABLE)
def test_hand_computed(targets: list[int], n: int, recall: float, ndcg: float) -> None:
    wanted = np.array(targets, np.int32)
    assert metrics.recall(RANKED, wanted, n) == pytest.approx(recall)
    assert metrics.ndcg(RANKED, wanted, n) == pytest.approx(ndcg)


lists = st.lists(st.integers(0, 40), unique=True, max_size=30).map(lambda values: np.array(values, np.int32))
targets_ = st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=30).map(lambda v: np.array(v, np.int32))


@given(lists, targets_, st.integers(1, 35))
def test_between_nothing_and_everything(ranked: np.ndarray, targets: np.ndarray, n: int) -> None:
    for judge in (metrics.recall, metrics.ndcg):
        value = judge(ranked, targets, n)
        assert 0 <= value <= 1 + 1e-12
        assert (value == 0) == (not set(ranked[:n].tolist()) & set(targets.tolist()))
        # the targets themselves, in any order, are a perfect list
        assert judge(targets[::-1], targets, n) == pytest.approx(1)


@given(lists, targets_, st.integers(1, 35))
def test_a_hit_is_worth_more_further_up(ranked: np.ndarray, targets: np.ndarray, n: int) -> None:
    hits = np.isin(ranked, targets)
    better = np.concatenate([ranked[hits], ranked[~hits]])
    assert metrics.ndcg(better, targets, n) >= metrics.ndcg(ranked, targets, n) - 1e-12
    assert metrics.recall(better, targets, n) >= metrics.recall(ranked, targets, n)


def test_coverage_counts_each_item_once() -> None:
    shown = [np.array([0, 1], np.int32), np.array([1, 2], np.int32), np.array([], np.int32)]
    assert metrics.coverage(shown, 10) == pytest.approx(0.3)
    assert metrics.coverage([], 10) == 0
