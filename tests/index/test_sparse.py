"""Sparse rows, against the dense matrix."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from index import sparse
from index.embeddings import SparseRows
from index.errors import InvalidEmbeddings

MATRICES = hnp.arrays(np.int8, st.tuples(st.integers(0, 6), st.integers(1, 6)), elements=st.integers(-2, 2))


def from_dense(dense: NDArray[Any], n_dims: int | None = None) -> SparseRows:
    owners, dims = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(dense)))])
    return SparseRows.from_csr(starts, dims, dense[owners, dims], n_dims or dense.shape[1])


@given(MATRICES, st.randoms(use_true_random=False), st.data())
def test_rows_are_those_of_the_dense_matrix(dense: NDArray[np.int8], random: Any, data: st.DataObject) -> None:
    shuffled: list[tuple[int, int]] = []
    for row in dense:  # every value, also zeros, in any order inside its row
        own = list(enumerate(row.tolist()))
        random.shuffle(own)
        shuffled += own
    n_rows, n_dims = dense.shape
    starts = np.arange(n_rows + 1) * n_dims
    dims, values = (np.array([pair[side] for pair in shuffled], dtype=np.int64) for side in (0, 1))
    rows = SparseRows.from_csr(starts, dims, values, n_dims)
    sparse.check(rows, "rows")
    assert len(rows.values) == np.count_nonzero(dense)
    assert rows.n_rows == n_rows
    for i, row in enumerate(dense):
        np.testing.assert_array_equal(rows.dense_row(i), row)
        np.testing.assert_array_equal(rows.row(i)[0], np.flatnonzero(row))
    filled = SparseRows.from_dense(dense.astype(np.float32))
    sparse.check(filled, "filled")
    assert [array.tolist() for array in filled.csr[:3]] == [array.tolist() for array in rows.csr[:3]]
    chosen = data.draw(st.lists(st.integers(0, n_rows - 1), max_size=9)) if n_rows else []
    taken = rows.take(np.array(chosen, dtype=np.int32))
    sparse.check(taken, "taken")
    np.testing.assert_array_equal([taken.dense_row(i) for i in range(len(chosen))], [*map(dense.__getitem__, chosen)])
    np.testing.assert_array_equal(rows.dense(np.array(chosen, dtype=np.int32)), dense[np.array(chosen, dtype=np.intp)])


@pytest.mark.parametrize(("n_dims", "dtype"), [(1, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_dims_are_as_narrow_as_they_can_be(n_dims: int, dtype: type[np.generic]) -> None:
    rows = SparseRows.from_csr(np.array([0, 1]), np.array([n_dims - 1]), np.array([2.0]), n_dims)
    assert rows.dims.dtype == dtype
    assert rows.dense_row(0)[n_dims - 1] == 2
    sparse.check(rows, "rows")


GOOD = from_dense(np.array([[1, 0, 2], [0, 0, 0], [0, 3, 4]]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"row_starts": np.array([1, 2, 2, 4])}, "row_starts runs from 1 to 4; must run from 0 to 4"),
        ({"row_starts": np.array([0, 2, 2, 3])}, "runs from 0 to 3"),
        ({"row_starts": np.array([0, 3, 2, 4])}, "steps back from 3 to 2 after row 1"),
        ({"row_starts": np.array([0, 2, 2, 4], dtype=np.int32)}, "row_starts is int32"),
        ({"row_starts": np.empty(0, dtype=np.int64)}, "must be int64"),
        ({"dims": np.array([0, 2, 1, 2])}, "are int64 and float32; must be uint16 and float32"),
        ({"values": np.ones(4)}, "are uint16 and float64"),
        ({"values": np.ones(3, dtype=np.float32)}, "4 dims but 3 values"),
        ({"values": np.array([1, 2, np.nan, 4], dtype=np.float32)}, "row 2 holds the value nan; must be finite"),
        ({"values": np.array([1, np.inf, 3, 4], dtype=np.float32)}, "row 0 holds the value inf"),
        ({"dims": np.array([0, 2, 1, 3], dtype=np.uint16)}, "row 2 holds dim 3 of 3"),
        ({"dims": np.array([2, 0, 1, 2], dtype=np.uint16)}, "row 0 holds dims 2, 0; must ascend strictly"),
        ({"dims": np.array([0, 2, 1, 1], dtype=np.uint16)}, "row 2 holds dims 1, 1; must ascend strictly"),
    ],
)
def test_broken_rows_are_refused(broken: dict[str, Any], message: str) -> None:
    sparse.check(GOOD, "rows")
    with pytest.raises(InvalidEmbeddings, match=f"^rows .*{message}"):
        sparse.check(replace(GOOD, **broken), "rows")


@pytest.mark.parametrize(("starts", "length"), [([0, 1 << 40, 2, 4], 1 << 40), ([0, 2, 1, 4], -1)])
def test_rows_longer_than_can_be_are_not_taken(starts: list[int], length: int) -> None:
    broken = replace(GOOD, row_starts=np.array(starts))
    with pytest.raises(InvalidEmbeddings, match=f"row . has {length} non-zeros of 3 dims"):
        broken.take(np.array([0, 1, 2], dtype=np.int32))


FLOATS = st.floats(-1, 1, width=32) | st.floats(-(2.0**120), 2.0**120, width=32)
DENSE = hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 6)), elements=FLOATS | st.just(0.0))


@given(DENSE)
def test_int8_is_off_by_half_a_step_at_most(dense: NDArray[np.float32]) -> None:
    given_rows = from_dense(dense)
    rows = sparse.quantised(given_rows)
    sparse.check(rows, "rows", int8=True)
    assert rows.steps is not None
    assert [array.dtype.name for array in (rows.values, rows.steps)] == ["int8", "float32"]
    assert np.all(rows.values != 0)
    exact = np.zeros(dense.shape)
    owners = np.repeat(np.arange(len(dense)), np.diff(rows.row_starts))
    exact[owners, rows.dims] = rows.values * rows.steps.astype(np.float64)[owners]
    assert np.all(np.abs(dense - exact) <= rows.steps[:, None].astype(np.float64) / 2)
    largest = np.abs(dense).max(axis=1, initial=0)
    tiny = np.finfo(np.float32).tiny
    np.testing.assert_array_equal(rows.steps, np.maximum(largest / np.float32(127), tiny))
    for row, own in enumerate(exact.astype(np.float32)):
        if largest[row] >= 127 * tiny:  # the whole range is used
            assert np.abs(rows.values[owners == row]).max() == 127
        np.testing.assert_array_equal(rows.dense_row(row), own)
        np.testing.assert_array_equal(rows.floats().dense_row(row), own)
        np.testing.assert_array_equal(rows.dense(np.array([row], dtype=np.int32)), [own])
    chosen = np.arange(len(dense), dtype=np.int32)[::-1]
    taken, floats = rows.take(chosen), rows.floats()
    sparse.check(taken, "taken")
    sparse.check(floats, "floats")
    assert given_rows.floats() is given_rows
    np.testing.assert_array_equal(taken.values, floats.take(chosen).values)


@given(DENSE, st.integers(1, 7))
def test_the_largest_of_each_row(dense: NDArray[np.float32], k: int) -> None:
    rows = sparse.largest(from_dense(dense), k)
    sparse.check(rows, "rows")
    for number, own in enumerate(dense):
        order = sorted(np.flatnonzero(own).tolist(), key=lambda dim: (-abs(float(own[dim])), dim))
        expected = np.zeros_like(own)
        expected[order[:k]] = own[order[:k]]
        np.testing.assert_array_equal(rows.dense_row(number), expected)


def test_the_largest_of_int8_rows_are_float32() -> None:
    rows = sparse.largest(sparse.quantised(from_dense(np.array([[127, -3, 0, 64], [0, 0, 0, 0]]) / 4)), 2)
    assert rows.steps is None
    assert [rows.dense_row(number).tolist() for number in (0, 1)] == [[31.75, 0, 0, 16], [0, 0, 0, 0]]


def test_int8_of_whole_multiples_of_the_step_is_exact() -> None:
    dense = np.array([[127, -3, 0, 64], [0, 0, 0, 0], [-254, 2, 3, 5]]) / 4  # the last by steps of 1/2, halves to even
    rows = sparse.quantised(from_dense(dense))
    assert rows.steps is not None
    assert rows.steps.tolist() == [0.25, 2.0**-126, 0.5]
    assert rows.values.tolist() == [127, -3, 64, -127, 1, 2, 2]
    again = sparse.quantised(rows)
    for one, other in ((again.values, rows.values), (again.steps, rows.steps)):
        np.testing.assert_array_equal(one, other)


INT8 = sparse.quantised(GOOD)
STEPS = np.array([0.1, 1, 0.2], dtype=np.float32)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"values": np.array([1, 2, -128, 4], dtype=np.int8)}, "row 2 holds the value -128; must be from -127"),
        ({"values": np.ones(4, dtype=np.float32)}, "are uint16 and float32; must be uint16 and int8"),
        ({"values": np.ones(3, dtype=np.int8)}, "4 dims but 3 values"),
        ({"steps": None}, "are uint16 and int8; must be uint16 and float32"),
        ({"steps": STEPS[:2]}, r"steps are float32 of \(2,\); must be float32 of \(3,\)"),
        ({"steps": STEPS.astype(np.float64)}, "steps are float64"),
        ({"steps": np.where(STEPS < 1, STEPS, np.float32(np.nan))}, "row 1 has the step nan; must be finite and above"),
        ({"steps": np.where(STEPS < 1, STEPS, np.float32(np.inf))}, "row 1 has the step inf"),
        ({"steps": np.where(STEPS < 1, STEPS, np.float32(0))}, "row 1 has the step 0.0"),
        ({"steps": -STEPS}, "row 0 has the step -0.1"),
    ],
)
def test_broken_int8_is_refused(broken: dict[str, Any], message: str) -> None:
    sparse.check(INT8, "rows", int8=True)
    with pytest.raises(InvalidEmbeddings, match=f"^rows .*{message}"):
        sparse.check(replace(INT8, **broken), "rows", int8=True)


def test_int8_is_refused_where_it_is_not_meant_to_be() -> None:
    with pytest.raises(InvalidEmbeddings, match=r"^rows has steps, as for int8; its values must be float32"):
        sparse.check(INT8, "rows")


def test_repeated_dims_are_found_by_the_check() -> None:
    repeated = SparseRows.from_csr(np.array([0, 2]), np.array([1, 1]), np.array([1.0, 2.0]), 4)
    with pytest.raises(InvalidEmbeddings, match="dims 1, 1"):
        sparse.check(repeated, "rows")
