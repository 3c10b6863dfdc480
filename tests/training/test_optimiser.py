"""torch's NAdam, as it is built here, takes the steps of Keras' Nadam; with torch's defaults it does not."""

import numpy as np
import pytest
import torch

from index.types import Array
from training.models.learner import Optimiser


def keras_nadam(start: Array, gradients: list[Array], rate: float, epsilon: float) -> Array:
    """The update of keras.optimizers.Nadam with its default betas, in float64."""
    value, m, v, product = start.copy(), np.zeros_like(start), np.zeros_like(start), 1.0
    for t, gradient in enumerate(gradients, start=1):
        u, u_next = (0.9 * (1 - 0.5 * 0.96**step) for step in (t, t + 1))
        product *= u
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        m_hat = u_next * m / (1 - product * u_next) + (1 - u) * gradient / (1 - product)
        value -= rate * m_hat / (np.sqrt(v / (1 - 0.999**t)) + epsilon)
    return value


def torch_nadam(
    start: Array, gradients: list[Array], optimiser: torch.optim.Optimizer, parameter: torch.Tensor
) -> Array:
    parameter.copy_(torch.from_numpy(start))
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimiser.step()
    return parameter.numpy()


@pytest.fixture
def problem() -> tuple[Array, list[Array]]:
    """Gradients of the size that this loss has, where epsilon rules."""
    rng = np.random.default_rng(0)
    return rng.normal(size=50), [rng.normal(size=50) * 10.0 ** rng.uniform(-11, -7) for _ in range(40)]


@pytest.mark.parametrize(("rate", "epsilon"), [(0.1, 1e-7), (0.02, 1e-7), (0.1, 1e-9)])
def test_the_steps_are_those_of_keras(problem: tuple[Array, list[Array]], rate: float, epsilon: float) -> None:
    start, gradients = problem
    parameter = torch.empty(50, dtype=torch.float64)
    ours = torch_nadam(start, gradients, Optimiser(rate, epsilon).build(parameter), parameter)
    expected = keras_nadam(start, gradients, rate, epsilon)
    assert np.abs(expected - start).max() > 1e-4  # they moved
    # torch keeps the product of the momentum schedule in float32
    np.testing.assert_allclose(ours - start, expected - start, rtol=1e-6, atol=1e-9)


def test_torch_defaults_are_another_algorithm(problem: tuple[Array, list[Array]]) -> None:
    start, gradients = problem
    parameter = torch.empty(50, dtype=torch.float64)
    plain = torch_nadam(start, gradients, torch.optim.NAdam([parameter], lr=0.1), parameter)
    expected = keras_nadam(start, gradients, 0.1, 1e-7)
    assert np.abs(plain - expected).max() > 0.1 * np.abs(expected - start).max()
