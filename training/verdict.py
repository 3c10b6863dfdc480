"""Complete runs on questions: what each is worth, and by how much they differ, paired over users.

The data are read again as the first run says, and a run of other data is refused by its fingerprint. What follows the
moment `filters.before`, or stands in a file of its own, tests; without either the run's own validation users are
asked, who chose its epoch and item scale: figures of theirs are slightly optimistic.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from index import sparse
from index.embeddings import SparseItemEmbeddings
from training import later, protocols, recipe, run, split
from training.cut import cut
from training.errors import RunError
from training.evaluate import COVERAGE, METRICS, Evaluation, SparseRetriever
from training.later import Data
from training.protocols import Exam, Protocol
from training.recipe import Recipe

OPTIMISTIC = "asked are the users that chose epoch and item scale: slightly optimistic"


@dataclass(frozen=True)
class Candidate:
    """Something to be judged."""

    name: str
    """The run's directory, and how its values are stored if not as float32."""
    embeddings: SparseItemEmbeddings
    """What answers."""


@dataclass(frozen=True)
class Verdict:
    """What came out."""

    exam: Exam
    """What was asked."""
    data: Data
    """What of."""
    beta: float
    """Of the penalised recall."""
    judged: Mapping[str, Evaluation]
    """By name of the candidate; the first is what the others are compared with."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        first, *others = self.judged
        return {
            "exam": {**self.exam.facts, "beta": self.beta},
            "data": asdict(self.data.loaded),
            "against": first,
            "figures": {name: each.summary() for name, each in self.judged.items()},
            "differences": {name: {m: self._difference(name, m) for m in METRICS} for name in others},
        }

    def _difference(self, name: str, metric: str) -> dict[str, float | int | None]:
        against = next(iter(self.judged.values())).per_user[metric]
        paired = self.judged[name].per_user[metric].minus(against)
        return {"mean": paired.mean(), "standard_error": paired.standard_error(), "users": len(paired.users)}


def judge(
    directories: Sequence[Path], data: Data, protocol: Protocol, *, int8: bool, sizes: Sequence[int] = (), beta: float
) -> Verdict:
    """Ask complete runs, all of `data` as `data_of` reads them.

    int8: each also as it is when published with int8 values. sizes: each also cut to so many values per item.
    Raises RunError for a run that is incomplete, has no
    embeddings or is of other data, and DataError as the protocols do.
    """
    chosen = recipe_of(directories[0])
    histories = data.known.matrix()
    divided = split.holdout(len(data.known.users), split.VALIDATION_SEED, share=chosen.evaluation.validation_share)
    candidates = [each for directory in directories for each in _candidates(directory, data, int8=int8, sizes=sizes)]
    if data.later is None:
        for each in directories[1:]:
            _refuse_other_share(each, chosen)
        exam = protocols.hold_out(protocol, histories, divided.validation, chosen.training.seed)
        exam = replace(exam, facts={**exam.facts, "note": OPTIMISTIC})
    else:
        exam = protocols.follow(protocol, data.known, data.later, chosen.training.seed)
    popularity = np.asarray(histories[divided.train].sum(axis=0), np.float32)
    taken = {each.name: exam.take(SparseRetriever(each.embeddings), popularity, beta=beta) for each in candidates}
    return Verdict(exam, data, beta, taken)


def data_of(directory: Path, train: Path, test: Path | None) -> Data:
    """Read the files as the run's recipe says. Raises RunError and DataError."""
    chosen = recipe_of(directory)
    return later.load(train, test, chosen.columns, chosen.filters)


def recipe_of(directory: Path) -> Recipe:
    """The resolved recipe of a complete run. Raises RunError."""
    return recipe.parse(run.metrics(directory)["recipe"])


def _candidates(directory: Path, data: Data, *, int8: bool, sizes: Sequence[int]) -> Iterator[Candidate]:
    loaded, resolved = run.load(directory), (directory / "recipe.toml").read_text()
    if run.metrics(directory)["fingerprint"] != run.fingerprint(resolved, data.known, loaded.properties):
        raise RunError(
            f"{directory} is a run of other data; name the file it was fitted to, and judge together only runs of the "
            "same columns and filters"
        )
    cuts = {f" (k = {k})": cut(loaded.embeddings, k) for k in sizes}
    for name, each in {"": loaded.embeddings, **cuts}.items():
        yield Candidate(f"{directory}{name}", each)
        if int8:
            yield Candidate(f"{directory}{name} (int8)", replace(each, decoder=sparse.quantised(each.decoder)))


def _refuse_other_share(directory: Path, chosen: Recipe) -> None:
    share, own = (each.evaluation.validation_share for each in (chosen, recipe_of(directory)))
    if share != own:
        raise RunError(
            f"{directory} held out a share {own:g} of the users, not {share:g}: it trained on some of those asked"
        )


def markdown(document: Mapping[str, Any]) -> str:
    """The document's figures as a table, a metric a row; in brackets standard errors."""
    figures, differences = document["figures"], document["differences"]
    columns = ["metric", *figures, *(f"{name} minus {document['against']}" for name in differences)]
    lines = ["| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|"]
    for metric in METRICS:
        own = [_with_error(f"{each[metric]:.4f}", each[f"{metric}_se"]) for each in figures.values()]
        found = [each[metric] for each in differences.values()]
        paired = [_with_error(f"{each['mean']:+.4f}", each["standard_error"]) for each in found]
        lines.append("| " + " | ".join([metric, *own, *paired]) + " |")
    covered = [f"{each[COVERAGE]:.4f}" for each in figures.values()]
    lines.append("| " + " | ".join([COVERAGE, *covered, *("" for _ in differences)]) + " |")
    return "\n".join(lines) + "\n"


def _with_error(text: str, error: float | None) -> str:
    return text if error is None else f"{text} ({error:.4f})"
