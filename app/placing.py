"""The size of a page, and rows as an ordering would have them: from the top, each of what earlier ones left."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from app.emphasis import PLAIN_EMPHASIS, Emphasis
from app.ordering import Ordering, listed, order
from app.rankings import first
from app.schemas.layout import RowKind
from app.selection import EVERYTHING
from app.shelf import Row
from index.search import NONE, Hits
from index.snapshot import Snapshot
from index.types import Int32

FIXED: frozenset[RowKind] = frozenset({"continue", "list"})
"""Kinds whose items stand as they are, and are theirs before others are filled."""

MIN_FILL = 3
"""Fewest items of a row, or half the row size where that is more; a shorter row looks broken."""

SPARE = 8
"""Segments that are candidates beyond the number of rows: some overlap with other rows or cannot fill theirs."""


class Size(NamedTuple):
    """The bounds of a page."""

    n_rows: int
    row_size: int
    max_overlap: float
    """Share of a candidate's best `row_size` items that may be in narrower rows than top picks already."""
    reach: int = 0
    """A ranking is at least so long where an ordering makes rows of it."""
    shown: frozenset[str] = frozenset()
    """Ids of rows that are on the page already, further up: they are not used again."""
    emphasis: Emphasis = PLAIN_EMPHASIS
    """What the page sets store by."""
    last: frozenset[str] = frozenset()
    """Ids of the rows of the user's last page."""

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
        """Segments that are candidates."""
        return self.n_rows + SPARE


def in_order(
    snapshot: Snapshot, candidates: Iterable[Row], size: Size, ordering: Ordering, above: Sequence[Row] = ()
) -> list[Row]:
    """The rows above and, of candidates with their whole rankings, as many more as the page has and can be filled.

    What is above stays as it is, and so do rows that are no ranking of ours.
    """
    rows, known = list(above), {row.row_id for row in above}
    taken = np.concatenate([NONE, *(row.hits.items for row in rows)])
    for row in candidates:
        if len(rows) < size.n_rows and row.row_id not in known:
            hits = _row_of(snapshot, row, taken, size, ordering)
            if len(hits.items) >= (1 if row.kind in FIXED else size.min_fill):
                rows.append(row.holding(hits))
                taken = np.concatenate([taken, hits.items])
    return rows


def _row_of(snapshot: Snapshot, row: Row, taken: Int32, size: Size, ordering: Ordering) -> Hits:
    """A row's worth of what is not taken of a row's ranking."""
    left = ~np.isin(row.hits.items, taken)
    hits = Hits(row.hits.items[left], row.hits.scores[left])
    if row.kind in FIXED:
        return first(hits, size.row_size)
    rank = listed(hits)
    return order(snapshot, rank, size.row_size, EVERYTHING, ordering)
