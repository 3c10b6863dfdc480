"""Held-out users ask, a retriever answers, metrics judge.

Every model is asked through one interface. Sparse ones answer with `index.search`, the code that serves; dense ones
score a batch and choose with `index.reference.select`, so ties and order follow the same rule. A user's figure is the
mean over the user's folds; the standard error is that of the mean over users.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings
from index.query import encode
from index.reference import Hits, select
from index.search import Searcher
from index.types import Array, Float32, Int32
from training import metrics
from training.errors import DataError
from training.split import Question, questions

DEPTH = 100
"""Length of the lists that are judged."""
MAIN = "ndcg@100"
"""The metric that stops training and chooses settings."""
JUDGES: Mapping[str, Callable[[Int32, Int32], float]] = {
    "recall@20": lambda ranked, targets: metrics.recall(ranked, targets, 20),
    "recall@50": lambda ranked, targets: metrics.recall(ranked, targets, 50),
    MAIN: lambda ranked, targets: metrics.ndcg(ranked, targets, 100),
}
"""The metrics of one list by name."""
COVERAGE = f"coverage@{DEPTH}"

_BATCH = 256  # questions scored at once: bounds the memory of dense scores


class Retriever(Protocol):
    """Answers histories with items that are not in them."""

    def retrieve(self, histories: Sequence[Int32], n: int) -> Iterator[Hits]:
        """Yield the n best items for each history (item rows), in the order of the histories."""
        ...


@dataclass(frozen=True)
class SparseRetriever:
    """Answers with the code that serves."""

    embeddings: SparseItemEmbeddings
    """What is searched."""

    def retrieve(self, histories: Sequence[Int32], n: int) -> Iterator[Hits]:
        """Yield the n best items for each history."""
        searcher = Searcher.of(self.embeddings)
        for start in range(0, len(histories), _BATCH):
            batch = histories[start : start + _BATCH]
            queries = [encode(self.embeddings, history, np.ones(len(history), np.float32)) for history in batch]
            yield from searcher.batch(np.stack(queries), n, exclude=batch)


@dataclass(frozen=True)
class DenseRetriever:
    """Answers with the scores that a function gives to a batch of histories."""

    score: Callable[[csr_array], Float32]
    """Binary histories (n_histories, n_items) -> scores of the same shape."""
    n_items: int
    """Size of the catalogue."""

    def retrieve(self, histories: Sequence[Int32], n: int) -> Iterator[Hits]:
        """Yield the n best items for each history."""
        for start in range(0, len(histories), _BATCH):
            batch = histories[start : start + _BATCH]
            for history, scores in zip(batch, self.score(stack(batch, self.n_items)), strict=True):
                yield select(scores, n, history, None)


@dataclass(frozen=True)
class Evaluation:
    """What a retriever is worth to some users."""

    users: Int32
    """Rows of the users judged, (n_users,)."""
    per_user: Mapping[str, Array]
    """Metric -> the mean over the folds of each user, float64 (n_users,)."""
    coverage: float
    """Share of the catalogue in the first 100 of all lists together."""

    def mean(self, metric: str) -> float:
        """The mean over users."""
        return float(self.per_user[metric].mean())

    def standard_error(self, metric: str) -> float:
        """The standard error of the mean over users; nan for a single user."""
        return standard_error(self.per_user[metric])

    def summary(self) -> dict[str, float | None]:
        """All means, standard errors (None for a single user) and the coverage, by name."""
        figures = {name: self.mean(name) for name in self.per_user}
        errors = {f"{name}_se": finite(self.standard_error(name)) for name in self.per_user}
        return {**figures, **errors, COVERAGE: self.coverage, "users": len(self.users)}


def evaluate(retriever: Retriever, asked: Sequence[Question], n_items: int) -> Evaluation:
    """Ask every question and judge the answers; `asked` lists the folds of a user one behind the other."""
    answers = [hits.items for hits in retriever.retrieve([each.given for each in asked], DEPTH)]
    users, owner = np.unique(np.array([each.user for each in asked], np.int32), return_inverse=True)
    per_user = {}
    for name, judge in JUDGES.items():
        values = [judge(ranked, each.targets) for ranked, each in zip(answers, asked, strict=True)]
        per_user[name] = np.bincount(owner, weights=values) / np.bincount(owner)
    return Evaluation(users, per_user, metrics.coverage(answers, n_items))


def ask(histories: csr_array, users: Int32, n_folds: int, seed: int) -> list[Question]:
    """Make the folds of some users' histories; DataError if no user has two items."""
    asked = [each for user in users.tolist() for each in questions(row(histories, user), user, n_folds, seed)]
    if not asked:
        raise DataError("no held-out user has two items or more, so nothing can be evaluated; hold out more users")
    return asked


def standard_error(values: Array) -> float:
    """The standard error of a mean; nan for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def finite(value: float) -> float | None:
    """None where there is no number that JSON could hold."""
    return value if np.isfinite(value) else None


def row(histories: csr_array, user: int) -> Int32:
    """The item rows of one user's history, ascending."""
    return np.asarray(histories.indices[histories.indptr[user] : histories.indptr[user + 1]], np.int32)


def stack(histories: Sequence[Int32], n_items: int) -> csr_array:
    """Histories as a binary matrix (n_histories, n_items)."""
    starts = np.concatenate([[0], np.cumsum([len(history) for history in histories])])
    items = np.concatenate([np.empty(0, np.int32), *histories])
    return csr_array((np.ones(len(items), np.float32), items, starts), shape=(len(histories), n_items))
