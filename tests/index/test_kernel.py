"""The compiled kernel where small catalogues do not take it: many blocks, the ends of float32, several threads.

A search of two blocks or more is pruned: it guesses from the first block what will be needed in the end, reads as many
dims of the others as pay, and begins again if the guess was too high.
"""

import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index import postings, reference, sparse
from index._kernel import levels
from index.bitmap import Bitmap
from index.boosts import Boosts
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.reference import Hits
from index.search import NONE, Floor, Searcher, score_segments
from index.segments import Segments
from index.types import Float32, Int32
from index.vocabulary import Vocabulary

Make = Callable[..., SparseItemEmbeddings]
Dims = NDArray[np.int64]
Values = NDArray[np.float64]
BLOCK = 65_472
N_ITEMS = 2 * BLOCK + 6_000
FUZZ = Path(__file__).with_name("fuzz_search.py")
CORRUPT = Path(__file__).with_name("fuzz_corrupt.py")


def assert_same(found: Hits, expected: Hits) -> None:
    """To the last bit: assert_array_equal takes 0.0 and -0.0 for the same."""
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.scores.view(np.uint32), expected.scores.view(np.uint32))


def all_scores(embeddings: SparseItemEmbeddings, query: Float32) -> Float32:
    scores = reference.score_rows(embeddings.decoder, query)
    return scores if embeddings.item_scale is None else scores * embeddings.item_scale


# --- catalogues of three blocks ---


def embed(dims: Dims, values: Values, n_dims: int, scale: Float32 | None = None) -> SparseItemEmbeddings:
    """Rows of equal length, their dims in any order."""
    order = np.argsort(dims, axis=1)
    starts = np.arange(0, dims.size + 1, dims.shape[1])
    narrow = np.take_along_axis(dims, order, axis=1).astype(np.uint16 if n_dims <= 65_536 else np.uint32)
    ordered = np.take_along_axis(values, order, axis=1).astype(np.float32)
    rows = SparseRows(starts, narrow.reshape(-1), ordered.reshape(-1), n_dims)
    ids = Vocabulary.build(["search does not look at the ids"])
    return SparseItemEmbeddings(ids, rows, scale, "tied", None, "latents", {})


def clusters(rng: np.random.Generator, n_dims: int) -> tuple[Dims, Values]:
    """Unit rows near one of 50 centers: most cannot be among the best, and a few large dims tell."""
    dims = rng.permuted(np.tile(np.arange(n_dims), (50, 1)), axis=1)[:, :6]
    centers = np.exp(1.5 * rng.standard_normal((50, 6))) * rng.choice([-1, 1], (50, 6))
    own = rng.integers(50, size=N_ITEMS)
    values = centers[own] * (1 + 0.1 * rng.standard_normal((N_ITEMS, 6)))
    return dims[own], values / np.linalg.norm(values, axis=1, keepdims=True)


def clustered(rng: np.random.Generator) -> SparseItemEmbeddings:
    return embed(*clusters(rng, 64), 64)


def descending(rng: np.random.Generator) -> SparseItemEmbeddings:
    """The longer rows first, so that all of the best lie in the first block, and what it promises is too much."""
    dims, values = clusters(rng, 64)
    return embed(dims, values * np.linspace(3, 0.1, N_ITEMS)[:, None], 64)


def ascending(rng: np.random.Generator) -> SparseItemEmbeddings:
    dims, values = clusters(rng, 64)
    return embed(dims, values * np.linspace(0.1, 3, N_ITEMS)[:, None], 64)


def equal(_: np.random.Generator) -> SparseItemEmbeddings:
    """Nothing but ties, over all blocks."""
    return embed(np.tile([[0, 1]], (N_ITEMS, 1)), np.tile([[0.25, -0.5]], (N_ITEMS, 1)), 2)


def ragged(rng: np.random.Generator) -> SparseItemEmbeddings:
    """Rows of no to five values of few steps: empty ones, and many ties."""
    dims, values = clusters(rng, 12)
    values = np.rint(2 * values)
    values[:, 5] = 0
    starts = np.arange(0, dims.size + 1, dims.shape[1])
    rows = SparseRows.from_csr(starts, dims.reshape(-1), values.reshape(-1), 12)
    return replace(embed(dims, values, 12), decoder=rows)


def scaled(rng: np.random.Generator) -> SparseItemEmbeddings:
    return replace(clustered(rng), item_scale=rng.uniform(-1, 2, N_ITEMS).astype(np.float32))


def half_zero(rng: np.random.Generator) -> SparseItemEmbeddings:
    """Scales of 0 or less: 0 and -0 are equal scores, and no score is above them."""
    return replace(clustered(rng), item_scale=rng.integers(-1, 1, N_ITEMS).astype(np.float32))


def spread(rng: np.random.Generator) -> SparseItemEmbeddings:
    """Scales from 1e-20 to 1e20, larger from block to block."""
    exponents = np.arange(N_ITEMS) // BLOCK * 13 - 20 + rng.uniform(0, 14, N_ITEMS)
    return replace(clustered(rng), item_scale=(10**exponents).astype(np.float32))


def int8(rng: np.random.Generator) -> SparseItemEmbeddings:
    made = clustered(rng)
    return replace(made, decoder=sparse.quantised(made.decoder))


def wide(rng: np.random.Generator) -> SparseItemEmbeddings:
    """Dims that 16 bits cannot number."""
    dims, values = clusters(rng, 64)
    return embed(np.where(dims < 32, dims, 69_999 - dims), values, 70_000)


CATALOGUES = (clustered, descending, ascending, equal, ragged, scaled, half_zero, spread, int8, wide)


def queries_of(rng: np.random.Generator, embeddings: SparseItemEmbeddings) -> dict[str, Float32]:
    """A query of each kind. All but one use only dims that rows have."""
    used = np.unique(embeddings.decoder.dims)
    made = {name: np.zeros(embeddings.n_dims, dtype=np.float32) for name in ("one dim", "few dims", "all dims", "zero")}
    made["one dim"][used[1]] = -0.7
    made["few dims"][used[:4]] = [1, -2, 1e-3, 0.5][: len(used)]
    made["all dims"][:] = rng.standard_normal(embeddings.n_dims) ** 3
    made["history"] = sum((embeddings.decoder.dense_row(row) for row in (5, 70_000, 131_000)), made["zero"])
    made["negated"] = -made["history"]
    return made


@pytest.fixture(scope="module", params=CATALOGUES, ids=lambda catalogue: catalogue.__name__)
def catalogue(request: pytest.FixtureRequest) -> SparseItemEmbeddings:
    made: SparseItemEmbeddings = request.param(np.random.default_rng(3))
    return made


@pytest.fixture(scope="module")
def searchers(catalogue: SparseItemEmbeddings) -> list[Searcher]:
    """One a level."""
    built = postings.build(catalogue)
    return [Searcher(catalogue, built, level) for level in levels()]


@pytest.fixture(scope="module")
def asked(catalogue: SparseItemEmbeddings) -> list[tuple[Float32, Float32]]:
    """Queries, each with the scores of all items."""
    queries = queries_of(np.random.default_rng(4), catalogue)
    return [(query, all_scores(catalogue, query)) for query in queries.values()]


def exclusions(rng: np.random.Generator, scores: Float32) -> Iterator[Int32]:
    """What would be best, with repeats and from all blocks; the whole first block; all but a few."""
    best = np.argsort(-scores, kind="stable")[:300].astype(np.int32)
    yield np.concatenate([best[::-1], best[:5], rng.integers(0, N_ITEMS, 50).astype(np.int32)])
    yield np.arange(BLOCK, dtype=np.int32)
    yield rng.permutation(N_ITEMS)[7:].astype(np.int32)


def test_top_n(searchers: list[Searcher], asked: list[tuple[Float32, Float32]]) -> None:
    for query, scores in asked:
        order = reference.best(scores, np.arange(N_ITEMS, dtype=np.int32), N_ITEMS)
        for n in (0, 1, 10, 700, BLOCK, N_ITEMS + 1):
            expected = Hits(order.items[:n], order.scores[:n])
            for searcher in searchers:
                assert_same(searcher.top_n(query, n), expected)


FLOORS = (Floor(100, 0.5), Floor(1, 0.9, 30), Floor(40, 1.0), Floor(10, 0.7, 600), Floor(5000, 0.95), Floor(2, 1e-3))


@pytest.mark.parametrize("floor", FLOORS, ids=str)
def test_top_n_down_to_a_floor(searchers: list[Searcher], asked: list[tuple[Float32, Float32]], floor: Floor) -> None:
    """Most of 1000 lie below some of the floors; others are reached by more than that."""
    exclude = np.random.default_rng(14).integers(0, N_ITEMS, 50).astype(np.int32)
    within = Bitmap.from_mask(np.random.default_rng(15).random(N_ITEMS) < 0.4)
    rows = within.rows()
    few = rows[::200].copy()
    for query, scores in asked:
        everywhere, inside, among_few = (
            reference.select(scores, 1000, exclude, some, floor) for some in (None, rows, few)
        )
        for searcher in searchers:
            assert_same(searcher.top_n(query, 1000, exclude=exclude, floor=floor), everywhere)
            args = (query, 1000, exclude, None, 0, None, False, floor)
            assert_same(Hits(*searcher.kernel.top_n(*args)), everywhere)
            assert_same(searcher.top_n(query, 1000, exclude=exclude, within=within, floor=floor), inside)
            assert_same(searcher.top_n(query, 1000, exclude=exclude, within=few, floor=floor), among_few)


def test_top_n_without_pruning(searchers: list[Searcher], asked: list[tuple[Float32, Float32]]) -> None:
    for query, scores in asked:
        expected = reference.select(scores, 100, NONE, None)
        for searcher in searchers:
            assert_same(Hits(*searcher.kernel.top_n(query, 100, NONE, None, 0, prune=False)), expected)


def test_top_n_with_exclusions(searchers: list[Searcher], asked: list[tuple[Float32, Float32]]) -> None:
    for query, scores in asked[::2]:
        for exclude in exclusions(np.random.default_rng(5), scores):
            expected = reference.select(scores, 50, exclude, None)
            for searcher in searchers:
                assert_same(searcher.top_n(query, 50, exclude=exclude), expected)


@pytest.mark.parametrize("share", [0, 1e-4, 0.01, 0.3, 1])
def test_top_n_within(searchers: list[Searcher], asked: list[tuple[Float32, Float32]], share: float) -> None:
    """Rows from all blocks, or of the last alone; as rows and as a bitmap."""
    rng = np.random.default_rng(6)
    count = round(share * N_ITEMS)
    for number, (query, scores) in enumerate(asked):
        rows = rng.permutation(N_ITEMS)[:count] if number % 2 else np.arange(N_ITEMS - count, N_ITEMS)
        within = rows.astype(np.int32)
        exclude, n = within[: count // 3 : 2].copy(), (20, 800)[number % 2]
        expected = reference.select(scores, n, exclude, within)
        bits = Bitmap.from_rows(within, N_ITEMS)
        for searcher in searchers:
            assert_same(searcher.top_n(query, n, exclude=exclude, within=within), expected)
            assert_same(searcher.top_n(query, n, exclude=exclude, within=bits), expected)


@pytest.mark.parametrize("size", [30, 40_000])
def test_top_n_per_segment(searchers: list[Searcher], asked: list[tuple[Float32, Float32]], size: int) -> None:
    """Few members are scored one by one, many from one pass over all items."""
    rng = np.random.default_rng(7)
    sets = [rng.permutation(N_ITEMS)[:length].astype(np.int32) for length in (size, size // 2, 1, 0)]
    segments: list[Int32 | None] = [None, *sets, None]
    for query, scores in asked:
        exclude = np.concatenate([sets[0][::3], rng.integers(0, N_ITEMS, 20).astype(np.int32)])
        expected = [reference.select(scores, 25, exclude, rows) for rows in segments]
        for searcher in searchers:
            found = searcher.top_n_per_segment(query, segments, 25, exclude=exclude)
            for hits, alone in zip(found, expected, strict=True):
                assert_same(hits, alone)


@pytest.mark.parametrize("repeats", [1, 5])
def test_batch(searchers: list[Searcher], asked: list[tuple[Float32, Float32]], repeats: int) -> None:
    """Few queries are asked singly, many in scans of 32 at a time."""
    rng = np.random.default_rng(8)
    queries = np.tile([query for query, _ in asked], (repeats, 1))
    within = Bitmap.from_mask(rng.random(N_ITEMS) < 0.4)
    exclude = [rng.integers(0, N_ITEMS, 40).astype(np.int32) for _ in asked] * repeats
    for allowed in (None, within):
        rows = None if allowed is None else allowed.rows()
        expected = [
            reference.select(scores, 30, own, rows)
            for (_, scores), own in zip(asked, exclude[: len(asked)], strict=True)
        ]
        for searcher in searchers:
            found = searcher.batch(queries, 30, exclude=exclude, within=allowed)
            for hits, alone in zip(found, expected * repeats, strict=True):
                assert_same(hits, alone)


def test_scores_of_items_and_of_segments(searchers: list[Searcher], asked: list[tuple[Float32, Float32]]) -> None:
    items = np.random.default_rng(9).integers(0, N_ITEMS, 500).astype(np.int32)
    rows = searchers[0].embeddings.decoder.floats()
    segments = Segments((), np.zeros(1, np.int64), NONE, NONE.astype(np.float32), rows, frozenset())
    for query, scores in asked:
        for searcher in searchers:
            found = searcher.score_items(query, items)
            np.testing.assert_array_equal(found.view(np.uint32), scores[items].view(np.uint32))
        plain = reference.score_rows(rows, query)
        np.testing.assert_array_equal(score_segments(segments, query).view(np.uint32), plain.view(np.uint32))


@pytest.mark.parametrize("level", levels())
def test_pruning_reads_no_more_than_it_must(level: str) -> None:
    """Lists of dims that hardly matter lie about every item. Who reads them misses the best; who is pruned does not."""
    embeddings = clustered(np.random.default_rng(10))
    query = (np.where(np.arange(64) < 20, 1, 1e-3) * np.random.default_rng(11).uniform(0.5, 1, 64)).astype(np.float32)
    built = postings.build(embeddings)
    lines = built.lines.reshape(-1, 2, 16).copy()
    for block in range(3):
        starts = built.list_starts[block * 64 : block * 64 + 65]
        lines[starts[34] : starts[64], 1] = np.float16(-60_000).view(np.uint16)
    searcher = Searcher(embeddings, replace(built, lines=lines.reshape(-1)), level)
    expected = best(embeddings, query, 200)
    assert_same(searcher.top_n(query, 200), expected)
    misled = Hits(*searcher.kernel.top_n(query, 200, NONE, None, 0, prune=False))
    assert misled.items.tolist() != expected.items.tolist()


def test_threads_share_a_searcher() -> None:
    """Eight threads with as many kinds of questions, on every level: each answer is the one of a thread alone."""
    embeddings = descending(np.random.default_rng(12))
    rng = np.random.default_rng(13)
    queries = rng.standard_normal((24, 64)).astype(np.float32)
    within = Bitmap.from_mask(rng.random(N_ITEMS) < 0.3)
    segments: list[Int32 | None] = [None, rng.permutation(N_ITEMS)[:30_000].astype(np.int32)]

    def ask(searcher: Searcher, number: int) -> list[Hits]:
        query = queries[number]
        return [
            searcher.top_n(query, 40),
            searcher.top_n(query, 7, within=within),
            *searcher.top_n_per_segment(query, segments, 9),
            *searcher.batch(queries[:8], 3),
        ]

    built = postings.build(embeddings)
    for level in levels():
        alone = [ask(Searcher(embeddings, built, level), number) for number in range(len(queries))]
        shared = Searcher(embeddings, built, level)
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(ask, repeat(shared), range(len(queries))))
        for found, expected in zip(together, alone, strict=True):
            for hits, own in zip(found, expected, strict=True):
                assert_same(hits, own)


# Asks with rows that another thread makes wrong and right again; exits by itself if no access was outside an array.
RACE = """
import sys, threading, time
import numpy as np
from index.search import Searcher
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.vocabulary import Vocabulary

n_items = 30_000
rows = SparseRows.from_csr(np.arange(n_items + 1), np.zeros(n_items, int), np.ones(n_items), 1)
items = Vocabulary.build([str(row) for row in range(n_items)])
searcher = Searcher.of(SparseItemEmbeddings(items, rows, None, "tied", None, "latents", {}))
query, shared = np.ones(1, np.float32), np.arange(n_items, dtype=np.int32)
right, wrong = shared.copy(), np.full_like(shared, 2**31 - 1)
asked = {
    "top_n": lambda: searcher.top_n(query, 5, exclude=shared, within=shared),
    "top_n_per_segment": lambda: searcher.top_n_per_segment(query, [shared] * 4, 5),
    "score_items": lambda: searcher.score_items(query, shared),
}[sys.argv[1]]
sys.setswitchinterval(1e-6)
end = time.monotonic() + 1

def change():
    while time.monotonic() < end:
        np.copyto(shared, wrong)
        np.copyto(shared, right)

threading.Thread(target=change).start()
while time.monotonic() < end:
    try:
        asked()
    except ValueError:
        pass
"""


@pytest.mark.parametrize("entry", ["top_n", "top_n_per_segment", "score_items"])
def test_rows_that_another_thread_changes_lead_nowhere(entry: str) -> None:
    done = subprocess.run([sys.executable, "-c", RACE, entry], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- the ends of float32 ---


def best(embeddings: SparseItemEmbeddings, query: Float32, n: int) -> Hits:
    return reference.select(all_scores(embeddings, query), n, NONE, None)


@pytest.mark.parametrize("level", levels())
def test_products_that_vanish_before_a_large_item_scale(make: Make, level: str) -> None:
    """Sixteen products below the least float32 are 0, and times the scale still 0; one of just that is not."""
    dense = np.full((100, 17), 0.4, dtype=np.float32)
    dense[:, 16] = 0
    dense[77] = [0] * 16 + [1]
    scale = np.full(100, 1e20, dtype=np.float32)
    embeddings = make(n_items=100, decoder=SparseRows.from_dense(dense * np.float32(1e-20)), item_scale=scale)
    query = np.full(17, 2.0**-149 / 1e-20, dtype=np.float32)
    expected = best(embeddings, query, 1)
    assert expected.items.tolist() == [77]
    searcher = Searcher.of(embeddings, level)
    assert_same(searcher.top_n(query, 1), expected)
    assert_same(searcher.top_n_per_segment(query, [None], 1)[0], expected)
    assert_same(searcher.batch(np.repeat(query[None], 32, axis=0), 1)[7], expected)


@pytest.mark.parametrize("level", levels())
def test_boosted_scores_that_vanish_are_ties(level: str) -> None:
    """All that are not above 0 then are 0 or -0, and the first of them are answered: here not those that seem best.

    The first items promise more than there is, so that the search begins again, knowing that 200 items reach 0.
    """
    values = np.zeros((N_ITEMS, 1))
    values[:150], values[150:300] = 1e-36, -1e-25
    embeddings = embed(np.zeros((N_ITEMS, 1), dtype=np.int64), values, 1)
    boosts = Boosts(np.where(values[:, 0] < 0, 1e-25, 1).astype(np.float32))
    query = np.ones(1, dtype=np.float32)
    expected = reference.select(all_scores(embeddings, query) * boosts.factors, 200, NONE, None)
    assert expected.items.tolist() == list(range(200))
    assert_same(Searcher.of(embeddings, level).top_n(query, 200, boosts=boosts), expected)


@pytest.mark.parametrize("level", levels())
def test_a_batch_of_queries_below_the_normal_range(make: Make, level: str) -> None:
    """bfloat16 has few bits there, and large rows make much of the difference."""
    rng = np.random.default_rng(8)
    embeddings = make(
        n_items=2000, n_dims=40, decoder=SparseRows.from_dense(rng.normal(0, 1e5, (2000, 40)).astype(np.float32))
    )
    queries = (rng.standard_normal((32, 40)) * 1e-40).astype(np.float32)
    for query, found in zip(queries, Searcher.of(embeddings, level).batch(queries, 20), strict=True):
        assert_same(found, best(embeddings, query, 20))


@pytest.mark.parametrize("level", levels())
def test_a_batch_of_queries_that_bfloat16_rounds_as_far_as_it_can(make: Make, level: str) -> None:
    """The best item loses by it what all others gain."""
    dense = np.tile(np.array([0, 0.9999], dtype=np.float32), (50, 1))
    dense[7] = 1.0002, 0
    embeddings = make(n_items=50, decoder=SparseRows.from_dense(dense))
    query = np.array([1 + 2.0**-8 - 2.0**-16, 1 + 2.0**-8 + 2.0**-16], dtype=np.float32)
    for found in Searcher.of(embeddings, level).batch(np.repeat(query[None], 32, axis=0), 1):
        assert_same(found, best(embeddings, query, 1))


def test_a_query_that_bfloat16_cannot_hold_is_refused(make: Make) -> None:
    searcher = Searcher.of(make(decoder=SparseRows.from_dense(np.full((20, 2), 1e-3, dtype=np.float32))))
    queries = np.full((32, 2), np.finfo(np.float32).max, dtype=np.float32)
    with pytest.raises(ValueError, match="so large that scores may pass the range of float32"):
        searcher.batch(queries, 3)


@pytest.mark.parametrize("n", [2**62, 2**63, 2**64 - 1])
def test_any_number_of_items_can_be_asked_for(make: Make, n: int) -> None:
    searcher, query = Searcher.of(make()), np.ones(8, dtype=np.float32)
    everything = best(searcher.embeddings, query, 20)
    assert_same(searcher.top_n(query, n), everything)
    assert_same(searcher.top_n(query, n, within=np.arange(20, dtype=np.int32)), everything)
    for hits in searcher.top_n_per_segment(query, [None, np.arange(20, dtype=np.int32)], n):
        assert_same(hits, everything)
    for hits in searcher.batch(np.repeat(query[None], 40, axis=0), n):
        assert_same(hits, everything)


@pytest.mark.parametrize("wrong", [np.arange(3), np.zeros((2, 2), np.int32), np.zeros(3, np.uint32), [1, 2], b"1234"])
def test_sets_of_other_types_are_refused_rather_than_converted(make: Make, wrong: Any) -> None:
    searcher = Searcher.of(make())
    with pytest.raises(TypeError, match=r"a set must be int32 item rows|a bytes-like object is required"):
        searcher.top_n_per_segment(np.ones(8, dtype=np.float32), [None, wrong], 3)


def test_sets_that_lie_apart_in_memory_are_refused(make: Make) -> None:
    searcher = Searcher.of(make())
    with pytest.raises(ValueError, match="not C-contiguous"):
        searcher.top_n_per_segment(np.ones(8, dtype=np.float32), [np.arange(9, dtype=np.int32)[::2]], 3)


# --- the fuzzers, briefly ---


def test_random_questions_have_the_answers_of_the_oracle() -> None:
    tally = runpy.run_path(str(FUZZ))["fuzz"](3000, seed=1)
    assert not tally.first, tally.first
    assert tally.differences == 0
    assert set(tally.answers) == set(levels())
    assert {entry.split(",")[0] for entry in tally.queries} >= {"top_n", "top_n_per_segment", "batch", "score_items"}


def test_a_difference_would_be_found_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_bit_wrong(self: Searcher, query: Float32, items: Int32) -> Float32:
        return np.nextafter(self.kernel.score_items(query, items), np.float32(np.inf))

    monkeypatch.setattr(Searcher, "score_items", last_bit_wrong)
    tally = runpy.run_path(str(FUZZ))["fuzz"](1500, seed=2)
    assert tally.differences > 0
    assert "score_items on" in tally.first
    assert "again by: --seed 2 --world" in tally.first


def test_corrupt_arrays_crash_nothing() -> None:
    """In a process of its own: a crash would take the tests with it."""
    program = [sys.executable, str(CORRUPT), "150", "--seed", "1"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "150 cases, none crashed" in done.stdout
