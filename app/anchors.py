"""Because-rows: what goes with single items of the history, their anchors, and with the rest of it."""

import sys
from collections.abc import Iterator
from operator import itemgetter

import numpy as np

from app.opinions import Opinions
from app.placing import Size
from app.rankings import first, likeness
from app.recommend import Profile, because, titles
from app.shelf import Row
from index.search import Hits, best_of
from index.snapshot import Snapshot
from index.types import Float32, Int64

STRONG = 0.5
"""An item may head a because-row where its weight is at least this share of the user's largest."""

ANCHORS = 8
"""Newest strong items of the history among which the heads of because-rows are chosen."""

RELATED = 200
"""The user's best items of which because-rows are made; more when the page is larger."""

MOST = 3
"""Because-rows that are candidates: the most convincing."""

DISTINCT = 0.3
"""Items whose rows have a larger cosine do not both head a because-row."""

CONVINCING = 2 / 3
"""A because-row is used where its best items score together at least this share of the best because-row's."""


def because_rows(snapshot: Snapshot, profile: Profile, size: Size, pool: Hits) -> Iterator[Row]:
    """Rows of the best of the user's best items; the most convincing row first."""
    pool = first(pool, max(RELATED, size.depth))
    if not (profile.opinions and len(pool.items)):  # where there are none, only steering is known
        return
    chosen = anchors(snapshot, profile.opinions)
    scores, worth = likeness(snapshot, profile.query, profile.items[chosen], pool, size.row_size)
    ranked = sorted(zip(worth.tolist(), scores, chosen.tolist(), strict=True), key=itemgetter(0), reverse=True)
    convincing = max(CONVINCING * ranked[0][0], sys.float_info.min)
    ranked = [one for one in ranked[:MOST] if one[0] >= convincing]
    heads = [profile.opinions[place] for _, _, place in ranked]
    told: set[str] = set()
    for (_, own, _), head, title in zip(ranked, heads, titles(snapshot, [head.item for head in heads]), strict=True):
        if title not in told:
            told.add(title)
            yield _row(snapshot, size, pool, head.item, own, because(head, title))


def because_row(snapshot: Snapshot, profile: Profile, size: Size, pool: Hits, item: int) -> Row:
    """The row of what goes with one item, which the user need not have liked."""
    ((own,), _) = likeness(snapshot, profile.query, np.array([item], dtype=np.int32), pool)
    (title,) = titles(snapshot, [item])
    opinion = next((one for one in profile.opinions if one.item == item and one.weight > 0), None)
    return _row(snapshot, size, pool, item, own, f"More like {title}" if opinion is None else because(opinion, title))


def _row(snapshot: Snapshot, size: Size, pool: Hits, item: int, scores: Float32, title: str) -> Row:
    hits = best_of(pool.items, scores, size.depth, positive=True)
    return Row("because", snapshot.items.item_id(item), title, "Often liked by the same people", hits)


def anchors(snapshot: Snapshot, opinions: Opinions) -> Int64:
    """Places of strong, recent items of the history that are not alike.

    Only the better known half of them: what is like an item is noise where the item has few users.
    """
    return snapshot.searcher.anchors(
        opinions.items, opinions.weights, snapshot.popularity, strong=STRONG, most=ANCHORS, distinct=DISTINCT
    )
