"""Boosted searches, against the reference's scores times the factors, sorted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import reference
from index._kernel import levels
from index.bitmap import Bitmap
from index.boosts import Boosts
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.search import Floor, Searcher
from index.types import Float32, Int32
from index.vocabulary import Vocabulary

Make = Callable[..., SparseItemEmbeddings]
N_BLOCKS_ITEMS = 140_000  # three blocks: searches prune


def expected(
    embeddings: SparseItemEmbeddings, query: Float32, boosts: Boosts, n: int, exclude: Int32, within: Int32 | None
) -> reference.Hits:
    scores = reference.score_rows(embeddings.decoder, query)
    if embeddings.item_scale is not None:
        scores *= embeddings.item_scale
    return reference.select(scores * boosts.factors, n, exclude, within)


def same(found: reference.Hits, wanted: reference.Hits) -> None:
    np.testing.assert_array_equal(found.items, wanted.items)
    np.testing.assert_array_equal(found.scores.view(np.uint32), wanted.scores.view(np.uint32))


@given(
    st.integers(0, 9999),
    st.sampled_from(levels()),
    st.sampled_from([1, 2, 997]),
    st.integers(0, 25),
    st.lists(st.integers(0, 19), max_size=9),
    st.lists(st.integers(0, 19), min_size=1, max_size=30),
    st.sampled_from([1.5, 100.0, 1e-6]),
)
def test_scores_are_multiplied_before_they_are_compared(
    make: Make, seed: int, level: str, steps: int, n: int, exclude: list[int], within: list[int], most: float
) -> None:
    rng = np.random.default_rng(seed)
    embeddings = make(seed=seed, steps=steps, item_scale=rng.standard_normal(20).astype(np.float32))
    boosts = Boosts((most ** rng.random(20)).astype(np.float32))
    query = (rng.integers(-steps, steps + 1, 8) / steps).astype(np.float32)
    searcher, out, some = (
        Searcher.of(embeddings, level),
        np.array(exclude, np.int32),
        np.unique(np.array(within, np.int32)),
    )
    same(searcher.top_n(query, n, exclude=out, boosts=boosts), expected(embeddings, query, boosts, n, out, None))
    wanted = expected(embeddings, query, boosts, n, out, some)
    same(searcher.top_n(query, n, exclude=out, within=some, boosts=boosts), wanted)
    same(searcher.top_n(query, n, exclude=out, within=Bitmap.from_rows(some, 20), boosts=boosts), wanted)
    everything, own = searcher.top_n_per_segment(query, [None, some], n, exclude=out, boosts=boosts)
    same(everything, expected(embeddings, query, boosts, n, out, None))
    same(own, wanted)


@pytest.fixture(scope="module")
def clustered() -> SparseItemEmbeddings:
    """Rows around 50 centres: most items cannot be among the best, and pruning finds out."""
    rng = np.random.default_rng(5)
    centres = np.sort(np.argsort(rng.random((50, 64)), axis=1)[:, :8], axis=1)
    dims = centres[rng.integers(50, size=N_BLOCKS_ITEMS)]
    values = np.exp(rng.standard_normal(dims.shape))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    starts = np.arange(0, dims.size + 1, 8)
    rows = SparseRows.from_csr(starts, dims.reshape(-1), values.reshape(-1), 64)
    ids = Vocabulary.build([str(row) for row in range(N_BLOCKS_ITEMS)])
    return SparseItemEmbeddings(ids, rows, None, "tied", None, "latents", {})


@pytest.mark.parametrize("level", levels())
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 9999), st.sampled_from([1.0, 2.0, 50.0]), st.sampled_from([1, 10, 500]))
def test_pruning_allows_for_boosts(clustered: SparseItemEmbeddings, level: str, seed: int, most: float, n: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = [Bitmap.from_mask(rng.random(N_BLOCKS_ITEMS) < share) for share in (0.3, 0.001)]
    boosts = Boosts.of([(chosen[0], most), (chosen[1], 1 / most), (chosen[0] & chosen[1], most)], N_BLOCKS_ITEMS)
    query = sum(clustered.decoder.dense_row(row) for row in rng.integers(N_BLOCKS_ITEMS, size=3))
    query = np.asarray(query if seed % 3 else -query, np.float32)
    out = rng.integers(N_BLOCKS_ITEMS, size=30).astype(np.int32)
    searcher = Searcher.of(clustered, level)
    found = searcher.top_n(query, n, exclude=out, boosts=boosts)
    same(found, expected(clustered, query, boosts, n, out, None))
    filtered = searcher.top_n(query, n, exclude=out, within=chosen[0], boosts=boosts)
    same(filtered, expected(clustered, query, boosts, n, out, chosen[0].rows()))
    floor = Floor(max(1, n // 10), 0.8)
    down = searcher.top_n(query, n, exclude=out, boosts=boosts, floor=floor)
    same(down, reference.down_to(found, floor))


def test_factors_of_one_item_multiply() -> None:
    first, second = (Bitmap.from_rows(np.array(rows, np.int32), 4) for rows in ([0, 1], [1, 2]))
    boosts = Boosts.of([(first, 2.0), (second, 0.25)], 4)
    assert boosts.factors.tolist() == [2.0, 0.5, 0.25, 1.0]
    assert (boosts.least, boosts.greatest) == (0.25, 2.0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan])
def test_factors_that_are_not_finite_and_positive_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="factors must be finite and above 0"):
        Boosts(np.array([1.0, wrong], np.float32))


def test_boosts_of_another_catalogue_are_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="boosts must have a factor an item"):
        Searcher.of(make()).top_n(np.ones(8, np.float32), 3, boosts=Boosts(np.ones(7, np.float32)))
