"""What steering does to a list: more of a concept, at what loss of the reader's own.

    personal nDCG@20   with the held-out items
    concept nDCG@20    with all items of the concept that are not in the history

Ways to say "more of this": by segments (`steer`), the strength divided among them; or by a factor (`boost`) on what
passes a filter. A reader's figure is the mean over the reader's questions that have a concept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from index.types import Array, Int32
from training import figures
from training.figures import PerUser
from training.pages.concepts import Groups
from training.pages.readers import Reader
from training.pages.ways import Asking, PropertyRows

AT = 20
PERSONAL, CONCEPT = "personal_ndcg@20", "concept_ndcg@20"

Wish: TypeAlias = Callable[[int, float], Mapping[str, Any]]
"""Fields of a request by the number of a concept and how strongly it is wanted."""


class Wanting(NamedTuple):
    """A reader and the concept that they will want more of."""

    reader: Reader
    concept: int
    wanted: Int32
    """Its items that are not in the history."""


def wanting(readers: Sequence[Reader], groups: Groups) -> list[Wanting]:
    """Those of the questions that have a concept."""
    pairs = ((each, groups.concept(each.question)) for each in readers)
    return [
        Wanting(each, concept, np.setdiff1d(groups.items_of(concept), each.question.given).astype(np.int32))
        for each, concept in pairs
        if concept is not None
    ]


def steering(segments_of: Callable[[int], Sequence[str]]) -> Wish:
    """By the segments of a concept, the strength divided among them."""

    def wish(concept: int, strength: float) -> Mapping[str, Any]:
        chosen = segments_of(concept)
        return {"steer": {each: strength / len(chosen) for each in chosen}} if strength and chosen else {}

    return wish


def boosting(groups: Groups, rows: PropertyRows) -> Wish:
    """By a factor on the items that have the value; 1 is as without."""

    def wish(concept: int, factor: float) -> Mapping[str, Any]:
        return {"boost": [{"filter": rows.filter_of(groups.names[concept]), "factor": factor}]}

    return wish


def associated(asking: Asking, groups: Groups, concepts: Sequence[int], count: int) -> dict[int, list[str]]:
    """The segments that the server gives for all items of a concept, as a history."""
    calls = [
        {"endpoint": "segments/recommend", "body": {
            "history": [{"item_id": each} for each in asking.items.item_ids(groups.items_of(concept)[:1000])],
            "exclude_seen": False, "count": count,
        }}
        for concept in concepts
    ]  # fmt: skip
    answers = asking.server.batch(calls)
    return {
        concept: [each["segment_id"] for each in answer["segments"]]
        for concept, answer in zip(concepts, answers, strict=True)
    }


def judge(asking: Asking, wanted: Sequence[Wanting], wish: Wish, strength: float) -> dict[str, PerUser]:
    """Both figures of lists that are made under a wish of one strength."""
    calls = [
        {"endpoint": "recommend", "body": {**each.reader.who, "count": AT, **wish(each.concept, strength)}}
        for each in wanted
    ]
    lists = list(map(asking.rows, asking.server.batch(calls)))
    users = np.array([each.reader.question.user for each in wanted], np.int32)
    personal = [ndcg(items, each.reader.question.targets) for items, each in zip(lists, wanted, strict=True)]
    concept = [ndcg(items, each.wanted) for items, each in zip(lists, wanted, strict=True)]
    return {
        PERSONAL: figures.of_questions(users, np.array(personal)),
        CONCEPT: figures.of_questions(users, np.array(concept)),
    }


def ndcg(items: Int32, targets: Int32) -> float:
    """nDCG@20 of a list, best first; at least one target."""
    gains: Array = 1.0 / np.log2(np.arange(2, AT + 2))
    hits = np.isin(items[:AT], targets)
    return float(gains[: len(hits)][hits].sum() / gains[: len(targets)].sum())
