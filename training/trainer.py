"""Stages x epochs: steps over shuffled users, validation after every epoch, checkpoints, and an end.

The order of users in epoch e of stage s comes from (seed, s, e) alone, so a checkpoint needs no state of a random
generator, and on a CPU a resumed training ends with the arrays of an undisturbed one. A validated stage ends after
`patience` epochs without a better score, and its best epoch is the result.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.sparse import csr_array

from index.types import Array
from training import parallel
from training.checkpoint import Checkpoint, Checkpoints, Progress
from training.errors import TrainingError
from training.models.learner import Fitted, Learner, Stage

Validate = Callable[[Fitted], float]
"""The score of a model on the validation users; higher is better."""


class Epoch(NamedTuple):
    """A pass over the training users."""

    stage: Stage
    """What it is a part of."""
    number: int
    """In its stage, from 1."""
    before: int
    """Epochs that come before it, if all stages are as long as they may be."""
    of: int
    """Epochs of all stages."""
    n_steps: int
    """Its steps, as many as of any other."""
    n_done: int
    """Those that were done before the training was interrupted."""


class Monitor(Protocol):
    """Who is told how the training goes."""

    def epoch(self, epoch: Epoch) -> None:
        """Announce an epoch."""
        ...

    def step(self, loss: float) -> None:
        """A step is done. KeyboardInterrupt from here ends the training, which then goes on from here."""
        ...

    def record(self, record: Mapping[str, Any]) -> None:
        """An epoch is done: its line of log.jsonl."""
        ...


class Silent:
    """A monitor that listens to nothing."""

    def epoch(self, epoch: Epoch) -> None:
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

    kept: where to go on, None: at the beginning. checkpoints: where each epoch is kept, long ones in parts; None:
    nowhere. Raises TrainingError when the loss is no longer finite.
    """
    if kept is None:
        kept = Checkpoint(Progress(0, 0, None, 0, finished=False, records=()), {}, {})
        learner.start(0, {})
    else:
        learner.restore(kept.progress.stage, kept.state)
    job = _Job(learner, histories, schedule, validate, monitor or Silent(), checkpoints)
    while not kept.progress.finished:
        kept = _advance(job, kept)
        if checkpoints:
            checkpoints.save(kept)
    return Trained(kept.best, kept.progress)


class _Job(NamedTuple):
    """What stays the same throughout a training."""

    learner: Learner
    histories: csr_array
    schedule: Schedule
    validate: Validate
    monitor: Monitor
    checkpoints: Checkpoints | None


def _advance(job: _Job, kept: Checkpoint) -> Checkpoint:
    """Run one epoch, or the rest of it: the next of the stage, or the first of the next stage."""
    before, learner, stages = kept.progress, job.learner, job.learner.stages
    if before.epoch and not len(kept.losses) and _stage_ends(stages[before.stage], before, job.schedule.patience):
        before = replace(before, stage=before.stage + 1, epoch=0, best_score=None, best_epoch=0)
        learner.start(before.stage, kept.best)
    stage, epoch = stages[before.stage], before.epoch + 1
    started = time.perf_counter() - before.seconds
    loss = _epoch(job, replace(kept, progress=before), started)
    record = {"stage": stage.name, "epoch": epoch, "loss": loss, "seconds": round(time.perf_counter() - started, 3)}
    best, best_score, best_epoch = kept.best, before.best_score, before.best_epoch
    if stage.validated:
        result = learner.result()
        # one judges for all, as its search need not be alike on another machine
        own = job.validate(learner.fitted(result)) if parallel.rank() == 0 else float("nan")
        record["score"] = score = parallel.agreed(own)
        if best_score is None or score > best_score:
            best, best_score, best_epoch = result, score, epoch
    job.monitor.record(record)
    records = (*before.records, record)
    progress = Progress(before.stage, epoch, best_score, best_epoch, finished=False, records=records)
    last = before.stage + 1 == len(stages) and _stage_ends(stage, progress, job.schedule.patience)
    return Checkpoint(replace(progress, finished=last), learner.state(), best)


def _stage_ends(stage: Stage, progress: Progress, patience: int) -> bool:
    if progress.epoch >= stage.epochs:
        return True
    return stage.validated and progress.epoch - progress.best_epoch >= patience


def _epoch(job: _Job, kept: Checkpoint, started: float) -> float:
    """Step through all users once, or through those that are left; the mean loss."""
    before, (n_users, size) = kept.progress, (job.histories.shape[0], job.schedule.batch_size)
    order = np.random.default_rng((job.schedule.seed, before.stage, before.epoch)).permutation(n_users)
    starts, losses = range(0, n_users, size), kept.losses.tolist()
    job.monitor.epoch(_announced(job.learner.stages, before, len(starts), len(losses)))

    def keep() -> None:
        if job.checkpoints:
            here = replace(before, seconds=time.perf_counter() - started)
            job.checkpoints.save(Checkpoint(here, job.learner.state(), kept.best, np.array(losses)))

    saved = time.monotonic()
    for start in starts[len(losses) :]:
        losses.append(job.learner.step(job.histories[order[start : start + size]]))
        if not np.isfinite(losses[-1]):
            raise TrainingError(
                f"the loss became {losses[-1]} in epoch {before.epoch + 1}; lower training.learning_rate"
            )
        try:
            job.monitor.step(losses[-1])
        except KeyboardInterrupt:  # between two steps all is in order, so nothing has to be lost
            keep()
            raise
        if job.checkpoints and time.monotonic() - saved >= job.checkpoints.interval:
            keep()
            saved = time.monotonic()
    return float(np.mean(losses))


def _announced(stages: tuple[Stage, ...], before: Progress, n_steps: int, n_done: int) -> Epoch:
    epochs = [stage.epochs for stage in stages]
    number, passed = before.epoch + 1, sum(epochs[: before.stage]) + before.epoch
    return Epoch(stages[before.stage], number, passed, sum(epochs), n_steps, n_done)
