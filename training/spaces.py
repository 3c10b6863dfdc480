"""What a search tries: for some keys of a recipe a range or a few values, and usual ones for every model.

    section.key=LOW..HIGH        any number between, integers where the key is one
    section.key=LOW..HIGH:log    the same, as many below as above the geometric mean
    section.key=VALUE,VALUE,...  one of these; a single one is for all trials

Keys of [model] and [training] are searched, but never the seed: who is lucky would win.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from training import recipe
from training.errors import RecipeError
from training.recipe import Recipe, Training

Distribution = IntDistribution | FloatDistribution | CategoricalDistribution
Space = Mapping[str, Distribution]
"""What is tried, by section.key."""

SEARCHED = ("model", "training")
"""Sections whose keys can be searched."""
FEW = 64
"""Combinations, up to which all are tried."""
_STEP = (  # relative, as absolute ones belong to one catalogue, one width and one batch: see models/learner.py
    "training.relative=true",
    "training.learning_rate=0.5..20:log",
    "training.epsilon=0.05..20:log",
    "training.batch_size=64,128,256,512",
)
USUAL: Mapping[str, Sequence[str]] = {
    "popularity": (),
    "item-knn": ("model.user_power=0..1", "model.history_power=0..1", "model.target_power=0..1"),
    "ials": ("model.n_dims=64,128,256,512", "model.alpha=1..100:log", "model.l2=0.1..1000:log"),
    "ease": ("model.l2=10..2000:log",),
    "pruned-ease": ("model.l2=10..2000:log",),
    "sansa": ("model.l2=1..500:log", "model.user_power=0..1", "model.ridge_power=0..1"),
    "two-hop": (
        "model.l2=1..500:log",
        "model.sharpness=0.7..2",
        "model.neighbour_power=0..0.6",
        "model.own_share=0..0.6",
        "model.history_power=0..0.8",
        "model.target_power=0..0.8",
    ),
    "elsa": ("model.n_dims=512,1024,2048", *_STEP),
    "compressed-elsa": (
        "model.n_dims=1024,2048,4096,8192",
        "model.start_k=0,64,128,256",
        "model.stage_epochs=1..3",
        *_STEP,
    ),
    "compressae": ("model.learning_rate=3e-4..1e-2:log", "model.auxiliary_weight=0..0.5", "model.histories=true,false"),
}
"""What is searched if nothing is said, by model: what says how good it is, not how large."""


def usual(base: Recipe, fixed: Collection[str] = ()) -> Space:
    """What is usually searched of a model, but for the keys `fixed`. Raises RecipeError if nothing is left."""
    left_out = set(fixed)
    if "training.relative" in fixed and isinstance(base.training, Training) and not base.training.relative:
        left_out |= {"training.learning_rate", "training.epsilon"}  # the ranges are of relative ones
    kept = [each for each in USUAL.get(base.model_name, ()) if each.partition("=")[0] not in left_out]
    if not kept:
        raise RecipeError(f"there is no usual search for {base.model_name} beside what is set; name keys by --search")
    return parse(base, kept)


def parse(base: Recipe, searches: Sequence[str]) -> Space:
    """Read searches, as the module says. Raises RecipeError for what is no search, or could not be in the recipe."""
    space: dict[str, Distribution] = {}
    for search in searches:
        name, separator, text = (part.strip() for part in search.partition("="))
        if not separator or name.count(".") != 1:
            form = "section.key=LOW..HIGH, section.key=LOW..HIGH:log or section.key=VALUE,VALUE"
            raise RecipeError(f"search {search!r} is not {form}")
        if name in space:
            raise RecipeError(f"{name} is searched twice; say once what is tried")
        _refuse_unsearched(name)
        space[name] = _range(base, name, text) or _choice(base, name, text)
    return space


def candidate(base: Recipe, space: Space, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values by section.key, numbers with three digits where that keeps them in their range."""
    return _with(base, {name: _rounded(space[name], each) for name, each in values.items()})


def value(chosen: Recipe, name: str) -> Any:  # noqa: ANN401 (of the key)
    """What a recipe says for a section.key."""
    section, _, key = name.partition(".")
    return getattr(getattr(chosen, section), key)


def size(space: Space) -> int | None:
    """How many combinations there are; None for more than FEW."""
    if any(isinstance(each, FloatDistribution) for each in space.values()):
        return None
    n = prod(len(_listed(each)) for each in space.values())
    return n if n <= FEW else None


def shuffled(space: Space, seed: int) -> list[dict[str, Any]]:
    """All combinations in random order, where there are at most FEW; else none."""
    if size(space) is None:
        return []
    values = [_listed(each) for each in space.values()]
    combinations = [dict(zip(space, each, strict=True)) for each in product(*values)]
    return [combinations[number] for number in np.random.default_rng(seed).permutation(len(combinations))]


def described(space: Space) -> list[str]:
    """The searches that `parse` makes this space of."""
    return [f"{name}={_text(each)}" for name, each in space.items()]


def _with(base: Recipe, values: Mapping[str, Any]) -> Recipe:
    document = recipe.as_document(base)
    for name, each in values.items():
        section, _, key = name.partition(".")
        document.setdefault(section, {})[key] = each
    return recipe.parse(document)


def _rounded(each: Distribution, found: Any) -> Any:  # noqa: ANN401 (of the key)
    if not isinstance(each, FloatDistribution):
        return found
    rounded = float(f"{found:.3g}")
    return rounded if each.low <= rounded <= each.high else found


def _refuse_unsearched(name: str) -> None:
    if name.partition(".")[0] not in SEARCHED or name == "training.seed":
        raise RecipeError(f"{name} is not searched; keys of [model] and [training] are, but for the seed")


def _range(base: Recipe, name: str, text: str) -> Distribution | None:
    """LOW..HIGH[:log]; None if it is something else."""
    low_text, separator, rest = text.partition("..")
    high_text, colon, scale = rest.partition(":")
    if not separator or not _is_number(low_text) or not _is_number(high_text):
        return None
    if colon and scale != "log":
        raise RecipeError(f"{name}={text}: {scale!r} is no scale; LOW..HIGH:log is the only one")
    low, high = (value(_with(base, {name: recipe.toml_value(each)}), name) for each in (low_text, high_text))
    if not low < high:
        raise RecipeError(f"{name}={text}: the range is empty; the lower end comes first")
    if colon and low <= 0:
        raise RecipeError(f"{name}={text}: a logarithmic range begins above 0")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=bool(colon))
    return FloatDistribution(low, high, log=bool(colon))


def _choice(base: Recipe, name: str, text: str) -> CategoricalDistribution:
    if not text:
        raise RecipeError(f"{name}= names no value to try; it is {name}=LOW..HIGH or {name}=VALUE,VALUE")
    texts = [each.strip() for each in text.split(",")]
    values = [value(_with(base, {name: recipe.toml_value(each)}), name) for each in texts]
    if len(set(values)) != len(values):
        raise RecipeError(f"{name}={text}: a value is named twice")
    return CategoricalDistribution(values)


def _listed(each: Distribution) -> Sequence[Any]:
    """All values; none of a range without end."""
    if isinstance(each, CategoricalDistribution):
        return each.choices
    return range(each.low, each.high + 1) if isinstance(each, IntDistribution) else ()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text(each: Distribution) -> str:
    if isinstance(each, CategoricalDistribution):
        return ",".join(str(choice).lower() if isinstance(choice, bool) else f"{choice}" for choice in each.choices)
    return f"{each.low:.12g}..{each.high:.12g}" + (":log" if each.log else "")
