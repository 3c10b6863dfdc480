"""Ours takes the steps of Keras' Nadam; torch's, with its defaults, does not."""

import numpy as np
import pytest
import torch

from index.types import Array
from training.models.learner import Descent, Optimiser


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


def descended(how: Optimiser, start: Array, gradients: list[Array]) -> Array:
    parameter = torch.from_numpy(start.copy())
    descent = how.of(parameter)
    for gradient in gradients:
        descent.step(torch.from_numpy(gradient.copy()))
    return parameter.numpy()


@pytest.fixture
def problem() -> tuple[Array, list[Array]]:
    """Gradients of the size that this loss has, where epsilon rules."""
    rng = np.random.default_rng(0)
    return rng.normal(size=50), [rng.normal(size=50) * 10.0 ** rng.uniform(-11, -7) for _ in range(40)]


@pytest.mark.parametrize(("rate", "epsilon"), [(0.1, 1e-7), (0.02, 1e-7), (0.1, 1e-9)])
def test_the_steps_are_those_of_keras(problem: tuple[Array, list[Array]], rate: float, epsilon: float) -> None:
    start, gradients = problem
    ours = descended(Optimiser(rate, epsilon), start, gradients)
    expected = keras_nadam(start, gradients, rate, epsilon)
    assert np.abs(expected - start).max() > 1e-4  # they moved
    np.testing.assert_allclose(ours - start, expected - start, rtol=1e-9, atol=1e-12)


def test_torch_defaults_are_another_algorithm(problem: tuple[Array, list[Array]]) -> None:
    start, gradients = problem
    parameter = torch.from_numpy(start.copy())
    plain = torch.optim.NAdam([parameter], lr=0.1)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        plain.step()
    expected = keras_nadam(start, gradients, 0.1, 1e-7)
    assert np.abs(parameter.numpy() - expected).max() > 0.1 * np.abs(expected - start).max()


@pytest.mark.parametrize("of_gradients", [1e-6, 1, 1e6])
@pytest.mark.parametrize("of_values", [1e-3, 1, 1e3])
def test_relative_steps_are_the_same_in_any_units(
    problem: tuple[Array, list[Array]], of_values: float, of_gradients: float
) -> None:
    start, gradients = problem
    how = Optimiser(0.5, 2.0, relative=True)
    expected = descended(how, start, gradients)
    scaled = descended(how, start * of_values, [each * of_gradients for each in gradients])
    np.testing.assert_allclose(scaled / of_values - start, expected - start, rtol=1e-6, atol=1e-12)


def test_relative_steps_are_those_of_keras_in_the_units_of_the_first_gradient(
    problem: tuple[Array, list[Array]],
) -> None:
    start, gradients = problem
    value, gradient = (np.sqrt(np.mean(each**2)) for each in (start, gradients[0]))
    expected = keras_nadam(start, gradients, 0.5 * value, 2 * gradient)
    ours = descended(Optimiser(0.5, 2.0, relative=True), start, gradients)
    np.testing.assert_allclose(ours - start, expected - start, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("how", [Optimiser(), Optimiser(0.5, 2.0, relative=True)])
@pytest.mark.parametrize("stopped_after", [0, 1, 20])
def test_it_goes_on_bit_for_bit(problem: tuple[Array, list[Array]], how: Optimiser, stopped_after: int) -> None:
    start, gradients = problem
    expected = descended(how, start, gradients)
    parameter = torch.from_numpy(start.copy())
    before = how.of(parameter)
    for gradient in gradients[:stopped_after]:
        before.step(torch.from_numpy(gradient))
    after: Descent = how.of(parameter)
    after.restore(before.state())
    for gradient in gradients[stopped_after:]:
        after.step(torch.from_numpy(gradient))
    assert np.array_equal(parameter.numpy(), expected)
