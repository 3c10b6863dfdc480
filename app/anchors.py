"""Because-rows: what goes with single items of the history, their anchors, and with the rest of it."""

import sys
from collections.abc import Iterator
from operator import itemgetter

from app.opinions import Opinions
from app.placing import Size
from app.rankings import likeness
from app.recommend import Profile, because, titles
from app.shelf import Row
from index.search import Hits, best_of
from index.snapshot import Snapshot
from index.types import Int64

STRONG = 0.5
"""An item may head a because-row where its weight is at least this share of the user's largest."""

ANCHORS = 8
"""Newest strong items of the history among which the heads of because-rows are chosen."""

DISTINCT = 0.3
"""Items whose rows have a larger cosine do not both head a because-row."""

CONVINCING = 2 / 3
"""A because-row is used where its best items score together at least this share of the best because-row's."""


def because_rows(snapshot: Snapshot, profile: Profile, size: Size, pool: Hits) -> Iterator[Row]:
    """Rows of the pool, what top picks leave of the user's best items; the most convincing row first."""
    if not (profile.opinions and len(pool.items)):  # where there are none, only steering is known
        return
    chosen = anchors(snapshot, profile.opinions)
    scores, worth = likeness(snapshot, profile.query, profile.items[chosen], pool, size.row_size)
    ranked = sorted(zip(worth.tolist(), scores, chosen.tolist(), strict=True), key=itemgetter(0), reverse=True)
    convincing = max(CONVINCING * ranked[0][0], sys.float_info.min)
    titles_before: set[str] = set()
    for own_worth, own_scores, place in ranked:
        if own_worth < convincing:
            return
        head = profile.opinions[place]
        (title,) = titles(snapshot, [head.item])
        if title not in titles_before:
            titles_before.add(title)
            hits = best_of(pool.items, own_scores, size.depth, positive=True)
            key = snapshot.items.item_id(head.item)
            yield Row("because", key, because(head, title), "Often liked by the same people", hits)


def anchors(snapshot: Snapshot, opinions: Opinions) -> Int64:
    """Places of strong, recent items of the history that are not alike.

    Only the better known half of them: what is like an item is noise where the item has few users.
    """
    return snapshot.searcher.anchors(
        opinions.items, opinions.weights, snapshot.popularity, strong=STRONG, most=ANCHORS, distinct=DISTINCT
    )
