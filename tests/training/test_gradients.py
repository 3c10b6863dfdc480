"""The gradients written out by hand against autograd on dense matrices, for any shape."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import normalize, relu6

from index.types import Array
from training.interactions import Interactions
from training.models import csr, elsa, nmse
from training.models.sparse_step import Compiled, Dense, InTorch, SparseStep, sparse_step


class Problem(NamedTuple):
    histories: csr_array
    dims: Tensor
    values: Tensor
    n_dims: int
    chunk: int


def reference_loss(vectors: Tensor, histories: Tensor) -> Tensor:
    """The loss as the paper has it, dense: NMSE of relu6(x A A^T - x), averaged over items and users."""
    unit = normalize(vectors, dim=1)
    predicted = relu6(histories @ unit @ unit.T - histories)
    return (normalize(predicted, dim=1) - normalize(histories, dim=1)).square().mean()


def undecided(histories: Array, dims: Array, values: Array, n_dims: int) -> Array:
    """Users of whom rounding decides on which side of a kink of relu6 a score lies: the loss has no gradient there.

    An own item without overlap with the rest of the history scores |a|^2 - 1, which is zero but for rounding.
    """
    unit = np.zeros((len(dims), n_dims))
    np.put_along_axis(unit, dims, values, axis=1)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    score = histories @ unit @ unit.T - histories
    near = ((np.abs(score) < 1e-9) & (score != 0)) | ((score == 0) & (histories > 0)) | (np.abs(score - 6) < 1e-9)
    return np.asarray(near.any(axis=1))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    n_users, n_items, n_dims = draw(st.integers(1, 12)), draw(st.integers(1, 25)), draw(st.integers(1, 20))
    k = draw(st.integers(1, n_dims))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    histories = (rng.random((n_users, n_items)) < draw(st.floats(0, 1))).astype(np.float64)
    values = rng.normal(size=(n_items, k))
    # only vectors that point the same way give scores beyond 6, where relu6 is flat
    values = np.abs(values) if draw(st.booleans()) else values
    dims = np.stack([np.sort(rng.choice(n_dims, k, replace=False)) for _ in range(n_items)])
    histories[undecided(histories, dims, values, n_dims)] = 0
    return Problem(
        csr_array(histories), torch.from_numpy(dims), torch.from_numpy(values), n_dims, draw(st.integers(1, 15))
    )


@settings(deadline=None, max_examples=60)
@given(problems())
def test_sparse_rows(problem: Problem) -> None:
    values = problem.values.clone().requires_grad_()
    dense = torch.zeros(len(values), problem.n_dims, dtype=values.dtype).scatter(1, problem.dims, values)
    expected = reference_loss(dense, torch.from_numpy(problem.histories.toarray()))
    (slope,) = torch.autograd.grad(expected, values)
    step = InTorch(problem.dims, problem.n_dims, chunk_cells=problem.chunk * len(values))
    loss, gradient = step(problem.values, problem.histories, problem.histories.shape[0])
    assert loss == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(problems())
def test_dense_vectors(problem: Problem) -> None:
    vectors = torch.zeros(len(problem.values), problem.n_dims, dtype=torch.float64)
    vectors.scatter_(1, problem.dims, problem.values).requires_grad_()
    expected = reference_loss(vectors, torch.from_numpy(problem.histories.toarray()))
    (slope,) = torch.autograd.grad(expected, vectors)
    cells = problem.chunk * len(vectors)
    loss, gradient = elsa.loss_and_gradient(
        vectors.detach(), problem.histories, problem.histories.shape[0], chunk_cells=cells
    )
    assert loss == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


def test_the_flat_part_of_relu6_is_reached() -> None:
    """Else the property tests above would not see it: 20 equal vectors score 19 for each other."""
    histories = csr_array(np.ones((1, 20)))
    score = torch.full((20, 1), 20.0, dtype=torch.float64)
    _, gradient = nmse.loss_and_gradient(score, nmse.chunk(histories, "cpu"), 20)
    assert not gradient.any()


WAYS: list[Callable[..., SparseStep]] = [Compiled, InTorch, Dense]


def some_rows(n_items: int, n_dims: int, k: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    dims = torch.rand(n_items, n_dims, generator=generator).topk(k).indices.sort().values
    return dims, torch.randn(n_items, k, generator=generator)


def made(way: Callable[..., SparseStep], dims: Tensor, n_dims: int, **options: int) -> SparseStep:
    return way(dims.int() if way is Compiled else dims, n_dims, **options)


@pytest.mark.parametrize("way", WAYS)
def test_in_single_precision_on_real_books(way: Callable[..., SparseStep], books_histories: csr_array) -> None:
    n_items, n_dims = books_histories.shape[1], 256
    dims, values = some_rows(n_items, n_dims, 16)
    histories = books_histories[:64]
    loss, gradient = made(way, dims, n_dims)(values, histories, 64)
    exact = values.double().requires_grad_()
    dense = torch.zeros(n_items, n_dims, dtype=torch.float64).scatter(1, dims, exact)
    expected = reference_loss(dense, torch.from_numpy(histories.toarray()).double())
    (slope,) = torch.autograd.grad(expected, exact)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    error = (gradient - slope).norm() / slope.norm()
    assert error < 1e-5


@pytest.mark.parametrize("way", [InTorch, Dense])
@pytest.mark.parametrize("query_dims", [1, 20, 128, 256, 300])
def test_cut_user_vectors(way: Callable[..., SparseStep], query_dims: int, books_histories: csr_array) -> None:
    dims, values = some_rows(books_histories.shape[1], 256, 16)
    expected = made(Compiled, dims, 256, query_dims=query_dims)(values, books_histories[:64], 64)
    loss, gradient = made(way, dims, 256, query_dims=query_dims)(values, books_histories[:64], 64)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    assert (gradient - expected[1]).norm() < 1e-5 * gradient.norm()
    whole, _ = made(Compiled, dims, 256)(values, books_histories[:64], 64)
    assert (loss == pytest.approx(whole, rel=1e-6)) == (query_dims >= 256)


def test_some_outputs(books_histories: csr_array) -> None:
    histories = books_histories[:8]
    n_items = histories.shape[1]
    dims, values = some_rows(n_items, 256, 16)
    outputs = np.union1d(histories.indices, np.arange(0, n_items, 3)).astype(np.int32)
    assert len(outputs) < n_items
    compiled, in_torch = (made(way, dims, 256)(values, histories, 8, outputs) for way in (Compiled, InTorch))
    assert compiled[0] == pytest.approx(in_torch[0], rel=1e-5)
    assert (compiled[1] - in_torch[1]).norm() < 1e-5 * in_torch[1].norm()
    whole, _ = made(Compiled, dims, 256)(values, histories, 8)
    assert abs(compiled[0] / whole - 1) > 1e-3
    everything, _ = made(Compiled, dims, 256)(values, histories, 8, np.arange(n_items, dtype=np.int32))
    assert everything == pytest.approx(whole, rel=1e-6)
    with pytest.raises(ValueError, match="every item is an output of dense rows"):
        made(Dense, dims, 256)(values, histories, 8, outputs)


def test_the_way_is_chosen_by_density_and_device() -> None:
    dims, _ = some_rows(10, 100, 19)
    assert isinstance(sparse_step(dims, 100), Compiled)
    assert isinstance(sparse_step(dims, 95), Dense)
    assert isinstance(sparse_step(dims.to("meta"), 100), InTorch)


@pytest.fixture
def books_histories(books: Interactions) -> csr_array:
    return books.matrix()


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_csr_holds_what_the_coordinates_say(n_rows: int, n_columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = torch.from_numpy(rng.normal(size=(n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < 0.4))
    rows, columns = dense.nonzero(as_tuple=True)
    built = csr.from_coordinates(rows, columns, dense[rows, columns], (n_rows, n_columns))
    assert torch.equal(built.to_dense(), dense)
    other = torch.from_numpy(rng.normal(size=(n_columns, 3)))
    torch.testing.assert_close(built @ other, dense @ other)
