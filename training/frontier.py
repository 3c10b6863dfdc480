"""The frontier: what models are worth, against bytes per item and against the postings that a query touches.

Every recipe is swept over the size of its item vectors: one with a `k` over values per item, dense ELSA over its
width; one that has neither is measured once, and is a line to compare with. A fit is that of `compare` (who trains, who
judges, what is asked); at each size a few candidates are fitted, and validation users choose among them as they choose
epoch and item scale. Then every form of the vectors (`training.storage`) is asked, with the item scale of its fit.
Product quantisation is that of the width which validation users find best at so many bytes.

A figure is the mean over test users, averaged over seeds. Its error is the standard deviation over seeds, or where
there is one seed the standard error over users.

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
from training import compare, evaluate, job, recipe, storage
from training.compare import Round
from training.errors import RunError, TrainingError
from training.evaluate import MAIN
from training.later import Data
from training.models.elsa import DenseFactors
from training.protocols import Protocol
from training.recipe import Recipe, Training
from training.storage import Form

FILE = "frontier.json"
DRAWN = (MAIN, "recall@20")
"""The metrics of the curves."""
LINE = "line"
"""The form of a model without a size."""
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
        return [Place(task, *each) for each in rounds for task in tasks(self.recipes, self.sweep)]

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
        "curves": curves(own),
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
        yield Form({LINE: 0}, 0, fitted.retriever(), None)


def curves(points: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Figures by recipe and accounting, a point a size, by ascending bytes; of pq one a number of bytes."""
    groups: dict[tuple[str, str, Any, int], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for point in points:
        for number, form in enumerate(point.get("forms", ())):
            for accounting in form["bytes"]:
                groups.setdefault((point["name"], accounting, point["size"], number), []).append((point, form))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for (name, accounting, size, _), own in groups.items():
        found.setdefault(name, {}).setdefault(accounting, []).append({"size": size, **_point(accounting, own)})
    for drawn in found.values():
        for accounting, each in drawn.items():
            each.sort(key=lambda point: (point["bytes"], -point["validation"]))
            if accounting == "pq":
                firsts = {point["bytes"]: point for point in reversed(each)}
                drawn[accounting] = [firsts[size] for size in sorted(firsts)]
    return found


def _point(accounting: str, own: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """A size in all its rounds."""
    forms = [form for _, form in own]
    seeds = [[form["test"] for point, form in own if point["seed"] == seed] for seed in {p["seed"] for p, _ in own}]
    touched = [form["touched"] for form in forms if form["touched"] is not None]
    return {
        "bytes": float(np.mean([form["bytes"][accounting] for form in forms])),
        "bytes_beside": float(np.mean([form["bytes_beside"] for form in forms])),
        "touched": float(np.mean(touched)) if touched else None,
        "validation": float(np.mean([form["validation"] for form in forms])),
        **{metric: _figure([pooled(each, metric) for each in seeds]) for metric in DRAWN},
    }


def _figure(seeds: Sequence[tuple[float, float | None]]) -> dict[str, float | None]:
    means = [mean for mean, _ in seeds]
    return {"mean": float(np.mean(means)), "error": float(np.std(means, ddof=1)) if len(means) > 1 else seeds[0][1]}


def pooled(groups: Sequence[Mapping[str, Any]], metric: str) -> tuple[float, float | None]:
    """Mean over the users of disjoint groups and its standard error, from those of each group."""
    n = np.array([each["users"] for each in groups])
    means = np.array([each[metric] for each in groups])
    errors = np.array([each[f"{metric}_se"] or 0.0 for each in groups])
    mean, total = float((n * means).sum() / n.sum()), int(n.sum())
    if total < 2:
        return mean, None
    deviations = (errors**2 * n * (n - 1)).sum() + (n * (means - mean) ** 2).sum()
    return mean, float(np.sqrt(deviations / (total - 1) / total))


def markdown(document: Mapping[str, Any]) -> str:
    """The curves as a table; in brackets errors."""
    lines = ["| model | size | form | bytes | " + " | ".join(DRAWN) + " | values touched |", "| --- " * 7 + "|"]
    for name, drawn in document["curves"].items():
        for accounting, points in drawn.items():
            for each in points:
                cells = [name, str(each["size"] or "-"), accounting]
                cells.append("-" if accounting == LINE else f"{each['bytes']:.0f}")
                cells += [_cell(each[metric]) for metric in DRAWN]
                cells.append("-" if each["touched"] is None else f"{each['touched']:,.0f}")
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, float | None]) -> str:
    error = figure["error"]
    return f"{figure['mean']:.4f}" + ("" if error is None else f" ({error:.4f})")
