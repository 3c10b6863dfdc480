"""Ids as numbers while a file is read part by part: as many bytes as a number takes are kept of each, not of its text.

Numbers are given in the order of appearance; `sorted` tells which each becomes when ids are sorted.
"""

import numpy as np
import polars as pl

from index.types import Int32
from training import tables
from training.tables import Column, FloatText


class Numbering:
    """The ids of one column."""

    def __init__(self) -> None:
        """No id is known yet."""
        self._kind = pl.Categorical(pl.Categories.random())
        self._kept = pl.Series([], dtype=self._kind)  # polars forgets categories that no series has
        self._float_text = FloatText()

    def number(self, column: Column) -> pl.Series:
        """Number the ids of a part, uint32. Raises DataError as `tables.ids` does."""
        ids = tables.ids(column)
        if tables.is_csv(column.path):
            self._float_text.look(column)
        return ids.cast(self._kind).to_physical()

    def sorted(self) -> tuple[pl.Series, Int32]:
        """All ids, ascending, and the place there of each number. Raises DataError for a column of floats as text."""
        self._float_text.refuse()
        ids = self._kind.categories.to_series()
        order = ids.arg_sort().to_numpy()
        places = np.empty(len(order), np.int32)
        places[order] = np.arange(len(order), dtype=np.int32)
        return ids.gather(order), places
