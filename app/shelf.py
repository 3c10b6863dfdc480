"""A shelf of the page: a titled row of items."""

from functools import lru_cache
from hashlib import blake2b
from math import fsum
from typing import NamedTuple

from app.schemas.layout import RowKind
from index.search import Hits


class Row(NamedTuple):
    """A shelf: its words and its items."""

    kind: RowKind
    key: str
    """What it is about: a segment id, the item id of a because-row, a property and its value, a list's title."""
    title: str
    reason: str
    hits: Hits
    crowd: bool = False
    """A segment with what is popular in it, instead of what the user would like."""
    segment: int | None = None
    """Number of the segment that the user's history must give the reason for; None: it has one."""

    def holding(self, hits: Hits) -> "Row":
        """The same shelf with other items. A third of the cost of _replace, and a page has a dozen."""
        return Row(self.kind, self.key, self.title, self.reason, hits, self.crowd, self.segment)

    @property
    def row_id(self) -> str:
        """Opaque, and the same for the same shelf in every snapshot."""
        return row_id_of(self.kind, self.key)

    @property
    def score(self) -> float:
        """Mean score of the items, comparable between rows of one kind."""
        return fsum(self.hits.scores.tolist()) / len(self.hits.scores)


class Placed(NamedTuple):
    """A row of a page that is being made."""

    place: int
    """From the top, from 0; places between may be empty."""
    row: Row


@lru_cache(maxsize=4096)
def row_id_of(kind: RowKind, key: str) -> str:
    """The id of the shelf of a kind that is about a key."""
    return blake2b(f"{kind}:{key}".encode(), digest_size=8).hexdigest()
