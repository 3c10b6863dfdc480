"""Studies: the journal of a search beside the best recipe it has found, both safe on disk at any time.

    NAME.toml           the best recipe so far, with comments saying how it was found; replaced as a whole
    NAME.study.jsonl    every trial, in the form of optuna's journal: a line is added and forced to disk for each event

One process at a time holds the journal. What a crash leaves in it, half a line or a trial that never ended, is cleared
when it is opened again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from index import disk
from training import recipe, run, spaces
from training.errors import RunError
from training.evaluate import MAIN
from training.interactions import Interactions
from training.recipe import Recipe
from training.spaces import Space

SHOWN = 5
"""Best trials that are told in the end."""
OWN = "own"
"""Attribute of a study: {"score": ...} of the recipe that it begins with, or {"error": ...}."""
SECONDS = "seconds"
"""Attribute of a study: what all its trials took."""
ERROR = "error"
"""Attribute of a trial: why it failed."""
_NAME = "sparrow-train tune"  # of the only study in the journal
_OF = "of"  # attribute of a study: the fingerprint of what it is a study of


@dataclass(frozen=True)
class Plan:
    """What is searched, and for how long."""

    recipe: Recipe
    """Where the search begins; what is not searched stays as it is."""
    space: Space
    """What is tried."""
    minutes: float
    """The budget, of all resumed searches together; what runs at its end is finished."""
    n_trials: int | None = None
    """Trials at most, of all resumed searches together; None: as many as there is time for."""
    n_seeds: int = 1
    """Seeds of the training, from the recipe's on, whose scores are averaged."""
    seed: int = 0
    """Of the search."""


@dataclass(frozen=True)
class Tried:
    """A finished trial."""

    number: int
    """From 0."""
    score: float
    """Mean nDCG@100 of the seeds."""
    values: Mapping[str, Any]
    """What its recipe has for each key that is searched."""


@dataclass(frozen=True)
class Found:
    """What a search has found so far."""

    recipe: Recipe
    """The best one, the recipe that it began with included."""
    score: float
    """Its nDCG@100, on the users who chose it: optimistic."""
    trial: int | None
    """Its number; None: it is the recipe that the search began with."""
    own_score: float | None
    """Of the recipe that the search began with; None: that one failed."""
    best: tuple[Tried, ...]
    """The best trials, best first, at most SHOWN."""
    trials: Mapping[str, int]
    """How many were finished, ended early, or failed."""
    last_error: str | None
    """Why the last failed one did."""
    seconds: float
    """What all took."""


def journal_of(out: Path) -> Path:
    """The journal beside a recipe that is being searched for."""
    return out.with_name(f"{out.stem}.study.jsonl")


@contextmanager
def opened(out: Path, plan: Plan, data: Interactions, *, resume: bool) -> Iterator[optuna.Study]:
    """Hold the journal beside `out`, and leave its study open.

    Raises RunError if there is something that is not to be resumed, or if that is of another search.
    """
    path = journal_of(out)
    if not resume and out.exists():
        raise RunError(f"{out} is there already; go on with --resume, or name another --out")
    if out.exists() and not path.exists():
        raise RunError(f"{out} is there, but no study beside it; name another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{path} is held by a search that runs; name another --out") from error
        yield _study(path, plan, fingerprint(plan, data), resume=resume)


def fingerprint(plan: Plan, data: Interactions) -> str:
    """Of everything that decides a score: data, recipe, what is searched, and the number of seeds."""
    text = json.dumps([recipe.resolved(plan.recipe), spaces.described(plan.space), plan.n_seeds])
    return hashlib.sha256(run.fingerprint(text, data, ()).encode()).hexdigest()


def _study(path: Path, plan: Plan, own: str, *, resume: bool) -> optuna.Study:
    study = _loaded(path)
    if study is None or OWN not in study.user_attrs:  # nothing was judged yet
        study = _begun(path, plan, own)
    elif not resume:
        raise RunError(f"{path} is there already; go on with --resume, or name another --out")
    elif study.user_attrs[_OF] != own:
        raise RunError(f"{path} is of other data, another recipe or another search; name another --out")
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL)
    study.sampler = TPESampler(seed=plan.seed + len(study.get_trials(deepcopy=False)))
    return study


def _begun(path: Path, plan: Plan, own: str) -> optuna.Study:
    """A new study; of few combinations all are to be tried."""
    os.truncate(path, 0)
    study = optuna.create_study(storage=_storage(path), study_name=_NAME, direction="maximize", pruner=_pruner())
    study.set_user_attr(_OF, own)
    for each in spaces.shuffled(plan.space, plan.seed):
        study.enqueue_trial(each)
    return study


def _loaded(path: Path) -> optuna.Study | None:
    """What is in the journal, cleared of what a crash left; None if it is empty."""
    try:
        _storage(path)
        _clear(path)
        return (
            optuna.load_study(storage=_storage(path), study_name=_NAME, pruner=_pruner())
            if path.stat().st_size
            else None
        )
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise RunError(f"{path} is damaged, or no journal of a search ({error}); name another --out") from error


def _clear(path: Path) -> None:
    """Remove half a line that a crash left, and optuna's own lock: nobody has it, as we hold the journal."""
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink()


def _storage(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path.resolve())))


def _pruner() -> MedianPruner:
    return MedianPruner(n_startup_trials=5, n_warmup_steps=2)


def found(plan: Plan, study: optuna.Study) -> Found | None:
    """The best so far; None if nothing could be fitted."""
    own = study.user_attrs[OWN].get("score")
    trials = study.get_trials(deepcopy=False)
    complete = [each for each in trials if each.state == TrialState.COMPLETE]
    scores = sorted((-each.values[0], each.number) for each in complete)
    ranked = [_tried(plan, number, -score, trials[number].params) for score, number in scores[:SHOWN]]
    n_pruned = sum(each.state == TrialState.PRUNED for each in trials)
    counts = {"finished": len(complete), "ended early": n_pruned}
    counts["failed"] = n_over(study) - len(complete) - n_pruned
    kept = tuple(ranked), counts, last_error(study), study.user_attrs.get(SECONDS, 0.0)
    if ranked and (own is None or ranked[0].score > own):
        best = ranked[0]
        return Found(spaces.candidate(plan.recipe, plan.space, best.values), best.score, best.number, own, *kept)
    return None if own is None else Found(plan.recipe, own, None, own, *kept)


def n_over(study: optuna.Study) -> int:
    """Trials that have come to an end of their own: those that a crash or Ctrl-C ended are not counted."""
    return sum(
        each.state in (TrialState.COMPLETE, TrialState.PRUNED) or ERROR in each.user_attrs
        for each in study.get_trials(deepcopy=False)
    )


def last_error(study: optuna.Study) -> str | None:
    """Why the last trial that failed did, or else the recipe itself; None if nothing failed."""
    errors = [each.user_attrs[ERROR] for each in study.get_trials(deepcopy=False) if ERROR in each.user_attrs]
    own: str | None = study.user_attrs[OWN].get("error")
    return errors[-1] if errors else own


def values(chosen: Recipe, space: Space) -> dict[str, Any]:
    """What a recipe has for each key that is searched."""
    return {name: spaces.value(chosen, name) for name in space}


def _tried(plan: Plan, number: int, score: float, params: Mapping[str, Any]) -> Tried:
    return Tried(number, score, values(spaces.candidate(plan.recipe, plan.space, params), plan.space))


def keep(out: Path, plan: Plan, best: Found, n_users: int) -> None:
    """Make `out` the best recipe, unless it is that already."""
    text = "".join(f"# {line}\n" for line in _comments(plan, best, n_users)) + recipe.resolved(best.recipe)
    if not out.is_file() or out.read_text(encoding="utf-8") != text:
        disk.replace_text(out, text)


def told(best: Found) -> str:
    """What was tried, in words."""
    text = f"{sum(best.trials.values())} trials in {best.seconds / 60:.1f} minutes"
    if best.trials["ended early"]:
        text += f", {best.trials['ended early']} of them ended early"
    if best.trials["failed"]:
        text += f", {best.trials['failed']} failed (the last one: {best.last_error})"
    return text


def table(plan: Plan, best: Found) -> list[tuple[str, float | None, Mapping[str, Any]]]:
    """Name, score and values of the recipe that the search began with and of the best trials."""
    own = "as it was", best.own_score, values(plan.recipe, plan.space)
    return [*((f"trial {each.number}", each.score, each.values) for each in best.best), own]


def document(plan: Plan, best: Found) -> dict[str, Any]:
    """As JSON."""
    return {
        "note": "measured on the users that chose it, so optimistic",
        MAIN: best.score,
        "trial": best.trial,
        "values": values(best.recipe, plan.space),
        "as_it_was": best.own_score,
        "best_trials": [asdict(each) for each in best.best],
        "trials": dict(best.trials),
        "last_error": best.last_error,
        "seconds": best.seconds,
        "search": spaces.described(plan.space),
        "seeds": plan.n_seeds,
        "recipe": recipe.as_document(best.recipe),
    }


def _comments(plan: Plan, best: Found, n_users: int) -> Iterator[str]:
    seeds = "" if plan.n_seeds == 1 else f", mean of {plan.n_seeds} seeds"
    which = "the recipe that it began with" if best.trial is None else f"trial {best.trial}"
    yield f"Found by sparrow-train tune: {which}, of {' '.join(told(best).split())}."
    yield f"{MAIN} {best.score:.4f} on the {n_users} validation users who chose it (so optimistic){seeds}."
    if best.trial is not None:
        own = "could not be fitted" if best.own_score is None else f"reaches {best.own_score:.4f}"
        yield f"The recipe that the search began with {own}. Seed of the search: {plan.seed}. Searched:"
    else:
        yield f"Seed of the search: {plan.seed}. Searched:"
    for line in spaces.described(plan.space):
        yield f"    {line}"
