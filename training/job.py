"""One recipe on one split: fitted to the training users, tuned on the validation users, blind to the test users."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array

from index.types import Float32
from index.vocabulary import Vocabulary
from training import defaults, evaluate
from training.checkpoint import Checkpoint, Checkpoints, Progress
from training.errors import TrainingError
from training.evaluate import MAIN, Evaluation, Retriever
from training.models.learner import Fitted, Learner, Optimiser
from training.models.registry import MODELS, Learnt, Solved
from training.recipe import Recipe, Training
from training.split import Question, Split
from training.trainer import Monitor, Schedule, train


@dataclass(frozen=True)
class Job:
    """What came out."""

    model: Fitted
    """The fitted model."""
    shrinkage: float
    """The chosen lambda of the item scale c / (c + lambda)."""
    item_scale: Float32 | None
    """The item scale, (n_items,); None for lambda = 0."""
    validation: Evaluation
    """On the users that chose epoch and lambda: optimistic by that choice."""
    progress: Progress | None
    """How the training went; None for a model without steps."""
    seconds: float
    """Wall time of the fit with its validation, in this process."""

    def retriever(self) -> Retriever:
        """Answer with the chosen item scale."""
        return self.model.retriever(self.item_scale)


def run(
    recipe: Recipe,
    histories: csr_array,
    split: Split,
    *,
    items: Vocabulary | None = None,
    device: str = "cpu",
    kept: Checkpoint | None = None,
    checkpoints: Checkpoints | None = None,
    monitor: Monitor | None = None,
) -> Job:
    """Fit a recipe to the binary `histories` (n_users, n_items) of the split's training users.

    `items` are the ids of the columns, for a recipe that names other files about them. `kept` and `checkpoints` as of
    `trainer.train`.
    """
    started = time.perf_counter()
    known = histories[split.train]
    counts = np.bincount(known.indices, minlength=histories.shape[1]).astype(np.float32)
    asked = evaluate.ask(histories, split.validation, recipe.evaluation.folds, recipe.training.seed)
    kind, progress = MODELS[recipe.model_name], None
    if isinstance(kind, Solved):
        model = kind.fit(known, recipe.model, recipe.training.seed)
    else:
        learner, schedule = _learning(recipe, kind, known, items, device)

        def validate(fitted: Fitted) -> float:
            return evaluate.evaluate(fitted.retriever(None), asked, counts).mean(MAIN)

        trained = train(learner, known, schedule, validate, kept=kept, checkpoints=checkpoints, monitor=monitor)
        model, progress = learner.fitted(trained.result), trained.progress
    shrinkage, validation = _shrink(model, counts, recipe.output.shrinkage, asked)
    seconds = time.perf_counter() - started
    return Job(model, shrinkage, item_scale(counts, shrinkage), validation, progress, seconds)


def item_scale(counts: Float32, shrinkage: float) -> Float32 | None:
    """The factor c / (c + lambda): items that few users have are trusted less; None where lambda is 0."""
    return None if shrinkage == 0 else (counts / (counts + np.float32(shrinkage))).astype(np.float32)


def device_of(name: Literal["auto", "cpu", "cuda"]) -> str:
    """Resolve "auto" to cuda where there is one, else cpu; TrainingError if cuda is asked for and absent."""
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise TrainingError("torch sees no CUDA device; use --device cpu, or install torch with CUDA")
    return "cuda" if name != "cpu" and present else "cpu"


def _learning(
    recipe: Recipe, kind: Learnt, known: csr_array, items: Vocabulary | None, device: str
) -> tuple[Learner, Schedule]:
    how = recipe.training
    if not isinstance(how, Training):
        raise TypeError(f"a recipe of {recipe.model_name} without steps; recipe.parse makes none")
    optimiser = Optimiser(how.learning_rate, how.epsilon, how.relative)
    named = {"items": items} if kind.reads_files else {}
    learner = kind.learner(known, recipe.model, optimiser, epochs=how.epochs, seed=how.seed, device=device, **named)
    return learner, Schedule(how.seed, defaults.batch_size(how, known.shape[0]), how.patience)


def _shrink(
    model: Fitted, counts: Float32, candidates: Sequence[float], asked: Sequence[Question]
) -> tuple[float, Evaluation]:
    """The lambda with the best validation score (of equal ones the first), and what it reaches."""
    judged = [
        (shrinkage, evaluate.evaluate(model.retriever(item_scale(counts, shrinkage)), asked, counts))
        for shrinkage in candidates
    ]
    return max(judged, key=lambda each: each[1].mean(MAIN))
