"""How rows go on: what comes after the items that a row has shown."""

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid
from app.novelty import newest
from app.ordering import Rank
from app.popular import popular, popular_in_segment
from app.properties import about
from app.rankings import first, likeness, pool_of
from app.recommend import Profile, best
from app.schemas.layout import RowKind
from app.selection import Selection
from index.bitmap import Bitmap
from index.errors import FilterError
from index.search import Hits, best_of
from index.snapshot import Snapshot
from index.types import Int32


def ranking(
    snapshot: Snapshot, before: Profile, given: NDArray[np.int32], kind: RowKind, key: str, *, crowd: bool
) -> Rank | None:
    """What comes after the given items (by row) in the ranking that a row was made of; None: there is no such row.

    `before` is the profile that does not exclude them. A row of a segment goes on below the score at which it ended on
    the page, down to the last typical member.
    """
    exclude = np.union1d(before.exclude, given).astype(np.int32)
    if kind == "popular":
        return lambda n, left: popular(snapshot, exclude, n, left)
    if kind in ("property", "new"):
        return _ranking_within(snapshot, before, exclude, _passing(snapshot, kind, key))
    number = snapshot.segments.number(key) if kind == "segment" else None
    if number is not None and (crowd or not before.personal):
        return lambda n, left: popular_in_segment(snapshot, number, exclude, n, left)
    if not before.personal:
        return None
    if number is not None:
        members = snapshot.segments.typical_of(number)
        return lambda n, left: best(snapshot, before.query, n, exclude, left._replace(within=left.among(members)))
    if kind == "top_picks":
        return lambda n, left: best(snapshot, before.query, n, exclude, left)
    item = snapshot.items.row(key) if kind == "because" else None
    return None if item is None else lambda n, left: first(_after(snapshot, before, item, given, left), n)


def _passing(snapshot: Snapshot, kind: RowKind, key: str) -> Bitmap | None:
    """The items of which a row of a property's value, or of what is new, is made; None where no item has it."""
    try:
        if kind == "new":
            return newest(snapshot, key, "")
        name, value = about(key)
        return snapshot.filters.compile({"must": [{"key": name, "match": {"value": value}}]})
    except (Invalid, FilterError):  # in this version no item has it
        return None


def _ranking_within(snapshot: Snapshot, before: Profile, exclude: Int32, passing: Bitmap | None) -> Rank | None:
    if passing is None:
        return None
    items = passing.rows()
    if not before.personal:
        return lambda n, left: popular(snapshot, exclude, n, left._replace(within=left.among(items)))
    return lambda n, left: best(snapshot, before.query, n, exclude, left._replace(within=left.among(items)))


def _after(snapshot: Snapshot, before: Profile, item: int, given: NDArray[np.int32], selection: Selection) -> Hits:
    """What a because-row is made of, without what was given."""
    pool = pool_of(snapshot, before, 0, selection).above
    (scores,), _ = likeness(snapshot, before.query, np.array([item], dtype=np.int32), pool)
    hits = best_of(pool.items, scores, len(scores), positive=True)
    new = ~np.isin(hits.items, given)
    return Hits(hits.items[new], hits.scores[new])
