"""What rows are made of: rankings of all items, of a segment, of what goes with an item.

One scoring pass of the user's query makes those of a page: the best of it are the top picks, and what is above the
floor is what all other rows of the user's taste are made of.
"""

from typing import NamedTuple

import numpy as np

from app.recommend import Profile, best
from app.selection import Selection
from index.query import encode_each, length
from index.search import Floor, Hits
from index.snapshot import Snapshot
from index.types import Float32, Float64, Int32

POOL = 1000
"""A user's best items of which the rows of a page are made, at most; more where the page is larger."""

FLOOR = 0.6
FLOOR_RANK = 100
"""An item in a row of the user's taste, but for top picks, scores at least FLOOR times what the user's FLOOR_RANK-th
best item scores: a segment whose best items the user knows already would otherwise fill its row with what is left."""


class Pool(NamedTuple):
    """A user's best items."""

    hits: Hits
    """As many as a row may need, and all of `above`."""
    above: Hits
    """Those of `hits` that reach the floor: what rows but the top picks are made of."""


def pool_of(snapshot: Snapshot, profile: Profile, depth: int, selection: Selection) -> Pool:
    """The pool, of the `depth` best items and what else reaches the floor, up to `POOL`."""
    n = max(POOL, depth)
    hits = best(snapshot, profile.query, n, profile.exclude, selection, Floor(FLOOR_RANK, FLOOR, spared=depth))
    return Pool(hits, _above(hits))


def likeness(snapshot: Snapshot, query: Float32, heads: Int32, pool: Hits, n_best: int = 0) -> tuple[Float32, Float64]:
    """What a because-row of each head ranks a pool by, (len(heads), len(pool)); and the sum of its `n_best` best.

    The geometric mean of the likeness to the one item and of the user's taste, the scores over the length of the query.
    Likeness alone brings up oddities that few people know; the rest of the history corrects it. 0 for the head itself.
    """
    queries = encode_each(snapshot.embeddings, heads)
    taste = pool.scores / np.float32(length(query))
    return snapshot.searcher.likeness(pool.items, taste, heads, queries, n_best)


def _above(hits: Hits) -> Hits:
    """The hits that reach the floor, with scores above 0."""
    floor = FLOOR * float(hits.scores[:FLOOR_RANK][-1]) if len(hits.scores) else 0.0
    enough = hits.scores >= floor if floor > 0 else hits.scores > 0
    return first(hits, int(np.count_nonzero(enough)))


def first(hits: Hits, n: int) -> Hits:
    """The first n hits."""
    return Hits(hits.items[:n], hits.scores[:n])
