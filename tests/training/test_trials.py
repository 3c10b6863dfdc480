"""Kept trials: what was judged before is not fitted again, and says the same; what decides differently is another."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import compare, recipe, trials
from training.errors import RunError
from training.evaluate import METRICS
from training.interactions import Interactions, LoadReport
from training.later import Data, align
from training.protocols import Protocol
from training.recipe import Recipe
from training.trials import Archive, Trial

FOLDS = Protocol("folds")
POPULARITY = {"popularity": recipe.load("popularity")}


@pytest.fixture
def data(books: Interactions) -> Data:
    loaded = LoadReport("books", 0, (), len(books.user), len(books.users), len(books.items))
    return Data(books, loaded, None)


def compared(data: Data, recipes: Mapping[str, Recipe], archive: Archive | None, **how: Any) -> list[Trial]:
    usual: dict[str, Any] = {"seeds": 2, "groups": 2, "device": "cpu", "done": lambda _: None}
    return list(compare.trials(data, recipes, FOLDS, archive=archive, **(usual | how)))


def assert_same(found: list[Trial], expected: list[Trial]) -> None:
    assert [(t.name, t.seed, t.group) for t in found] == [(t.name, t.seed, t.group) for t in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.test.summary() == other.test.summary()
        for metric in METRICS:
            for field in ("users", "values", "weights"):
                mine, theirs = (getattr(each.test.per_user[metric], field) for each in (one, other))
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)


def untimed(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if "seconds" not in name}


def test_a_kept_trial_is_read_back_as_it_was(data: Data, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "kept.trials")
    recipes = POPULARITY | {"pruned-ease": recipe.load("pruned-ease")}
    first = compared(data, recipes, archive, seeds=1, int8=True)
    assert [t.name for t in first[:3]] == ["popularity", "pruned-ease", "pruned-ease (int8)"]
    again = compared(data, recipes, archive, seeds=1, int8=True)
    assert_same(again, first)
    assert [t.facts for t in again] == [t.facts for t in first]  # also the times: nothing was fitted
    fresh = compared(data, recipes, None, seeds=1, int8=True)
    assert_same(again, fresh)
    assert [untimed(t.facts) for t in again] == [untimed(t.facts) for t in fresh]


def test_a_comparison_cut_short_goes_on(data: Data, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "kept.trials")
    cut = compare.trials(data, POPULARITY, FOLDS, seeds=2, groups=2, device="cpu", archive=archive, done=lambda _: None)
    begun = [next(cut), next(cut)]
    assert len(list(archive.directory.iterdir())) == 2
    whole = compared(data, POPULARITY, archive)
    assert [t.facts for t in whole[:2]] == [t.facts for t in begun]
    assert_same(whole, compared(data, POPULARITY, None))


def test_a_trial_is_known_under_another_name(data: Data, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "kept.trials")
    first = compared(data, POPULARITY, archive, seeds=1)
    renamed = compared(data, {"as usual": POPULARITY["popularity"]}, archive, seeds=1)
    assert [t.name for t in renamed] == ["as usual"] * 2
    assert [t.facts for t in renamed] == [t.facts for t in first]


def test_whatever_decides_makes_another_fingerprint(data: Data) -> None:
    later = align(data.known, data.known)
    chosen = POPULARITY["popularity"]
    others = [
        (replace(data, known=replace(data.known, item=data.known.item[::-1].copy())), chosen, FOLDS, 0.1, 0, False),
        (replace(data, later=later), chosen, FOLDS, 0.1, 0, False),
        (data, replace(chosen, training=replace(chosen.training, seed=7)), FOLDS, 0.1, 0, False),
        (data, chosen, Protocol("folds", n_folds=4), 0.1, 0, False),
        (data, chosen, FOLDS, 0.2, 0, False),
        (data, chosen, FOLDS, 0.1, 1, False),
        (data, chosen, FOLDS, 0.1, 0, True),
        (data, chosen, FOLDS, 0.1, 0, False),
    ]
    keys = {
        trials.fingerprint(each.fingerprint(), seeded, how, share, group, int8=int8)
        for each, seeded, how, share, group, int8 in others
    }
    assert len(keys) == len(others)


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign"])
def test_a_damaged_file_is_refused_by_name(data: Data, tmp_path: Path, damage: str) -> None:
    archive = Archive(tmp_path / "kept.trials")
    compared(data, POPULARITY, archive, seeds=1, groups=1)
    (path,) = archive.directory.iterdir()
    whole = path.read_bytes()
    if damage == "foreign":
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, something=np.zeros(3))
    else:
        path.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    with pytest.raises(RunError, match=rf"{path.name} is damaged .*; remove it, and it is measured again"):
        compared(data, POPULARITY, archive, seeds=1, groups=1)
