"""Stages x epochs: steps over shuffled users, validation after every epoch, a checkpoint, and an end.

The order of users in epoch e of stage s comes from (seed, s, e) alone, so a checkpoint needs no state of a random
generator, and on a CPU a resumed training ends with the arrays of an undisturbed one. A validated stage ends after
`patience` epochs without a better score, and its best epoch is the result.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array

from index.types import Array
from training import parallel
from training.checkpoint import Checkpoint, Checkpoints, Progress
from training.errors import TrainingError
from training.models.learner import Fitted, Learner, Stage

Validate = Callable[[Fitted], float]
"""The score of a model on the validation users; higher is better."""


class Monitor(Protocol):
    """Who is told how the training goes."""

    def epoch(self, stage: Stage, number: int, n_steps: int) -> None:
        """Announce an epoch (from 1) of `n_steps` steps."""
        ...

    def step(self, loss: float) -> None:
        """A step is done."""
        ...

    def record(self, record: Mapping[str, Any]) -> None:
        """An epoch is done: its line of log.jsonl."""
        ...


class Silent:
    """A monitor that listens to nothing."""

    def epoch(self, stage: Stage, number: int, n_steps: int) -> None:
        """Ignore."""

    def step(self, loss: float) -> None:
        """Ignore."""

    def record(self, record: Mapping[str, Any]) -> None:
        """Ignore."""


@dataclass(frozen=True)
class Schedule:
    """How the steps are made."""

    seed: int
    """Of the order of users."""
    batch_size: int
    """Users per step."""
    patience: int
    """Epochs without a better score before a validated stage ends."""


@dataclass(frozen=True)
class Trained:
    """The end of a training."""

    result: Mapping[str, Array]
    """Of the learner, at its best epoch."""
    progress: Progress
    """How it went."""


def train(
    learner: Learner,
    histories: csr_array,
    schedule: Schedule,
    validate: Validate,
    *,
    kept: Checkpoint | None = None,
    checkpoints: Checkpoints | None = None,
    monitor: Monitor | None = None,
) -> Trained:
    """Run what is left of all stages on the training users' histories (n_users, n_items).

    kept: where to go on, None: at the beginning. checkpoints: where each epoch is kept, None: nowhere.
    Raises TrainingError when the loss is no longer finite.
    """
    if kept is None:
        kept = Checkpoint(Progress(0, 0, None, 0, finished=False, records=()), {}, {})
        learner.start(0, {})
    else:
        learner.restore(kept.progress.stage, kept.state)
    monitor = monitor or Silent()
    while not kept.progress.finished:
        kept = _advance(learner, histories, schedule, validate, monitor, kept)
        if checkpoints:
            checkpoints.save(kept)
    return Trained(kept.best, kept.progress)


def _advance(
    learner: Learner,
    histories: csr_array,
    schedule: Schedule,
    validate: Validate,
    monitor: Monitor,
    kept: Checkpoint,
) -> Checkpoint:
    """Run one epoch: the next of the stage, or the first of the next stage."""
    before, stages = kept.progress, learner.stages
    stage, epoch, best_score, best_epoch = before.stage, before.epoch, before.best_score, before.best_epoch
    if epoch and _stage_ends(stages[stage], before, schedule.patience):
        stage, epoch, best_score, best_epoch = stage + 1, 0, None, 0
        learner.start(stage, kept.best)
    started = time.perf_counter()
    loss = _epoch(learner, histories, schedule, monitor, (stage, epoch))
    record = {"stage": stages[stage].name, "epoch": epoch + 1, "loss": loss}
    record["seconds"] = round(time.perf_counter() - started, 3)
    best = kept.best
    if stages[stage].validated:
        result = learner.result()
        # one judges for all, as its search need not be alike on another machine
        own = validate(learner.fitted(result)) if parallel.rank() == 0 else float("nan")
        record["score"] = score = parallel.agreed(own)
        if best_score is None or score > best_score:
            best, best_score, best_epoch = result, score, epoch + 1
    monitor.record(record)
    progress = Progress(stage, epoch + 1, best_score, best_epoch, finished=False, records=(*before.records, record))
    if stage + 1 == len(stages) and _stage_ends(stages[stage], progress, schedule.patience):
        progress = Progress(**{**vars(progress), "finished": True})
    return Checkpoint(progress, learner.state(), best)


def _stage_ends(stage: Stage, progress: Progress, patience: int) -> bool:
    if progress.epoch >= stage.epochs:
        return True
    return stage.validated and progress.epoch - progress.best_epoch >= patience


def _epoch(
    learner: Learner, histories: csr_array, schedule: Schedule, monitor: Monitor, where: tuple[int, int]
) -> float:
    """Step through all users once; the mean loss."""
    n_users, size = histories.shape[0], schedule.batch_size
    order = np.random.default_rng((schedule.seed, *where)).permutation(n_users)
    starts = range(0, n_users, size)
    monitor.epoch(learner.stages[where[0]], where[1] + 1, len(starts))
    losses = []
    for start in starts:
        losses.append(learner.step(histories[order[start : start + size]]))
        monitor.step(losses[-1])
        if not np.isfinite(losses[-1]):
            raise TrainingError(f"the loss became {losses[-1]} in epoch {where[1] + 1}; lower training.learning_rate")
    return float(np.mean(losses))
