"""The gradients written out by hand against autograd on dense matrices, for any shape."""

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
from training.models import compressed_elsa, csr, elsa, nmse
from training.models.positions import positions


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
    where = positions(problem.dims, problem.n_dims, torch.float64)
    batch = nmse.chunks(problem.histories, problem.chunk, "cpu")
    loss, gradient = compressed_elsa.loss_and_gradient(where, problem.values, batch)
    assert loss == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(problems())
def test_dense_vectors(problem: Problem) -> None:
    vectors = torch.zeros(len(problem.values), problem.n_dims, dtype=torch.float64)
    vectors.scatter_(1, problem.dims, problem.values).requires_grad_()
    expected = reference_loss(vectors, torch.from_numpy(problem.histories.toarray()))
    (slope,) = torch.autograd.grad(expected, vectors)
    batch = nmse.chunks(problem.histories, problem.chunk, "cpu")
    loss, gradient = elsa.loss_and_gradient(vectors.detach(), batch)
    assert loss == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


def test_the_flat_part_of_relu6_is_reached() -> None:
    """Else the property tests above would not see it: 20 equal vectors score 19 for each other."""
    histories = csr_array(np.ones((1, 20)))
    score = torch.full((20, 1), 20.0, dtype=torch.float64)
    _, gradient = nmse.loss_and_gradient(score, nmse.chunk(histories, "cpu"), 20)
    assert not gradient.any()


def test_in_single_precision_on_real_books(books_histories: csr_array) -> None:
    n_items, n_dims, k = books_histories.shape[1], 256, 16
    generator = torch.Generator().manual_seed(1)
    dims = torch.rand(n_items, n_dims, generator=generator).topk(k).indices.sort().values
    values = torch.randn(n_items, k, generator=generator)
    batch = nmse.chunks(books_histories[:64], 24, "cpu")
    loss, gradient = compressed_elsa.loss_and_gradient(positions(dims, n_dims), values, batch)
    exact = values.double().requires_grad_()
    dense = torch.zeros(n_items, n_dims, dtype=torch.float64).scatter(1, dims, exact)
    expected = reference_loss(dense, torch.from_numpy(books_histories[:64].toarray()).double())
    (slope,) = torch.autograd.grad(expected, exact)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    error = (gradient - slope).norm() / slope.norm()
    assert error < 1e-5


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
