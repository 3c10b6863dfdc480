"""What rows are made of: rankings of all items, of a segment, of what goes with an item.

One scoring pass of the user's query makes those of a page: what it ranks above the floor are the top picks, the
candidates of because-rows and the items of every segment.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.ordering import Rank
from app.popular import popular, popular_in_segment
from app.recommend import Profile, best
from app.selection import Selection
from app.shelf import RowKind
from index.query import encode_each, length
from index.search import Floor, Hits, best_of, typical_hits
from index.snapshot import Snapshot
from index.types import Float32, Float64, Int32

POOL = 1000
"""Best items of a user from which top picks and because-rows are made."""

FLOOR = 0.5
FLOOR_RANK = 100
"""An item in a because-row or a personal segment row scores at least FLOOR times what the user's FLOOR_RANK-th best
item scores: a segment whose best items the user knows already would otherwise fill its row with what is left of it."""


class Pool(NamedTuple):
    """A user's best items."""

    hits: Hits
    """As many as a row may need, and all of `above`."""
    floor: float
    """The least score of an item in a because-row or a personal row of a segment."""
    above: Hits
    """Those of `hits` that reach the floor."""
    whole: bool
    """Whether no other item reaches it."""


def pool_of(snapshot: Snapshot, profile: Profile, depth: int, selection: Selection) -> Pool:
    """The pool, of the `depth` best items and what else reaches the floor."""
    n = max(POOL, depth)
    hits = best(snapshot, profile.query, n, profile.exclude, selection, Floor(FLOOR_RANK, FLOOR, spared=depth))
    floor = floor_of(hits)
    enough = above(hits, floor)
    return Pool(hits, floor, enough, whole=len(enough.items) < n)


def of_segments(
    snapshot: Snapshot, profile: Profile, numbers: Sequence[int], pool: Pool, depth: int, selection: Selection
) -> Iterator[Hits]:
    """What personal rows of segments, none twice, are made of: typical members that reach the floor."""
    if pool.whole:
        yield from typical_hits(snapshot.segments, numbers, pool.above)
        return
    for number in numbers:
        chosen = selection._replace(within=selection.among(snapshot.segments.typical_of(number)))
        yield above(best(snapshot, profile.query, depth, profile.exclude, chosen), pool.floor)


def floor_of(pool: Hits) -> float:
    """The least score of an item in a because-row or a personal row of a segment."""
    return FLOOR * float(pool.scores[:FLOOR_RANK][-1]) if len(pool.scores) else 0.0


def likeness(snapshot: Snapshot, query: Float32, heads: Int32, pool: Hits, n_best: int = 0) -> tuple[Float32, Float64]:
    """What a because-row of each head ranks a pool by, (len(heads), len(pool)); and the sum of its `n_best` best.

    The geometric mean of the likeness to the one item and of the user's taste, the scores over the length of the query.
    Likeness alone brings up oddities that few people know; the rest of the history corrects it. 0 for the head itself.
    """
    queries = encode_each(snapshot.embeddings, heads)
    taste = pool.scores / np.float32(length(query))
    return snapshot.searcher.likeness(pool.items, taste, heads, queries, n_best)


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


def _after(snapshot: Snapshot, before: Profile, item: int, given: NDArray[np.int32], selection: Selection) -> Hits:
    """What a because-row is made of, without what was given."""
    pool = pool_of(snapshot, before, 0, selection).above
    (scores,), _ = likeness(snapshot, before.query, np.array([item], dtype=np.int32), pool)
    hits = best_of(pool.items, scores, len(scores), positive=True)
    new = ~np.isin(hits.items, given)
    return Hits(hits.items[new], hits.scores[new])


def above(hits: Hits, floor: float) -> Hits:
    """The hits with scores of at least `floor`, and above 0."""
    enough = hits.scores >= floor if floor > 0 else hits.scores > 0
    return first(hits, int(np.count_nonzero(enough)))


def first(hits: Hits, n: int) -> Hits:
    """The first n hits."""
    return Hits(hits.items[:n], hits.scores[:n])
