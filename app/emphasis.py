"""Emphasis: what a page sets store by, beside what its items are worth."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from index.columns import Columns

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"segment": 1.0, "because": 1.0, "property": 0.0, "new": 0.0, "popular": 0.0}
)
"""By kind of row, where an operator does not say; so are the next two."""

DIVERSITY = 0.0

STABILITY = 0.1


class Emphasis(NamedTuple):
    """The weights of the objective by which a page is assembled (`index.assembly`)."""

    weights: Mapping[str, float] = WEIGHTS
    """By kind of row: what a row gains counts so many times; 0: only where the layout asks for it.

    What is popular fills a page that would end early, whatever it weighs.
    """
    diversity: float = DIVERSITY
    """How much the cosine of two segments takes from what the second one gains, 0 to 1."""
    stability: float = STABILITY
    """A row of the user's last page gains so much more: 0.1 is a tenth."""
    properties: tuple[str, ...] | None = None
    """Properties that may make a row, such as an author; None: those that the index finds fit for it."""
    newness: str | None = None
    """The property that tells how new an item is; None: there are no rows of what is new."""


PLAIN_EMPHASIS = Emphasis()


def unfit(columns: Columns, emphasis: Emphasis) -> Iterator[str]:
    """What an operator names and an index does not have, each in words: there are no rows of it."""
    texts, times = columns.of_kinds("text"), columns.of_kinds("time", "number")
    for name in emphasis.properties or ():
        if name not in texts:
            yield f"SPARROW_PAGE_PROPERTIES: {name!r} is no property of texts here; those are {', '.join(texts)}"
    key = emphasis.newness
    if key is not None and key not in times:
        yield f"SPARROW_PAGE_NEW: {key!r} is no property of times or numbers here; those are {', '.join(times)}"
