"""The compiled step against the loss and its gradient in dense NumPy, in float64: any shape, on every level."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.types import Array, Float32, Int32, Int64
from training import _kernel


class Problem(NamedTuple):
    dims: Int32
    values: Float32
    n_dims: int
    starts: Int64
    items: Int32
    outputs: Int32 | None
    query_dims: int


def expected(problem: Problem) -> tuple[float, Array]:
    """The summed loss and its gradient, user by user, as models/nmse.py writes them."""
    dense = np.zeros((len(problem.dims), problem.n_dims))
    np.put_along_axis(dense, problem.dims, problem.values, axis=1)
    shown = np.arange(len(dense)) if problem.outputs is None else problem.outputs
    loss, gradient = 0.0, np.zeros_like(dense)
    for first, end in pairwise(problem.starts.tolist()):
        x = np.zeros(len(dense))
        x[problem.items[first:end]] = 1
        query = kept(x @ dense, problem.query_dims)
        score = np.full(len(dense), -1.0)  # what is not among the outputs is flat
        score[shown] = (dense @ query - x)[shown]
        predicted = np.clip(score, 0, 6)
        p, t = np.linalg.norm(predicted), np.linalg.norm(x)
        unit_p, unit_t = predicted / (p or 1), x / (t or 1)
        cosine = unit_p @ unit_t
        loss += float(p > 0) + float(t > 0) - 2 * cosine
        slope = 2 / (p or np.inf) * (cosine * unit_p - unit_t) * ((score > 0) & (score < 6))
        gradient += np.outer(slope, query) + np.outer(x, slope @ dense)
    return loss, np.take_along_axis(gradient, problem.dims.astype(np.int64), axis=1)


def kept(query: Array, n: int) -> Array:
    """The n largest |q_d|, all for n = 0."""
    if n:
        query[np.argsort(-np.abs(query), kind="stable")[n:]] = 0
    return query


def clear(problem: Problem) -> bool:
    """Whether rounding decides nothing: no score at a kink of relu6, no two |q_d| of nearly one size at the cut."""
    dense = np.zeros((len(problem.dims), problem.n_dims))
    np.put_along_axis(dense, problem.dims, problem.values, axis=1)
    for first, end in pairwise(problem.starts.tolist()):
        x = np.zeros(len(dense))
        x[problem.items[first:end]] = 1
        query = x @ dense
        sizes = -np.sort(-np.abs(query))
        n = problem.query_dims
        if 0 < n < len(sizes) and sizes[n] > 0 and sizes[n - 1] - sizes[n] < 1e-5:
            return False
        score = dense @ kept(query, n) - x
        if (((np.abs(score) < 1e-5) & ((score != 0) | (x > 0))) | (np.abs(score - 6) < 1e-5)).any():
            return False
    return True


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    n_users, n_items, n_dims = draw(st.integers(0, 40)), draw(st.integers(1, 30)), draw(st.integers(1, 40))
    k = draw(st.integers(1, n_dims))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(n_items, k)).astype(np.float32)
    values = np.abs(values) if draw(st.booleans()) else values  # beyond 6 only if vectors point the same way
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    dims = np.stack([rng.choice(n_dims, k, replace=False) for _ in range(n_items)]).astype(np.int32)
    share = draw(st.floats(0, 1))
    histories = [np.flatnonzero(rng.random(n_items) < share) for _ in range(n_users)]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in histories])]).astype(np.int64)
    items = np.concatenate([np.empty(0), *histories]).astype(np.int32)
    outputs = None
    if draw(st.booleans()):
        more = rng.choice(n_items, rng.integers(0, n_items + 1), replace=False)
        outputs = rng.permutation(np.union1d(items, more)).astype(np.int32)
    return Problem(dims, values, n_dims, starts, items, outputs, draw(st.integers(0, n_dims + 1)))


@settings(deadline=None, max_examples=150)
@given(problems().filter(clear), st.sampled_from(_kernel.levels()), st.integers(1, 4))
def test_the_step_is_that_of_dense_arithmetic(problem: Problem, level: str, n_threads: int) -> None:
    loss, gradient = expected(problem)
    denominator = 100.0
    found = _kernel.step(*problem[:5], denominator, *problem[5:], n_threads=n_threads, level=level)
    assert found[0] * denominator == pytest.approx(loss, rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(found[1] * denominator, gradient, rtol=2e-4, atol=2e-4)


def small(**changes: Any) -> dict[str, Any]:
    given = {
        "dims": np.array([[0, 2], [1, 2], [0, 1]], np.int32),
        "values": np.full((3, 2), 0.7, np.float32),
        "n_dims": 3,
        "starts": np.array([0, 2, 3], np.int64),
        "items": np.array([0, 1, 2], np.int32),
        "denominator": 6.0,
    }
    return given | changes


def test_equal_input_gives_equal_bytes() -> None:
    rng = np.random.default_rng(0)
    many = np.repeat(np.arange(3, dtype=np.int32), 50)
    given = small(values=rng.normal(size=(3, 2)).astype(np.float32), starts=np.arange(151), items=many)
    for n_threads in (1, 2, 3):
        loss, gradient = _kernel.step(**given, n_threads=n_threads)
        again = _kernel.step(**given, n_threads=n_threads)
        assert loss == again[0]
        assert np.array_equal(gradient, again[1])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dims": np.array([[0, 3], [1, 2], [0, 1]], np.int32)}, r"dims must be within 0..n_dims-1"),
        ({"dims": np.array([[0, -1], [1, 2], [0, 1]], np.int32)}, r"dims must be within 0..n_dims-1"),
        ({"dims": np.zeros((3, 1), np.int32)}, "dims and values must have one shape"),
        ({"items": np.array([0, 1, 3], np.int32)}, "the items of the histories must be item rows"),
        ({"items": np.array([0, 1, -1], np.int32)}, "the items of the histories must be item rows"),
        ({"starts": np.array([0, 2, 4], np.int64)}, "must ascend from 0 to the number of items"),
        ({"starts": np.array([0, 4, 3], np.int64)}, "must ascend from 0 to the number of items"),
        ({"starts": np.array([1, 2, 3], np.int64)}, "must ascend from 0 to the number of items"),
        ({"starts": np.array([], np.int64)}, "must ascend from 0 to the number of items"),
        ({"outputs": np.array([0, 1], np.int32)}, "outputs must hold every item of the histories"),
        ({"outputs": np.array([0, 1, 2, 3], np.int32)}, "outputs must be item rows"),
        ({"level": "mmx"}, "this CPU has no level 'mmx'; it has .*portable"),
    ],
)
def test_what_would_be_read_outside_the_arrays_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _kernel.step(**small(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.full((3, 2), 0.7)},
        {"dims": np.array([[0, 2], [1, 2], [0, 1]])},
        {"values": np.full((2, 3), 0.7, np.float32).T},
        {"starts": np.array([0, 2, 3], np.int32)},
    ],
)
def test_arrays_are_never_converted(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _kernel.step(**small(**changes))
