"""Sparse rows (CSR), the only matrix type of the index.

Within a row, dims ascend strictly: one matrix has one representation, and so one hash.

Values are float32, or quantised: int8 codes, with one float32 step a row.

    step = max(max |values of the row| / 127, 2^-126)      value = code * step
    code = round(value / step), half to even               -127..127, so no value is off by more than step / 2
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from index import arrays
from index._kernel import cosines, dense_rows
from index.errors import InvalidEmbeddings
from index.types import Array, Dims, Float32, Int32, Int64, Values

GREATEST_CODE = 127
LEAST_STEP = float(np.finfo(np.float32).tiny)  # below, float32 is less precise


@dataclass(frozen=True)
class SparseRows:
    """A matrix of (n_rows, n_dims), of which only the non-zeros are kept."""

    row_starts: Int64
    """(n_rows + 1,): where each row starts in dims and values."""
    dims: Dims
    """(nnz,): column numbers, strictly ascending within a row; uint16 where n_dims <= 65,536, else uint32."""
    values: Values
    """(nnz,): finite float32; where there are steps, int8 codes from -127 to 127."""
    n_dims: int
    """Number of columns."""
    steps: Float32 | None = None
    """(n_rows,): what the codes of each row are multiples of; None: values are float32."""

    @classmethod
    def from_csr(cls, row_starts: Array, dims: Array, values: Array, n_dims: int) -> "SparseRows":
        """Bring CSR arrays of any types into form: sorts each row by dim, drops zeros, narrows the types."""
        n_rows = len(row_starts) - 1
        owners = np.repeat(np.arange(n_rows), np.diff(row_starts))
        order = np.lexsort((dims, owners))
        order = order[values[order] != 0]
        starts = np.zeros(n_rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(owners[order], minlength=n_rows), out=starts[1:])
        in_form = (starts, dims[order].astype(dims_type(n_dims)), values[order].astype(np.float32))
        for array in in_form:
            array.flags.writeable = False
        return cls(*in_form, n_dims)

    @classmethod
    def from_dense(cls, dense: Float32) -> "SparseRows":
        """The rows of a matrix (n_rows, n_dims) without their zeros."""
        owners, dims = np.nonzero(dense)
        starts = np.searchsorted(owners, np.arange(len(dense) + 1))
        return cls(starts, dims.astype(dims_type(dense.shape[1])), dense[owners, dims], dense.shape[1])

    @property
    def csr(self) -> tuple[Int64, Dims, Values, Float32 | None]:
        """The arrays, as the kernel takes them."""
        return self.row_starts, self.dims, self.values, self.steps

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.row_starts) - 1

    def row(self, i: int) -> tuple[Dims, Float32]:
        """The dims and values of one row; values are float32 here, as from all methods."""
        inside = slice(int(self.row_starts[i]), int(self.row_starts[i + 1]))
        values = self.values[inside]
        return self.dims[inside], values if self.steps is None else values * self.steps[i]

    def dense_row(self, i: int) -> Float32:
        """One row with its zeros, (n_dims,)."""
        dims, values = self.row(i)
        dense = np.zeros(self.n_dims, dtype=np.float32)
        dense[dims] = values
        return dense

    def dense(self, rows: Int32) -> Float32:
        """The given rows with their zeros, (len(rows), n_dims); they may repeat. ValueError if one does not exist."""
        found = dense_rows(self.row_starts, self.dims, self.values, self.n_dims, self.steps, rows)
        return found.reshape(len(rows), self.n_dims)

    def cosines(self, rows: Int32) -> Float32:
        """How near the given rows are to each other, (len(rows), len(rows)); 0 for one without a value."""
        found = cosines(self.row_starts, self.dims, self.values, self.n_dims, self.steps, rows)
        return found.reshape(len(rows), len(rows))

    def take(self, rows: Int32) -> "SparseRows":
        """The given rows as a matrix of their own; they may repeat. InvalidEmbeddings if one cannot be that long."""
        first = self.row_starts[rows]
        lengths = self.row_starts[1:][rows] - first
        wrong = arrays.first((lengths < 0) | (lengths > self.n_dims))
        if wrong is not None:  # in a snapshot that nobody verified; it could ask for any amount of memory
            raise InvalidEmbeddings(f"row {rows[wrong]} has {lengths[wrong]} non-zeros of {self.n_dims} dims")
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=starts[1:])
        places = np.arange(starts[-1]) + np.repeat(first - starts[:-1], lengths)
        values = self.values[places]
        if self.steps is not None:
            values = values * np.repeat(self.steps[rows], lengths)
        return SparseRows(starts, self.dims[places], values, self.n_dims)

    def floats(self) -> "SparseRows":
        """The same matrix with float32 values."""
        if self.steps is None:
            return self
        values = self.values * np.repeat(self.steps, np.diff(self.row_starts))
        return replace(self, values=values, steps=None)


class Chosen(NamedTuple):
    """Some rows of a matrix, by number; they must exist and may repeat."""

    rows: SparseRows
    numbers: Int32

    @classmethod
    def all_of(cls, rows: SparseRows) -> "Chosen":
        """Every row."""
        return cls(rows, np.arange(rows.n_rows, dtype=np.int32))

    def dense(self) -> Float32:
        """The rows with their zeros, (len(numbers), n_dims)."""
        return self.rows.dense(self.numbers)


def dims_type(n_dims: int) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type that numbers n_dims dimensions."""
    return np.uint16 if n_dims <= 1 << 16 else np.uint32


def quantised(rows: SparseRows) -> SparseRows:
    """The nearest rows of codes and steps; what is nearest to 0 is left out, as zeros are."""
    rows = rows.floats()
    lengths = np.diff(rows.row_starts)
    filled = np.flatnonzero(lengths)
    largest = np.zeros(rows.n_rows, dtype=np.float32)
    if len(filled):  # reduceat has no empty parts
        largest[filled] = np.maximum.reduceat(np.abs(rows.values), rows.row_starts[filled])
    steps = np.maximum(largest / np.float32(GREATEST_CODE), np.float32(LEAST_STEP))
    codes = np.rint(rows.values / np.repeat(steps, lengths).astype(np.float64)).astype(np.int8)
    kept = codes != 0
    starts = np.concatenate([[0], np.cumsum(kept)])[rows.row_starts]
    return SparseRows(starts, rows.dims[kept], codes[kept], rows.n_dims, steps)


def largest(rows: SparseRows, k: int) -> SparseRows:
    """Of each row only the k values of the largest magnitude, of equal ones those of the lower dims; float32."""
    rows = rows.floats()
    lengths = np.diff(rows.row_starts)
    owners = np.repeat(np.arange(rows.n_rows), lengths)
    by_size = np.lexsort((rows.dims, -np.abs(rows.values), owners))
    kept = np.zeros(len(rows.dims), dtype=np.bool_)
    kept[by_size[arrays.ranges(rows.row_starts[:-1], np.minimum(lengths, k))]] = True
    starts = np.concatenate([[0], np.cumsum(kept)])[rows.row_starts]
    return SparseRows(starts, rows.dims[kept], rows.values[kept], rows.n_dims)


def to_arrays(prefix: str, rows: SparseRows) -> dict[str, Array]:
    """The arrays by file name, without suffix."""
    named = {f"{prefix}_row_starts": rows.row_starts, f"{prefix}_dims": rows.dims, f"{prefix}_values": rows.values}
    return named if rows.steps is None else named | {f"{prefix}_steps": rows.steps}


def from_arrays(directory: Path, prefix: str, n_rows: int, n_dims: int, *, int8: bool = False) -> SparseRows:
    """Memory-map what to_arrays named; CorruptSnapshot unless the arrays fit together (checked in O(1))."""
    starts = arrays.load_starts(directory, f"{prefix}_row_starts", n_rows)
    nnz = int(starts[-1])
    dims = arrays.load(directory, f"{prefix}_dims", dims_type(n_dims), length=nnz)
    values = arrays.load(directory, f"{prefix}_values", np.int8 if int8 else np.float32, length=nnz)
    steps = arrays.load(directory, f"{prefix}_steps", np.float32, length=n_rows) if int8 else None
    return SparseRows(starts, dims, values, n_dims, steps)


def check(rows: SparseRows, name: str, *, int8: bool = False) -> None:
    """Refuse rows that break a rule with InvalidEmbeddings naming the array, the row and the value; O(nnz).

    Steps, and int8 with them, are refused unless `int8` allows them.
    """
    arrays.check_starts(rows.row_starts, len(rows.dims), f"{name} row_starts")
    if rows.steps is not None:
        _check_steps(rows, rows.steps, name, int8=int8)
    values_type = np.dtype(np.float32 if rows.steps is None else np.int8)
    if rows.dims.dtype != dims_type(rows.n_dims) or rows.values.dtype != values_type:
        wanted = f"{np.dtype(dims_type(rows.n_dims))} and {values_type}"
        raise InvalidEmbeddings(
            f"{name} dims and values are {rows.dims.dtype} and {rows.values.dtype}; must be {wanted}"
        )
    if len(rows.values) != len(rows.dims):
        raise InvalidEmbeddings(f"{name} has {len(rows.dims)} dims but {len(rows.values)} values")
    rule = "must be finite" if rows.steps is None else f"must be from -{GREATEST_CODE}"
    place = arrays.first(~np.isfinite(rows.values) if rows.steps is None else rows.values < -GREATEST_CODE)
    if place is not None:
        raise InvalidEmbeddings(f"{name} row {_owner(rows, place)} holds the value {rows.values[place]}; {rule}")
    place = arrays.first(rows.dims >= rows.n_dims)
    if place is not None:
        raise InvalidEmbeddings(f"{name} row {_owner(rows, place)} holds dim {rows.dims[place]} of {rows.n_dims}")
    _check_order(rows, name)


def _check_steps(rows: SparseRows, steps: Float32, name: str, *, int8: bool) -> None:
    if not int8:
        raise InvalidEmbeddings(f"{name} has steps, as for int8; its values must be float32 and have none")
    if steps.dtype != np.float32 or steps.shape != (rows.n_rows,):
        raise InvalidEmbeddings(f"{name} steps are {steps.dtype} of {steps.shape}; must be float32 of ({rows.n_rows},)")
    row = arrays.first(~(np.isfinite(steps) & (steps > 0)))
    if row is not None:
        raise InvalidEmbeddings(f"{name} row {row} has the step {steps[row]}; must be finite and above 0")


def _check_order(rows: SparseRows, name: str) -> None:
    steps = rows.dims[1:] <= rows.dims[:-1]
    inner = rows.row_starts[1:-1]
    steps[inner[(inner > 0) & (inner < len(rows.dims))] - 1] = False  # from one row to the next, any step is right
    place = arrays.first(steps)
    if place is not None:
        pair = f"{rows.dims[place]}, {rows.dims[place + 1]}"
        raise InvalidEmbeddings(
            f"{name} row {_owner(rows, place)} holds dims {pair}; must ascend strictly (SparseRows.from_csr sorts them)"
        )


def _owner(rows: SparseRows, place: int) -> int:
    return int(np.searchsorted(rows.row_starts, place, side="right")) - 1
