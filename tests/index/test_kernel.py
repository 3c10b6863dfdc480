"""The compiled kernel where small catalogues do not take it: many blocks, the ends of float32, several threads."""

from collections.abc import Callable

import numpy as np
import pytest

from index import reference
from index._kernel import levels
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.reference import Hits
from index.search import NONE, Searcher
from index.types import Float32, Int32

Make = Callable[..., SparseItemEmbeddings]


def dense_rows(dense: Float32) -> SparseRows:
    owners, dims = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(dense)))])
    return SparseRows.from_csr(starts, dims, dense[owners, dims], dense.shape[1])


def best(
    embeddings: SparseItemEmbeddings, query: Float32, n: int, exclude: Int32 = NONE, within: Int32 | None = None
) -> Hits:
    """What the oracle answers."""
    scores = reference.score_rows(embeddings.decoder, query)
    if embeddings.item_scale is not None:
        scores *= embeddings.item_scale
    return reference.select(scores, n, exclude, within)


def assert_same(found: Hits, expected: Hits) -> None:
    """To the last bit: assert_array_equal takes 0.0 and -0.0 for the same."""
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.scores.view(np.uint32), expected.scores.view(np.uint32))


# --- the ends of float32 ---


@pytest.mark.parametrize("level", levels())
def test_products_that_vanish_before_a_large_item_scale(make: Make, level: str) -> None:
    """Sixteen products below the least float32 are 0, and times the scale still 0; one of just that is not."""
    dense = np.full((100, 17), 0.4, dtype=np.float32)
    dense[:, 16] = 0
    dense[77] = [0] * 16 + [1]
    scale = np.full(100, 1e20, dtype=np.float32)
    embeddings = make(n_items=100, decoder=dense_rows(dense * np.float32(1e-20)), item_scale=scale)
    query = np.full(17, 2.0**-149 / 1e-20, dtype=np.float32)
    expected = best(embeddings, query, 1)
    assert expected.items.tolist() == [77]
    searcher = Searcher.of(embeddings, level)
    assert_same(searcher.top_n(query, 1), expected)
    assert_same(searcher.top_n_per_segment(query, [None], 1)[0], expected)
    assert_same(searcher.batch(np.repeat(query[None], 32, axis=0), 1)[7], expected)


@pytest.mark.parametrize("level", levels())
def test_a_batch_of_queries_below_the_normal_range(make: Make, level: str) -> None:
    """bfloat16 has few bits there, and large rows make much of the difference."""
    rng = np.random.default_rng(8)
    embeddings = make(n_items=2000, n_dims=40, decoder=dense_rows(rng.normal(0, 1e5, (2000, 40)).astype(np.float32)))
    queries = (rng.standard_normal((32, 40)) * 1e-40).astype(np.float32)
    for query, found in zip(queries, Searcher.of(embeddings, level).batch(queries, 20), strict=True):
        assert_same(found, best(embeddings, query, 20))


@pytest.mark.parametrize("level", levels())
def test_a_batch_of_queries_that_bfloat16_rounds_as_far_as_it_can(make: Make, level: str) -> None:
    """The best item loses by it what all others gain."""
    dense = np.tile(np.array([0, 0.9999], dtype=np.float32), (50, 1))
    dense[7] = 1.0002, 0
    embeddings = make(n_items=50, decoder=dense_rows(dense))
    query = np.array([1 + 2.0**-8 - 2.0**-16, 1 + 2.0**-8 + 2.0**-16], dtype=np.float32)
    for found in Searcher.of(embeddings, level).batch(np.repeat(query[None], 32, axis=0), 1):
        assert_same(found, best(embeddings, query, 1))


def test_a_query_that_bfloat16_cannot_hold_is_refused(make: Make) -> None:
    searcher = Searcher.of(make(decoder=dense_rows(np.full((20, 2), 1e-3, dtype=np.float32))))
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
