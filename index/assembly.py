"""Assembly: which of some candidate rows a page has, and which items stand in them; by the compiled kernel.

A cell (r, c), row r and column c from 1, is looked at with attention 1 / log2(r + c): top-left first (N-DCG-2D of
Ferrari Dacrema, Felicioni and Cremonesi, Frontiers in Big Data, 2022). An item is worth what its place in the user's
ranking says. Rows are filled cell by cell, by descending attention (ties: upper row first): each cell takes the next
item of its row that no other cell has, so that what matters most stands top-left in every row, and no item twice. A
page is worth

    sum over its cells of attention(cell) * worth(item)

and is made greedily: from the top each row gets the candidate with the largest

    weight * (worth of the page with it - worth without) * (1 - diversity * largest cosine to a row of the page)

of the `look` most promising ones that are allowed: a row has items enough, leaves enough to the others, is not of a
taste that the page has, and few enough of its best items are in other rows. At last rows below the first, of the first
eight, trade places while that makes the page worth more: what was chosen later may lead with better items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index._kernel import Assembly as KernelAssembly
from index.search import Hits
from index.segments import Segments
from index.types import Float32, Int32

LOOK = 8
"""Candidates that are tried for each row."""


class Frame(NamedTuple):
    """A page without its content."""

    attention: NDArray[np.float64]
    """(n_rows, n_columns)"""
    cells: Int32
    """(n_rows * n_columns,): the row of each cell, in the order in which they are filled."""


@lru_cache(maxsize=64)
def frame(n_rows: int, n_columns: int) -> Frame:
    """The frame of a page of so many rows of so many items."""
    places = np.add.outer(np.arange(1, n_rows + 1), np.arange(1, n_columns + 1))
    attention = 1 / np.log2(places)
    cells = (np.argsort(-attention.ravel(), kind="stable") // n_columns).astype(np.int32)
    for array in (attention, cells):
        array.flags.writeable = False
    return Frame(attention, cells)


@dataclass(frozen=True)
class Demands:
    """What the rows of a page must be."""

    fewest: int
    """Items of a row, but of one that is wanted."""
    max_overlap: float
    """Share of a candidate's best items that other rows may hold already."""
    diversity: float = 0.0
    """How much the cosine of two segments takes from what the second one gains."""
    same: float = 1.0
    """Segments with a larger cosine are one taste, and never on one page."""
    look: int = LOOK
    """Candidates that are tried for each row."""


class Part(NamedTuple):
    """How a candidate takes part."""

    size: int
    """Items at most."""
    weight: float = 1.0
    """Of what it gains."""
    at: int = -1
    """The row that is kept for it, from 0; -1: any."""
    wanted: bool = False
    """It is on the page whatever it gains, with one item at least."""
    claims: bool = False
    """Its items are its own before the cells are filled."""
    yields: bool = False
    """That it holds an item is no reason against another row."""


class Placed(NamedTuple):
    """A row of the page."""

    candidate: int
    """By number, in the order in which they were added."""
    row: int
    """From the top, from 0; rows between may be empty."""
    hits: Hits


class Assembly:
    """Candidates, numbered in the order in which they are added, and the page that they make."""

    __slots__ = ("_frame", "_kernel")

    def __init__(self, ranking: Hits, worth: Float32, rest: float, frame: Frame) -> None:
        """The ranking's items are worth `worth`, (n,), others `rest`."""
        self._kernel = KernelAssembly(ranking.items, ranking.scores, worth, rest)
        self._frame = frame

    def add(self, hits: Hits, part: Part) -> None:
        """A candidate: items in the order in which they would stand, none twice."""
        items, scores = hits
        self._kernel.add(items, scores, part.size, part.weight, part.at, part.wanted, part.claims, part.yields)

    def add_segments(
        self, segments: Segments, most: int, fewest: int, size: int, weight: float = 1.0, skip: Sequence[int] = ()
    ) -> list[int]:
        """Numbers of the segments whose typical members in the ranking are worth most to a row, best first.

        Each becomes a candidate of these members, in the order of the ranking; of hidden ones and `skip` none does.
        """
        table = (*segments.typical_by_item, len(segments))
        skip = [*skip, *range(segments.n_shown, len(segments))]
        return self._kernel.add_sets(*table, skip, *self._frame, fewest, most, size, weight)

    def weigh(self, candidate: int, factor: float) -> None:
        """Multiply the weight of a candidate."""
        self._kernel.weigh(candidate, factor)

    def page(self, demands: Demands, cosines: Float32) -> list[Placed]:
        """The rows of the page, top first; cosines (n_segments, n_segments)."""
        rows, (starts, items, scores) = self._kernel.page(
            *self._frame,
            demands.fewest,
            demands.max_overlap,
            demands.diversity,
            cosines,
            demands.same,
            demands.look,
        )
        hits = (Hits(items[first:last], scores[first:last]) for first, last in pairwise(starts))
        return [Placed(candidate, row, own) for (candidate, row), own in zip(rows, hits, strict=True)]
