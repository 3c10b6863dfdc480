"""The two-dimensional page: who looks where, and what held-out items found there are worth.

    a(r, c) = 1 / log2(r + c)                               row r and column c from 1
    2D-nDCG = sum over targets on the page of a at the first cell / sum of the min(|targets|, cells) largest a

N-DCG-2D with alpha = beta = 1: Felicioni et al., CEUR-WS Vol-2947, 2021; Ferrari Dacrema, Felicioni and Cremonesi,
Frontiers in Big Data, 2022.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from index.types import Array, Int32, Int64

EMPTY = -1
"""A cell without an item."""


class Shape(NamedTuple):
    """The size of a page."""

    n_rows: int
    row_size: int

    @property
    def n_cells(self) -> int:
        """How many items fit."""
        return self.n_rows * self.row_size


def attention(shape: Shape) -> Array:
    """How much each cell is looked at, (n_rows, row_size)."""
    rows, columns = np.indices(shape) + 1
    return np.asarray(1.0 / np.log2(rows + columns))


def by_attention(shape: Shape) -> Int64:
    """Cells, counted row by row, by descending attention; of equal ones the one further up first."""
    return np.argsort(-attention(shape), axis=None, kind="stable")


def laid_out(rows: Sequence[Int32], shape: Shape) -> Int32:
    """Rows of items as cells (n_rows, row_size); what does not fit is left out, what is missing is EMPTY."""
    cells = np.full(shape, EMPTY, np.int32)
    for number, items in enumerate(rows[: shape.n_rows]):
        cells[number, : len(items)] = items[: shape.row_size]
    return cells


def filled(items: Int32, shape: Shape) -> Int32:
    """A list, best first, as cells (n_rows, row_size): the best where one looks first."""
    cells = np.full(shape.n_cells, EMPTY, np.int32)
    cells[by_attention(shape)[: len(items)]] = items[: shape.n_cells]
    return cells.reshape(shape)


def ndcg(cells: Int32, targets: Int32) -> float:
    """2D-nDCG of cells (n_rows, row_size); an item that is shown twice counts once. At least one target."""
    shape = Shape(*cells.shape)
    order = by_attention(shape)
    seen = attention(shape).ravel()[order]
    items, firsts = np.unique(cells.ravel()[order], return_index=True)
    return float(seen[firsts[np.isin(items, targets)]].sum() / seen[: len(targets)].sum())
