"""Postings, against a slow and obvious construction of the same bytes."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import arrays, postings, sparse
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.errors import CorruptSnapshot, InvalidEmbeddings
from index.postings import BLOCK, LINE, Postings
from index.types import Float32
from index.vocabulary import Vocabulary

LEAST_UNIT, GREATEST_UNIT = 2.0**-100, 2.0**127
GREATEST = float(np.finfo(np.float32).max)


def oracle(rows: SparseRows, scale: Float32 | None) -> Postings:
    """The layout of FORMAT.md, one value at a time; products are rounded to double precision."""
    lines, starts = [], [0]
    units, norms, lengths = [], [], []
    for first in range(0, rows.n_rows, BLOCK):
        block = range(first, min(first + BLOCK, rows.n_rows))
        scaled = {row: scaled_row(rows, scale, row) for row in block}
        largest = max((abs(value) for own in scaled.values() for _, value in own), default=0.0)
        unit = unit_above(largest)
        by_dim: dict[int, list[tuple[int, float]]] = {}
        for row, own in scaled.items():
            for dim, value in own:
                by_dim.setdefault(dim, []).append((row - first, value / unit))
        for dim in range(rows.n_dims):
            found = by_dim.get(dim, [])
            lines += [one_line(found[i : i + 16]) for i in range(0, len(found), 16)]
            starts.append(len(lines))
        units.append(unit)
        norms.append(norm_above(max(squares(own) for own in scaled.values())))
        lengths.append(max(len(own) for own in scaled.values()))
    return Postings(
        np.array(lines, dtype=np.uint16).reshape(-1),
        np.array(starts, dtype=np.uint32),
        np.array(units, dtype=np.float32),
        np.array(norms, dtype=np.float32),
        np.array(lengths, dtype=np.uint32),
    )


def scaled_row(rows: SparseRows, scale: Float32 | None, row: int) -> list[tuple[int, float]]:
    inside = slice(rows.row_starts[row], rows.row_starts[row + 1])
    step = 1.0 if rows.steps is None else float(rows.steps[row])
    factor = 1.0 if scale is None else float(scale[row])
    pairs = zip(rows.dims[inside].tolist(), rows.values[inside].tolist(), strict=True)
    return [(dim, value * step * factor) for dim, value in pairs]


def unit_above(largest: float) -> float:
    """The least power of two above it, from 2^-100 to 2^127; 1 if there is nothing."""
    exponent = math.frexp(largest)[1]
    return min(max(2.0**exponent if exponent < 1024 else math.inf, LEAST_UNIT), GREATEST_UNIT)


def squares(own: list[tuple[int, float]]) -> float:
    total = 0.0
    for _, value in own:
        total += value * value
    return total


def norm_above(square: float) -> np.float32:
    with np.errstate(over="ignore"):
        norm = np.float32(math.sqrt(square) * (1 + 1e-9))
        return np.float32(0) if square == 0 else np.nextafter(norm, np.float32(np.inf))


def one_line(found: list[tuple[int, float]]) -> list[int]:
    padding = 16 - len(found)
    halves = np.array([value for _, value in found], dtype=np.float32).astype(np.float16).view(np.uint16)
    return [*(number for number, _ in found), *[BLOCK] * padding, *halves.tolist(), *[0] * padding]


def model(rows: SparseRows, scale: Float32 | None = None) -> SparseItemEmbeddings:
    items = Vocabulary.build([str(row) for row in range(rows.n_rows)])
    return SparseItemEmbeddings(items, rows, scale, "tied", None, "latents", {})


def assert_same(built: Postings, expected: Postings) -> None:
    for name, array in vars(expected).items():
        found = getattr(built, name)
        assert found.dtype == array.dtype, name
        np.testing.assert_array_equal(found.view(np.uint16), array.view(np.uint16), err_msg=name)


def rows_of(given: list[dict[int, float]], n_dims: int) -> SparseRows:
    starts = np.cumsum([0, *(len(own) for own in given)])
    dims = np.array([dim for own in given for dim in own], dtype=np.int64)
    values = np.array([value for own in given for value in own.values()], dtype=np.float32)
    return SparseRows.from_csr(starts, dims, values, n_dims)


FLOATS = st.floats(-GREATEST, GREATEST, width=32) | st.floats(-1, 1, width=32) | st.sampled_from([1.0, -1.0, 2.0**-126])


@st.composite
def matrices(draw: st.DrawFn) -> tuple[SparseRows, Float32 | None]:
    """Ragged rows, empty ones, one item, one dim, first and last dims, wide ones, int8, scales of every kind."""
    n_dims = draw(st.sampled_from([1, 2, 5, 40, 65_536, 65_537, 70_000]))
    dims = st.integers(0, n_dims - 1) | st.sampled_from([0, n_dims - 1])
    given = draw(st.lists(st.dictionaries(dims, FLOATS, max_size=9), min_size=1, max_size=40))
    rows = rows_of(given, n_dims)
    scales = st.lists(st.floats(-4, 4, width=32) | st.just(0.0), min_size=len(given), max_size=len(given))
    chosen = draw(st.none() | scales)
    rows = sparse.quantised(rows) if draw(st.booleans()) else rows
    return rows, None if chosen is None else np.array(chosen, dtype=np.float32)


@given(matrices())
@settings(max_examples=150, deadline=None)
def test_they_are_those_of_the_oracle_to_the_last_bit(drawn: tuple[SparseRows, Float32 | None]) -> None:
    rows, scale = drawn
    expected = oracle(rows, scale)
    largest = max((abs(value) for row in range(rows.n_rows) for _, value in scaled_row(rows, scale, row)), default=0)
    if largest > GREATEST or not np.all(np.isfinite(expected.block_norms)):
        with pytest.raises(InvalidEmbeddings, match="decoder"):
            postings.build(model(rows, scale))
        return
    built = postings.build(model(rows, scale))
    assert_same(built, expected)
    postings.check(built, model(rows, scale))


@pytest.mark.parametrize("n_items", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 17])
@pytest.mark.parametrize("scaled", [False, True])
def test_items_of_several_blocks(n_items: int, scaled: bool) -> None:
    rng = np.random.default_rng(n_items)
    lengths = rng.integers(0, 3, n_items)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    dims = rng.integers(0, 3, starts[-1])
    dims[starts[:-1][lengths == 2]], dims[starts[:-1][lengths == 2] + 1] = 0, 2
    values = rng.standard_normal(starts[-1]) * np.repeat(np.where(np.arange(n_items) < BLOCK, 1, 1000), lengths)
    rows = SparseRows.from_csr(starts, dims, values, 3)
    scale = rng.uniform(-2, 2, n_items).astype(np.float32) if scaled else None
    built = postings.build(model(rows, scale))
    assert_same(built, oracle(rows, scale))
    assert len(built.block_units) == postings.n_blocks(n_items) == len(range(0, n_items, BLOCK))
    if n_items > BLOCK:
        assert built.block_units[1] > built.block_units[0]


def test_what_the_layout_promises() -> None:
    """Independent of the oracle: each non-zero is there once, with its value within half precision, and in order."""
    rng = np.random.default_rng(5)
    rows = rows_of(
        [dict(zip(rng.permutation(50)[:8].tolist(), rng.normal(size=8), strict=True)) for _ in range(999)], 50
    )
    scale = rng.uniform(0.1, 9, 999).astype(np.float32)
    built = postings.build(model(rows, scale))
    dense = np.zeros((999, 50))
    lines = built.lines.reshape(-1, 2, LINE // 2)
    for dim in range(50):
        own = lines[built.list_starts[dim] : built.list_starts[dim + 1]]
        numbers, values = own[:, 0].ravel(), own[:, 1].ravel().view(np.float16)
        real = numbers != BLOCK
        assert np.all(np.diff(numbers[real].astype(int)) > 0)
        assert not np.any(values[~real])
        assert np.all(np.flatnonzero(~real) >= len(real) - 15)
        dense[numbers[real], dim] = values[real] * built.block_units[0]
    expected = np.array([rows.dense_row(row) * float(scale[row]) for row in range(999)])
    np.testing.assert_array_equal(dense != 0, expected != 0)
    np.testing.assert_allclose(dense, expected, rtol=2.0**-10, atol=float(built.block_units[0]) * 2.0**-24)
    longest = np.linalg.norm(expected, axis=1).max()
    assert longest <= built.block_norms[0] <= longest * (1 + 1e-6)


@pytest.mark.parametrize(
    ("own", "scale", "message"),
    [
        ({0: GREATEST, 1: GREATEST}, None, "decoder rows 0 to 0, with their scale, are longer than float32 can say"),
        ({0: GREATEST}, 2.0, "row 0 holds a value that is not finite in float32"),
        ({0: math.inf}, None, "row 0 holds a value that is not finite in float32"),
    ],
)
def test_rows_too_long_for_float32_are_refused(own: dict[int, float], scale: float | None, message: str) -> None:
    scales = None if scale is None else np.array([scale], dtype=np.float32)
    with pytest.raises(InvalidEmbeddings, match=message):
        postings.build(model(rows_of([own], 2), scales))


def test_scales_may_be_zero_negative_tiny_and_huge() -> None:
    rows = rows_of([{0: 1.0, 1: -0.5}] * 4, 2)
    for scale in ([0, 0, 0, 0], [-1, -2, 0, 3], [1e-38, 1e-45, -1e-40, 0], [1e38, -3e38, 1, 0]):
        given = np.array(scale, dtype=np.float32)
        assert_same(postings.build(model(rows, given)), oracle(rows, given))


def test_they_are_stored_and_opened(tmp_path: Path) -> None:
    built = postings.build(model(rows_of([{0: 1.0, 4: 2.0}, {}, {4: -1.0}], 5)))
    arrays.save(tmp_path, postings.to_arrays(built))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"postings_{name}.npy" for name in ("lines", "list_starts", "block_units", "block_norms", "block_lengths")
    }
    opened = postings.from_arrays(tmp_path, 3, 5)
    assert_same(opened, built)
    assert not opened.lines.flags.writeable
    assert opened.lines.ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("list_starts", [1, 1, 1, 1, 1, 2], "must ascend from 0"),
        ("list_starts", [0, 2, 1, 1, 1, 2], "must ascend from 0"),
        ("list_starts", [0, 1, 1, 1, 1, 3], r"lines\.npy holds 64 values; expected 96"),
        ("list_starts", [0, 1, 1, 1, 1, 1], r"lines\.npy holds 64 values; expected 32"),
        ("list_starts", [0, 1, 1, 1, 2], r"list_starts\.npy holds 5 values; expected 6"),
        ("block_units", [0.0], "must be finite, above 0"),
        ("block_units", [math.nan], "must be finite, above 0"),
        ("block_units", [2.0, 2.0], "holds 2 values; expected 1"),
        ("block_norms", [math.inf], "must be finite, from 0"),
        ("block_norms", [-1.0], "must be finite, from 0"),
        ("block_lengths", [6], "must be at most 5"),
    ],
)
def test_files_that_lead_outside_are_refused_at_opening(tmp_path: Path, name: str, value: Any, message: str) -> None:
    built = postings.build(model(rows_of([{0: 1.0, 4: 2.0}, {}, {4: -1.0}], 5)))
    changed = replace(built, **{name: np.array(value, dtype=getattr(built, name).dtype)})
    arrays.save(tmp_path, postings.to_arrays(changed))
    with pytest.raises(CorruptSnapshot, match=rf"postings_.*{message}"):
        postings.from_arrays(tmp_path, 3, 5)


@pytest.mark.parametrize("name", ["lines", "list_starts", "block_units", "block_norms", "block_lengths"])
def test_postings_of_anything_else_are_refused(name: str) -> None:
    given = model(rows_of([{0: 1.0, 4: 2.0}, {}, {4: -1.0}], 5))
    built = postings.build(given)
    for place in range(len(getattr(built, name))):
        changed = getattr(built, name).copy()
        changed.view(np.uint8)[place * changed.itemsize] ^= 1
        with pytest.raises(InvalidEmbeddings, match=f"postings_{name} is not what building it from the decoder gives"):
            postings.check(replace(built, **{name: changed}), given)
    with pytest.raises(InvalidEmbeddings, match=f"postings_{name} is not what"):
        postings.check(replace(built, **{name: getattr(built, name)[:-1]}), given)
