"""Which users train, which users choose, which users judge; and the folds of a judging user's history.

User split: a held-out user takes no part in training at all; the model sees a part of the history as input and is
asked for the rest. True folds: the history is cut into `n_folds` disjoint parts, fold f asks for part f given all the
others, so every interaction is a target exactly once. (Drawing the folds with replacement, as the reference code does
by an argument in the wrong place, asks for fewer and overlapping targets: its figures do not compare.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from index.types import Int32
from training.errors import DataError

VALIDATION_SEED = 0
"""Draws the validation users of every fit and of `groups`, whatever the other seeds: who chooses never judges."""
LEAST_VALIDATION = 20
"""Users who validate, where there are four times as many."""
NOBODY = (
    "no held-out user has two items or more, so nothing can be evaluated; hold out more users "
    "(evaluation.validation_share), or leave out users with one item (--min-user-support 2)"
)
"""Why nothing can be asked."""


@dataclass(frozen=True)
class Split:
    """Disjoint groups of user rows that together are all users; each ascending."""

    train: Int32
    """Users the weights are fitted to."""
    validation: Int32
    """Users that stop the training and choose settings."""
    test: Int32
    """Users that nothing is chosen on; may be empty."""


class Question(NamedTuple):
    """One fold of one user."""

    user: int
    """Row of the user."""
    given: Int32
    """Items shown to the model, ascending."""
    targets: Int32
    """Items it has to find, ascending; disjoint from `given`."""


def holdout(n_users: int, seed: int, *, share: float) -> Split:
    """Hold `share` of the users out for validation, none for test. Raises DataError below 2 users.

    At least LEAST_VALIDATION, unless these are more than a quarter of all: fewer choose by chance.
    """
    if n_users < 2:
        noun = "user" if n_users == 1 else "users"
        raise DataError(f"{n_users} {noun} cannot be split into training and validation; more are needed")
    order = np.random.default_rng(seed).permutation(n_users).astype(np.int32)
    n_validation = max(1, round(share * n_users), min(LEAST_VALIDATION, n_users // 4))
    return _split(order[n_validation:], order[:n_validation], order[:0])


def groups(n_users: int, seed: int, *, n_groups: int, test: float, validation: float) -> Iterator[Split]:
    """Yield splits with disjoint test users, a share `test` of all each, and the same validation users for every seed.

    So whatever is chosen on validation users, in any split, is chosen on users who never judge.
    """
    chosen = holdout(n_users, VALIDATION_SEED, share=validation)
    size = round(test * n_users)
    if size < 1:
        raise DataError(
            f"{n_users} users are too few to be cut into groups of test users, a share {test:g} of them each"
        )
    if n_groups * size > len(chosen.train):
        raise DataError(
            f"{n_groups} disjoint groups of {size} users do not fit into {len(chosen.train)}; ask for fewer"
        )
    order = np.random.default_rng(seed).permutation(chosen.train)
    for group in range(n_groups):
        judges = slice(group * size, (group + 1) * size)
        yield _split(np.delete(order, judges), chosen.validation, order[judges])


def questions(history: Int32, user: int, n_folds: int, seed: int) -> list[Question]:
    """Cut one history into min(n_folds, its length) disjoint folds; a history of one item asks nothing."""
    n = min(n_folds, len(history))
    if n < 2:
        return []
    shuffled = np.random.default_rng((seed, user)).permutation(history)
    parts = [np.sort(shuffled[fold::n]) for fold in range(n)]
    return [
        Question(user, np.sort(np.concatenate([*parts[:fold], *parts[fold + 1 :]])), parts[fold]) for fold in range(n)
    ]


def _split(train: Int32, validation: Int32, test: Int32) -> Split:
    if not len(train):
        raise DataError("no users are left to train on; hold out fewer")
    return Split(np.sort(train), np.sort(validation), np.sort(test))
