"""Filters compiled to the bitmap of the items that pass, and kept.

`index.conditions` says what a filter may be and what it means. A condition costs one look at the code of every item,
so a million items take a fraction of a millisecond; the same filter asked again costs only reading it.
"""

import time
from collections import OrderedDict
from functools import reduce
from hashlib import sha256
from itertools import groupby, pairwise
from operator import and_, or_
from threading import Lock
from typing import cast

from index import conditions
from index.bitmap import Bitmap
from index.columns import Column, Columns, Numbers, Run
from index.conditions import Condition, Group, Match, Range
from index.types import JSON

MAX_CACHED_BYTES = 64 * 2**20
"""Of the bitmaps that one snapshot keeps: 512 filters of a million items."""
MAX_CACHED = 4096
"""Filters that one snapshot keeps, where the bitmaps are so small that bytes set no bound."""


class Filters:
    """The filters of one snapshot; those used last stay compiled. Safe to share between threads."""

    def __init__(self, columns: Columns, max_cached_bytes: int = MAX_CACHED_BYTES) -> None:
        self.columns = columns
        self._max_cached = min(MAX_CACHED, max_cached_bytes // max(columns.n_items // 8, 1))
        self._cached: OrderedDict[bytes, Bitmap] = OrderedDict()
        self._lock = Lock()

    def compile(self, given: JSON, now: float | None = None) -> Bitmap:
        """The items that pass a filter; FilterError. `now` in Unix seconds, by default the time of the clock."""
        parsed = conditions.parse(given, self.columns, time.time() if now is None else now)
        # of the same size whatever the filter: the bound on bytes is one on all
        key = sha256(repr(parsed).encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
                return self._cached[key]
        found = evaluate(parsed, self.columns)
        with self._lock:
            self._cached[key] = found
            while len(self._cached) > self._max_cached:
                self._cached.popitem(last=False)
        return found


def evaluate(condition: Condition, columns: Columns) -> Bitmap:
    """The items for which a parsed condition holds."""
    if isinstance(condition, Group):
        return _evaluate_group(condition, columns)
    column = columns.by_key[condition.key]
    if isinstance(condition, Range):
        return column.having([cast(Numbers, column.values).run(dict(condition.bounds))])
    return column.having(_runs_of(condition, column))


def _evaluate_group(group: Group, columns: Columns) -> Bitmap:
    must, should, must_not = (
        [evaluate(each, columns) for each in clause] for clause in (group.must, group.should, group.must_not)
    )
    passing = [*must, *(~each for each in must_not)]
    if should:
        passing.append(reduce(or_, should))
    return reduce(and_, passing, Bitmap.full(columns.n_items))


def _runs_of(match: Match, column: Column) -> list[Run]:
    """The codes that match, as few runs."""
    places = (column.values.place(value) for value in match.values)
    codes = sorted(place for place in places if place is not None)
    if match.negated:
        edges = [-1, *codes, column.n_values]
        return [(one + 1, other) for one, other in pairwise(edges) if one + 1 < other]
    # codes that follow each other are as far from their numbers in the list
    runs = (list(run) for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]))
    return [(run[0][1], run[-1][1] + 1) for run in runs]
