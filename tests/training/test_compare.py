"""Comparisons: a test user judges once per seed, differences are paired, the table says what the figures say."""

from dataclasses import replace

import numpy as np
import pytest

from training import compare, recipe
from training.errors import TrainingError
from training.evaluate import COVERAGE, MAIN, METRICS, Evaluation
from training.figures import PerUser
from training.interactions import Interactions, LoadReport
from training.later import Data, align
from training.protocols import Protocol
from training.trials import Trial

FOLDS = Protocol("folds")
FACTS = {"best_epoch": 3, "shrinkage": 0.0, "validation": 0.5, "values_per_item": None, "seconds": 2.0}
FACTS |= {"training_seconds": 1.0}


def trial(name: str, seed: int, users: list[int], values: list[float]) -> Trial:
    figure = PerUser(np.array(users, np.int32), np.array(values), np.ones(len(users)))
    judged = Evaluation(dict.fromkeys(METRICS, figure), 0.5, len(users))
    return Trial(name, seed, 0, judged, FACTS)


def held_out(data: Interactions) -> Data:
    return Data(data, LoadReport("books", 0, (), len(data.user), len(data.users), len(data.items)), None)


def test_figures_by_hand() -> None:
    done = [
        trial("a", 0, [1, 2], [0.4, 0.8]),
        trial("a", 1, [2, 3], [0.6, 0.2]),
        trial("b", 0, [1, 2], [0.1, 0.4]),
        trial("b", 1, [2, 3], [0.4, 0.2]),
    ]
    recipes = {"a": recipe.load("elsa"), "b": recipe.load("popularity")}
    document = compare.report(done, recipes, "b", {"dataset": "by hand"})
    figure = document["figures"]["a"][MAIN]
    assert figure["seeds"] == pytest.approx([0.6, 0.4])
    assert figure["mean"] == pytest.approx(0.5)
    assert figure["spread_over_seeds"] == pytest.approx(np.std([0.6, 0.4], ddof=1))
    # by user, over the seeds in which the user judged: a .4 .7 .2, b .1 .4 .2
    assert figure["standard_error_over_users"] == pytest.approx(np.std([0.4, 0.7, 0.2], ddof=1) / np.sqrt(3))
    difference = document["differences"]["a"][MAIN]
    assert difference["mean"] == pytest.approx(0.2)
    assert difference["standard_error"] == pytest.approx(np.std([0.3, 0.3, 0.0], ddof=1) / np.sqrt(3))
    assert difference["users"] == 3
    assert set(document["differences"]) == {"a"}
    assert document["figures"]["a"][COVERAGE]["mean"] == 0.5
    table = compare.markdown(document)
    assert "| a | - | 0.5000 (sd 0.1414) |" in table
    assert "| +0.2000 (0.1000) | 1.0 s |" in table


def test_one_seed_has_no_spread() -> None:
    done = [trial("a", 0, [1], [0.4])]
    document = compare.report(done, {"a": recipe.load("elsa")}, "a", {})
    assert document["figures"]["a"][MAIN]["spread_over_seeds"] is None
    assert document["figures"]["a"][MAIN]["standard_error_over_users"] is None
    assert "| a | - " + "| 0.4000 " * len(METRICS) + "| 0.500 | - | 1.0 s |" in compare.markdown(document)


def test_trials_on_real_books(books: Interactions) -> None:
    recipes = {
        "popularity": recipe.load("popularity"),
        "elsa": recipe.load("elsa", ["model.n_dims=32", "training.epochs=2", "training.batch_size=64"]),
    }
    told: list[str] = []
    done = list(compare.trials(held_out(books), recipes, FOLDS, seeds=2, groups=2, device="cpu", done=told.append))
    assert told == ["popularity", "elsa"] * 4
    for name in recipes:
        for seed in range(2):
            judges = np.concatenate([t.test.users for t in done if t.name == name and t.seed == seed])
            assert len(np.unique(judges)) == len(judges) == 60
    for one, other in zip(done[::2], done[1::2], strict=True):
        assert np.array_equal(one.test.users, other.test.users)
    document = compare.report(done, recipes, "popularity", {"dataset": "goodbooks"})
    assert document["machine"]["cores"] >= 1
    assert len(document["trials"]) == 8
    assert document["recipes"]["elsa"]["model"] == {"n_dims": 32}


def test_a_given_test_is_one_round_a_seed(books: Interactions) -> None:
    rng = np.random.default_rng(0)
    tests = rng.random(len(books.user)) < 0.2
    known, found = (
        replace(books, user=books.user[chosen], item=books.item[chosen], weight=books.weight[chosen])
        for chosen in (~tests, tests)
    )
    data = replace(held_out(known), later=align(known, found))
    recipes = {"popularity": recipe.load("popularity")}
    done = list(compare.trials(data, recipes, Protocol("given"), seeds=2, groups=5, device="cpu", done=lambda _: None))
    assert [(t.seed, t.group) for t in done] == [(0, 0), (1, 0)]
    assert done[0].test.users.tolist() == np.unique(found.user).tolist()
    assert done[0].facts["exam"]["protocol"] == "given"
    assert done[0].test.summary() == done[1].test.summary()  # popularity draws nothing


def test_recipes_that_hold_out_different_users_are_refused(books: Interactions) -> None:
    recipes = {"a": recipe.load("popularity"), "b": recipe.load("popularity", ["evaluation.validation_share=0.2"])}
    with pytest.raises(TrainingError, match=r"differ in evaluation.validation_share; only equal ones can be compared"):
        list(compare.trials(held_out(books), recipes, FOLDS, seeds=1, groups=1, device="cpu", done=lambda _: None))
    recipes = {"a": recipe.load("popularity"), "b": recipe.load("popularity", ["filters.min_user_support=9"])}
    with pytest.raises(TrainingError, match=r"differ in filters; only equal ones can be compared"):
        list(compare.trials(held_out(books), recipes, FOLDS, seeds=1, groups=1, device="cpu", done=lambda _: None))


def test_sparse_models_are_judged_with_int8_values_from_the_same_fit(books: Interactions) -> None:
    recipes = {name: recipe.load(name) for name in ("popularity", "pruned-ease")}
    told: list[str] = []
    found = list(
        compare.trials(held_out(books), recipes, FOLDS, seeds=1, groups=1, int8=True, device="cpu", done=told.append)
    )
    assert [each.name for each in found] == ["popularity", "pruned-ease", "pruned-ease (int8)"]
    assert told == ["popularity", "pruned-ease"]
    exact, rounded = found[1:]
    assert exact.facts == rounded.facts
    assert exact.facts["values_per_item"] == pytest.approx(16, abs=0.5)
    assert found[0].facts["values_per_item"] is None
    assert rounded.test.mean(MAIN) == pytest.approx(exact.test.mean(MAIN), rel=0.02)
    assert rounded.test.mean(MAIN) != exact.test.mean(MAIN)
    document = compare.report(found, recipes, "pruned-ease", {})
    assert set(document["differences"]) == {"popularity", "pruned-ease (int8)"}
