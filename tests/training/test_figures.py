"""Figures of users: weighted means, their errors by hand and by simulation, pairs."""

import numpy as np
import pytest

from training import figures
from training.figures import PerUser


def per_user(values: list[float], weights: list[float] | None = None, users: list[int] | None = None) -> PerUser:
    rows = np.array(users or range(len(values)), np.int32)
    return PerUser(rows, np.array(values), np.array(weights or [1.0] * len(values)))


def test_with_equal_weights_it_is_the_mean_and_its_error() -> None:
    values = [0.25, 1.0, 0.5, 0.0]
    assert per_user(values).mean() == pytest.approx(0.4375)
    assert per_user(values).standard_error() == pytest.approx(np.std(values, ddof=1) / 2)
    assert per_user(values, [3.0] * 4).standard_error() == pytest.approx(np.std(values, ddof=1) / 2)


def test_the_error_of_a_single_user_is_unknown() -> None:
    assert per_user([0.5]).standard_error() is None


def test_a_quotient_by_hand() -> None:
    found = per_user([0.5, 1.0], [4.0, 1.0])
    assert found.mean() == pytest.approx(3 / 5)  # 2 of 4 and 1 of 1
    # residuals 4 (.5 - .6) = -.4 and 1 (1 - .6) = .4
    assert found.standard_error() == pytest.approx(np.sqrt(2 * 0.32) / 5)


def test_the_error_of_a_quotient_is_what_repetition_shows() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 9, (4000, 200)).astype(float)
    values = rng.binomial(weights.astype(int), 0.3 + 0.05 * (weights > 4)) / weights
    repeated = [per_user(list(v), list(w)) for v, w in zip(values, weights, strict=True)]
    true = np.std([each.mean() for each in repeated])
    assert np.mean([each.standard_error() for each in repeated[:200]]) == pytest.approx(true, rel=0.05)


def test_pairs_share_their_users() -> None:
    difference = per_user([0.5, 1.0, 0.0]).minus(per_user([0.25, 0.75, 0.0]))
    assert difference.values.tolist() == [0.25, 0.25, 0.0]
    assert difference.mean() == pytest.approx(0.5 / 3)
    with pytest.raises(ValueError, match="only figures of the same users can be paired"):
        per_user([0.5], users=[1]).minus(per_user([0.5], users=[2]))


def test_questions_become_users() -> None:
    users, values = np.array([4, 9, 4], np.int32), np.array([0.0, 0.5, 1.0])
    alike = figures.of_questions(users, values)
    assert (alike.users.tolist(), alike.values.tolist(), alike.weights.tolist()) == ([4, 9], [0.5, 0.5], [1, 1])
    weighted = figures.of_questions(users, values, np.array([3.0, 1.0, 1.0]))
    assert (weighted.values.tolist(), weighted.weights.tolist()) == ([0.25, 0.5], [4, 1])


def test_a_user_of_several_groups_counts_once() -> None:
    joined = figures.joined([per_user([0.2, 0.4], [2, 1], [1, 2]), per_user([1.0, 0.0], [3, 1], [2, 3])])
    assert joined.users.tolist() == [1, 2, 3]
    assert joined.values.tolist() == pytest.approx([0.2, 0.85, 0.0])
    assert joined.weights.tolist() == [2, 2, 1]
