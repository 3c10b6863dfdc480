"""What the frontier fits: every recipe at several sizes, and at each size a few candidates.

A recipe with a `k` is swept over values per item, dense ELSA over its width; one that has neither is fitted once. Of
the candidates of a size validation users choose.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from training.recipe import Recipe, Training

POWERS = ((0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (0.5, 0.5, 0.25), (0.5, 0.25, 0.5))
"""Candidates of item-kNN beside its recipe: powers of user, history and target."""
RATES = (0.3, 1.0)
"""Candidates of dense ELSA: its recipe's learning rate times these; what suits depends on the width."""


@dataclass(frozen=True)
class Sweep:
    """What is fitted of every recipe."""

    k: tuple[int, ...] = (8, 16, 32, 64, 128)
    """Values per item."""
    n_dims: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024, 2048)
    """Widths of dense ELSA."""
    pq_bytes: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Bytes per item of product quantisation."""
    l2_factors: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Candidates for a model with an l2: that of its recipe times these."""


@dataclass(frozen=True)
class Task:
    """One size of one recipe."""

    name: str
    """Of the recipe."""
    size: int | None
    """Its k or width; None: it has neither."""
    candidates: tuple[Recipe, ...]
    """Of which validation users choose; of equal ones the first."""
    pq_bytes: tuple[int, ...]
    """As of the sweep, for dense ELSA."""


def tasks(recipes: Mapping[str, Recipe], sweep: Sweep) -> list[Task]:
    """Every size of every recipe."""
    made = []
    for name, each in recipes.items():
        pq_bytes = sweep.pq_bytes if each.model_name == "elsa" else ()
        for size, sized in _sized(each, sweep):
            made.append(Task(name, size, tuple(_candidates(sized, sweep)), pq_bytes))
    return made


def _sized(chosen: Recipe, sweep: Sweep) -> Iterator[tuple[int | None, Recipe]]:
    if hasattr(chosen.model, "k"):
        yield from ((k, replace(chosen, model=replace(chosen.model, k=k))) for k in sweep.k)
    elif chosen.model_name == "elsa":
        yield from ((n, replace(chosen, model=replace(chosen.model, n_dims=n))) for n in sweep.n_dims)
    else:
        yield None, chosen


def _candidates(chosen: Recipe, sweep: Sweep) -> Iterator[Recipe]:
    model = chosen.model
    if chosen.model_name == "item-knn":
        names = ("user_power", "history_power", "target_power")
        own = tuple(getattr(model, name) for name in names)
        for powers in dict.fromkeys((own, *POWERS)):
            yield replace(chosen, model=replace(model, **dict(zip(names, powers, strict=True))))
    elif chosen.model_name == "elsa" and isinstance(chosen.training, Training):
        for rate in RATES:
            yield replace(chosen, training=replace(chosen.training, learning_rate=rate * chosen.training.learning_rate))
    elif hasattr(model, "l2"):
        for factor in sweep.l2_factors:
            yield replace(chosen, model=replace(model, l2=factor * model.l2))
    else:
        yield chosen
