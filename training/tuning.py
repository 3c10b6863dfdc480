"""A search for better values of a recipe's keys, within a budget of time.

Each trial is a fit of the recipe with other values, judged by nDCG@100 on the validation users, those of `fit`: test
users are never asked. The recipe's own values are judged first. What is tried next comes of what was found so far (the
tree-structured Parzen estimator of Bergstra et al., NIPS 2011, by optuna). A trial that validates worse than half of
the finished ones did at the same epoch, or after as many seeds, is ended there: from the third epoch on, and when five
trials are finished. `study` keeps it all.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.trial import TrialState
from scipy.sparse import csr_array

from index.vocabulary import Vocabulary
from training import job, spaces, split, study
from training.errors import CatalogueTooLargeError, DataError, TrainingError
from training.evaluate import MAIN
from training.interactions import Interactions
from training.recipe import Recipe
from training.split import Split
from training.study import Found, Plan
from training.trainer import Epoch

MAX_FAILED = 20
"""Failed trials in a row that end a search: the next one would fail as well."""
_STAGE, _SEED = 100_000, 100_000_000  # steps, as optuna calls them, of a stage and of a seed: more than there are


class Watcher(Protocol):
    """Who is told how the search goes."""

    def now(self, share: float, text: str) -> None:
        """So much of the budget is used, and this is what runs."""
        ...

    def done(self, text: str) -> None:
        """A trial is over."""
        ...


@dataclass(frozen=True)
class _Bench:
    """What trials are fitted to and judged with."""

    plan: Plan
    histories: csr_array
    divided: Split
    items: Vocabulary
    device: str


class _Clock:
    """How much of the budget is used, and who is told."""

    def __init__(self, plan: Plan, trials: optuna.Study, watcher: Watcher) -> None:
        self._trials, self._watcher, self._minutes = trials, watcher, plan.minutes
        self._limit = min(plan.n_trials or math.inf, spaces.size(plan.space) or math.inf)
        self._n_over = study.n_over(trials)
        self._began = time.monotonic() - float(trials.user_attrs.get(study.SECONDS, 0.0))

    @property
    def share(self) -> float:
        """Of the budget; 1 or more when it is used."""
        return max((time.monotonic() - self._began) / (60 * self._minutes), self._n_over / self._limit)

    def now(self, text: str) -> None:
        self._watcher.now(min(1.0, self.share), text)

    def done(self, text: str, *, trial: bool = True) -> None:
        self._n_over += trial
        self._trials.set_user_attr(study.SECONDS, round(time.monotonic() - self._began, 3))
        self._watcher.done(text)


def tune(
    out: Path, plan: Plan, data: Interactions, watcher: Watcher, *, device: str = "cpu", resume: bool = False
) -> Found:
    """Search until the budget is used, keeping the best recipe in `out` all the time.

    resume: go on with the study beside `out`, or begin if there is none. A trial that fails is counted, and the search
    goes on, unless MAX_FAILED in a row do. Raises RunError as `study.opened` does, and TrainingError if nothing could
    be fitted.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    divided = split.holdout(len(data.users), split.VALIDATION_SEED, share=plan.recipe.evaluation.validation_share)
    bench = _Bench(plan, data.matrix(), divided, data.items, device)
    with study.opened(out, plan, data, resume=resume) as trials:
        return _search(bench, trials, out, _Clock(plan, trials, watcher))


def _search(bench: _Bench, trials: optuna.Study, out: Path, clock: _Clock) -> Found:
    if study.OWN not in trials.user_attrs:
        trials.set_user_attr(study.OWN, _own(bench, clock))
    best = _kept(bench, trials, out)
    while clock.share < 1 and not _stuck(trials):
        _try(bench, trials, clock, best)
        best = _kept(bench, trials, out)
    if best is None:
        raise TrainingError(f"neither the recipe nor a trial could be fitted; the last: {study.last_error(trials)}")
    return best


def _kept(bench: _Bench, trials: optuna.Study, out: Path) -> Found | None:
    best = study.found(bench.plan, trials)
    if best is not None:
        study.keep(out, bench.plan, best, len(bench.divided.validation))
    return best


def _stuck(trials: optuna.Study) -> bool:
    last = [each for each in trials.get_trials(deepcopy=False) if each.state.is_finished()][-MAX_FAILED:]
    return len(last) == MAX_FAILED and all(study.ERROR in each.user_attrs for each in last)


def _own(bench: _Bench, clock: _Clock) -> dict[str, Any]:
    """The score of the recipe that the search begins with, or why there is none."""
    name = "the recipe itself"
    try:
        score = _score(bench, bench.plan.recipe, lambda number: _Told(name, clock, None, number))
    except TrainingError as error:
        _refuse_hopeless(error)
        clock.done(f"{name} failed: {error}", trial=False)
        return {"error": str(error)}
    clock.done(f"{name}: {MAIN} {score:.4f}", trial=False)
    return {"score": score}


def _try(bench: _Bench, trials: optuna.Study, clock: _Clock, best: Found | None) -> None:
    """Run one trial, whatever comes of it."""
    trial = trials.ask(dict(bench.plan.space))
    chosen = spaces.candidate(bench.plan.recipe, bench.plan.space, trial.params)
    name = f"trial {trial.number}"
    shown = name if best is None else f"{name} (best so far {best.score:.4f})"
    what = ", ".join(f"{key} {value}" for key, value in study.values(chosen, bench.plan.space).items())
    try:
        score = _score(bench, chosen, lambda number: _Told(shown, clock, trial, number))
    except optuna.TrialPruned:
        trials.tell(trial, state=TrialState.PRUNED)
        clock.done(f"{name}: ended early; {what}")
    except KeyboardInterrupt:
        trials.tell(trial, state=TrialState.FAIL)
        trials.enqueue_trial(trial.params)  # the first one when the search goes on
        raise
    except TrainingError as error:
        _refuse_hopeless(error)
        trial.set_user_attr(study.ERROR, str(error))
        trials.tell(trial, state=TrialState.FAIL)
        clock.done(f"{name} failed: {error}; {what}")
    else:
        trials.tell(trial, score)
        clock.done(f"{name}: {MAIN} {score:.4f}; {what}")


def _refuse_hopeless(error: TrainingError) -> None:
    """Raise it again if it is of the data: no other value helps."""
    if isinstance(error, DataError | CatalogueTooLargeError):
        raise error


def _score(bench: _Bench, chosen: Recipe, monitor: Callable[[int], "_Told"]) -> float:
    """Mean nDCG@100 of fits with the plan's seeds; each has a monitor of its own."""
    scores: list[float] = []
    for number in range(bench.plan.n_seeds):
        told = monitor(number)
        told.now()
        seeded = replace(chosen, training=replace(chosen.training, seed=chosen.training.seed + number))
        fitted = job.run(seeded, bench.histories, bench.divided, monitor=told, items=bench.items, device=bench.device)
        scores.append(fitted.validation.mean(MAIN))
        told.judged(float(np.mean(scores)), more=number + 1 < bench.plan.n_seeds)
    return float(np.mean(scores))


class _Told:
    """A monitor of one fit: it tells the clock what runs, and ends a trial that is behind the others."""

    def __init__(self, name: str, clock: _Clock, trial: optuna.Trial | None, number: int) -> None:
        """trial: None for one that is never ended; number: of the seed."""
        self._name = name if number == 0 else f"{name}, seed {number + 1}"
        self._clock, self._trial, self._number = clock, trial, number
        self._stages: dict[str, int] = {}
        self._what = ""

    def epoch(self, epoch: Epoch) -> None:
        self._what = f": {epoch.stage.name}, epoch {epoch.number}"

    def step(self, loss: float) -> None:  # noqa: ARG002 (as every monitor)
        self.now()

    def now(self) -> None:
        self._clock.now(self._name + self._what)

    def record(self, record: Mapping[str, Any]) -> None:
        """Compare with what other trials reached in this epoch, of the first seed."""
        if "score" in record and self._number == 0:
            stage = self._stages.setdefault(record["stage"], len(self._stages))
            self._compare(record["score"], stage * _STAGE + record["epoch"])

    def judged(self, score: float, *, more: bool) -> None:
        """Compare with what other trials reached with so many seeds, if more are to come."""
        if more:
            self._compare(score, (self._number + 1) * _SEED)

    def _compare(self, score: float, step: int) -> None:
        if self._trial is not None:
            self._trial.report(score, step)
            if self._trial.should_prune():
                raise optuna.TrialPruned
