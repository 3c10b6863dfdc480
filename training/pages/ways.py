"""Ways to make a page through the server: its own, and what it is compared with.

page         POST /v1/homepage
flat         POST /v1/recommend, cells filled by descending attention
independent  the paper's demo: the best segments, each with its first items, whatever the others show
property     top picks, and the values of a property that most of the history has, each by `filter`
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from index.types import JSON, Int32
from index.vocabulary import Vocabulary
from training.pages.attention import Shape, filled, laid_out
from training.pages.readers import Reader
from training.pages.server import Server, ServerError

LEAST = 3
"""Fewest items of a row of a property value."""
SPARE = 8
"""Values that are tried beyond the rows that are wanted."""


class Asking(NamedTuple):
    """Whom to ask, and for what."""

    server: Server
    items: Vocabulary
    """Of the training; the server serves the same."""
    shape: Shape

    def rows(self, answer: Mapping[str, Any]) -> Int32:
        """The items of a list or of a row. Raises ServerError for one that training does not know."""
        ids = [each["item_id"] for each in answer["items"]]
        found = self.items.rows(ids)
        if (found < 0).any():
            raise ServerError(f"the server has an item {ids[int(np.argmin(found))]!r} that training does not know")
        return found


class Page(NamedTuple):
    """What a reader sees."""

    cells: Int32
    """Items, (n_rows, row_size)."""
    segments: frozenset[str] = frozenset()
    """Ids of the segments that are rows."""


Way: TypeAlias = Callable[[Asking, Sequence[Reader]], list[Page]]
"""Makes a page for each reader."""


def page(asking: Asking, readers: Sequence[Reader]) -> list[Page]:
    """The server's own page."""
    size = asking.shape._asdict()
    answers = asking.server.batch([{"endpoint": "homepage", "body": {**each.who, **size}} for each in readers])
    return [
        Page(
            laid_out([asking.rows(row) for row in answer["rows"]], asking.shape),
            frozenset(row["segment_id"] for row in answer["rows"] if "segment_id" in row),
        )
        for answer in answers
    ]


def flat(asking: Asking, readers: Sequence[Reader]) -> list[Page]:
    """One list, the best of it where one looks first."""
    answers = asking.server.batch([_recommend(each, asking.shape.n_cells) for each in readers])
    return [Page(filled(asking.rows(answer), asking.shape)) for answer in answers]


def independent(asking: Asking, readers: Sequence[Reader]) -> list[Page]:
    """The best segments, each with its first items: items may repeat."""
    n_rows, row_size = asking.shape
    wanted = [{"endpoint": "segments/recommend", "body": {**each.who, "count": n_rows}} for each in readers]
    chosen = [[one["segment_id"] for one in answer["segments"]] for answer in asking.server.batch(wanted)]
    calls = [
        {"endpoint": "segments/items", "segment_id": segment_id, "body": {**each.who, "count": row_size}}
        for each, segments in zip(readers, chosen, strict=True)
        for segment_id in segments
    ]
    answers = iter(asking.server.batch(calls))
    return [
        Page(laid_out([asking.rows(each) for each in islice(answers, len(own))], asking.shape), frozenset(own))
        for own in chosen
    ]


class PropertyRows:
    """Top picks, and below them rows of the values of a property; the way `property`."""

    def __init__(self, key: str, properties: Sequence[Mapping[str, JSON]]) -> None:
        """`properties` are of all items, row-aligned."""
        self._key = key
        self._values = [values_of(each.get(key)) for each in properties]
        texts: dict[str, set[JSON]] = {}
        for own, each in zip(self._values, properties, strict=True):
            for value in own:
                stored = each[key]
                texts.setdefault(value, set()).update(stored if isinstance(stored, list) else [stored])
        self._texts = {value: sorted(found, key=str) for value, found in texts.items()}

    def __call__(self, asking: Asking, readers: Sequence[Reader]) -> list[Page]:
        """Top picks first; no item twice."""
        favourites = [self._favourites(asking, each) for each in readers]
        calls = [
            call
            for each, values in zip(readers, favourites, strict=True)
            for call in (_recommend(each, asking.shape.row_size), *self._calls(each, values, asking.shape.n_cells))
        ]
        answers = map(asking.rows, asking.server.batch(calls))
        lists = [list(islice(answers, 1 + len(values))) for values in favourites]
        return [Page(laid_out(list(_without_repetition(own, asking.shape)), asking.shape)) for own in lists]

    def _favourites(self, asking: Asking, reader: Reader) -> list[str]:
        """Values by how many items of the history have them, of equal ones the newest first."""
        rows = asking.items.rows([each["item_id"] for each in reader.who["history"]])
        counted = Counter(value for row in rows[rows >= 0].tolist() for value in self._values[row])
        return [value for value, _ in counted.most_common(asking.shape.n_rows + SPARE)]

    def _calls(self, reader: Reader, values: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
        for value in values:
            call = _recommend(reader, count)
            call["body"]["filter"] = self.filter_of(value)
            yield call

    def filter_of(self, value: str) -> dict[str, Any]:
        """The filter that items with a value pass."""
        return {"must": [{"key": self._key, "match": {"any": self._texts[value]}}]}


def values_of(stored: JSON) -> tuple[str, ...]:
    """The values of a property: those of a list, or of a text that names several, as "A, B" does."""
    several = stored if isinstance(stored, list) else str(stored).split(",") if stored is not None else []
    return tuple(dict.fromkeys(text for each in several if (text := str(each).strip())))


def _without_repetition(lists: Sequence[Int32], shape: Shape) -> Iterator[Int32]:
    """The first list, and of the others those of which enough is left, cut to a row."""
    shown = lists[0]
    yield shown
    for items in lists[1:]:
        left = items[~np.isin(items, shown)][: shape.row_size]
        if len(left) >= LEAST:
            shown = np.concatenate([shown, left])
            yield left


def _recommend(reader: Reader, count: int) -> dict[str, Any]:
    return {"endpoint": "recommend", "body": {**reader.who, "count": count}}
