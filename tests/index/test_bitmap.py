"""Bitmaps, against Python sets."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.bitmap import Bitmap

SIZES = st.sampled_from([0, 1, 2, 63, 64, 65, 127, 128, 129, 200])


@st.composite
def sets(draw: st.DrawFn, n_sets: int = 1) -> tuple[int, list[set[int]]]:
    """A number of rows, and sets of rows."""
    n_items = draw(SIZES)
    rows = st.sets(st.integers(0, n_items - 1)) if n_items else st.just(set[int]())
    return n_items, [draw(rows) for _ in range(n_sets)]


def int32(rows: Any) -> NDArray[np.int32]:
    return np.array(list(rows), dtype=np.int32)


def holds(bitmap: Bitmap, n_items: int, rows: set[int]) -> None:
    """The bitmap is this set, in every way it can be looked at."""
    assert bitmap.n_items == n_items
    assert bitmap.words.dtype == np.uint64
    assert len(bitmap.words) == (n_items + 63) // 64
    assert sum(int(word) << 64 * place for place, word in enumerate(bitmap.words)) == sum(1 << row for row in rows)
    assert bitmap.count == len(rows)
    assert bitmap.rows().dtype == np.int32
    assert bitmap.rows().tolist() == sorted(rows)
    assert [row for row in range(-2, n_items + 130) if row in bitmap] == sorted(rows)


@given(sets(), st.randoms())
def test_a_bitmap_is_the_set_it_is_made_of(given_sets: tuple[int, list[set[int]]], random: Any) -> None:
    n_items, (rows,) = given_sets
    shuffled = [*rows, *rows]
    random.shuffle(shuffled)
    holds(Bitmap.from_rows(int32(shuffled), n_items), n_items, rows)
    holds(Bitmap.from_mask(np.isin(np.arange(n_items), int32(rows))), n_items, rows)


@given(sets(), st.data())
def test_rows_are_looked_up_and_walked_in_any_order(
    given_sets: tuple[int, list[set[int]]], data: st.DataObject
) -> None:
    n_items, (rows,) = given_sets
    bitmap = Bitmap.from_rows(int32(rows), n_items)
    asked = data.draw(st.permutations(range(n_items)))
    assert bitmap.has(int32(asked)).tolist() == [row in rows for row in asked]
    n = data.draw(st.integers(0, n_items + 1))
    assert bitmap.first_of(int32(asked), n).tolist() == [row for row in asked if row in rows][:n]


def test_a_walk_goes_as_far_as_it_must() -> None:
    order = int32(range(100_000))[::-1]
    bitmap = Bitmap.from_rows(int32([3, 50_000, 99_999]), 100_000)
    assert [bitmap.first_of(order, n).tolist() for n in (1, 2, 9)] == [[99_999], [99_999, 50_000], [99_999, 50_000, 3]]


@given(sets(2))
def test_the_algebra_is_that_of_sets(given_sets: tuple[int, list[set[int]]]) -> None:
    n_items, (one, other) = given_sets
    a, b = Bitmap.from_rows(int32(one), n_items), Bitmap.from_rows(int32(other), n_items)
    holds(a & b, n_items, one & other)
    holds(a | b, n_items, one | other)
    holds(~a, n_items, set(range(n_items)) - one)
    holds(a & ~b, n_items, one - other)
    holds(Bitmap.full(n_items), n_items, set(range(n_items)))
    holds(a, n_items, one)  # nothing of it has changed


def test_what_is_made_cannot_be_changed() -> None:
    words = np.array([5], dtype=np.uint64)
    bitmap = Bitmap(words, 3)
    holds(bitmap, 3, {0, 2})
    for made in (bitmap, ~bitmap, bitmap & bitmap, Bitmap.full(3)):
        with pytest.raises(ValueError, match="read-only"):
            made.words[0] = 1
    assert words.flags.writeable


def test_every_other_word_of_an_array_will_do() -> None:
    holds(Bitmap(np.array([1, 9, 2, 9], dtype=np.uint64)[::2], 70), 70, {0, 65})


@pytest.mark.parametrize(
    ("words", "n_items", "message"),
    [
        (np.zeros(1, dtype=np.uint64), 65, r"words are uint64 of \(1,\); 65 rows need uint64 of \(2,\)"),
        (np.zeros(1, dtype=np.uint64), 0, r"0 rows need uint64 of \(0,\)"),
        (np.zeros(1, dtype=np.int64), 3, r"words are int64 of \(1,\); 3 rows need uint64 of \(1,\)"),
        (np.array([8], dtype=np.uint64), 3, "words have bits beyond the last of 3 rows"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: Any, n_items: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bitmap(words, n_items)


@pytest.mark.parametrize("rows", [[-1], [3], [0, 7, 1]])
def test_rows_that_do_not_exist_are_refused(rows: list[int]) -> None:
    with pytest.raises(ValueError, match=r"of 0\.\.2: leave out unknown items"):
        Bitmap.from_rows(int32(rows), 3)


def test_bitmaps_of_different_catalogues_do_not_mix() -> None:
    with pytest.raises(ValueError, match="bitmaps of 3 and of 4 rows do not go together"):
        Bitmap.full(3) & Bitmap.full(4)
    with pytest.raises(ValueError, match="bitmaps of 4 and of 3 rows do not go together"):
        Bitmap.full(4) | Bitmap.full(3)
