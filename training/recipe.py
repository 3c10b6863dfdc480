"""Recipes: what a run is made of, in TOML, with every key known, typed and bounded.

A recipe names its model and has sections; `section.key=value` overrides one value. An unknown key is refused with the
known ones, so a misspelt setting can never be silently ignored. `resolved` writes the recipe with all its defaults.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from training.errors import RecipeError
from training.interactions import Columns, Filters
from training.models.registry import MODELS, Learnt
from training.tables import MAX_TIMESTAMP

BUNDLED = Path(__file__).parent / "recipes"
DEFAULT = "compressed-elsa"


@dataclass(frozen=True)
class Seeded:
    """The training of a model that is fitted at once."""

    seed: int = 42
    """Of the folds and of what the model draws. (Who validates is the same for every seed: see `training.split`.)"""


@dataclass(frozen=True)
class Training:
    """How steps are made."""

    seed: int = 42
    """Of the folds, the initial values and the order of users. (Who validates is the same for every seed.)"""
    epochs: int = 10
    """Passes over the training users at most: validation users end them."""
    batch_size: int = 256
    """Users per step; 0: a fortieth of those who train, within 16..256."""
    learning_rate: float = 0.1
    """Of NAdam in the form of Keras."""
    epsilon: float = 1e-7
    """Of the same; gradients are so small that it sets the step."""
    relative: bool = False
    """Whether the two are measured in the size of the values and of the gradients: see models/learner.py."""
    patience: int = 3
    """Epochs without a better validation score before a validated stage ends."""


@dataclass(frozen=True)
class Output:
    """What is done to scores."""

    shrinkage: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
    """Candidates for lambda in the item scale c / (c + lambda), c the training users of the item; 0: none."""


@dataclass(frozen=True)
class Evaluation:
    """Who is held out and how they are asked."""

    validation_share: float = 0.05
    """Share of the users that stop the training and choose lambda; they are not trained on."""
    folds: int = 5
    """Disjoint parts of a held-out history."""


@dataclass(frozen=True)
class Recipe:
    """One complete configuration."""

    model_name: str
    """Key of registry.MODELS."""
    model: Any
    """Hyper-parameters of the model: its Settings."""
    columns: Columns = field(default_factory=Columns)
    """Where the file keeps what."""
    filters: Filters = field(default_factory=Filters)
    """What is left out of the file."""
    training: Training | Seeded = field(default_factory=Training)
    """How steps are made."""
    output: Output = field(default_factory=Output)
    """What is done to scores."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    """Who is held out."""


# Lowest and highest value by key; the same word means the same thing in every section.
RANGES: Mapping[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "k": (1, 65_536),
    "n_dims": (0, 65_536),
    "start_k": (0, 65_536),
    "dense_dims": (1, 65_536),
    "dense_epochs": (1, 10_000),
    "step_items": (1, 1_000_000),
    "auxiliary_weight": (0, 1_000),
    "stage_epochs": (1, 1_000),
    "query_dims": (0, 65_536),
    "n_outputs": (0, 2**31 - 1),
    "epochs": (1, 10_000),
    "batch_size": (0, 1_000_000),
    "learning_rate": (1e-12, 1e6),
    "epsilon": (0, 1e6),
    "patience": (1, 10_000),
    "validation_share": (0.0, 0.9),
    "folds": (2, 100),
    "before": (0, MAX_TIMESTAMP),
    "min_user_support": (1, 2**31 - 1),
    "min_item_support": (1, 2**31 - 1),
    "shrinkage": (0, 1e9),
    "l2": (0, 1e12),
    "alpha": (0, 1e9),
    "user_power": (-10, 10),
    "history_power": (-10, 10),
    "target_power": (-10, 10),
    "ridge_power": (-10, 10),
    "neighbour_power": (-10, 10),
    "n_neighbours": (1, 10_000),
    "sharpness": (0, 10),
    "own_share": (0, 1e6),
}


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a bundled recipe by name or a TOML file by path, and apply `section.key=value` overrides.

    Raises RecipeError naming what is unknown, mistyped or out of range, and what is known.
    """
    document = _read(name)
    for override in overrides:
        _override(document, override)
    return parse(document)


def names() -> tuple[str, ...]:
    """The bundled recipes."""
    return tuple(sorted(path.stem for path in BUNDLED.glob("*.toml")))


def parse(document: Mapping[str, Any]) -> Recipe:
    """Check a document and fill in the defaults."""
    model_name = document.get("model_name")
    if not isinstance(model_name, str) or model_name not in MODELS:
        raise RecipeError(f"model_name is {model_name!r}; the models are {', '.join(MODELS)}")
    sections = _sections(model_name)
    _refuse_unknown("", document, ("model_name", *sections))
    built = {name: _section(name, kind, document.get(name, {})) for name, kind in sections.items()}
    if model_name == "elsa" and built["model"].n_dims == 0:
        raise RecipeError("model.n_dims is 0; it must be within 1..65536")
    return Recipe(model_name, **built)


def _sections(model_name: str) -> dict[str, type[Any]]:
    """The sections of a model's recipes: one that is fitted at once has nothing to say about steps."""
    model = MODELS[model_name]
    training = Training if isinstance(model, Learnt) else Seeded
    common = {"columns": Columns, "filters": Filters, "model": model.settings, "training": training}
    return {**common, "output": Output, "evaluation": Evaluation}


def resolved(recipe: Recipe) -> str:
    """The recipe as TOML with every value; keys that are not set (None) are left out."""
    lines = [f"model_name = {json.dumps(recipe.model_name)}"]
    for name in _sections(recipe.model_name):
        values = {key: value for key, value in asdict(getattr(recipe, name)).items() if value is not None}
        if values:
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def as_document(recipe: Recipe) -> dict[str, Any]:
    """The resolved recipe as JSON values."""
    return tomllib.loads(resolved(recipe))


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else BUNDLED / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(names())
        raise RecipeError(f"there is no recipe {name!r}; name one of {known}, or a .toml file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path} is not TOML: {error}") from error


def _override(document: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    *section, key = path.strip().split(".")
    if not separator or len(section) != 1 or not key:
        raise RecipeError(f"override {override!r} is not section.key=value")
    target = document.setdefault(section[0], {})
    if not isinstance(target, dict):
        raise RecipeError(f"override {override!r}: {section[0]!r} is not a section")
    target[key] = toml_value(text.strip())


def toml_value(text: str) -> Any:  # noqa: ANN401 (any TOML value)
    """A TOML value; anything that does not look like one is text, as shells eat quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if text.startswith(('"', "'", "[", "{")):
            raise RecipeError(f"{text} is not a TOML value: {error}") from error
        return text


T = TypeVar("T")


def _section(name: str, kind: type[T], values: object) -> T:
    if not isinstance(values, Mapping):
        raise RecipeError(f"{name} is {values!r}; it is a section")
    kinds = {each.name: each.type for each in fields(kind)}  # type: ignore[arg-type]  # all sections are dataclasses
    _refuse_unknown(f"{name}.", values, tuple(kinds))
    return kind(**{key: _checked(f"{name}.{key}", value, kinds[key]) for key, value in values.items()})


def _refuse_unknown(prefix: str, values: Mapping[str, object], known: Sequence[str]) -> None:
    for key in values:
        if key not in known:
            listed = ", ".join(prefix + name for name in known) or "nothing"
            raise RecipeError(f"unknown key {prefix}{key}; known here: {listed}")


def _checked(where: str, value: object, kind: object) -> Any:  # noqa: ANN401 (of the kind asked for)
    """The value, if it is of its kind and in its range."""
    key = where.rpartition(".")[2]
    if kind == tuple[float, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise RecipeError(f"{where} is {value!r}; a list of numbers is expected")
        return tuple(_number(where, key, each, float) for each in value)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise RecipeError(f"{where} is {value!r}; it is one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise RecipeError(f"{where} is {value!r}; true or false is expected")
        return value
    if kind in (str, str | None):
        if not isinstance(value, str) or not value:
            raise RecipeError(f"{where} is {value!r}; a text is expected")
        return value
    return _number(where, key, value, int if kind in (int, int | None) else float)


def _number(where: str, key: str, value: object, kind: type[int] | type[float]) -> float:
    allowed = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not math.isfinite(value):
        raise RecipeError(f"{where} is {value!r}; {'an integer' if kind is int else 'a number'} is expected")
    low, high = RANGES.get(key, (-math.inf, math.inf))
    if not low <= value <= high:
        raise RecipeError(f"{where} is {value!r}; it must be within {low:g}..{high:g}")
    return kind(value)


def _toml(value: object) -> str:
    """JSON texts, numbers and lists are TOML as well, but for surrogate pairs and a raw DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
