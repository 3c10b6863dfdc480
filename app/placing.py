"""Placing: candidates become rows from the top, each of what earlier rows left of its ranking.

A candidate is not used where more than `max_overlap` of its best items are taken, or too little is left to fill it.
"""

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import NamedTuple

from app.ordering import PLAIN, Ordering, listed, order
from app.rankings import first
from app.selection import EVERYTHING
from app.shelf import Row
from index.search import Hits
from index.snapshot import Snapshot
from index.taken import Taken

MIN_FILL = 3
"""Fewest items of a row, or half the row size where that is more; a shorter row looks broken."""

SPARE = 8
"""Segments tried beyond the number of rows: some overlap with earlier rows or cannot fill theirs."""


class Size(NamedTuple):
    """The bounds of a page."""

    n_rows: int
    row_size: int
    max_overlap: float
    """Share of a candidate's best `row_size` items that may be on the page already."""
    reach: int = 0
    """A ranking is at least so long where an ordering makes rows of it."""
    shown: frozenset[str] = frozenset()
    """Ids of rows that are on the page already, further up: they are not used again."""

    @property
    def min_fill(self) -> int:
        """Fewest items a row may have."""
        return min(self.row_size, max(MIN_FILL, ceil(self.row_size / 2)))

    @property
    def depth(self) -> int:
        """Length a ranking needs so that a row can be filled whatever the others take."""
        return max(self.n_rows * self.row_size, self.reach)

    @property
    def n_segments(self) -> int:
        """Segments that are tried: some are shown already, some overlap with earlier rows or cannot fill theirs."""
        return self.n_rows + len(self.shown) + SPARE


class Placing(NamedTuple):
    """How candidates are made rows, and what has become of those before."""

    snapshot: Snapshot
    size: Size
    ordering: Ordering
    taken: Taken
    """Items of earlier rows."""
    in_time: Callable[[], bool]

    def timely(self, candidates: Iterable[Row]) -> Iterator[Row]:
        """The candidates until time is over, but at least until there is a row."""
        for row in candidates:
            if self.taken.any and not self.in_time():
                return
            yield row

    def place(self, candidates: Iterable[Row]) -> Iterator[Row]:
        """The candidates that fit, cut to what earlier rows left; adds their items to `taken`."""
        size, taken = self.size, self.taken
        bounds = size.row_size, size.min_fill, size.max_overlap
        for row in candidates:
            if size.shown and row.row_id in size.shown:
                continue
            hits = taken.take(row.hits, *bounds) if self.ordering is PLAIN else self._ordered(row.hits)
            if hits is not None:
                yield row.holding(hits)

    def _ordered(self, ranking: Hits) -> Hits | None:
        """A row's worth of what earlier rows left of a ranking, as the ordering would have it."""
        size, taken = self.size, self.taken
        best = first(ranking, size.row_size)
        if len(best.items) - len(taken.left_of(best)) > size.max_overlap * len(best.items):
            return None
        places = taken.left_of(ranking)
        left = listed(Hits(ranking.items[places], ranking.scores[places]))
        ordered = order(self.snapshot, left, size.row_size, EVERYTHING, self.ordering)
        return taken.take(ordered, size.row_size, size.min_fill, overlap=0.0)
