"""Attention on a page: by hand, and 2D-nDCG against the sum written out."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.pages.attention import EMPTY, Shape, attention, by_attention, filled, laid_out, ndcg

PHONE = Shape(6, 6)


def test_attention_by_hand() -> None:
    seen = attention(Shape(2, 3))
    assert seen == pytest.approx(np.array([[1, 1 / log2(3), 1 / 2], [1 / log2(3), 1 / 2, 1 / log2(5)]]))


def test_a_list_fills_a_page_along_the_diagonals() -> None:
    cells = filled(np.arange(6, dtype=np.int32), Shape(2, 3))
    assert cells.tolist() == [[0, 1, 3], [2, 4, 5]]
    assert filled(np.arange(2, dtype=np.int32), Shape(2, 2)).tolist() == [[0, 1], [EMPTY, EMPTY]]
    assert filled(np.arange(9, dtype=np.int32), Shape(2, 2)).tolist() == [[0, 1], [2, 3]]
    assert by_attention(Shape(2, 2)).tolist() == [0, 1, 2, 3]


def test_rows_are_laid_out_and_cut() -> None:
    rows = [np.array(each, np.int32) for each in ([5, 6, 7], [8], [9, 1])]
    assert laid_out(rows, Shape(2, 2)).tolist() == [[5, 6], [8, EMPTY]]


def test_2d_ndcg_by_hand() -> None:
    cells = np.array([[1, 2], [3, EMPTY]], np.int32)
    assert ndcg(cells, np.array([1], np.int32)) == 1
    assert ndcg(cells, np.array([3], np.int32)) == pytest.approx(1 / log2(3))
    assert ndcg(cells, np.array([2, 9], np.int32)) == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)))
    assert ndcg(cells, np.array([9], np.int32)) == 0


def test_an_item_that_is_shown_twice_counts_where_one_looks_first() -> None:
    cells = np.array([[1, 2, 7], [7, 3, 4]], np.int32)
    assert ndcg(cells, np.array([7], np.int32)) == pytest.approx(1 / log2(3))


@given(
    st.lists(st.integers(-1, 40), min_size=36, max_size=36),
    st.sets(st.integers(0, 60), min_size=1, max_size=50),
)
def test_2d_ndcg_is_the_sum_written_out(items: list[int], wanted: set[int]) -> None:
    cells = np.array(items, np.int32).reshape(PHONE)
    first: dict[int, float] = {}
    for row in range(6):
        for column in range(6):
            item, seen = int(cells[row, column]), 1 / log2(row + column + 2)
            first[item] = max(first.get(item, 0), seen)
    ideal = sorted((1 / log2(row + column + 2) for row in range(6) for column in range(6)), reverse=True)
    expected = sum(first.get(item, 0) for item in wanted) / sum(ideal[: len(wanted)])
    assert ndcg(cells, np.array(sorted(wanted), np.int32)) == pytest.approx(expected)
