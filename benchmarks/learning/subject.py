"""What is trained on, and how large everything is made."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, load_npz, save_npz

from index.types import JSON
from training import datasets, interactions, recipe, split
from training.models.compressed_elsa import CompressedElsa
from training.models.learner import Optimiser
from training.models.sparse_step import Dense
from training.recipe import Recipe, Training
from training.split import Split

FIRST_SEED = 42
"""Of the recipe; further seeds follow it."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    n_dims: int = 4096
    """Width of the space."""
    k: int = 32
    """Values per item of the step that has a target."""
    other_k: tuple[int, ...] = (8, 16, 64, 128)
    """Values per item of further steps."""
    batch_size: int = 1024
    """Users of a step, and of a batch of the paper's schedule as it is timed."""
    rounds: int = 3
    """How often each step is timed; of further ones, and of two threads, one less."""
    stage_epochs: int = 10
    """Of the paper's schedule; as many follow at the last width."""
    n_sampled: int = 9
    """Stages of the paper's schedule that are timed; 0: all."""
    seeds: int = 3
    """Runs of the default recipe."""
    paper_batches: tuple[int, ...] = (1024,)
    """Batch sizes of complete runs of the paper's schedule, for their quality; none: it is not asked for."""
    process_steps: int = 12
    """Steps in one process and in two."""
    process_rounds: int = 3
    """Turns that one process and two take."""


FULL = Scale()
WHOLE = Scale(n_sampled=0, paper_batches=(1024, 256))
QUICK = Scale(other_k=(), rounds=1, n_sampled=5, seeds=1, paper_batches=(), process_steps=8, process_rounds=1)


@dataclass(frozen=True)
class Subject:
    """Histories, and who of them trains."""

    histories: csr_array
    """Binary (n_users, n_items)."""
    split: Split
    """Who trains, and who validates."""
    scale: Scale
    """How much is measured."""
    cache: Path
    """Where what is compiled is kept."""

    @property
    def known(self) -> csr_array:
        """Histories of the training users."""
        return self.histories[self.split.train]

    def batch(self, size: int, number: int = 0) -> csr_array:
        """Histories of `size` training users, drawn from a fixed seed."""
        order = np.random.default_rng(number).permutation(self.split.train)
        return self.histories[np.sort(order[:size])]


def books(scale: Scale, cache: Path) -> Subject:
    """The bundled books, split as `fit` does."""
    data, _ = interactions.load(datasets.bundled("goodbooks").interactions)
    return of(data.matrix(), scale, cache)


def of(histories: csr_array, scale: Scale, cache: Path) -> Subject:
    """Any histories, split as `fit` does."""
    share = default(scale).evaluation.validation_share
    return Subject(histories, split.holdout(histories.shape[0], split.VALIDATION_SEED, share=share), scale, cache)


def default(scale: Scale, number: int = 0) -> Recipe:
    """The default recipe for k = 16, of the given seed counted from the recipe's own."""
    return recipe.load(recipe.DEFAULT, [f"model.n_dims={scale.n_dims}", f"training.seed={FIRST_SEED + number}"])


def paper(scale: Scale, batch_size: int) -> Recipe:
    """The paper's: its schedule, restart, length of stages and rates; all epochs at k are run."""
    settings = {
        "model.schedule": "exponential",
        "model.restart": "true",
        "model.n_dims": scale.n_dims,
        "model.stage_epochs": scale.stage_epochs,
        "training.epochs": scale.stage_epochs,
        "training.patience": scale.stage_epochs,
        "training.batch_size": batch_size,
        "training.learning_rate": 0.1,
        "training.epsilon": 1e-7,
        "training.relative": "false",
    }
    return recipe.load(recipe.DEFAULT, [f"{key}={value}" for key, value in settings.items()])


def how(recipe: Recipe) -> Training:
    """How a recipe makes its steps; TypeError if it makes none."""
    if not isinstance(recipe.training, Training):
        raise TypeError(f"{recipe.model_name} is not learnt by steps")
    return recipe.training


def optimiser(recipe: Recipe) -> Optimiser:
    """Of a recipe."""
    return Optimiser(how(recipe).learning_rate, how(recipe).epsilon, how(recipe).relative)


def dense_learner(recipe: Recipe, known: csr_array) -> CompressedElsa:
    """A learner that computes every step with the rows made dense."""
    training = how(recipe)
    return CompressedElsa(
        known, recipe.model, optimiser(recipe), epochs=training.epochs, seed=training.seed, make_step=Dense
    )


def epoch(known: csr_array, batch_size: int) -> list[csr_array]:
    """All training users in batches, in an order from a fixed seed."""
    order = np.random.default_rng(FIRST_SEED).permutation(known.shape[0])
    return [known[order[start : start + batch_size]] for start in range(0, len(order), batch_size)]


def describe(subject: Subject) -> dict[str, JSON]:
    """Sizes, for the document."""
    n_users, n_items = subject.known.shape
    scale: dict[str, JSON] = {
        name: list(each) if isinstance(each, tuple) else each for name, each in asdict(subject.scale).items()
    }
    return {"users": n_users, "items": n_items, "interactions": int(subject.known.nnz), **scale, "outside": None}


def keep(subject: Subject, path: Path) -> list[str]:
    """Write it for another process; the arguments that `kept` reads there."""
    save_npz(path, subject.histories)
    return [str(path), json.dumps(asdict(subject.scale)), str(subject.cache)]


def kept(path: str, scale: str, cache: str) -> Subject:
    """Read what `keep` wrote."""
    fields: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in json.loads(scale).items()
    }
    return of(csr_array(load_npz(path)), Scale(**fields), Path(cache))
