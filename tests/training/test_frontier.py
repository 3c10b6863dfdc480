"""The frontier: what is fitted, what is kept and not fitted again, figures by hand, and the picture."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.types import Array
from training import chart, curves, frontier, recipe, sweep
from training.__main__ import main
from training.errors import RunError, TrainingError
from training.figures import PerUser
from training.frontier import Study
from training.interactions import Interactions, LoadReport
from training.later import Data, align
from training.protocols import Protocol
from training.sweep import Sweep

SMALL = Sweep(k=(4, 8), n_dims=(8, 16), pq_bytes=(2,), l2_factors=(1.0, 2.0))
QUICK = {
    "item-knn": recipe.load("item-knn"),
    "elsa": recipe.load("elsa", ["training.epochs=1", "training.batch_size=64", "output.shrinkage=[0.0]"]),
    "popularity": recipe.load("popularity"),
}


PLAIN = {name: QUICK[name] for name in ("item-knn", "popularity")}


def study(books: Interactions, directory: Path, **changed: Any) -> Study:
    data = Data(books, LoadReport("books", 0, (), len(books.user), len(books.users), len(books.items)), None)
    made = Study(data, PLAIN, replace(SMALL, pq_bytes=()), Protocol("folds"), seeds=1, groups=1, directory=directory)
    return replace(made, **changed)


def measured(asked: Study) -> tuple[dict[str, Any], list[str]]:
    """The document, and what was fitted for it."""
    told: list[str] = []
    return frontier.measure(asked, frontier.open_points(asked), {}, device="cpu", done=told.append), told


def without_times(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {key: without_times(value) for key, value in found.items() if key != "seconds"}
    return [without_times(each) for each in found] if isinstance(found, list) else found


def test_candidates_of_every_kind_of_model() -> None:
    recipes = {name: recipe.load(name) for name in ("compressed-elsa", "sansa", "item-knn", "elsa", "ease", "ials")}
    made = sweep.tasks(recipes, SMALL)
    assert [(each.name, each.size) for each in made] == [
        ("compressed-elsa", 4), ("compressed-elsa", 8), ("sansa", 4), ("sansa", 8), ("item-knn", 4), ("item-knn", 8),
        ("elsa", 8), ("elsa", 16), ("ease", None), ("ials", None),
    ]  # fmt: skip
    by_name = {each.name: each.candidates for each in made}
    assert [each.model.l2 for each in by_name["sansa"]] == [recipes["sansa"].model.l2 * factor for factor in (1, 2)]
    assert [each.model.l2 for each in by_name["ease"]] == [recipes["ease"].model.l2 * factor for factor in (1, 2)]
    assert len(by_name["compressed-elsa"]) == 1
    assert {each.model.k for each in by_name["item-knn"]} == {8}
    powers = [
        (each.user_power, each.history_power, each.target_power) for each in (c.model for c in by_name["item-knn"])
    ]
    own = recipes["item-knn"].model
    assert powers[0] == (own.user_power, own.history_power, own.target_power)
    assert set(powers) == {powers[0], *sweep.POWERS}
    assert len(powers) == len(set(powers))
    assert len({each.training for each in by_name["elsa"]}) == len(sweep.RATES)


def test_figures_of_real_books(books: Interactions, tmp_path: Path) -> None:
    asked = study(books, tmp_path / "deep" / "out", recipes=QUICK)
    document, told = measured(asked)
    assert told == ["item-knn 4", "item-knn 8", "elsa 8", "elsa 16", "popularity"]
    assert json.loads((asked.directory / frontier.FILE).read_bytes()) == document
    assert document["about"]["users"] == [30]
    knn, elsa = document["curves"]["item-knn"], document["curves"]["elsa"]
    assert list(knn) == ["f32+32", "f32+16", "int8+16"]
    assert [each["bytes"] for each in elsa["f16"]] == [16, 32]
    for one, other in zip(knn["f32+32"], knn["f32+16"], strict=True):
        assert 6 * one["bytes"] == pytest.approx(8 * other["bytes"])
        assert one["ndcg@100"] == other["ndcg@100"]
        assert one["bytes"] <= 8 * one["size"]
    assert knn["f32+32"][0]["touched"] < knn["f32+32"][1]["touched"]
    assert document["curves"]["popularity"]["line"][0]["touched"] is None
    (point,) = (each for each in document["points"].values() if (each["name"], each["size"]) == ("item-knn", 8))
    best = max(point["candidates"], key=lambda each: each["validation"])
    assert point["recipe"]["model"] == best["model"]
    assert point["forms"][0]["validation"] == pytest.approx(best["validation"])
    assert "| item-knn | 4 | int8+16 |" in curves.markdown(document)


def test_what_is_measured_is_not_measured_again(books: Interactions, tmp_path: Path) -> None:
    before, _ = measured(study(books, tmp_path))
    again, told = measured(study(books, tmp_path))
    assert told == []
    assert again == before
    wider, told = measured(study(books, tmp_path, sweep=replace(SMALL, k=(4, 8, 12), pq_bytes=())))
    assert told == ["item-knn 12"]
    assert [each["size"] for each in wider["curves"]["item-knn"]["f32+32"]] == [4, 8, 12]
    narrow, told = measured(study(books, tmp_path, sweep=replace(SMALL, k=(4,), pq_bytes=())))
    assert told == []
    assert [each["size"] for each in narrow["curves"]["item-knn"]["f32+32"]] == [4]
    assert len(narrow["points"]) == 4  # what is not drawn now is kept
    others = {**PLAIN, "item-knn": recipe.load("item-knn", ["output.shrinkage=[0.0, 1.0]"])}
    _, told = measured(study(books, tmp_path, recipes=others))
    assert told == ["item-knn 4", "item-knn 8"]


def test_an_interrupted_measurement_goes_on(books: Interactions, tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        if name == "item-knn 4":
            raise KeyboardInterrupt

    asked = study(books, tmp_path / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        frontier.measure(asked, {}, {}, device="cpu", done=interrupt)
    document, told = measured(asked)
    assert told == ["item-knn 8", "popularity"]
    undisturbed, _ = measured(study(books, tmp_path / "undisturbed"))
    assert without_times(document) == without_times(undisturbed)


def test_several_seeds_and_groups(books: Interactions, tmp_path: Path) -> None:
    only = {"popularity": QUICK["popularity"]}
    document, told = measured(study(books, tmp_path, recipes=only, seeds=2, groups=2))
    assert told == ["popularity"] * 4
    assert document["about"]["users"] == [30] * 4
    means = [
        curves.pooled([document["points"][f"popularity/None/{seed}/{group}"]["forms"][0]["test"] for group in (0, 1)],
                        "ndcg@100")[0]
        for seed in (0, 1)
    ]  # fmt: skip
    (point,) = document["curves"]["popularity"]["line"]
    assert point["ndcg@100"] == pytest.approx({"mean": np.mean(means), "error": np.std(means, ddof=1)})


def test_later_interactions_are_one_round_a_seed(books: Interactions, tmp_path: Path) -> None:
    tests = np.random.default_rng(0).random(len(books.user)) < 0.2
    known, found = (
        replace(books, user=books.user[chosen], item=books.item[chosen], weight=books.weight[chosen])
        for chosen in (~tests, tests)
    )
    made = study(books, tmp_path)
    asked = replace(
        made,
        data=replace(made.data, known=known, later=align(known, found)),
        recipes={"popularity": QUICK["popularity"]},
        protocol=Protocol("given"),
        groups=5,
    )
    document, told = measured(asked)
    assert told == ["popularity"]
    assert document["about"]["users"] == [len(np.unique(found.user))]
    other = replace(asked, data=replace(asked.data, later=align(known, known)))
    with pytest.raises(RunError, match="is of other data; name another --out"):
        frontier.open_points(other)


def test_what_cannot_be_fitted_is_left_out_and_told(books: Interactions, tmp_path: Path) -> None:
    wide = replace(SMALL, k=(4, 100_000), pq_bytes=())
    document, _ = measured(study(books, tmp_path, sweep=wide, recipes={"item-knn": QUICK["item-knn"]}))
    (told,) = document["left_out"]
    assert told.startswith("item-knn 100000: model.k is 100000; with so many items it must be within 1..")
    assert [each["size"] for each in document["curves"]["item-knn"]["f32+32"]] == [4]
    with pytest.raises(TrainingError, match=r"nothing could be fitted: model.k is 100000"):
        measured(study(books, tmp_path, sweep=replace(wide, k=(100_000,)), recipes={"item-knn": QUICK["item-knn"]}))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"points": {}}'])
def test_a_damaged_file_is_refused(books: Interactions, tmp_path: Path, content: str) -> None:
    (tmp_path / frontier.FILE).write_text(content)
    with pytest.raises(RunError, match=r"frontier.json is damaged .*; remove it, or name another --out"):
        frontier.open_points(study(books, tmp_path))


@given(
    npst.arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1)),
    st.lists(npst.arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1)), max_size=3),
)
def test_pooled_groups_are_as_one_group(first: Array, others: list[Array]) -> None:
    def figure(values: Array) -> PerUser:
        return PerUser(np.arange(len(values), dtype=np.int32), values, np.ones(len(values)))

    groups = [
        {"users": len(each), "m": figure(each).mean(), "m_se": figure(each).standard_error()}
        for each in (first, *others)
    ]
    together = figure(np.concatenate([first, *others]))
    mean, error = curves.pooled(groups, "m")
    assert mean == pytest.approx(together.mean())
    assert error == pytest.approx(together.standard_error(), abs=1e-9)


def point(size: int, forms: list[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    return {"name": "elsa", "size": size, "seed": seed, "group": 0, "forms": forms}


def form(accounting: str, size: float, validation: float, value: float, touched: float | None = 7) -> dict[str, Any]:
    test = {"users": 2, **dict.fromkeys(curves.DRAWN, value), **{f"{name}_se": 0.1 for name in curves.DRAWN}}
    return {"bytes": {accounting: size}, "bytes_beside": 4, "touched": touched, "validation": validation, "test": test}


def test_pq_is_of_the_width_that_validation_users_find_best() -> None:
    points = [
        point(8, [form("f32", 32, 0.2, 0.9), form("pq", 4, 0.3, 0.5)]),
        point(16, [form("f32", 64, 0.1, 0.8), form("pq", 4, 0.4, 0.2), form("pq", 8, 0.5, 0.3)]),
    ]
    drawn = curves.by_recipe(points)["elsa"]
    assert [(each["bytes"], each["size"]) for each in drawn["f32"]] == [(32, 8), (64, 16)]
    assert [(each["bytes"], each["size"], each["ndcg@100"]["mean"]) for each in drawn["pq"]] == [
        (4, 16, 0.2),
        (8, 16, 0.3),
    ]


DOCUMENT: dict[str, Any] = {
    "about": {"dataset": "by hand", "protocol": "folds", "seeds": 1, "users": [250]},
    "curves": {
        **curves.by_recipe([point(8, [form("f32", 32, 0.2, 0.4), form("pq", 4, 0.1, 0.3)])]),
        "sansa": {"f32+32": curves.by_recipe([point(8, [form("f32", 60, 0.2, 0.5)])])["elsa"]["f32"]},
        "popularity": {"line": curves.by_recipe([point(8, [form("line", 0, 0.2, 0.1, None)])])["elsa"]["line"]},
    },
}


def test_the_picture_shows_every_curve_in_both_metrics(tmp_path: Path) -> None:
    made = chart.figure(DOCUMENT)
    assert made.get_suptitle() == (
        "by hand, protocol folds: 1 seed x 1 group of 250 test users; bars: standard error over users"
    )
    by_bytes, by_work, *_ = made.axes
    assert len(made.axes) == 4
    assert len(by_bytes.containers) == len(by_work.containers) == 2  # elsa as f32, sansa: with error bars
    assert len(by_bytes.lines) == len(by_work.lines) + 1  # elsa as pq
    assert by_bytes.get_xscale() == by_work.get_xscale() == "log"
    assert [text.get_text() for text in by_bytes.texts] == ["elsa", "sansa"]
    assert [text.get_text() for text in by_work.texts] == ["elsa", "sansa", "popularity"]
    legend = [text.get_text() for text in made.legends[0].get_texts()]
    assert legend == ["8 bytes a non-zero; dense f32", "product quantisation"]
    chart.draw(DOCUMENT, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_names_of_curves_that_end_together_are_parted() -> None:
    ends = {f"model {n}": curves.by_recipe([point(8, [form("f32", 32, 0.2, 0.4)])])["elsa"] for n in range(9)}
    made = chart.figure({**DOCUMENT, "curves": ends})
    for axes in made.axes:
        extents = sorted((each.get_window_extent() for each in axes.texts), key=lambda each: each.y0)
        assert len(extents) == 9
        assert all(below.y1 <= above.y0 for below, above in pairwise(extents))


def test_the_title_tells_several_seeds() -> None:
    about = {"dataset": "d", "protocol": "folds", "seeds": 2, "users": [250] * 6}
    assert chart.title(about) == "d, protocol folds: 2 seeds x 3 groups of 250 test users; bars: sd over seeds"


def test_without_matplotlib_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TrainingError, match=r"drawn with matplotlib, which is not installed: pip install "):
        chart.require_matplotlib()


def test_the_command_draws_and_tells(
    books_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparrow-train", "frontier", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    asked = ("--interactions", books_file, "--recipes", "item-knn,popularity", "--out", tmp_path / "out")
    code, out, err = run(*asked, "--k", "4,100000")
    assert code == 0
    assert "| item-knn | 4 | f32+32 | 32 |" in out
    assert "left out: item-knn 100000: model.k is 100000" in err
    assert (tmp_path / "out" / "frontier.png").stat().st_size > 10_000
    code, out, err = run(*asked, "--k", "4", "--json")
    document = json.loads(out)
    assert (code, document["about"]["dataset"], document["left_out"]) == (0, "likes.parquet", [])
    assert "fitting" not in err
    for wrong, message in (
        (("--k", "4,x"), "--k 4,x: numbers are expected, separated by commas"),
        (("--k", "0"), "--k 0: all numbers must be above 0"),
        (("--pq", "none", "--l2-factors", "-1"), "--l2-factors -1: all numbers must be above 0"),
        (("--dataset", "goodbooks"), "name either --interactions FILE or --dataset NAME"),
    ):
        code, _, err = run(*asked, *wrong)
        assert code == 2
        assert message in " ".join(err.replace("\u2502", "").split())
