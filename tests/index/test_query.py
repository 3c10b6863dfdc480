"""Encoding a history, against dense algebra in float64; the compiled parts of it, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import query, reference
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.sparse import Chosen

Make = Callable[..., SparseItemEmbeddings]
HISTORIES = st.lists(st.tuples(st.integers(0, 19), st.floats(-2, 2, width=16)), max_size=12)


def arrays(history: list[tuple[int, float]]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    items = np.array([item for item, _ in history], dtype=np.int32)
    return items, np.array([weight for _, weight in history], dtype=np.float32)


def dense_encoder(embeddings: SparseItemEmbeddings) -> NDArray[np.float64]:
    if embeddings.encoder == "identity":
        return np.eye(embeddings.n_items)
    rows = embeddings.encoder if isinstance(embeddings.encoder, SparseRows) else embeddings.decoder
    dense = np.array([rows.dense_row(i) for i in range(rows.n_rows)], dtype=np.float64)
    factor = embeddings.query_factor
    return dense if factor is None else dense @ factor @ factor.T.astype(np.float64)


def variant(make: Make, seed: int, kind: str, query_dims: int | None) -> SparseItemEmbeddings:
    if kind == "identity":
        return make(seed, n_dims=20, encoder="identity", dims_are="items", query_dims=query_dims)
    scale = np.linspace(0.5, 2, 20, dtype=np.float32)  # belongs to the output: it must not change the query
    if kind == "factor":
        factor = np.random.default_rng(seed).standard_normal((8, 5)).astype(np.float32)
        return make(seed, item_scale=scale, query_dims=query_dims, query_factor=factor)
    return make(seed, own_encoder=kind == "own", int8=kind == "int8", item_scale=scale, query_dims=query_dims)


KINDS = st.sampled_from(["tied", "int8", "own", "identity", "factor"])


@given(st.integers(0, 99), KINDS, HISTORIES)
def test_the_query_is_the_weighted_sum_of_encoder_rows(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]]
) -> None:
    embeddings = variant(make, seed, kind, None)
    items, weights = arrays(history)
    expected = weights.astype(np.float64) @ dense_encoder(embeddings)[items]
    found = query.encode(embeddings, items, weights)
    assert found.dtype == np.float32
    if kind == "factor":
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, expected.astype(np.float32))


@given(st.integers(0, 99), st.sampled_from(["tied", "int8", "own"]), HISTORIES, st.floats(1e-6, 1e6))
def test_rows_are_summed_in_the_order_of_the_history(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]], factor: float
) -> None:
    embeddings = variant(make, seed, kind, None)
    items, weights = arrays(history)
    weights *= np.float32(factor)  # no few bits, or the order would not matter
    rows = query.encoder_rows(embeddings)
    assert rows is not None
    found = query.encode(embeddings, items, weights)
    np.testing.assert_array_equal(found.view(np.uint32), reference.sum_rows(rows, items, weights).view(np.uint32))


def test_rows_that_are_not_there_are_refused(make: Make) -> None:
    for row in (-1, 20):
        with pytest.raises(ValueError, match=f"item rows {row}..{row} given, of 0..19"):
            query.encode(make(), np.array([row], dtype=np.int32), np.ones(1, dtype=np.float32))
    with pytest.raises(ValueError, match="there must be a weight a row"):
        query.encode(make(), np.array([1], dtype=np.int32), np.ones(2, dtype=np.float32))


ACTS = st.lists(
    st.tuples(
        st.integers(-1, 9) | st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 5).map(float) | st.floats(),
        st.sampled_from([-1.0, -0.3, 0.0, 0.3, 1.0]) | st.floats(),
    ),
    max_size=40,
)


@given(ACTS, st.lists(st.integers(-1, 9)), st.sampled_from([0.0, 0.3, 1e-6]))
def test_what_counts_of_a_history(acts: list[tuple[int, float, float]], hidden: list[int], least: float) -> None:
    rows, times, weights = zip(*acts, strict=True) if acts else ((), (), ())
    columns = (np.array(rows, np.int32), np.array(times, np.float64), np.array(weights, np.float64))
    left_out = np.array(hidden, np.int32)
    expected = reference.strongest(*columns, left_out, least)
    np.testing.assert_array_equal(query.strongest(*columns, left_out, least), expected)


def test_columns_of_a_history_are_of_one_length() -> None:
    one, two, rows = np.ones(1), np.ones(2), np.ones(1, dtype=np.int32)
    for times, weights in ((two, one), (one, two)):
        with pytest.raises(ValueError, match="acts must have a time and a weight each"):
            query.strongest(rows, times, weights, rows, 0.0)


@given(st.integers(0, 99), KINDS, st.lists(st.integers(0, 19), max_size=5), st.none() | st.integers(1, 6))
def test_the_query_of_each_item_is_that_of_a_history_of_it(
    make: Make, seed: int, kind: str, items: list[int], query_dims: int | None
) -> None:
    embeddings = variant(make, seed, kind, query_dims)
    found = query.encode_each(embeddings, np.array(items, np.int32)).dense()
    assert found.shape == (len(items), embeddings.n_dims)
    assert found.dtype == np.float32
    for item, own in zip(items, found, strict=True):
        expected = query.encode(embeddings, np.array([item], np.int32), np.ones(1, np.float32))
        np.testing.assert_array_equal(own, expected)


@given(st.integers(0, 99), KINDS, HISTORIES, st.integers(1, 25))
def test_the_cut_keeps_the_largest_and_of_equals_the_lower_dims(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]], query_dims: int
) -> None:
    items, weights = arrays(history)
    whole = query.encode(variant(make, seed, kind, None), items, weights)
    cut = query.encode(variant(make, seed, kind, query_dims), items, weights)
    kept = sorted(range(len(whole)), key=lambda dim: (-abs(whole[dim]), dim))[:query_dims]
    expected = np.zeros_like(whole)
    expected[kept] = whole[kept]
    np.testing.assert_array_equal(cut, expected)


@given(st.integers(0, 99), KINDS, HISTORIES, st.none() | st.integers(1, 6))
def test_contributions_add_up_to_the_score(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]], query_dims: int | None
) -> None:
    embeddings = variant(make, seed, kind, query_dims)
    items, weights = arrays(history)
    user = query.encode(embeddings, items, weights)
    target = embeddings.decoder.dense_row(3)
    owed = query.contributions(embeddings, items, weights, user, target)
    assert owed.shape == items.shape
    assert owed.dtype == np.float32
    np.testing.assert_allclose(owed.sum(dtype=np.float64), user.astype(np.float64) @ target, rtol=1e-5, atol=1e-4)
    each = [
        float(w * (dense_encoder(embeddings)[i] * (user != 0)) @ target) for i, w in zip(items, weights, strict=True)
    ]
    np.testing.assert_allclose(owed, each, rtol=1e-5, atol=1e-4)


@given(st.integers(0, 99), KINDS, HISTORIES, st.none() | st.integers(1, 6), st.lists(st.integers(0, 19), max_size=12))
def test_a_cause_is_the_largest_contribution(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]], query_dims: int | None, targets: list[int]
) -> None:
    embeddings = variant(make, seed, kind, query_dims)
    items, weights = arrays(history)
    user = query.encode(embeddings, items, weights)
    asked = Chosen(embeddings.decoder.floats(), np.array(targets, dtype=np.int32))
    found = query.causes(embeddings, items, weights, user, asked)
    assert len(found) == len(targets)
    for place, target in zip(found, asked.dense(), strict=True):
        owed = query.contributions(embeddings, items, weights, user, target)
        if (weights > 0).any():
            assert weights[place] > 0
            assert owed[place] == pytest.approx(owed[weights > 0].max(), rel=1e-5, abs=1e-4)
        else:
            assert place == 0


@given(st.integers(0, 99), KINDS, HISTORIES, st.none() | st.integers(1, 6), st.integers(0, 99))
def test_a_tilt_is_added_at_the_length_of_the_query_before_the_cut(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]], query_dims: int | None, tilting: int
) -> None:
    embeddings = variant(make, seed, kind, query_dims)
    items, weights = arrays(history)
    tilt = np.random.default_rng(tilting).standard_normal(embeddings.n_dims).astype(np.float32)
    before = query.encode(variant(make, seed, kind, None), items, weights).astype(np.float64)
    steered = before + (np.linalg.norm(before) or 1.0) * tilt
    found = query.encode(embeddings, items, weights, tilt)
    kept = np.flatnonzero(found)
    assert len(kept) <= (query_dims or len(found))
    np.testing.assert_allclose(found[kept], steered[kept], rtol=1e-5, atol=1e-4)
    left_out = np.delete(np.abs(steered), kept)
    assert left_out.max(initial=0) <= np.abs(steered[kept]).min(initial=np.inf) + 1e-4
    still = np.zeros(embeddings.n_dims, dtype=np.float32)
    np.testing.assert_array_equal(
        query.encode(embeddings, items, weights, still), query.encode(embeddings, items, weights)
    )


@given(st.integers(0, 99), KINDS, HISTORIES, st.none() | st.integers(1, 6), st.integers(0, 99))
def test_history_and_tilt_add_up_to_the_score(
    make: Make, seed: int, kind: str, history: list[tuple[int, float]], query_dims: int | None, tilting: int
) -> None:
    embeddings = variant(make, seed, kind, query_dims)
    items, weights = arrays(history)
    tilt = np.random.default_rng(tilting).standard_normal(embeddings.n_dims).astype(np.float32)
    user = query.encode(embeddings, items, weights, tilt)
    target = embeddings.decoder.dense_row(3)
    owed = query.contributions(embeddings, items, weights, user, target).sum(dtype=np.float64)
    size = query.length(query.whole(embeddings, items, weights))
    pushed = size * float(np.where(user != 0, tilt, 0).astype(np.float64) @ target)
    np.testing.assert_allclose(owed + pushed, user.astype(np.float64) @ target, rtol=1e-5, atol=1e-4)


def test_no_history_is_no_query(make: Make) -> None:
    items, weights = arrays([])
    for kind in ("tied", "own", "identity", "factor"):
        embeddings = variant(make, 0, kind, 3)
        user = query.encode(embeddings, items, weights)
        assert user.shape == (embeddings.n_dims,)
        assert not user.any()
        assert query.contributions(embeddings, items, weights, user, embeddings.decoder.dense_row(0)).shape == (0,)


@pytest.mark.parametrize("n_dims", [65_536, 65_537])
def test_the_highest_dim_counts(make: Make, n_dims: int) -> None:
    rows = SparseRows.from_csr(np.array([0, 1]), np.array([n_dims - 1]), np.array([0.5]), n_dims)
    embeddings = make(n_items=1, decoder=rows)
    user = query.encode(embeddings, np.array([0], dtype=np.int32), np.array([2], dtype=np.float32))
    assert np.flatnonzero(user).tolist() == [n_dims - 1]
    assert user[-1] == 1
