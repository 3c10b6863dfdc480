"""One unrelated event for a reader: a like of something of which the best segment is no row of the page.

The item is drawn by seed and user among those that are neither in the history nor on the page and that enough users of
the training have. Its best segment is the first that the server gives for this item alone.
"""

from collections.abc import Sequence

import numpy as np

from index.types import Float32, Int32
from training.errors import DataError
from training.pages.readers import Reader
from training.pages.server import Server
from training.pages.ways import Asking, Page

LEAST_USERS = 5
"""Of the training, who have the item."""


class Events:
    """Draws events; remembers the best segments of items."""

    def __init__(self, popularity: Float32, seed: int) -> None:
        """`popularity` is users of the training per item, (n_items,)."""
        self._known = np.flatnonzero(popularity >= LEAST_USERS)
        self._seed = seed
        self._best: dict[str, str | None] = {}

    def after(self, asking: Asking, readers: Sequence[Reader], pages: Sequence[Page]) -> list[Reader]:
        """The readers after an event each. Raises DataError where there is no such item."""
        return [reader.liking(self._item(asking, reader, page)) for reader, page in zip(readers, pages, strict=True)]

    def _item(self, asking: Asking, reader: Reader, page: Page) -> str:
        for item_id in asking.items.item_ids(self._drawn(reader, page)):
            if self._segment(asking.server, item_id) not in page.segments:
                return item_id
        raise DataError(f"all items that {LEAST_USERS} users have are of a segment on the page; there are too few")

    def _drawn(self, reader: Reader, page: Page) -> Int32:
        related = np.concatenate([reader.question.given, page.cells.ravel()])
        able = np.setdiff1d(self._known, related)
        return np.random.default_rng((self._seed, reader.question.user)).permutation(able).astype(np.int32)

    def _segment(self, server: Server, item_id: str) -> str | None:
        if item_id not in self._best:
            asked = {"history": [{"item_id": item_id}], "exclude_seen": False, "count": 1}
            (answer,) = server.batch([{"endpoint": "segments/recommend", "body": asked}])
            self._best[item_id] = answer["segments"][0]["segment_id"] if answer["segments"] else None
        return self._best[item_id]


def kept(before: Page, after: Page) -> float:
    """The share of a page's items that are still on it; 1 of an empty page."""
    shown = shown_on(before)
    return float(np.isin(shown, shown_on(after)).mean()) if len(shown) else 1.0


def shown_on(page: Page) -> Int32:
    """The different items of a page, ascending."""
    return np.unique(page.cells[page.cells >= 0])
