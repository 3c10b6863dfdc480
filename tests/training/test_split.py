"""Splits and folds are partitions, whatever the sizes and seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import split
from training.errors import DataError


@given(st.integers(2, 300), st.integers(0, 99), st.floats(0.01, 0.9))
def test_holdout_is_a_partition(n_users: int, seed: int, share: float) -> None:
    n_validation = max(1, round(share * n_users), min(split.LEAST_VALIDATION, n_users // 4))
    if n_validation >= n_users:
        with pytest.raises(DataError, match="no users are left to train on"):
            split.holdout(n_users, seed, share=share)
        return
    held = split.holdout(n_users, seed, share=share)
    assert len(held.validation) == n_validation
    assert not len(held.test)
    assert sorted([*held.train, *held.validation]) == list(range(n_users))
    again = split.holdout(n_users, seed, share=share)
    assert np.array_equal(held.validation, again.validation)


@given(st.integers(100, 200), st.integers(0, 99), st.integers(1, 7))
def test_groups_are_partitions_with_disjoint_judges(n_users: int, seed: int, n_groups: int) -> None:
    splits = list(split.groups(n_users, seed, n_groups=n_groups, test=0.1, validation=0.05))
    assert len(splits) == n_groups
    judges = np.concatenate([each.test for each in splits])
    assert len(np.unique(judges)) == len(judges) == n_groups * round(0.1 * n_users)
    for each in splits:
        assert sorted([*each.train, *each.validation, *each.test]) == list(range(n_users))


def test_users_who_choose_never_judge_whatever_the_seed() -> None:
    splits = [s for seed in range(5) for s in split.groups(200, seed, n_groups=9, test=0.1, validation=0.05)]
    for each in splits:
        assert np.array_equal(each.validation, splits[0].validation)
        assert not np.isin(each.test, each.validation).any()
    assert any(not np.array_equal(splits[0].test, each.test) for each in splits[9::9])


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"11 disjoint groups of 20 users do not fit into 180; ask for fewer"):
        list(split.groups(200, 0, n_groups=11, test=0.1, validation=0.05))


def test_groups_of_nobody_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"4 users are too few to be cut into groups of test users, a share 0.1 of them"
    ):
        list(split.groups(4, 0, n_groups=1, test=0.1, validation=0.05))


@pytest.mark.parametrize(("n_users", "n_validation"), [(2, 1), (7, 1), (30, 7), (80, 20), (300, 20), (2500, 125)])
def test_of_few_users_more_than_a_share_validate(n_users: int, n_validation: int) -> None:
    assert len(split.holdout(n_users, 0, share=0.05).validation) == n_validation


def test_one_user_cannot_be_split() -> None:
    with pytest.raises(DataError, match="more are needed"):
        split.holdout(1, 0, share=0.5)


@given(
    st.lists(st.integers(0, 500), unique=True, max_size=60), st.integers(2, 10), st.integers(0, 50), st.integers(0, 9)
)
def test_every_interaction_is_a_target_exactly_once(items: list[int], n_folds: int, user: int, seed: int) -> None:
    history = np.sort(np.array(items, np.int32))
    asked = split.questions(history, user, n_folds, seed)
    if len(history) < 2:
        assert asked == []
        return
    assert len(asked) == min(n_folds, len(history))
    targets = np.concatenate([each.targets for each in asked])
    assert sorted(targets) == sorted(items)
    sizes = [len(each.targets) for each in asked]
    assert max(sizes) - min(sizes) <= 1
    for each in asked:
        assert each.user == user
        assert len(each.given)
        assert sorted([*each.given, *each.targets]) == sorted(items)


def test_folds_depend_on_the_user_and_the_seed() -> None:
    history = np.arange(30, dtype=np.int32)
    first = [each.targets.tolist() for each in split.questions(history, 1, 5, 42)]
    assert first == [each.targets.tolist() for each in split.questions(history, 1, 5, 42)]
    assert first != [each.targets.tolist() for each in split.questions(history, 2, 5, 42)]
    assert first != [each.targets.tolist() for each in split.questions(history, 1, 5, 43)]
