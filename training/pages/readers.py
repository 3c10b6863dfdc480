"""Readers as the server is told of them: a history in the request, newest first."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from index.types import Int32
from training.interactions import Interactions
from training.split import Question

MOST = 1000
"""Items of a history, and items left out, that a request takes."""


class Reader(NamedTuple):
    """A question, and how it is put."""

    question: Question
    who: Mapping[str, Any]
    """Fields of a request: the history, and what else is left out of the answer."""

    def liking(self, item_id: str) -> "Reader":
        """The same reader after one more like."""
        history = [{"item_id": item_id}, *self.who["history"]]
        left_out = [*(each["item_id"] for each in history[MOST:]), *self.who["exclude_ids"]]
        return self._replace(who={"history": history[:MOST], "exclude_ids": left_out[:MOST]})


def readers_of(questions: Sequence[Question], known: Interactions, seed: int) -> list[Reader]:
    """How the server is asked: by time where there are times, else in an order drawn by seed and user."""
    return [Reader(each, _who(each, known, seed)) for each in questions]


def _who(question: Question, known: Interactions, seed: int) -> dict[str, Any]:
    ids = known.items.item_ids(newest_first(question, known, seed))
    history = [{"item_id": item_id} for item_id in ids[:MOST]]
    return {"history": history, "exclude_ids": ids[MOST : 2 * MOST]}


def newest_first(question: Question, known: Interactions, seed: int) -> Int32:
    """The items that are given, newest first."""
    if known.timestamp is None:
        return np.random.default_rng((seed, question.user)).permutation(question.given)
    own = slice(*np.searchsorted(known.user, [question.user, question.user + 1]))
    times = known.timestamp[own][np.searchsorted(known.item[own], question.given)]
    return question.given[np.argsort(-times, kind="stable")]
