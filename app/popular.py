"""What most people like: the order of popularity, in whole or in a segment, under any selection."""

import numpy as np

from app.selection import EVERYTHING, Selection
from index.arrays import among
from index.search import NONE, Hits, best_of
from index.snapshot import Snapshot
from index.types import Int32

LOOK = 1024
"""Items that are looked at to begin with, where most may not be in the answer."""


def popular(snapshot: Snapshot, exclude: Int32, count: int, selection: Selection = EVERYTHING) -> Hits:
    """The most popular items that are not excluded (rows ascend); scores are numbers of users, boosted."""
    if isinstance(selection.within, np.ndarray):
        items = selection.within[~among(selection.within, exclude)]
        return selection.cut(best_of(items, selection.boosted(items, snapshot.popularity[items]), count))
    if selection.within is None and selection.boosts is None:
        head = snapshot.popular[: count + len(exclude)]
        items = head[~among(head, exclude)][:count]
        return selection.cut(Hits(items, snapshot.popularity[items]))
    return selection.cut(_walk(snapshot, exclude, count, selection))


def popular_in_segment(
    snapshot: Snapshot, number: int, exclude: Int32, count: int, selection: Selection = EVERYTHING
) -> Hits:
    """Items of a segment by number of users times strength: an item may belong a little to segments not its own."""
    items = snapshot.segments.items_of(number)
    scores = snapshot.popularity[items] * snapshot.segments.strengths_of(number)
    allowed = ~among(items, exclude) & selection.allows(items)
    items, scores = items[allowed], scores[allowed]
    return selection.cut(best_of(items, selection.boosted(items, scores), count))


def _walk(snapshot: Snapshot, exclude: Int32, count: int, selection: Selection) -> Hits:
    """The best items, found by walking down the order of popularity, as far as boosts may turn it over.

    No catalogue is sorted: under a selection of one in a hundred items, about a hundred times `count` are looked at.
    """
    greatest = 1.0 if selection.boosts is None else selection.boosts.greatest
    best = Hits(NONE, np.empty(0, dtype=np.float32))
    start, size = 0, LOOK
    while start < len(snapshot.popular):
        # what lies ahead has at most this score
        ahead = float(snapshot.popularity[snapshot.popular[start]]) * greatest
        if len(best.items) == count and float(best.scores[-1]) > ahead:
            break
        if selection.boosts is None and len(best.items) == count:
            break  # equal scores are in the order of rows already
        items = snapshot.popular[start : start + size]
        items = items[selection.allows(items)]
        items = items[~among(items, exclude)]
        scores = selection.boosted(items, snapshot.popularity[items])
        best = best_of(np.concatenate([best.items, items]), np.concatenate([best.scores, scores]), count)
        start += size
        size *= 2
    return best
