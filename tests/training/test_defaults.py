"""What a recipe leaves to the data."""

import numpy as np
import pytest

from training import defaults, recipe
from training.recipe import Training
from training.split import Split


@pytest.mark.parametrize(
    ("n_users", "size"), [(1, 16), (23, 16), (640, 16), (2375, 59), (10_239, 255), (10_240, 256), (10**7, 256)]
)
def test_epochs_have_forty_steps_where_that_leaves_batches_of_16_to_256(n_users: int, size: int) -> None:
    assert defaults.batch_size(Training(batch_size=0), n_users) == size


def test_what_a_recipe_says_stays() -> None:
    assert defaults.batch_size(Training(), 10) == 256
    assert defaults.batch_size(Training(batch_size=7), 10**6) == 7


def divided(n_train: int, n_validation: int) -> Split:
    order = np.arange(n_train + n_validation, dtype=np.int32)
    return Split(order[:n_train], order[n_train:], order[:0])


ENDS = "at most 30 epochs, ended by 3 without a better score"


def test_the_choice_is_told_with_its_reasons() -> None:
    assert defaults.told(recipe.load("compressed-elsa"), divided(2375, 125), 9882) == (
        "compressed-elsa: 125 of 2,500 users validate; 16 values per item; "
        "4,096 dimensions (near a third of 9,882 items, within 512..4,096); "
        f"59 users a step (41 steps an epoch); {ENDS}"
    )
    fixed = recipe.load("compressed-elsa", ["model.n_dims=256", "training.batch_size=100"])
    assert defaults.told(fixed, divided(190, 10), 9882) == (
        f"compressed-elsa: 10 of 200 users validate; 16 values per item; 100 users a step (2 steps an epoch); {ENDS}"
    )
    assert "; 16 users a step (1 step an epoch); " in defaults.told(recipe.load("compressed-elsa"), divided(9, 1), 99)
    assert defaults.told(recipe.load("popularity"), divided(190, 10), 99) == "popularity: 10 of 200 users validate"
