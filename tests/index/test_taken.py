"""Rows of a page, each of what those before it left, against the plainest way to say so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.search import Hits
from index.taken import Taken

rankings = st.lists(
    st.lists(st.integers(0, 40) | st.integers(0, 2**31 - 1), unique=True, max_size=30), min_size=1, max_size=8
)


def hits_of(items: list[int]) -> Hits:
    return Hits(np.array(items, dtype=np.int32), np.linspace(2, 1, len(items), dtype=np.float32))


class Oracle:
    def __init__(self) -> None:
        self.taken: set[int] = set()

    def take(self, items: list[int], size: int, fewest: int, overlap: float) -> list[int] | None:
        best = items[:size]
        if len(self.taken.intersection(best)) > overlap * len(best):
            return None
        row = [item for item in items if item not in self.taken][:size]
        if not row or len(row) < fewest:
            return None
        self.taken.update(row)
        return row


@given(rankings, st.integers(1, 12), st.integers(0, 12), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_rows_are_those_of_the_oracle(given: list[list[int]], size: int, fewest: int, overlap: float) -> None:
    taken, oracle = Taken(), Oracle()
    for items in given:
        hits = hits_of(items)
        left = [place for place, item in enumerate(items) if item not in oracle.taken]
        assert taken.left_of(hits).tolist() == left
        row, expected = taken.take(hits, size, fewest, overlap), oracle.take(items, size, fewest, overlap)
        assert (None if row is None else row.items.tolist()) == expected
        assert taken.any is bool(oracle.taken)
        if row is not None:
            scores = dict(zip(items, hits.scores.tolist(), strict=True))
            assert row.scores.tolist() == [scores[item] for item in row.items.tolist()]


def test_thousands_of_items_are_kept() -> None:
    taken = Taken()
    for first in range(0, 5000, 100):
        row = taken.take(hits_of(list(range(first, first + 200))), 100, 1, 1.0)
        assert row is not None
        assert row.items.tolist() == list(range(first, first + 100))
    assert taken.left_of(hits_of(list(range(5001)))).tolist() == [5000]


def test_what_is_no_ranking_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        Taken().take(hits_of([1, -1]), 2, 1, 1.0)
    with pytest.raises(ValueError, match="a score an item"):
        Taken().take(Hits(np.arange(3, dtype=np.int32), np.ones(2, dtype=np.float32)), 2, 1, 1.0)
    with pytest.raises(TypeError):
        Taken().take(Hits(np.arange(3, dtype=np.int32), np.ones(3)), 2, 1, 1.0)  # type: ignore[arg-type]
