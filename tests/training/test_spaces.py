"""What a search tries: ranges and choices as they are written, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from training import recipe, spaces
from training.errors import RecipeError
from training.models import compressed_elsa, registry
from training.recipe import Training

BASE = recipe.load("compressed-elsa")


def test_ranges_are_of_the_kind_of_their_key() -> None:
    space = spaces.parse(BASE, ["model.k=8..32", "model.n_dims=512..4096:log", "training.learning_rate=1..10:log"])
    assert space == {
        "model.k": IntDistribution(8, 32),
        "model.n_dims": IntDistribution(512, 4096, log=True),
        "training.learning_rate": FloatDistribution(1.0, 10.0, log=True),
    }
    assert spaces.parse(BASE, [" training.epsilon = 0..1e-3 "]) == {"training.epsilon": FloatDistribution(0.0, 0.001)}


def test_choices_are_of_the_kind_of_their_key() -> None:
    searches = ["model.k=8, 16", "training.relative=true,false", "model.schedule=halving,linear", "training.epsilon=1"]
    space = spaces.parse(BASE, searches)
    assert {name: each.choices for name, each in space.items() if isinstance(each, CategoricalDistribution)} == {
        "model.k": (8, 16),
        "training.relative": (True, False),
        "model.schedule": ("halving", "linear"),
        "training.epsilon": (1.0,),
    }


@given(
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.floats(0.001, 1e4).map(lambda each: float(f"{each:.6g}")),
    st.booleans(),
    st.lists(st.integers(1, 65_536), min_size=1, max_size=5, unique=True),
)
def test_what_is_described_is_parsed_to_the_same(low: int, more: int, rate: float, log: bool, dims: list[int]) -> None:
    space: dict[str, spaces.Distribution] = {
        "model.k": IntDistribution(low, low + more, log=log),
        "training.learning_rate": FloatDistribution(rate, 2 * rate, log=log),
        "model.n_dims": CategoricalDistribution(dims),
        "model.restart": CategoricalDistribution((True, False)),
    }
    assert spaces.parse(BASE, spaces.described(space)) == space


REFUSED = [
    ("model.kk=1..3", r"unknown key model.kk; known here: model.k, .*"),
    ("model.l2=1..3", r"unknown key model.l2; known here: model.k, .*"),
    ("model.k", r"search 'model.k' is not section.key=LOW..HIGH, section.key=LOW..HIGH:log or section.key=VALUE,VALUE"),
    ("k=1..3", r"search 'k=1..3' is not section.key=LOW..HIGH, .*"),
    ("a.b.c=1..3", r"search 'a.b.c=1..3' is not section.key=LOW..HIGH, .*"),
    ("filters.min_rating=1..3", r"filters.min_rating is not searched; keys of \[model\] and \[training\] are, .*"),
    ("evaluation.folds=2..3", r"evaluation.folds is not searched; .*"),
    ("training.seed=1..3", r"training.seed is not searched; .* but for the seed"),
    ("model.k=16..8", r"model.k=16..8: the range is empty; the lower end comes first"),
    ("model.k=8..8", r"model.k=8..8: the range is empty; .*"),
    ("model.k=0..8", r"model.k is 0; it must be within 1..65536"),
    ("model.k=1..8.5", r"model.k is 8.5; an integer is expected"),
    ("model.k=1e2..200", r"model.k is 100.0; an integer is expected"),
    ("model.n_dims=0..8:log", r"model.n_dims=0..8:log: a logarithmic range begins above 0"),
    ("training.epsilon=0..1:log", r"training.epsilon=0..1:log: a logarithmic range begins above 0"),
    ("training.epsilon=1..2:linear", r"training.epsilon=1..2:linear: 'linear' is no scale; LOW..HIGH:log is the .*"),
    ("training.learning_rate=nan..2", r"training.learning_rate is nan; a number is expected"),
    ("training.learning_rate=1..inf", r"training.learning_rate is inf; a number is expected"),
    ("training.learning_rate=1..", r"training.learning_rate is '1..'; a number is expected"),
    ("training.learning_rate=low..high", r"training.learning_rate is 'low..high'; a number is expected"),
    ("model.schedule=1..3", r"model.schedule is 1; it is one of 'halving', .*"),
    ("model.schedule=halving,quick", r"model.schedule is 'quick'; it is one of 'halving', .*"),
    ("model.restart=0..1", r"model.restart is 0; true or false is expected"),
    ("model.k=", r"model.k= names no value to try; it is model.k=LOW..HIGH or model.k=VALUE,VALUE"),
    ("model.k=8,,16", r"model.k is ''; an integer is expected"),
    ("model.k=8,16,8", r"model.k=8,16,8: a value is named twice"),
    ("model.k=[8,16]", r"\[8 is not a TOML value: .*"),
]


@pytest.mark.parametrize(("search", "message"), REFUSED)
def test_refused_searches(search: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"^{message}$"):
        spaces.parse(BASE, [search])


def test_a_key_is_searched_once() -> None:
    with pytest.raises(RecipeError, match=r"^model.k is searched twice; say once what is tried$"):
        spaces.parse(BASE, ["model.k=8,16", "model.k=1..3"])


def test_a_model_without_steps_has_none_to_search() -> None:
    with pytest.raises(RecipeError, match=r"^unknown key training.learning_rate; known here: training.seed$"):
        spaces.parse(recipe.load("ease"), ["training.learning_rate=1..3"])


@pytest.mark.parametrize("name", [name for name, searches in spaces.USUAL.items() if searches])
def test_the_usual_searches(name: str) -> None:
    assert name in registry.MODELS
    base = recipe.load(name)
    space = spaces.usual(base)
    assert len(space) == len(spaces.USUAL[name])
    assert spaces.parse(base, spaces.described(space)) == space


def test_what_is_set_is_not_searched() -> None:
    assert "model.n_dims" not in spaces.usual(BASE, ["model.n_dims", "model.k"])
    relative = recipe.load("compressed-elsa", ["training.relative=true"])
    assert "training.epsilon" in spaces.usual(relative, ["training.relative"])
    # the usual ranges say nothing about absolute rates
    absolute = spaces.usual(recipe.load("compressed-elsa", ["training.relative=false"]), ["training.relative"])
    assert not {"training.learning_rate", "training.epsilon", "training.relative"} & set(absolute)


def test_nothing_to_search() -> None:
    for name, fixed in (("popularity", []), ("ease", ["model.l2"])):
        with pytest.raises(RecipeError, match=f"^there is no usual search for {name} beside what is set; name keys by"):
            spaces.usual(recipe.load(name), fixed)


def test_a_candidate_is_the_recipe_with_other_values() -> None:
    space = spaces.parse(BASE, ["model.k=1..20000", "training.learning_rate=1..2", "training.epsilon=0.1234..0.1236"])
    values = {"model.k": 12345, "training.learning_rate": 1.23456, "training.epsilon": 0.12345}
    found = spaces.candidate(BASE, space, values)
    assert found.model == compressed_elsa.Settings(k=12345)
    assert isinstance(found.training, Training)
    assert (found.training.learning_rate, found.training.epsilon) == (1.23, 0.12345)
    assert found.output == BASE.output
    assert spaces.value(found, "model.k") == 12345


def test_few_combinations_are_all_tried() -> None:
    space = spaces.parse(BASE, ["model.k=8..11", "model.restart=true,false", "training.relative=true"])
    assert spaces.size(space) == 8
    listed = spaces.shuffled(space, 3)
    assert {(each["model.k"], each["model.restart"], each["training.relative"]) for each in listed} == {
        (k, restart, True) for k in (8, 9, 10, 11) for restart in (True, False)
    }
    assert len(listed) == 8
    assert listed == spaces.shuffled(space, 3) != spaces.shuffled(space, 4)


@pytest.mark.parametrize("search", ["model.k=1..65", "training.learning_rate=1..2"])
def test_many_combinations_are_not_listed(search: str) -> None:
    space = spaces.parse(BASE, [search, "model.restart=true,false"])
    assert spaces.size(space) is None
    assert spaces.shuffled(space, 0) == []
