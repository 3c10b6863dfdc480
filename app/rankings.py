"""What rows are made of: rankings of all items, of a segment, of what goes with an item.

One scoring pass of the user's query makes those of a page: it ranks the top picks, the candidates of because-rows and
the items of every segment.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.ordering import Rank
from app.popular import popular, popular_in_segment, ranked
from app.recommend import Profile, best
from app.selection import Selection
from app.shelf import RowKind
from index.query import encode_each
from index.search import Hits
from index.snapshot import Snapshot
from index.types import Float32, Int32

POOL = 1000
"""Best items of a user from which top picks and because-rows are made."""

PROBE = 1 / 25
"""Share of the catalogue that a pool begins with, if that is less: few readers of a small one have more above FLOOR."""

FLOOR = 0.5
FLOOR_RANK = 100
"""An item in a because-row or a personal segment row scores at least FLOOR times what the user's FLOOR_RANK-th best
item scores: a segment whose best items the user knows already would otherwise fill its row with what is left of it."""


def scored(
    snapshot: Snapshot, profile: Profile, sets: Sequence[Int32], depth: int, selection: Selection
) -> tuple[Hits, list[Hits]]:
    """The pool, of at least `depth` items, and as many of each set; of the pool what is below the floor may lack.

    By one pass over the postings, with a filter by two; by another one where a first look was not enough.
    """
    most = max(POOL, depth)
    n = min(most, max(FLOOR_RANK, depth, int(PROBE * len(snapshot.items))))
    pool, found = _searched(snapshot, profile, sets, n, selection)
    if n < most and len(pool.scores) == n and float(pool.scores[-1]) >= floor_of(pool):
        return _searched(snapshot, profile, sets, most, selection)
    return pool, found


def _searched(
    snapshot: Snapshot, profile: Profile, sets: Sequence[Int32], n: int, selection: Selection
) -> tuple[Hits, list[Hits]]:
    searcher, exclude, boosts = snapshot.searcher, profile.exclude, selection.boosts
    if selection.within is None:
        best, *found = searcher.top_n_per_segment(profile.query, [None, *sets], n, exclude=exclude, boosts=boosts)
    else:
        best = searcher.top_n(profile.query, n, exclude=exclude, within=selection.within, boosts=boosts)
        chosen = [selection.among(items) for items in sets]
        found = searcher.top_n_per_segment(profile.query, chosen, n, exclude=exclude, boosts=boosts)
    return selection.cut(best), found


def floor_of(pool: Hits) -> float:
    """The least score of an item in a because-row or a personal row of a segment."""
    return FLOOR * float(pool.scores[:FLOOR_RANK][-1]) if len(pool.scores) else 0.0


def likeness(snapshot: Snapshot, items: Int32, pool: Int32, taste: Float32) -> Float32:
    """What a because-row of each item ranks a pool by, (len(items), len(pool)); 0 for the item itself.

    The geometric mean of the likeness to the one item and of `taste`, the user's scores over the length of the query.
    Likeness alone brings up oddities that few people know; the rest of the history corrects it.
    """
    alike = snapshot.searcher.score_items_of_each(encode_each(snapshot.embeddings, items), pool)
    scores: Float32 = np.sqrt(np.maximum(alike, 0) * taste)
    scores[items[:, np.newaxis] == pool] = 0  # where seen items are allowed
    return scores


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
    pool = best(snapshot, before.query, POOL, before.exclude, selection)
    pool = above(pool, floor_of(pool))
    taste = pool.scores / np.linalg.norm(before.query)
    (scores,) = likeness(snapshot, np.array([item], dtype=np.int32), pool.items, taste)
    hits = above(ranked(pool.items, scores, len(scores)), 0.0)
    new = ~np.isin(hits.items, given)
    return Hits(hits.items[new], hits.scores[new])


def above(hits: Hits, floor: float) -> Hits:
    """The hits with scores of at least `floor`, and above 0."""
    enough = hits.scores >= floor if floor > 0 else hits.scores > 0
    return first(hits, int(np.count_nonzero(enough)))


def first(hits: Hits, n: int) -> Hits:
    """The first n hits."""
    return Hits(hits.items[:n], hits.scores[:n])
