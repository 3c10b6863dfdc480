"""Recipes: everything known, typed and bounded; whatever is written can be read again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import recipe
from training.errors import RecipeError
from training.models import compressed_elsa, elsa, registry


def test_the_bundled_recipes() -> None:
    loaded = {name: recipe.load(name) for name in recipe.names()}
    assert {each.model_name for each in loaded.values()} == set(registry.MODELS)
    assert loaded[recipe.DEFAULT].model == compressed_elsa.Settings()
    assert loaded["elsa"].model == elsa.Settings()
    assert isinstance(loaded["compressed-elsa"].training, recipe.Training)
    assert isinstance(loaded["elsa"].training, recipe.Training)
    assert loaded["compressed-elsa"].training.relative
    assert loaded["elsa"].training.epsilon == 1e-7
    assert loaded["elsa"].training.learning_rate == 0.1


@pytest.mark.parametrize(
    "name", sorted(str(path.relative_to(recipe.BUNDLED).with_suffix("")) for path in recipe.BUNDLED.rglob("*.toml"))
)
def test_a_resolved_recipe_is_a_recipe(name: str, tmp_path: Path) -> None:
    chosen = recipe.load(name, ["columns.user=reader", "filters.min_rating=3.5", "training.seed=7"])
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.resolved(chosen))
    assert recipe.load(str(path)) == chosen
    assert recipe.parse(recipe.as_document(chosen)) == chosen


@given(st.text(min_size=1).filter(str.strip), st.integers(0, 2**63 - 1), st.floats(1e-9, 1e5))
def test_any_value_survives(column: str, seed: int, rate: float) -> None:
    document = {
        "model_name": "elsa",
        "columns": {"user": column},
        "training": {"seed": seed, "learning_rate": rate},
    }
    chosen = recipe.parse(document)
    assert recipe.parse(recipe.as_document(chosen)) == chosen


def test_overrides() -> None:
    chosen = recipe.load(
        "compressed-elsa",
        [
            "model.k=32",
            "training.learning_rate=1",
            'columns.user="reader"',
            "columns.item=book",
        ],
    )
    assert chosen.model == compressed_elsa.Settings(k=32)
    assert isinstance(chosen.training, recipe.Training)
    assert chosen.training.learning_rate == 1.0
    assert (chosen.columns.user, chosen.columns.item) == ("reader", "book")
    assert recipe.load("elsa", ["output.shrinkage=[1]"]).output.shrinkage == (1.0,)


REFUSED = [
    ("model.kk=3", r"unknown key model.kk; known here: model.k, model.n_dims, model.schedule, model.start_k, .*"),
    ("modle.k=3", r"unknown key modle; known here: model_name, columns, filters, model, training, output, evaluation"),
    ("model.k=0", r"model.k is 0; it must be within 1..65536"),
    ("model.k=8.5", r"model.k is 8.5; an integer is expected"),
    ("model.k=true", r"model.k is True; an integer is expected"),
    ("model.k=many", r"model.k is 'many'; an integer is expected"),
    ("training.learning_rate=nan", r"training.learning_rate is nan; a number is expected"),
    ("training.learning_rate=0", r"training.learning_rate is 0; it must be within 1e-12..1e\+06"),
    ("columns.user=3", r"columns.user is 3; a text is expected"),
    ("columns.user=", r"columns.user is ''; a text is expected"),
    ("output.shrinkage=[]", r"output.shrinkage is \[\]; a list of numbers is expected"),
    ("output.shrinkage=3", r"output.shrinkage is 3; a list of numbers is expected"),
    ("output.shrinkage=[-1]", r"output.shrinkage is -1; it must be within 0..1e\+09"),
    ("evaluation.folds=1", r"evaluation.folds is 1; it must be within 2..100"),
    ("output.shrinkage=[1", r"\[1 is not a TOML value: .*"),
    ("k=3", r"override 'k=3' is not section.key=value"),
    ("model.k", r"override 'model.k' is not section.key=value"),
    ("a.b.c=3", r"override 'a.b.c=3' is not section.key=value"),
    ("model_name.x=3", r"override 'model_name.x=3': 'model_name' is not a section"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED)
def test_refused_overrides(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"^{message}$"):
        recipe.load("compressed-elsa", [override])


def test_a_key_that_the_model_has_no_use_for_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown key training.epochs; known here: training.seed"):
        recipe.load("popularity", ["training.epochs=3"])


def test_a_dense_model_needs_a_width() -> None:
    with pytest.raises(RecipeError, match=r"model.n_dims is 0; it must be within 1..65536"):
        recipe.load("elsa", ["model.n_dims=0"])


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'easy'; name one of .*popularity.*, or a"):
        recipe.load("easy")
    with pytest.raises(RecipeError, match="there is no recipe"):
        recipe.load(str(tmp_path / "mine.toml"))


def test_a_recipe_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("k = = 3")
    with pytest.raises(RecipeError, match=r"mine.toml is not TOML"):
        recipe.load(str(path))


def test_a_recipe_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[model]\nk = 3\n")
    with pytest.raises(RecipeError, match=r"model_name is None; the models are popularity, .*elsa"):
        recipe.load(str(path))
    path.write_text('model_name = "elsa"\nmodel = 3\n')
    with pytest.raises(RecipeError, match=r"model is 3; it is a section"):
        recipe.load(str(path))
