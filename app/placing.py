"""The size of a page, and rows as an ordering would have them: from the top, each of what earlier ones left."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil
from typing import NamedTuple

import numpy as np

from app.emphasis import PLAIN_EMPHASIS, Emphasis
from app.ordering import Ordering, listed, order
from app.rankings import first
from app.schemas.layout import RowKind
from app.selection import EVERYTHING
from app.shelf import Placed, Row
from index.assembly import Part
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
    """What page is wanted: its bounds, what it sets store by, and what the user has of it."""

    n_rows: int
    row_size: int
    max_overlap: float
    """Share of a candidate's best `row_size` items that may be in narrower rows than top picks already."""
    reach: int = 0
    """A ranking is at least so long: an ordering makes rows of more, and a layout may want longer ones."""
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


class Laid(NamedTuple):
    """A row of the layout, with its whole ranking."""

    row: Row
    part: Part
    lead: int = 0
    """Its first items that stand as they are, whatever the ordering."""


def in_order(
    snapshot: Snapshot,
    candidates: Sequence[Row],
    size: Size,
    ordering: Ordering,
    laid: Mapping[str, Laid],
    above: Sequence[Placed] = (),
) -> list[Placed]:
    """The rows above and, of candidates with their whole rankings, as many more as the page has and can be filled.

    What is above stays as it is. Of the layout (by row id), rows that claim their items are made first, and each stands
    at its place, whichever others cannot be filled.
    """
    making = _Making(snapshot, size, ordering, laid, np.concatenate([NONE, *(row.hits.items for _, row in above)]))
    known = {row.row_id for _, row in above}
    candidates = [row for row in candidates if row.row_id not in known]
    claimed = {row.row_id: making.row(row) for row in candidates if row.row_id in laid and laid[row.row_id].part.claims}
    pinned = {one.part.at: one.row.row_id for one in laid.values() if one.part.at >= 0}
    at_place = {row.row_id: row for row in candidates if row.row_id in pinned.values()}
    others = iter([row for row in candidates if row.row_id not in at_place])
    rows = dict(above)
    for place in (one for one in range(size.n_rows) if one not in rows):
        wanted = at_place.get(pinned.get(place, ""))
        for row in chain([] if wanted is None else [wanted], others):
            made = claimed[row.row_id] if row.row_id in claimed else making.row(row)
            if made is not None:
                rows[place] = made
                break
    return [Placed(place, rows[place]) for place in sorted(rows)]


class _Making:
    """Rows, each made of what those before it left of its ranking."""

    def __init__(
        self, snapshot: Snapshot, size: Size, ordering: Ordering, laid: Mapping[str, Laid], taken: Int32
    ) -> None:
        self._snapshot, self._size, self._ordering, self._laid, self._taken = snapshot, size, ordering, laid, taken

    def row(self, row: Row) -> Row | None:
        """The row; None, and nothing taken, where it cannot be filled."""
        laid = self._laid.get(row.row_id)
        n, fewest, lead = (laid.part.size, 1, laid.lead) if laid else (self._size.row_size, self._size.min_fill, 0)
        left = ~np.isin(row.hits.items, self._taken)
        hits = self._ordered(Hits(row.hits.items[left], row.hits.scores[left]), n, int(np.count_nonzero(left[:lead])))
        if len(hits.items) < fewest:
            return None
        self._taken = np.concatenate([self._taken, hits.items])
        return row.holding(hits)

    def _ordered(self, hits: Hits, n: int, lead: int) -> Hits:
        """At most n of the hits, the first ones as they are."""
        ahead, rest = first(hits, min(lead, n)), Hits(hits.items[lead:], hits.scores[lead:])
        if lead >= n or not len(rest.items):
            return ahead
        more = order(self._snapshot, listed(rest), n - lead, EVERYTHING, self._ordering, ahead.items)
        return Hits(np.concatenate([ahead.items, more.items]), np.concatenate([ahead.scores, more.scores]))
