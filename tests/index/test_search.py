"""Search on every level, against brute force: a sort of every allowed item by (descending score, row)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import postings, reference
from index._kernel import levels
from index.bitmap import Bitmap
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.search import NONE, Floor, Searcher, score_segments
from index.segments import Segment, Segments
from index.sparse import Chosen

Make = Callable[..., SparseItemEmbeddings]
N_ITEMS = 20
ROWS = st.lists(st.integers(0, N_ITEMS - 1), max_size=30)
LEVELS = st.sampled_from(levels())


def int32(rows: list[int]) -> NDArray[np.int32]:
    return np.array(rows, dtype=np.int32)


def slow_score(rows: SparseRows, query: NDArray[np.float32], i: int) -> np.float32:
    """One value or code after the other, then the step of the row, all rounded to float32."""
    total = np.float32(0)
    inside = slice(rows.row_starts[i], rows.row_starts[i + 1])
    for dim, value in zip(rows.dims[inside], rows.values[inside], strict=True):
        total = np.float32(total + np.float32(np.float32(value) * query[dim]))
    return total if rows.steps is None else np.float32(total * rows.steps[i])


def brute_force(scores: list[float], n: int, exclude: list[int], within: list[int] | None) -> list[tuple[int, float]]:
    allowed = set(range(len(scores)) if within is None else within) - set(exclude)
    ranked = sorted(allowed, key=lambda item: (-scores[item], item))[:n]
    return [(item, scores[item]) for item in ranked]


def above_floor(ranked: list[tuple[int, float]], floor: Floor) -> list[tuple[int, float]]:
    if len(ranked) < floor.rank or ranked[floor.rank - 1][1] <= 0:
        return ranked
    least = float(np.float32(floor.share) * np.float32(ranked[floor.rank - 1][1]))
    return [hit for place, hit in enumerate(ranked) if place < floor.spared or hit[1] >= least]


def pairs(hits: reference.Hits) -> list[tuple[int, float]]:
    assert hits.items.dtype == np.int32
    assert hits.scores.dtype == np.float32
    return list(zip(hits.items.tolist(), hits.scores.tolist(), strict=True))


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `make` that give ragged rows, rows of equal length, empty ones, ties, only negative scores, int8."""
    seed = draw(st.integers(0, 9999))
    scale = draw(st.sampled_from([None, "random", "negative"]))
    scales = {"random": np.random.default_rng(seed).random(N_ITEMS), "negative": np.full(N_ITEMS, -1.0)}
    return {
        "seed": seed,
        "n_items": N_ITEMS,
        "n_dims": draw(st.sampled_from([1, 5, 8])),
        "density": draw(st.sampled_from([0.0, 0.2, 0.6, 1.0])),
        "steps": draw(st.sampled_from([1, 2, 997])),
        "int8": draw(st.booleans()),
        "item_scale": None if scale is None else scales[scale].astype(np.float32),
    }


def query_for(embeddings: SparseItemEmbeddings, seed: int, steps: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed + 1)
    return (rng.integers(-steps, steps + 1, embeddings.n_dims) / steps).astype(np.float32)


def all_scores(embeddings: SparseItemEmbeddings, query: NDArray[np.float32]) -> list[float]:
    scale = np.ones(N_ITEMS, dtype=np.float32) if embeddings.item_scale is None else embeddings.item_scale
    return [float(slow_score(embeddings.decoder, query, i) * scale[i]) for i in range(embeddings.n_items)]


@pytest.mark.parametrize("level", ["avx512", "avx2", "portable"])
def test_every_level_that_the_cpu_has_is_used(make: Make, level: str) -> None:
    if level not in levels():
        pytest.skip(f"this CPU has no {level}, only {', '.join(levels())}")
    assert Searcher.of(make(), level).kernel.level == level


def test_a_level_that_is_not_there_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match=rf"no level 'sse9'; it has {', '.join(levels())}"):
        Searcher.of(make(), "sse9")


def test_the_best_level_is_used_by_default(make: Make) -> None:
    assert Searcher.of(make()).kernel.level == levels()[0]


@given(worlds(), LEVELS, st.integers(0, 25), ROWS, st.none() | ROWS)
def test_top_n_is_brute_force_to_the_last_bit(
    make: Make, world: dict[str, Any], level: str, n: int, exclude: list[int], within: list[int] | None
) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    searcher = Searcher.of(embeddings, level)
    expected = brute_force(all_scores(embeddings, query), n, exclude, within)
    allowed = None if within is None else int32(within)
    assert pairs(searcher.top_n(query, n, exclude=int32(exclude), within=allowed)) == expected
    if allowed is not None:
        bits = Bitmap.from_rows(allowed, N_ITEMS)
        assert pairs(searcher.top_n(query, n, exclude=int32(exclude), within=bits)) == expected


FLOORS = st.builds(Floor, st.integers(1, 22), st.sampled_from([1e-30, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 22))


@given(worlds(), LEVELS, st.integers(0, 25), ROWS, st.none() | ROWS, FLOORS)
def test_a_floor_cuts_what_brute_force_finds(
    make: Make, world: dict[str, Any], level: str, n: int, exclude: list[int], within: list[int] | None, floor: Floor
) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    searcher = Searcher.of(embeddings, level)
    expected = above_floor(brute_force(all_scores(embeddings, query), n, exclude, within), floor)
    allowed = None if within is None else int32(within)
    assert pairs(searcher.top_n(query, n, exclude=int32(exclude), within=allowed, floor=floor)) == expected
    if allowed is not None:
        bits = Bitmap.from_rows(allowed, N_ITEMS)
        assert pairs(searcher.top_n(query, n, exclude=int32(exclude), within=bits, floor=floor)) == expected


@given(worlds(), st.integers(0, 25), FLOORS)
def test_the_reference_knows_floors(make: Make, world: dict[str, Any], n: int, floor: Floor) -> None:
    embeddings = make(**world)
    scores = all_scores(embeddings, query_for(embeddings, world["seed"], world["steps"]))
    found = reference.select(np.array(scores, dtype=np.float32), n, NONE, None, floor)
    assert pairs(found) == above_floor(brute_force(scores, n, [], None), floor)


@pytest.mark.parametrize(
    ("floor", "told"),
    [
        (Floor(0, 0.5), "rank of a floor must be at least 1"),
        (Floor(-1, 0.5), "rank of a floor must be at least 1"),
        (Floor(1, 0.0), "share of a floor must be above 0 and at most 1"),
        (Floor(1, 1.5), "share of a floor must be above 0 and at most 1"),
        (Floor(1, float("nan")), "share of a floor must be above 0 and at most 1"),
        (Floor(1, 0.5, -1), "what a floor spares must not be negative"),
    ],
)
def test_floors_that_are_none_are_refused(make: Make, floor: Floor, told: str) -> None:
    searcher = Searcher.of(make())
    query = np.ones(searcher.embeddings.n_dims, dtype=np.float32)
    for within in (None, int32([1, 2])):
        with pytest.raises(ValueError, match=told):
            searcher.top_n(query, 3, within=within, floor=floor)


@given(worlds(), LEVELS, st.integers(0, 70), st.integers(0, 25), ROWS, st.none() | ROWS)
def test_a_batch_answers_what_each_query_alone_does(
    make: Make, world: dict[str, Any], level: str, n_queries: int, n: int, exclude: list[int], within: list[int] | None
) -> None:
    embeddings = make(**world)
    queries = np.array([query_for(embeddings, seed, world["steps"]) for seed in range(n_queries)], dtype=np.float32)
    excluded = [int32(exclude[: number % 5]) for number in range(n_queries)]
    allowed = None if within is None else Bitmap.from_rows(int32(within), N_ITEMS)
    found = Searcher.of(embeddings, level).batch(
        queries.reshape(n_queries, embeddings.n_dims), n, exclude=excluded, within=allowed
    )
    for query, own, hits in zip(queries, excluded, found, strict=True):
        assert pairs(hits) == brute_force(all_scores(embeddings, query), n, own.tolist(), within)


@given(worlds())
def test_scores_are_right(make: Make, world: dict[str, Any]) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    dense = np.array([embeddings.decoder.dense_row(i) for i in range(N_ITEMS)], dtype=np.float64)
    scores = reference.score_rows(embeddings.decoder, query)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, dense @ query, atol=1e-5)


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


@given(worlds(), LEVELS, ROWS)
def test_chosen_items_score_as_they_do_among_all(
    make: Make, world: dict[str, Any], level: str, items: list[int]
) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    scores = all_scores(embeddings, query)
    found = Searcher.of(embeddings, level).score_items(query, int32(items))
    assert found.dtype == np.float32
    assert found.tolist() == [scores[item] for item in items]


@given(worlds(), LEVELS, ROWS, ROWS, st.integers(0, 30))
def test_likeness_is_the_geometric_mean_of_score_and_taste(
    make: Make, world: dict[str, Any], level: str, heads: list[int], items: list[int], n_best: int
) -> None:
    embeddings = make(**world)
    searcher = Searcher.of(embeddings, level)
    taste = np.random.default_rng(world["seed"]).choice([-1, 0, 0.3, 2.5], len(items)).astype(np.float32)
    queries = Chosen(embeddings.decoder, int32(heads))
    found, worth = searcher.likeness(int32(items), taste, int32(heads), queries, n_best)
    for row, (head, query) in enumerate(zip(heads, queries.dense(), strict=True)):
        products = np.maximum(searcher.score_items(query, int32(items)), 0) * np.maximum(taste, 0)
        expected = np.where(int32(items) == head, np.float32(0), np.sqrt(products))
        np.testing.assert_array_equal(found[row], expected)
        assert worth[row] == sum(sorted(expected.tolist(), reverse=True)[:n_best][::-1])
    assert found.shape == (len(heads), len(items))


def test_rows_and_queries_that_do_not_fit_are_refused(make: Make) -> None:
    searcher, one = Searcher.of(make()), int32([0])
    rows, taste = searcher.embeddings.decoder, np.ones(1, dtype=np.float32)
    for outside in (int32([-1]), int32([N_ITEMS])):
        with pytest.raises(ValueError, match="leave out unknown items"):
            searcher.likeness(outside, taste, one, Chosen(rows, one), 1)
        with pytest.raises(ValueError, match="leave out unknown items"):
            searcher.likeness(one, taste, one, Chosen(rows, outside), 1)
    with pytest.raises(ValueError, match="a taste an item"):
        searcher.likeness(one, np.ones(2, dtype=np.float32), one, Chosen(rows, one), 1)
    with pytest.raises(ValueError, match="a query a head"):
        searcher.likeness(one, taste, int32([0, 1]), Chosen(rows, one), 1)


@pytest.mark.parametrize("n_dims", [65_536, 65_537])
def test_the_highest_dim_makes_items_alike(make: Make, n_dims: int) -> None:
    rows = SparseRows.from_csr(np.arange(4), np.array([0, n_dims - 1, n_dims - 1]), np.full(3, 2.0), n_dims)
    searcher, items = Searcher.of(make(n_items=3, decoder=rows)), int32([0, 1, 2])
    found, worth = searcher.likeness(items, np.ones(3, dtype=np.float32), items[1:2], Chosen(rows, items[1:2]), 2)
    assert (found.tolist(), worth.tolist()) == ([[0, 0, 2]], [2])


@given(worlds(), LEVELS, st.lists(st.sets(st.integers(0, N_ITEMS - 1)), max_size=5), st.integers(0, 8), ROWS)
def test_segments_are_searched_as_if_each_alone(
    make: Make, world: dict[str, Any], level: str, segments: list[set[int]], n: int, exclude: list[int]
) -> None:
    embeddings = make(**world)
    query = query_for(embeddings, world["seed"], world["steps"])
    arrays = [None, *(int32(sorted(items, reverse=True)) for items in segments)]
    found = Searcher.of(embeddings, level).top_n_per_segment(query, arrays, n, exclude=int32(exclude))
    scores = all_scores(embeddings, query)
    alone = [brute_force(scores, n, exclude, None if items is None else items.tolist()) for items in arrays]
    assert [pairs(hits) for hits in found] == alone


def test_everything_excluded_leaves_nothing(make: Make) -> None:
    searcher = Searcher.of(make())
    query = np.ones(searcher.embeddings.n_dims, dtype=np.float32)
    assert pairs(searcher.top_n(query, 5, exclude=int32(list(range(20))))) == []
    assert pairs(searcher.top_n(query, 5, within=NONE)) == []
    assert len(searcher.top_n(query, 10**6).items) == 20


def test_equal_scores_come_in_row_order(make: Make) -> None:
    embeddings = make(density=0.0)
    hits = Searcher.of(embeddings).top_n(np.ones(embeddings.n_dims, dtype=np.float32), 3, exclude=int32([1]))
    assert hits.items.tolist() == [0, 2, 3]


@pytest.mark.parametrize("n_dims", [65_536, 65_537])
def test_the_highest_dim_is_found(make: Make, n_dims: int) -> None:
    rows = SparseRows.from_csr(np.arange(4), np.array([0, n_dims - 2, n_dims - 1]), np.ones(3), n_dims)
    query = np.zeros(n_dims, dtype=np.float32)
    query[-1] = 1
    assert Searcher.of(make(n_items=3, decoder=rows)).top_n(query, 1).items.tolist() == [2]


@pytest.mark.parametrize("rows", [[-1], [20], [3, -1]])
def test_rows_that_do_not_exist_are_refused(make: Make, rows: list[int]) -> None:
    searcher = Searcher.of(make())
    query = np.ones(searcher.embeddings.n_dims, dtype=np.float32)
    for ask in (
        lambda: searcher.top_n(query, 3, exclude=int32(rows)),
        lambda: searcher.top_n(query, 3, within=int32(rows)),
        lambda: searcher.top_n_per_segment(query, [int32(rows)], 3),
        lambda: searcher.top_n_per_segment(query, [None], 3, exclude=int32(rows)),
        lambda: searcher.batch(query[None], 3, exclude=[int32(rows)]),
        lambda: searcher.score_items(query, int32(rows)),
    ):
        with pytest.raises(ValueError, match=r"of 0\.\.19: leave out unknown items"):
            ask()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused(make: Make, wrong: float) -> None:
    searcher = Searcher.of(make())
    query = np.ones(searcher.embeddings.n_dims, dtype=np.float32)
    query[3] = wrong
    for ask in (
        lambda: searcher.top_n(query, 3),
        lambda: searcher.top_n(query, 3, within=int32([1, 2])),
        lambda: searcher.top_n_per_segment(query, [None], 3),
        lambda: searcher.batch(query[None], 3),
    ):
        with pytest.raises(ValueError, match=r"the query holds -?(nan|inf).* at dim 3; it must be finite"):
            ask()


def test_a_query_whose_scores_might_not_be_finite_is_refused(make: Make) -> None:
    searcher = Searcher.of(make())
    query = np.full(searcher.embeddings.n_dims, 3e38, dtype=np.float32)
    with pytest.raises(ValueError, match="so large that scores may pass the range of float32"):
        searcher.top_n(query, 3)
    assert len(searcher.top_n(query / np.float32(1e3), 3).items) == 3


@pytest.mark.parametrize("level", levels())
def test_sums_of_codes_stay_finite_before_the_step_or_the_query_is_refused(make: Make, level: str) -> None:
    """A row of tiny values, so that scores are small where the sums of its codes are not."""
    tiny = SparseRows.from_csr(np.array([0, 2]), np.array([0, 1]), np.array([1e-30, 1e-30]), 2)
    searcher = Searcher.of(make(n_items=1, decoder=tiny, int8=True), level)
    for entry in (searcher.top_n, lambda query, n: searcher.batch(np.repeat(query[None], 32, axis=0), n)[31]):
        with pytest.raises(ValueError, match="so large that scores may pass the range of float32"):
            entry(np.full(2, 1e35, dtype=np.float32), 1)
        assert entry(np.full(2, 3e34, dtype=np.float32), 1).scores.tolist() == pytest.approx([6e4], rel=1e-2)


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("scale", [[1e-30, 1e-30], [0, 1e-30], [-1e-30, 1]])
@pytest.mark.parametrize("int8", [False, True])
def test_sums_stay_finite_before_a_small_scale_or_the_query_is_refused(
    make: Make, level: str, scale: list[float], *, int8: bool
) -> None:
    """Long rows of a small scale, so that scores are small where their sums are not."""
    long = SparseRows.from_csr(np.array([0, 1, 2]), np.array([0, 1]), np.array([1e30, 1]), 2)
    sizes = np.array(scale, dtype=np.float32)
    searcher = Searcher.of(make(n_items=2, decoder=long, item_scale=sizes, int8=int8), level)
    for entry in (searcher.top_n, lambda query, n: searcher.batch(np.repeat(query[None], 32, axis=0), n)[31]):
        with pytest.raises(ValueError, match=r"norm 1.*e\+09, is so large that scores may pass the range of float32"):
            entry(np.full(2, 1e9, dtype=np.float32), 1)
        assert np.isfinite(entry(np.full(2, 1e6, dtype=np.float32), 2).scores).tolist() == [True, True]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"steps": None}, "values must be float32, or int8 with steps"),
        ({"values": np.ones(64, dtype=np.float32)}, "values must be float32, or int8 with steps"),
        ({"steps": np.ones(19, dtype=np.float32)}, "steps must have a value a row"),
    ],
)
def test_values_of_another_kind_are_refused(make: Make, broken: dict[str, Any], message: str) -> None:
    model = make(int8=True)
    wrong = replace(model, decoder=replace(model.decoder, **broken))
    with pytest.raises(ValueError, match=message):
        Searcher(wrong, postings.build(model))
    with pytest.raises(ValueError, match=message):
        postings.build(wrong)


def test_a_query_of_other_dims_is_refused(make: Make) -> None:
    searcher = Searcher.of(make())
    with pytest.raises(ValueError, match="the query has 7 dims, the items have 8"):
        searcher.top_n(np.ones(7, dtype=np.float32), 3)


def test_arrays_of_other_types_are_refused_rather_than_converted(make: Make) -> None:
    searcher = Searcher.of(make())
    with pytest.raises(TypeError, match="incompatible function arguments"):
        searcher.top_n(np.ones(8, dtype=np.float64), 3)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        searcher.top_n(np.ones(8, dtype=np.float32), 3, exclude=np.array([1]))


def test_a_negative_count_is_refused(make: Make) -> None:
    searcher = Searcher.of(make())
    query = np.ones(searcher.embeddings.n_dims, dtype=np.float32)
    for ask in (
        lambda: searcher.top_n(query, -1),
        lambda: searcher.top_n_per_segment(query, [None], -1),
        lambda: searcher.batch(query[None], -1),
    ):
        with pytest.raises(ValueError, match="n is -1"):
            ask()


def test_segments_are_scored_by_their_centroids() -> None:
    rows = SparseRows.from_csr(np.array([0, 2, 2, 3]), np.array([0, 2, 1]), np.array([0.5, -1.0, 2.0]), 3)
    named = tuple(Segment(f"s{i}", f"S{i}", (), (), 0) for i in range(3))
    empty = np.empty(0, dtype=np.int32)
    segments = Segments(named, np.zeros(4, dtype=np.int64), empty, empty.astype(np.float32), rows, frozenset())
    query = np.array([4, 3, 1], dtype=np.float32)
    assert score_segments(segments, query).tolist() == [1.0, 0.0, 6.0]
