"""Users ask, a retriever answers, metrics judge.

Every model is asked through one interface. Sparse ones answer with `index.search`, the code that serves; dense ones
score a batch and choose with `index.reference.select`, so ties and order follow the same rule. A user's figure is the
mean over the user's questions (`training.figures` has the errors); the penalised recall is one quotient over them all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings
from index.query import encode
from index.reference import Hits, select
from index.search import Searcher
from index.types import Array, Float32, Int32, Int64
from training import figures, metrics
from training.errors import DataError
from training.figures import PerUser
from training.metrics import NOTHING, Found
from training.split import NOBODY, Question, questions

DEPTH = 100
"""Length of the lists that are judged."""
MAIN = "ndcg@100"
"""The metric that stops training and chooses settings."""
JUDGES: Mapping[str, Callable[[Found, Int64], Array]] = {
    "recall@20": partial(metrics.recall, n=20),
    "calibrated_recall@20": partial(metrics.calibrated_recall, n=20),
    "calibrated_recall@50": partial(metrics.calibrated_recall, n=50),
    "ndcg@20": partial(metrics.ndcg, n=20),
    MAIN: partial(metrics.ndcg, n=100),
}
"""The metrics that need the lists and the targets only, by name."""
PENALISED = "penalised_recall@20"
METRICS = (*JUDGES, PENALISED)
"""Every metric that has a figure of each user."""
COVERAGE = f"coverage@{DEPTH}"

_BATCH = 256  # questions scored at once: bounds the memory of dense scores
_JUDGED = 4096  # questions judged at once: bounds the memory of lists


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

    per_user: Mapping[str, PerUser]
    """Each of METRICS, of the same users in the same order."""
    coverage: float
    """Share of the catalogue in the first 100 of all lists together."""
    n_questions: int
    """How many lists were judged."""

    @property
    def users(self) -> Int32:
        """Rows of the users judged, ascending, (n_users,)."""
        return self.per_user[MAIN].users

    def mean(self, metric: str) -> float:
        """The mean over users."""
        return self.per_user[metric].mean()

    def summary(self) -> dict[str, float | None]:
        """All means, standard errors (None for a single user) and the coverage, by name."""
        means = {name: each.mean() for name, each in self.per_user.items()}
        errors = {f"{name}_se": each.standard_error() for name, each in self.per_user.items()}
        return {**means, **errors, COVERAGE: self.coverage, "users": len(self.users), "questions": self.n_questions}


def evaluate(
    retriever: Retriever, asked: Sequence[Question], popularity: Float32, *, beta: float = metrics.BETA
) -> Evaluation:
    """Ask every question and judge the answers.

    popularity: training users per item, (n_items,), for the penalised recall; beta: how strongly it counts there.
    """
    answers = retriever.retrieve([each.given for each in asked], DEPTH)
    worth, shown = metrics.worth(popularity, beta), np.zeros(len(popularity), bool)
    parts = []
    for start in range(0, len(asked), _JUDGED):
        part = asked[start : start + _JUDGED]
        ranked = _table(islice(answers, len(part)), len(part))
        shown[ranked[ranked != NOTHING]] = True
        parts.append(_judge(ranked, part, worth))
    users = np.array([each.user for each in asked], np.int32)
    values = {name: np.concatenate([part[name] for part in parts]) for name in (*METRICS, "worth")}
    per_user = {name: figures.of_questions(users, values[name]) for name in JUDGES}
    per_user[PENALISED] = figures.of_questions(users, values[PENALISED], values["worth"])
    return Evaluation(per_user, metrics.coverage(shown), len(asked))


def _table(answers: Iterator[Hits], n: int) -> Int32:
    """The answers as rows, (n, DEPTH)."""
    ranked = np.full((n, DEPTH), NOTHING, np.int32)
    for row, (items, _) in enumerate(answers):
        ranked[row, : len(items)] = items
    return ranked


def _judge(ranked: Int32, asked: Sequence[Question], worth: Array) -> dict[str, Array]:
    """Every metric of every question, and under "worth" that of its targets together, (n_questions,) each."""
    n_targets = np.array([len(each.targets) for each in asked], np.int64)
    targets = np.concatenate([each.targets for each in asked])
    found = metrics.find(ranked, targets, n_targets)
    starts = np.cumsum(n_targets) - n_targets
    total = np.add.reduceat(metrics.worth_of(worth, targets), starts)
    penalised = metrics.penalised_recall(found, metrics.worth_of(worth, ranked), total, 20)
    return {**{name: judge(found, n_targets) for name, judge in JUDGES.items()}, PENALISED: penalised, "worth": total}


def ask(histories: csr_array, users: Int32, n_folds: int, seed: int) -> list[Question]:
    """Make the folds of some users' histories; DataError if no user has two items."""
    asked = [each for user in users.tolist() for each in questions(row(histories, user), user, n_folds, seed)]
    if not asked:
        raise DataError(NOBODY)
    return asked


def row(histories: csr_array, user: int) -> Int32:
    """The item rows of one user's history, ascending."""
    return np.asarray(histories.indices[histories.indptr[user] : histories.indptr[user + 1]], np.int32)


def stack(histories: Sequence[Int32], n_items: int) -> csr_array:
    """Histories as a binary matrix (n_histories, n_items)."""
    starts = np.concatenate([[0], np.cumsum([len(history) for history in histories])])
    items = np.concatenate([np.empty(0, np.int32), *histories])
    return csr_array((np.ones(len(items), np.float32), items, starts), shape=(len(histories), n_items))
