"""What may be in an answer, and what rather: one selection a request, obeyed by every list and row of its answer.

An item may be in an answer if it passes the filter, is in one of the segments, and is one of the candidates, of these
what is asked for; and if nothing else excludes it (`recommend.Profile.exclude`). A selection that leaves nothing gives
an empty answer. Boosts multiply scores before anything else sees them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid
from app.notices import Notice, skipped
from app.schemas.selection import Boost
from index.bitmap import Bitmap
from index.boosts import Boosts
from index.errors import FilterError
from index.search import NONE, Hits
from index.snapshot import Snapshot
from index.types import JSON, Float32, Int32


class Selection(NamedTuple):
    """Some of the items of one snapshot."""

    within: Bitmap | Int32 | None = None
    """The items to choose from, as a set or as rows, none twice; None: all."""
    boosts: Boosts | None = None
    """Factors on scores; None: 1."""
    least: float | None = None
    """The lowest score that an item may have."""
    named: bool = False
    """The caller named the items, one by one or as a segment: they are ranked even where nothing speaks for them."""
    notices: tuple[Notice, ...] = ()

    @property
    def restricts(self) -> bool:
        """Whether something is left out."""
        return self.within is not None or self.least is not None

    def allows(self, items: Int32) -> NDArray[np.bool_]:
        """Whether each of these items is selected, (len(items),)."""
        if self.within is None:
            return np.ones(len(items), dtype=np.bool_)
        return self.within.has(items) if isinstance(self.within, Bitmap) else np.isin(items, self.within)

    def among(self, items: Int32) -> Int32:
        """Those of these items that are selected, in their order."""
        return items if self.within is None else items[self.allows(items)]

    def only(self, items: Int32) -> "Selection":
        """The selection of what is also one of these items, none twice, which the caller named."""
        return self._replace(within=self.among(items), named=True)

    def without(self, left_out: Bitmap | None) -> "Selection":
        """The selection less some items."""
        if left_out is None:
            return self
        if self.within is None:
            return self._replace(within=~left_out)
        if isinstance(self.within, Bitmap):
            return self._replace(within=self.within & ~left_out)
        return self._replace(within=self.within[~left_out.has(self.within)])

    def boosted(self, items: Int32, scores: Float32) -> Float32:
        """The scores of these items under the boosts."""
        return scores if self.boosts is None else scores * self.boosts.factors[items]

    def cut(self, hits: Hits) -> Hits:
        """The hits that score enough, of hits with descending scores: above 0 unless the items are named."""
        scores = hits.scores
        if self.least is None and (self.named or not len(scores) or scores[-1] > 0):
            return hits
        if self.least is not None:
            scores = scores[: np.count_nonzero(scores >= np.float64(self.least))]  # it may lie beyond float32
        n = len(scores) if self.named else int(np.count_nonzero(scores > 0))
        return Hits(hits.items[:n], hits.scores[:n])


EVERYTHING = Selection()


def select(
    snapshot: Snapshot,
    *,
    filter: JSON = None,  # noqa: A002  (its name on the wire)
    boost: Sequence[Boost] = (),
    segment_ids: Sequence[str] | None = None,
    candidate_ids: Sequence[str] | None = None,
    min_score: float | None = None,
) -> Selection:
    """The selection that a request asks for; Invalid names what is wrong with a filter."""
    if filter is None and not boost and segment_ids is None and candidate_ids is None and min_score is None:
        return EVERYTHING
    passing = None if filter is None else compiled(snapshot, filter, "body.filter")
    notices: list[Notice] = []
    if segment_ids is not None:
        members = _members(snapshot, segment_ids, notices)
        passing = members if passing is None else passing & members
    chosen = Selection(passing, _boosts(snapshot, boost), min_score)
    if candidate_ids is not None:
        chosen = chosen.only(_candidates(snapshot, candidate_ids, notices))
    return chosen._replace(notices=tuple(notices))


def compiled(snapshot: Snapshot, given: JSON, field: str) -> Bitmap:
    """The items that pass a filter; Invalid names the field of the request and what is wrong."""
    try:
        return snapshot.filters.compile(given)
    except FilterError as error:
        raise Invalid(str(error), field) from error


def nothing_left(selection: Selection, *, empty: bool) -> tuple[Notice, ...]:
    """What an answer says where a selection left it empty."""
    if not (empty and selection.restricts):
        return ()
    told = "what is asked for (filter, segments, candidates, min_score) leaves nothing that may be shown"
    return (Notice("nothing_left", told),)


def _members(snapshot: Snapshot, segment_ids: Sequence[str], notices: list[Notice]) -> Bitmap:
    numbers = [snapshot.segments.number(segment_id) for segment_id in segment_ids]
    known = [snapshot.segments.items_of(number) for number in numbers if number is not None]
    pairs = ((one, number is not None) for one, number in zip(segment_ids, numbers, strict=True))
    notices += skipped("unknown_segments", "segment_ids", pairs)
    return Bitmap.from_rows(np.concatenate([NONE, *known]), len(snapshot.items))


def _candidates(snapshot: Snapshot, candidate_ids: Sequence[str], notices: list[Notice]) -> Int32:
    rows = snapshot.items.rows(candidate_ids)
    notices += skipped("unknown_items", "candidate_ids", zip(candidate_ids, (rows >= 0).tolist(), strict=True))
    return np.unique(rows[rows >= 0])


def _boosts(snapshot: Snapshot, boost: Sequence[Boost]) -> Boosts | None:
    boosted = [
        (compiled(snapshot, one.filter, f"body.boost.{number}.filter"), one.factor) for number, one in enumerate(boost)
    ]
    told = [(items, factor) for items, factor in boosted if items.count and factor != 1]
    return Boosts.of(told, len(snapshot.items)) if told else None
