"""The frontier: what models are worth, against bytes per item and against the postings that a query touches.

Every recipe is swept over the size of its item vectors: one with a `k` over values per item, dense ELSA over its
width; one that has neither is measured once, and is a line to compare with. A fit is that of `compare` (who trains, who
judges, what is asked); at each size a few candidates are fitted, and validation users choose among them as they choose
epoch and item scale. Then every form of the vectors (`training.storage`) is asked, with the item scale of its fit.
Product quantisation is that of the width which validation users find best at so many bytes.

All fits are kept in frontier.json, each under a fingerprint of everything that decides it, so that drawing again, or
after an interruption, fits only what is missing.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from index import disk
from training import compare, curves, evaluate, job, recipe, storage, sweep
from training.compare import Round
from training.errors import RunError, TrainingError
from training.evaluate import MAIN
from training.later import Data
from training.models.elsa import DenseFactors
from training.protocols import Protocol
from training.recipe import Recipe
from training.storage import Form
from training.sweep import Sweep, Task

FILE = "frontier.json"


class Place(NamedTuple):
    """A task in a round."""

    task: Task
    """What is fitted."""
    seed: int
    """Of the groups, and of the fit."""
    group: int
    """Number of the test group."""

    @property
    def key(self) -> str:
        """Its name among others of the same data."""
        return f"{self.task.name}/{self.task.size}/{self.seed}/{self.group}"


@dataclass(frozen=True)
class Study:
    """What is measured, on what, and where it is kept."""

    data: Data
    """Interactions."""
    recipes: Mapping[str, Recipe]
    """By name."""
    sweep: Sweep
    """Sizes and candidates."""
    protocol: Protocol
    """How to ask."""
    seeds: int
    """How many."""
    groups: int
    """Of test users per seed, where users are held out."""
    directory: Path
    """Where frontier.json is."""

    def places(self) -> list[Place]:
        """Everything that is fitted, round by round."""
        groups = 1 if self.data.later is not None else self.groups
        rounds = [(seed, group) for seed in range(self.seeds) for group in range(groups)]
        return [Place(task, *each) for each in rounds for task in sweep.tasks(self.recipes, self.sweep)]

    def fingerprint(self, place: Place) -> str:
        """Of everything that decides what is measured there."""
        asked = [asdict(self.protocol), compare.TEST_SHARE, place.key, place.task.pq_bytes]
        fitted = [recipe.resolved(each) for each in place.task.candidates]
        return hashlib.sha256(json.dumps([*asked, fitted]).encode()).hexdigest()


def open_points(study: Study) -> dict[str, Any]:
    """What was measured before, by key. RunError if that was on other data."""
    path = study.directory / FILE
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_bytes())
        points, data = document["points"], document["data_fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); remove it, or name another --out") from error
    if data != study.data.fingerprint():
        raise RunError(f"{path} is of other data; name another --out")
    return dict(points)


def missing(study: Study, points: Mapping[str, Any]) -> list[Place]:
    """What is not measured yet."""
    return [each for each in study.places() if points.get(each.key, {}).get("fingerprint") != study.fingerprint(each)]


def measure(
    study: Study, points: dict[str, Any], about: Mapping[str, Any], *, device: str, done: Callable[[str], None]
) -> dict[str, Any]:
    """Fit what is missing, keeping each as it is measured; the document, which is in frontier.json as well.

    Raises TrainingError if nothing at all could be fitted.
    """
    study.directory.mkdir(parents=True, exist_ok=True)
    left, histories = missing(study, points), study.data.known.matrix()
    share = compare.common_share(study.recipes)
    for seed in sorted({each.seed for each in left}):
        rounds = compare.rounds(study.data, study.protocol, seed, groups=study.groups, validation=share)
        for group, current in enumerate(rounds):
            for place in (each for each in left if (each.seed, each.group) == (seed, group)):
                found = _fit(place, current, study.data, histories, device)
                points[place.key] = {"fingerprint": study.fingerprint(place), **found}
                _write(study, points, about)
                done(f"{place.task.name} {place.task.size or ''}".rstrip())
    measured = [points[each.key] for each in study.places()]
    if all("left_out" in each for each in measured):
        raise TrainingError(f"nothing could be fitted: {measured[0]['left_out']}")
    return _write(study, points, about)


def _write(study: Study, points: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    own = [points[each.key] for each in study.places() if each.key in points]
    document = {
        "about": {**about, "seeds": study.seeds, "protocol": study.protocol.name, "users": _users(own)},
        "data_fingerprint": study.data.fingerprint(),
        "curves": curves.by_recipe(own),
        "left_out": sorted(
            {f"{each['name']} {each['size']}: {each['left_out']}" for each in own if "left_out" in each}
        ),
        "points": dict(points),
        "machine": compare.machine() | {"omp_threads": os.environ.get("OMP_NUM_THREADS")},
    }
    disk.replace_text(study.directory / FILE, json.dumps(document, indent=1) + "\n")
    return document


def _users(points: Sequence[Mapping[str, Any]]) -> list[int]:
    """How many users judge, by round."""
    asked = {(each["seed"], each["group"]): each["forms"][0]["test"]["users"] for each in points if "forms" in each}
    return list(asked.values())


def _fit(place: Place, current: Round, data: Data, histories: csr_array, device: str) -> dict[str, Any]:
    """The best candidate's figures in all forms, or why there is none."""
    told: list[dict[str, Any]] = []
    best: tuple[Recipe, job.Job] | None = None
    for candidate in place.task.candidates:
        seeded = replace(candidate, training=replace(candidate.training, seed=place.seed))
        tried = {"model": asdict(seeded.model), "training": asdict(seeded.training)}
        try:
            fitted = job.run(seeded, histories, current.split, items=data.known.items, device=device)
        except TrainingError as error:
            told.append({**tried, "failed": str(error)})
            continue
        score = fitted.validation.mean(MAIN)
        told.append({**tried, "validation": score, "seconds": round(fitted.seconds, 2)})
        if best is None or score > best[1].validation.mean(MAIN):
            best = seeded, fitted
    named = {"name": place.task.name, "size": place.task.size, "seed": place.seed, "group": place.group}
    if best is None:
        return {**named, "candidates": told, "left_out": told[0]["failed"]}
    chosen, fitted = best
    return {
        **named,
        "candidates": told,
        "recipe": recipe.as_document(chosen),
        "best_epoch": fitted.progress.best_epoch if fitted.progress else None,
        "shrinkage": fitted.shrinkage,
        "exam": current.exam.facts,
        "forms": list(_judged(fitted, chosen, place.task, current, histories, data)),
    }


def _judged(
    fitted: job.Job, chosen: Recipe, task: Task, current: Round, histories: csr_array, data: Data
) -> Iterator[dict[str, Any]]:
    popularity = np.asarray(histories[current.split.train].sum(axis=0), np.float32)
    asked = evaluate.ask(histories, current.split.validation, chosen.evaluation.folds, chosen.training.seed)
    for form in _forms(fitted, data, task, int((popularity > 0).sum())):
        given = [each.given for each in current.exam.questions]
        yield {
            "bytes": form.takes,
            "bytes_beside": form.beside,
            "touched": storage.touched(form, given),
            "validation": evaluate.evaluate(form.retriever, asked, popularity).mean(MAIN),
            "test": current.exam.take(form.retriever, popularity).summary(),
        }


def _forms(fitted: job.Job, data: Data, task: Task, n_known: int) -> Iterator[Form]:
    embeddings = fitted.model.embeddings(data.known.items, fitted.item_scale)
    if embeddings is not None and task.size is not None:
        yield from storage.sparse_forms(embeddings, n_known)
    elif isinstance(fitted.model, DenseFactors):
        vectors = fitted.model.vectors_ID.cpu().numpy()
        yield from storage.dense_forms(vectors, fitted.item_scale, task.pq_bytes)
    else:
        yield Form({curves.LINE: 0}, 0, fitted.retriever(), None)
