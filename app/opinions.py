"""What a user thinks of items, out of what was done with them: columns, since an answer looks at all of them at once.

Of several interactions with one item the strongest counts, the newest among equals: repeated views must not add up to a
liking. Of an item that was disliked or hidden only weights below 0 count.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from app.store.state import KIND_NUMBERS, KINDS, Interaction
from index.query import strongest
from index.types import Int32

MIN_WEIGHT = 1e-6
"""A weight nearer to 0 says nothing: the square of a much smaller one is 0 in float32, and a score no number."""


class Opinion(NamedTuple):
    """What a user thinks of one item of the snapshot."""

    item: int
    weight: float
    kind: str


class Opinions(Sequence[Opinion]):
    """One an item, newest first."""

    __slots__ = ("_kinds", "_weights", "items", "weights")

    def __init__(self, items: Int32, weights: NDArray[np.float64], kinds: NDArray[np.uint8]) -> None:
        self.items = items
        """(n,): rows."""
        self.weights = weights.astype(np.float32)
        """(n,): none is nearer to 0 than `MIN_WEIGHT`."""
        self._weights, self._kinds = weights, kinds

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, at: int) -> Opinion: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Opinion, ...]: ...
    def __getitem__(self, at: int | slice) -> Opinion | tuple[Opinion, ...]:
        if isinstance(at, slice):
            return tuple(self)[at]
        return Opinion(int(self.items[at]), float(self._weights[at]), KINDS[self._kinds[at]])

    def __iter__(self) -> Iterator[Opinion]:
        columns = (self.items.tolist(), self._weights.tolist(), self._kinds.tolist())
        return (Opinion(item, weight, KINDS[kind]) for item, weight, kind in zip(*columns, strict=True))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, Opinions) else other)


class Acts(NamedTuple):
    """What was done with items, in columns of equal length."""

    rows: Int32
    """-1 for items that the snapshot does not know."""
    times: NDArray[np.float64]
    weights: NDArray[np.float64]
    kinds: NDArray[np.uint8]
    """Numbers in `KINDS`."""

    @classmethod
    def of(cls, rows: Int32, interactions: Sequence[Interaction]) -> "Acts":
        """Of interactions with items in these rows."""
        times = np.array([one.timestamp for one in interactions], dtype=np.float64)
        weights = np.array([one.weight for one in interactions], dtype=np.float64)
        return cls(rows, times, weights, np.array([KIND_NUMBERS[one.kind] for one in interactions], dtype=np.uint8))

    def and_then(self, later: "Acts") -> "Acts":
        """Both; of equal times these come first."""
        return Acts(
            np.concatenate([self.rows, later.rows]),
            np.concatenate([self.times, later.times]),
            np.concatenate([self.weights, later.weights]),
            np.concatenate([self.kinds, later.kinds]),
        )


def form(acts: Acts, hidden: Int32) -> Opinions:
    """The opinions that follow from these acts (of equal times the newest first) and from rows that are hidden."""
    chosen = strongest(acts.rows, acts.times, acts.weights, hidden, MIN_WEIGHT)
    return Opinions(acts.rows[chosen], acts.weights[chosen], acts.kinds[chosen])


NO_OPINIONS = Opinions(np.empty(0, dtype=np.int32), np.empty(0), np.empty(0, dtype=np.uint8))
