"""Search, against brute force: a sort of every allowed item by (descending score, row)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import reference, search
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.segments import Segment, Segments

Make = Callable[..., SparseItemEmbeddings]
N_ITEMS = 20
ROWS = st.lists(st.integers(0, N_ITEMS - 1), max_size=30)


def int32(rows: list[int]) -> NDArray[np.int32]:
    return np.array(rows, dtype=np.int32)


def slow_score(rows: SparseRows, query: NDArray[np.float32], i: int) -> np.float32:
    """One value after the other, each step rounded to float32."""
    total = np.float32(0)
    for dim, value in zip(*rows.row(i), strict=True):
        total = np.float32(total + np.float32(value * query[dim]))
    return total


def brute_force(scores: list[float], n: int, exclude: list[int], within: list[int] | None) -> list[tuple[int, float]]:
    allowed = set(range(len(scores)) if within is None else within) - set(exclude)
    ranked = sorted(allowed, key=lambda item: (-scores[item], item))[:n]
    return [(item, scores[item]) for item in ranked]


def pairs(hits: reference.Hits) -> list[tuple[int, float]]:
    assert hits.items.dtype == np.int32
    assert hits.scores.dtype == np.float32
    return list(zip(hits.items.tolist(), hits.scores.tolist(), strict=True))


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `make` that give ragged rows, rows of equal length, empty rows, ties, or only negative scores."""
    seed = draw(st.integers(0, 9999))
    scale = draw(st.sampled_from([None, "random", "negative"]))
    scales = {"random": np.random.default_rng(seed).random(N_ITEMS), "negative": np.full(N_ITEMS, -1.0)}
    return {
        "seed": seed,
        "n_items": N_ITEMS,
        "n_dims": draw(st.sampled_from([1, 5, 8])),
        "density": draw(st.sampled_from([0.0, 0.2, 0.6, 1.0])),
        "steps": draw(st.sampled_from([1, 2, 997])),
        "item_scale": None if scale is None else scales[scale].astype(np.float32),
    }


def query_for(embeddings: SparseItemEmbeddings, seed: int, steps: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed + 1)
    return (rng.integers(-steps, steps + 1, embeddings.n_dims) / steps).astype(np.float32)


def all_scores(embeddings: SparseItemEmbeddings, query: NDArray[np.float32]) -> list[float]:
    scale = np.ones(N_ITEMS, dtype=np.float32) if embeddings.item_scale is None else embeddings.item_scale
    return [float(slow_score(embeddings.decoder, query, i) * scale[i]) for i in range(embeddings.n_items)]


@given(worlds(), st.integers(0, 25), ROWS, st.none() | ROWS)
def test_top_n_is_brute_force_to_the_last_bit(
    make: Make, world: dict[str, Any], n: int, exclude: list[int], within: list[int] | None
) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    hits = search.top_n(embeddings, query, n, exclude=int32(exclude), within=None if within is None else int32(within))
    assert pairs(hits) == brute_force(all_scores(embeddings, query), n, exclude, within)


@given(worlds())
def test_scores_are_right(make: Make, world: dict[str, Any]) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    dense = np.array([embeddings.decoder.dense_row(i) for i in range(N_ITEMS)], dtype=np.float64)
    np.testing.assert_allclose(reference.score_rows(embeddings.decoder, query), dense @ query, atol=1e-5)


@given(st.lists(st.integers(0, 4), max_size=12) | st.lists(st.sampled_from([0, 3]), max_size=12), st.integers(0, 9999))
def test_rows_of_one_length_of_many_and_empty_ones_sum_in_stored_order(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    dims = np.concatenate([np.empty(0, np.int64), *(rng.permutation(5)[:length] for length in lengths)])
    rows = SparseRows.from_csr(starts, dims, rng.uniform(0.5, 1, len(dims)), 5)
    assert np.diff(rows.row_starts).tolist() == lengths
    query = rng.standard_normal(5).astype(np.float32)
    scores = reference.score_rows(rows, query)
    assert scores.dtype == np.float32
    assert scores.tolist() == [float(slow_score(rows, query, i)) for i in range(len(lengths))]


@given(worlds(), ROWS)
def test_chosen_items_score_as_they_do_among_all(make: Make, world: dict[str, Any], items: list[int]) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    scores = all_scores(embeddings, query)
    found = search.score_items(embeddings, query, int32(items))
    assert found.dtype == np.float32
    assert found.tolist() == [scores[item] for item in items]


@given(worlds(), st.lists(st.sets(st.integers(0, N_ITEMS - 1)), max_size=5), st.integers(0, 8), ROWS)
def test_segments_are_searched_as_if_each_alone(
    make: Make, world: dict[str, Any], segments: list[set[int]], n: int, exclude: list[int]
) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    arrays = [None, *(int32(sorted(items, reverse=True)) for items in segments)]
    found = search.top_n_per_segment(embeddings, query, arrays, n, exclude=int32(exclude))
    alone = [search.top_n(embeddings, query, n, exclude=int32(exclude), within=items) for items in arrays]
    assert [pairs(hits) for hits in found] == [pairs(hits) for hits in alone]


def test_everything_excluded_leaves_nothing(make: Make) -> None:
    embeddings = make()
    query = np.ones(embeddings.n_dims, dtype=np.float32)
    assert pairs(search.top_n(embeddings, query, 5, exclude=int32(list(range(20))))) == []
    assert pairs(search.top_n(embeddings, query, 5, within=search.NONE)) == []
    assert len(search.top_n(embeddings, query, 10**6).items) == 20


def test_equal_scores_come_in_row_order(make: Make) -> None:
    embeddings = make(density=0.0)
    hits = search.top_n(embeddings, np.ones(embeddings.n_dims, dtype=np.float32), 3, exclude=int32([1]))
    assert hits.items.tolist() == [0, 2, 3]


@pytest.mark.parametrize("n_dims", [65_536, 65_537])
def test_the_highest_dim_is_found(make: Make, n_dims: int) -> None:
    rows = SparseRows.from_csr(np.arange(4), np.array([0, n_dims - 2, n_dims - 1]), np.ones(3), n_dims)
    query = np.zeros(n_dims, dtype=np.float32)
    query[-1] = 1
    assert search.top_n(make(n_items=3, decoder=rows), query, 1).items.tolist() == [2]


@pytest.mark.parametrize("rows", [[-1], [20], [3, -1]])
def test_rows_that_do_not_exist_are_refused(make: Make, rows: list[int]) -> None:
    embeddings = make()
    query = np.ones(embeddings.n_dims, dtype=np.float32)
    with pytest.raises(ValueError, match=r"of 0\.\.19: leave out unknown items"):
        search.top_n(embeddings, query, 3, exclude=int32(rows))
    with pytest.raises(ValueError, match="leave out unknown items"):
        search.top_n(embeddings, query, 3, within=int32(rows))


def test_a_negative_count_is_refused(make: Make) -> None:
    embeddings = make()
    with pytest.raises(ValueError, match="n is -1"):
        search.top_n(embeddings, np.ones(embeddings.n_dims, dtype=np.float32), -1)


def test_segments_are_scored_by_their_centroids() -> None:
    rows = SparseRows.from_csr(np.array([0, 2, 2, 3]), np.array([0, 2, 1]), np.array([0.5, -1.0, 2.0]), 3)
    named = tuple(Segment(f"s{i}", f"S{i}", (), (), 0) for i in range(3))
    empty = np.empty(0, dtype=np.int32)
    segments = Segments(named, np.zeros(4, dtype=np.int64), empty, empty.astype(np.float32), rows, frozenset())
    query = np.array([4, 3, 1], dtype=np.float32)
    assert search.score_segments(segments, query).tolist() == [1.0, 0.0, 6.0]
