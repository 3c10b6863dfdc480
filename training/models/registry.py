"""Every model by the name that a recipe calls it, with its settings and the way it is fitted.

A model is either learnt by steps, through `training.trainer`, or fitted at once. A new one is a module with a frozen
dataclass `Settings` (its section of a recipe) and one entry here; `tests/training/test_models.py` runs the same
checks on all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.sparse import csr_array

from training.models import (
    compressae,
    compressed_elsa,
    ease,
    elsa,
    ials,
    item_knn,
    popularity,
    pruned_ease,
    sansa,
    two_hop,
)
from training.models.learner import Fitted, Learner


@dataclass(frozen=True)
class Learnt:
    """A model that is learnt by steps; its recipes have a section [training] with all that a step needs."""

    settings: type[Any]
    """Its section [model]."""
    learner: Callable[..., Learner]
    """What the trainer drives: of (histories, settings, optimiser, *, epochs, seed, device)."""
    reads_files: bool = False
    """Whether settings may name files with something about the items: the learner is given their ids, `items`, too."""


@dataclass(frozen=True)
class Solved:
    """A model that is fitted at once; of [training], its recipes have the seed only."""

    settings: type[Any]
    """Its section [model]."""
    fit: Callable[[csr_array, Any, int], Fitted]
    """Binary histories (n_users, n_items), settings and seed to a model."""


Model = Learnt | Solved

MODELS: Mapping[str, Model] = {
    "popularity": Solved(popularity.Settings, popularity.fit),
    "item-knn": Solved(item_knn.Settings, item_knn.fit),
    "ials": Solved(ials.Settings, ials.fit),
    "ease": Solved(ease.Settings, ease.fit),
    "pruned-ease": Solved(pruned_ease.Settings, pruned_ease.fit),
    "sansa": Solved(sansa.Settings, sansa.fit),
    "two-hop": Solved(two_hop.Settings, two_hop.fit),
    "elsa": Learnt(elsa.Settings, elsa.Elsa),
    "compressed-elsa": Learnt(compressed_elsa.Settings, compressed_elsa.CompressedElsa),
    "compressae": Learnt(compressae.Settings, compressae.CompresSae, reads_files=True),
}
