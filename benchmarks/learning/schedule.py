"""How long does the default recipe take, beside the paper's schedule run dense, and is it as good?

Counted against ours is the whole fit: first positions, steps, validations, the choice of the item scale. Of the paper's
schedule, the steps alone; they are dense (three products written out, histories sparse: about twice as fast as
autograd), whatever the width. A few stages are timed for one epoch each, in turns with ours, and those between are
interpolated by width; a sample of 0 times every epoch. Its quality comes from complete runs in which widths below a
fifth of the space are computed sparsely: the same arithmetic, in another order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from benchmarks.comparison import Finding, ratio
from benchmarks.learning import clock
from benchmarks.learning.clock import Taken
from benchmarks.learning.subject import FIRST_SEED, Subject, default, dense_learner, epoch, paper
from index.types import JSON
from training import job
from training.evaluate import MAIN
from training.job import Job
from training.models import sparsity
from training.models.compressed_elsa import CompressedElsa
from training.models.sparsity import Width
from training.recipe import Recipe

OURS, PAPER = "default", "paper, dense"
THREADS = 1


@dataclass(frozen=True)
class Epoch:
    """One epoch of the paper's schedule."""

    width: int
    """Values per item."""
    taken: Taken
    """By its steps."""


@dataclass(frozen=True)
class Fit:
    """A complete run."""

    job: Job
    """What came out."""
    taken: Taken
    """By everything."""


def steps(subject: Subject) -> int:
    """How often `measure` calls done."""
    return subject.scale.seeds + len(sample(subject)) + len(subject.scale.paper_batches)


def measure(subject: Subject, done: Callable[[float], None]) -> Finding:
    """Time both in turns on one thread, then run the paper's schedule to the end."""
    with clock.threads(THREADS):
        ours, epochs = _in_turns(subject, done)
    theirs = [_fit(paper(subject.scale, size), subject, done) for size in subject.scale.paper_batches]
    stages = widths(subject)
    dense = total(epochs, stages)
    samples = {OURS: clock.samples([each.taken for each in ours]), PAPER: clock.samples([dense])}
    figures: dict[str, JSON] = {
        "threads": THREADS,
        "default": {str(FIRST_SEED + number): _told(each) for number, each in enumerate(ours)},
        "paper": {str(size): _told(each) for size, each in zip(subject.scale.paper_batches, theirs, strict=True)},
        "dense": {"seconds": dense.wall, "cpu_seconds": dense.cpu, "epochs": sum(each.epochs for each in stages)},
        "timed_epochs": [[each.width, each.taken.wall, each.taken.cpu] for each in epochs],
        "slower_than_ours": {PAPER: ratio(samples[PAPER], samples[OURS])},
    }
    if theirs:
        best = max(theirs, key=_quality)
        figures["quality_of_paper"] = float(np.mean([_quality(each) for each in ours])) / _quality(best)
        figures["better_by_paired"] = _paired(ours[0], best)
    return Finding(figures, samples)


def _in_turns(subject: Subject, done: Callable[[float], None]) -> tuple[list[Fit], list[Epoch]]:
    """Runs of the default recipe, spread over the epochs of the paper's schedule."""
    scale, stages = subject.scale, sample(subject)
    before = np.linspace(0, len(stages), scale.seeds, endpoint=False).astype(int).tolist()
    learner = dense_learner(paper(scale, scale.batch_size), subject.known)
    batches = epoch(subject.known, scale.batch_size)
    ours: list[Fit] = []
    epochs = []
    for turn, stage in enumerate(stages):
        ours += [_fit(default(scale, len(ours) + extra), subject, done) for extra in range(before.count(turn))]
        learner.start(stage, {})
        epochs.append(Epoch(widths(subject)[stage].k, _learn(learner, batches)))
        done(1)
    return ours, epochs


def _learn(learner: CompressedElsa, batches: Sequence[csr_array]) -> Taken:
    """Make a step on each batch."""

    def run() -> None:
        for batch in batches:
            learner.step(batch)

    return clock.taken(run)


def widths(subject: Subject) -> list[Width]:
    """The stages of the paper's schedule."""
    scale = subject.scale
    model = paper(scale, scale.batch_size).model
    epochs = scale.stage_epochs
    return sparsity.widths(model.schedule, scale.n_dims, model.k, start_k=0, stage_epochs=epochs, epochs=epochs)


def sample(subject: Subject) -> list[int]:
    """Numbers of the stages that are timed: the first, which is wider by far, and others evenly up to the last."""
    last, n = len(widths(subject)) - 1, subject.scale.n_sampled
    if n == 0 or n > last:
        return list(range(last + 1))
    return [0, *np.linspace(1, last, n - 1).round().astype(int).tolist()]


def total(epochs: Sequence[Epoch], stages: Sequence[Width]) -> Taken:
    """What all epochs take; those that were not timed are interpolated by their width."""
    timed = sorted(epochs, key=lambda each: each.width)
    at = [each.width for each in timed]
    found = Taken(0, 0)
    for width in stages:
        wall, cpu = (
            float(np.interp(width.k, at, each))
            for each in ([one.taken.wall for one in timed], [one.taken.cpu for one in timed])
        )
        found += Taken(wall, cpu) * width.epochs
    return found


def _fit(recipe: Recipe, subject: Subject, done: Callable[[float], None]) -> Fit:
    """Run a recipe to the end."""
    out: list[Job] = []
    taken = clock.taken(lambda: out.append(job.run(recipe, subject.histories, subject.split)))
    done(1)
    return Fit(out[0], taken)


def _told(fit: Fit) -> dict[str, JSON]:
    """A run, for the document."""
    progress, validation = fit.job.progress, fit.job.validation
    if progress is None:
        raise ValueError("the model has no steps")
    return {
        "seconds": fit.taken.wall,
        "cpu_seconds": fit.taken.cpu,
        "steps_seconds": sum(float(each["seconds"]) for each in progress.records),
        "epochs": len(progress.records),
        "best_epoch": progress.best_epoch,
        MAIN: validation.mean(MAIN),
        f"{MAIN}_se": validation.per_user[MAIN].standard_error(),
        "unscaled": progress.best_score,
        "shrinkage": fit.job.shrinkage,
    }


def _quality(fit: Fit) -> float:
    return fit.job.validation.mean(MAIN)


def _paired(ours: Fit, theirs: Fit) -> list[JSON]:
    """How much better ours is on the same questions, and the standard error of that."""
    better = ours.job.validation.per_user[MAIN].minus(theirs.job.validation.per_user[MAIN])
    return [better.mean(), better.standard_error()]
