"""Recipes against each other on questions that nothing was chosen on.

Where users are held out (protocols folds and reference): for every seed the users who are never validation users are
cut anew into disjoint test groups; each recipe is fitted once per group to the users outside it, its epoch and item
scale are chosen on the validation users, and the group's users judge it. So within a seed every test user judges once
per recipe. Where interactions follow (a test file, or a moment that cuts one file in two): for every seed each recipe
is fitted once to all users but the validation users, and whoever the protocol asks judges it.

A figure is the mean over test users, averaged over seeds; its spread is the standard deviation of the seeds' means
(other test users where they are held out, other initial values). A difference is paired: per user, averaged over the
seeds in which the user judged, and its standard error is that of the mean over users.
"""

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import torch

from index import sparse
from training import evaluate, figures, job, protocols, recipe, split
from training.errors import TrainingError
from training.evaluate import COVERAGE, MAIN, METRICS, Evaluation, Retriever, SparseRetriever
from training.figures import PerUser
from training.later import Data
from training.protocols import Exam, Protocol
from training.recipe import Recipe
from training.split import Split
from training.trials import Archive, Trial, fingerprint

TEST_SHARE = 0.1
"""Of the users, per group."""


class Round(NamedTuple):
    """Who trains and what is asked, the same for every recipe."""

    split: Split
    """Users to train on and to choose with."""
    exam: Exam
    """What is asked."""


def rounds(data: Data, protocol: Protocol, seed: int, *, groups: int, validation: float) -> Iterator[Round]:
    """The rounds of one seed: one a test group, or a single one where interactions follow."""
    histories, n_users = data.known.matrix(), len(data.known.users)
    if data.later is None:
        for each in split.groups(n_users, seed, n_groups=groups, test=TEST_SHARE, validation=validation):
            yield Round(each, protocols.hold_out(protocol, histories, each.test, seed))
    else:
        everybody = split.holdout(n_users, split.VALIDATION_SEED, share=validation)
        yield Round(everybody, protocols.follow(protocol, data.known, data.later, seed))


def trials(
    data: Data,
    recipes: Mapping[str, Recipe],
    protocol: Protocol,
    *,
    seeds: int,
    groups: int,
    int8: bool = False,
    device: str,
    archive: Archive | None = None,
    done: Callable[[str], None],
) -> Iterator[Trial]:
    """Fit and judge every recipe in every round of every seed; `done` is told after each.

    int8: sparse ones are judged twice, the second time with the values that `publish --values int8` stores.
    archive: holds what was judged before, which is not fitted again, and keeps what is judged now.
    """
    share, measured_on = common_share(recipes), data.fingerprint()
    for seed in range(seeds):
        for group, current in enumerate(rounds(data, protocol, seed, groups=groups, validation=share)):
            for name, each in recipes.items():
                seeded = replace(each, training=replace(each.training, seed=seed))
                key = fingerprint(measured_on, seeded, protocol, TEST_SHARE, group, int8=int8)
                found = archive.find(key) if archive else []
                if not found:
                    judged = _judged(seeded, data, current, int8=int8, device=device)
                    found = [Trial(form, seed, group, test, facts) for form, test, facts in judged]
                    if archive:
                        archive.keep(key, found)
                yield from (replace(each, name=name + each.name) for each in found)
                done(name)


def _judged(
    seeded: Recipe, data: Data, current: Round, *, int8: bool, device: str
) -> Iterator[tuple[str, Evaluation, dict[str, Any]]]:
    """Fit a recipe and ask the exam: what is added to its name, what came out, and facts."""
    histories = data.known.matrix()
    popularity = np.asarray(histories[current.split.train].sum(axis=0), np.float32)
    fitted = job.run(seeded, histories, current.split, items=data.known.items, device=device)
    retriever, facts = fitted.retriever(), {**_facts(fitted), "exam": current.exam.facts}
    yield "", current.exam.take(retriever, popularity), facts
    rounded = _rounded(retriever) if int8 else None
    if rounded:
        yield " (int8)", current.exam.take(rounded, popularity), facts


def _rounded(retriever: Retriever) -> Retriever | None:
    """The same with int8 values; None for a model without sparse rows."""
    if not isinstance(retriever, SparseRetriever):
        return None
    rows = retriever.embeddings
    return SparseRetriever(replace(rows, decoder=sparse.quantised(rows.decoder)))


def common_share(recipes: Mapping[str, Recipe]) -> float:
    """The validation share; TrainingError if the recipes are not about the same data and users."""
    kinds: dict[str, set[Any]] = {
        "columns": {each.columns for each in recipes.values()},
        "filters": {each.filters for each in recipes.values()},
        "evaluation.validation_share": {each.evaluation.validation_share for each in recipes.values()},
    }
    for name, values in kinds.items():
        if len(values) != 1:
            raise TrainingError(f"the recipes differ in {name}; only equal ones can be compared")
    return max(each.evaluation.validation_share for each in recipes.values())


def _facts(fitted: job.Job) -> dict[str, Any]:
    progress = fitted.progress
    return {
        "best_epoch": progress.best_epoch if progress else None,
        "shrinkage": fitted.shrinkage,
        "validation": fitted.validation.mean(evaluate.MAIN),
        "seconds": round(fitted.seconds, 2),
        "values_per_item": _values_per_item(fitted.retriever()),
        "training_seconds": round(sum(each["seconds"] for each in progress.records), 2)
        if progress
        else round(fitted.seconds, 2),
    }


def _values_per_item(retriever: Retriever) -> float | None:
    """The mean number of an item's stored values; None for a model without sparse rows."""
    if not isinstance(retriever, SparseRetriever):
        return None
    rows = retriever.embeddings.decoder
    return round(len(rows.values) / rows.n_rows, 3)


def report(
    done: Sequence[Trial], recipes: Mapping[str, Recipe], against: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    """The document: figures of every recipe, differences to `against`, all trials, recipes and the machine."""
    by_name = {name: [each for each in done if each.name == name] for name in dict.fromkeys(t.name for t in done)}
    return {
        **about,
        "against": against,
        "figures": {name: _figures(own) for name, own in by_name.items()},
        "differences": {
            name: {metric: _difference(own, by_name[against], metric) for metric in METRICS}
            for name, own in by_name.items()
            if name != against
        },
        "trials": [{"recipe": t.name, "seed": t.seed, "group": t.group, **t.test.summary(), **t.facts} for t in done],
        "recipes": {name: recipe.as_document(each) for name, each in recipes.items()},
        "machine": machine(),
    }


def _figures(own: Sequence[Trial]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in METRICS:
        by_seed = [
            figures.joined([t.test.per_user[metric] for t in own if t.seed == seed]).mean()
            for seed in sorted({t.seed for t in own})
        ]
        found[metric] = {
            "mean": float(np.mean(by_seed)),
            "spread_over_seeds": float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
            "standard_error_over_users": _by_user(own, metric).standard_error(),
            "seeds": by_seed,
        }
    found[COVERAGE] = {"mean": float(np.mean([t.test.coverage for t in own])), "per": "group"}
    found["values_per_item"] = own[0].facts["values_per_item"]
    found["training_seconds"] = float(np.median([t.facts["training_seconds"] for t in own]))
    return found


def _by_user(own: Sequence[Trial], metric: str) -> PerUser:
    """A user's figure, averaged over the seeds in which the user judged."""
    return figures.joined([t.test.per_user[metric] for t in own])


def _difference(own: Sequence[Trial], other: Sequence[Trial], metric: str) -> dict[str, float | int | None]:
    paired = _by_user(own, metric).minus(_by_user(other, metric))
    return {"mean": paired.mean(), "standard_error": paired.standard_error(), "users": len(paired.users)}


def markdown(document: Mapping[str, Any]) -> str:
    """The document's figures as a table."""
    against = document["against"]
    lines = [
        "| recipe | values per item | "
        + " | ".join(METRICS)
        + f" | {COVERAGE} | {MAIN} minus {against} (paired SE) | training |",
        "| --- " * (len(METRICS) + 5) + "|",
    ]
    for name, found in document["figures"].items():
        cells = [_cell(found[metric]) for metric in METRICS]
        difference = document["differences"].get(name)
        versus = "-" if difference is None else _signed(difference[MAIN])
        cells += [f"{found[COVERAGE]['mean']:.3f}", versus, f"{found['training_seconds']:.1f} s"]
        values = "-" if found["values_per_item"] is None else f"{found['values_per_item']:.1f}"
        lines.append(f"| {name} | {values} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, Any]) -> str:
    spread = figure["spread_over_seeds"]
    return f"{figure['mean']:.4f}" + ("" if spread is None else f" (sd {spread:.4f})")


def _signed(difference: Mapping[str, Any]) -> str:
    error = difference["standard_error"]
    return f"{difference['mean']:+.4f}" + ("" if error is None else f" ({error:.4f})")


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    names = ("torch", "numpy", "scipy", "polars")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def _processor() -> str:
    """The processor's own name where Linux tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (not a file of ours)
            found = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        found = []
    return found[0] if found else platform.processor() or platform.machine()
