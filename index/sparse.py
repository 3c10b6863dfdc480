"""Sparse rows (CSR), the only matrix type of the index.

Within a row, dims ascend strictly: one matrix has one representation, and so one hash.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index import arrays
from index.errors import InvalidEmbeddings
from index.types import Array, Dims, Float32, Int32, Int64


@dataclass(frozen=True)
class SparseRows:
    """A matrix of (n_rows, n_dims), of which only the non-zeros are kept."""

    row_starts: Int64
    """(n_rows + 1,): where each row starts in dims and values."""
    dims: Dims
    """(nnz,): column numbers, strictly ascending within a row; uint16 where n_dims <= 65,536, else uint32."""
    values: Float32
    """(nnz,): finite values."""
    n_dims: int
    """Number of columns."""

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

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.row_starts) - 1

    def row(self, i: int) -> tuple[Dims, Float32]:
        """The dims and values of one row."""
        inside = slice(int(self.row_starts[i]), int(self.row_starts[i + 1]))
        return self.dims[inside], self.values[inside]

    def dense_row(self, i: int) -> Float32:
        """One row with its zeros, (n_dims,)."""
        dims, values = self.row(i)
        dense = np.zeros(self.n_dims, dtype=np.float32)
        dense[dims] = values
        return dense

    def take(self, rows: Int32) -> "SparseRows":
        """The given rows as a matrix of their own; they may repeat. InvalidEmbeddings if one cannot be that long."""
        first = self.row_starts[rows]
        lengths = self.row_starts[rows.astype(np.int64) + 1] - first
        wrong = arrays.first((lengths < 0) | (lengths > self.n_dims))
        if wrong is not None:  # in a snapshot that nobody verified; it could ask for any amount of memory
            raise InvalidEmbeddings(f"row {rows[wrong]} has {lengths[wrong]} non-zeros of {self.n_dims} dims")
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=starts[1:])
        places = arrays.ranges(first, lengths)
        return SparseRows(starts, self.dims[places], self.values[places], self.n_dims)


def dims_type(n_dims: int) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type that numbers n_dims dimensions."""
    return np.uint16 if n_dims <= 1 << 16 else np.uint32


def to_arrays(prefix: str, rows: SparseRows) -> dict[str, Array]:
    """The arrays by file name, without suffix."""
    return {f"{prefix}_row_starts": rows.row_starts, f"{prefix}_dims": rows.dims, f"{prefix}_values": rows.values}


def from_arrays(directory: Path, prefix: str, n_rows: int, n_dims: int) -> SparseRows:
    """Memory-map what to_arrays named; CorruptSnapshot unless the three arrays fit together (checked in O(1))."""
    starts = arrays.load_starts(directory, f"{prefix}_row_starts", n_rows)
    nnz = int(starts[-1])
    dims = arrays.load(directory, f"{prefix}_dims", dims_type(n_dims), length=nnz)
    values = arrays.load(directory, f"{prefix}_values", np.float32, length=nnz)
    return SparseRows(starts, dims, values, n_dims)


def check(rows: SparseRows, name: str) -> None:
    """Refuse rows that break a rule with InvalidEmbeddings naming the array, the row and the value; O(nnz)."""
    arrays.check_starts(rows.row_starts, len(rows.dims), f"{name} row_starts")
    if rows.dims.dtype != dims_type(rows.n_dims) or rows.values.dtype != np.float32:
        wanted = f"{np.dtype(dims_type(rows.n_dims))} and float32"
        raise InvalidEmbeddings(
            f"{name} dims and values are {rows.dims.dtype} and {rows.values.dtype}; must be {wanted}"
        )
    if len(rows.values) != len(rows.dims):
        raise InvalidEmbeddings(f"{name} has {len(rows.dims)} dims but {len(rows.values)} values")
    place = arrays.first(~np.isfinite(rows.values))
    if place is not None:
        raise InvalidEmbeddings(
            f"{name} row {_owner(rows, place)} holds the value {rows.values[place]}; must be finite"
        )
    place = arrays.first(rows.dims >= rows.n_dims)
    if place is not None:
        raise InvalidEmbeddings(f"{name} row {_owner(rows, place)} holds dim {rows.dims[place]} of {rows.n_dims}")
    _check_order(rows, name)


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
