"""Caps: at most so many items with the same value of a property, counted while a list is made."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.bitmap import Bitmap
from index.columns import Column
from index.types import Int32

LOOK = 256
"""Items whose values are looked up at a time."""


class Cap(NamedTuple):
    """The cap on one property."""

    column: Column
    """Its values."""
    most: int
    """Items of a list that may have the same one."""


class Tally:
    """The values of one list's items so far. An item with several values counts for each, one without for none."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        self._caps = [(cap, Counter[int](), np.zeros(cap.column.n_values, dtype=np.bool_)) for cap in caps]
        self._any_full = False

    def full(self, items: Int32) -> NDArray[np.bool_]:
        """Whether each of these items has a value that is used up, (len(items),)."""
        found = np.zeros(len(items), dtype=np.bool_)
        if self._any_full:
            for cap, _, used_up in self._caps:
                owners, codes = cap.column.elements(items)
                found[owners[used_up[codes]]] = True
        return found

    def add(self, item: int) -> bool:
        """Count an item; whether one of its values is used up only now."""
        filled = False
        for cap, counts, used_up in self._caps:
            for code in cap.column.elements(np.array([item], dtype=np.int32))[1].tolist():
                counts[code] += 1
                if counts[code] == cap.most:
                    used_up[code] = filled = True
        self._any_full |= filled
        return filled

    def admitted(self, items: Int32) -> Iterator[int]:
        """The places of the items to take, first come, first served; each is counted when it is yielded."""
        for start in range(0, len(items), LOOK):
            near = items[start : start + LOOK]
            shut = self.full(near)
            for place, item in enumerate(near.tolist()):
                if not shut[place]:
                    yield start + place
                    if self.add(item):
                        shut = self.full(near)

    def all_full(self) -> Bitmap | None:
        """All items with a value that is used up; None: there are none."""
        found: Bitmap | None = None
        for cap, _, used_up in self._caps:
            if used_up.any():
                items = cap.column.having([(code, code + 1) for code in np.flatnonzero(used_up).tolist()])
                found = items if found is None else found | items
        return found
