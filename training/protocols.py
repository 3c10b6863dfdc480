"""Ways to ask, by name: who is asked for what, given what.

    folds        users held out of training; the history in disjoint parts, each asked for given all the others
    given        users in training; all their test items asked for at once, given the history that trained
    prequential  each interaction after training asked for, given all that the user had before it
    reference    as folds, but as the code of the Compressed ELSA paper asks: to compare with its tables, never else

`given` is the protocol of published tables with a train and a test file, and of a split by time. `prequential` is the
walk of Kasalicky, Alves and Kordik (arXiv 2308.06885, their LLOO). All of them make an `Exam`, which any retriever can
take; sparse models answer through the search that serves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.sparse import csr_array

from index.reference import Hits
from index.types import Float32, Int32
from training import evaluate, metrics
from training.errors import DataError
from training.evaluate import Evaluation, Retriever, row
from training.interactions import Interactions, moment
from training.later import Later
from training.split import NOBODY, Question

Name = Literal["folds", "given", "prequential", "reference"]
NAMES: tuple[Name, ...] = get_args(Name)

REFERENCE_DRAWS = 5
REFERENCE_SHARE = 0.2


@dataclass(frozen=True)
class Protocol:
    """How to ask."""

    name: Name
    """Which of the ways."""
    n_folds: int = 5
    """Parts of a history, for folds."""
    max_questions: int = 10_000
    """Questions at most, for prequential; more are sampled."""


@dataclass(frozen=True)
class Exam:
    """Questions, and what counts as an answer to them."""

    questions: Sequence[Question]
    """Those of one user one behind the other."""
    facts: Mapping[str, int | str]
    """What was asked and what was left out, for reports."""
    answerable: Int32 | None = None
    """Answers that count, the rest being dropped after the first 100, as what scores nothing; None: all do."""

    def take(self, retriever: Retriever, popularity: Float32, *, beta: float = metrics.BETA) -> Evaluation:
        """Ask the retriever and judge its answers, as of evaluate.evaluate."""
        asked = retriever if self.answerable is None else _Restricted(retriever, self.answerable)
        return evaluate.evaluate(asked, self.questions, popularity, beta=beta)


def hold_out(protocol: Protocol, histories: csr_array, users: Int32, seed: int) -> Exam:
    """Ask users who take no part in training for parts of their histories (n_users, n_items).

    Raises DataError if no user has two items, or if the protocol is not about held-out users.
    """
    if protocol.name == "reference":
        return _reference(histories, users, seed)
    if protocol.name != "folds":
        raise DataError(
            f"protocol {protocol.name} asks for later interactions and there are none; name a file of them, or the "
            "moment that cuts the file of interactions in two"
        )
    asked = evaluate.ask(histories, users, protocol.n_folds, seed)
    return Exam(asked, {"protocol": "folds", "folds": protocol.n_folds, "seed": seed})


def follow(protocol: Protocol, known: Interactions, later: Later, seed: int) -> Exam:
    """Ask for later interactions. Raises DataError if there is nobody to ask, or times are missing or overlap."""
    if protocol.name == "given":
        return _given(known, later)
    if protocol.name == "prequential":
        return _prequential(known, later, protocol.max_questions, seed)
    users = np.unique(later.user)
    trained = int((users < later.n_users).sum())
    if trained:
        raise DataError(
            f"{trained:,} of the {len(users):,} users to test with also train; protocol {protocol.name} asks users who "
            "are held out: use protocol given for users who are not"
        )
    exam = hold_out(protocol, later.matrix(), users, seed)
    limited = [each._replace(given=each.given[each.given < later.n_items]) for each in exam.questions]
    asked = [each for each in limited if len(each.given)]
    if not asked:
        raise DataError("no user to test with has two items of which training knows one, so nothing can be asked")
    return Exam(asked, {**exam.facts, "questions_without_history": len(limited) - len(asked)}, exam.answerable)


def _given(known: Interactions, later: Later) -> Exam:
    histories, wanted = known.matrix(), later.matrix()
    users = np.unique(later.user)
    have = users[users < later.n_users]
    if not len(have):
        raise DataError(
            f"none of the {len(users):,} users to test with is among the {later.n_users:,} that train, so nobody has a "
            "history to ask with; are their ids written alike? Users who are held out are asked by protocol folds"
        )
    asked, n_had = [], 0
    for user in have.tolist():
        history, targets = row(histories, user), row(wanted, user)
        new = np.setdiff1d(targets, history, assume_unique=True)
        n_had += len(targets) - len(new)
        if len(new):
            asked.append(Question(user, history, np.sort(new)))
    if not asked:
        raise DataError("everything to test with is already in the histories that train; is it the same file twice?")
    left_out = {"users_without_history": len(users) - len(have), "targets_in_history": n_had}
    return Exam(asked, {"protocol": "given", **left_out, **_unknown(asked, later)})


class _Step(NamedTuple):
    """An interaction to ask for, and what was before it."""

    user: int
    past: Int32
    target: int


def _prequential(known: Interactions, later: Later, max_questions: int, seed: int) -> Exam:
    if later.timestamp is None or known.timestamp is None:
        raise DataError("protocol prequential walks along the time, and there are no timestamps; name their column")
    if (end := int(known.timestamp.max())) >= (start := int(later.timestamp.min())):
        raise DataError(f"training reaches until {moment(end)}, but testing begins at {moment(start)}; cut by time")
    steps = list(_walk(known.matrix(), later))
    able = [step for step in steps if len(step.past)]
    if not able:
        raise DataError("no later interaction has one before it that training knows, so nothing can be asked")
    chosen = range(len(able))
    if len(able) > max_questions:
        chosen = np.sort(np.random.default_rng(seed).choice(len(able), max_questions, replace=False)).tolist()
    asked = [Question(able[n].user, able[n].past, np.array([able[n].target], np.int32)) for n in chosen]
    facts = {"asked": len(asked), "askable": len(able), "questions_without_history": len(steps) - len(able)}
    return Exam(asked, {"protocol": "prequential", "seed": seed, **facts, **_unknown(asked, later)})


def _walk(histories: csr_array, later: Later) -> Iterator[_Step]:
    """Every later interaction that is new to its user; what happens in the same second is not before it."""
    if later.timestamp is None:
        raise TypeError("a walk needs times")
    order = np.lexsort((later.item, later.timestamp, later.user))
    users, starts = np.unique(later.user[order], return_index=True)
    for user, own in zip(users.tolist(), np.split(order, starts[1:]), strict=True):
        history = row(histories, user) if user < later.n_users else np.empty(0, np.int32)
        items, times = later.item[own], later.timestamp[own]
        firsts = np.searchsorted(times, times)
        past, until = history, 0
        for item, first in zip(items.tolist(), firsts.tolist(), strict=True):
            if first > until:
                before = items[until:first]
                past, until = np.union1d(past, before[before < later.n_items]), first
            if item not in history:
                yield _Step(user, past, item)


def _unknown(asked: Sequence[Question], later: Later) -> dict[str, int]:
    return {"targets_unknown": sum(int((each.targets >= later.n_items).sum()) for each in asked)}


def _reference(histories: csr_array, users: Int32, seed: int) -> Exam:
    """Ask as the reference code does, with its bug.

    Its five "folds" are meant to be disjoint fifths, but the number of the fold lands in an argument that is ignored:
    each is a draw of ceil(n / 5) items *with replacement*. So they overlap, some items are never asked for, and fewer
    than a fifth are targets (about 1 - e^-.2 = 18.1 %). Of the first 100 answers only items count that are a target
    of any user, and scores pass a ReLU there, behind which what scores below 0 ties with what was seen: such
    answers stand in no order, and do not count here.
    """
    asked = []
    for user in users.tolist():
        history = row(histories, user)
        if len(history) < 2:
            continue  # nothing would be left to show
        rng = np.random.default_rng((seed, user))
        for _ in range(REFERENCE_DRAWS):
            targets = np.unique(rng.choice(history, int(np.ceil(REFERENCE_SHARE * len(history)))))
            asked.append(Question(user, np.setdiff1d(history, targets, assume_unique=True), targets))
    if not asked:
        raise DataError(NOBODY)
    answerable = np.unique(np.concatenate([each.targets for each in asked]))
    return Exam(asked, {"protocol": "reference", "folds": REFERENCE_DRAWS, "seed": seed}, answerable)


@dataclass(frozen=True)
class _Restricted:
    """Answers of another, cut down to what counts."""

    inner: Retriever
    answerable: Int32

    def retrieve(self, histories: Sequence[Int32], n: int) -> Iterator[Hits]:
        for items, scores in self.inner.retrieve(histories, n):
            counts = np.isin(items, self.answerable) & (scores > 0)
            yield Hits(items[counts], scores[counts])
