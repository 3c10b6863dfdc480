"""What the trainer asks of a model that is learnt by steps, and what it gets when it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from index.embeddings import SparseItemEmbeddings
from index.types import Array, Float32
from index.vocabulary import Vocabulary
from training.errors import CatalogueTooLargeError
from training.evaluate import Retriever

MAX_ITEMS = 100_000
"""Every item is an output of every step; beyond this a step is no longer affordable."""


class Stage(NamedTuple):
    """A part of the training with a fixed shape of the parameters."""

    name: str
    """For people."""
    epochs: int
    """At most so many passes over the training users."""
    validated: bool
    """Whether validation users judge every epoch and may end the stage."""


class Fitted(Protocol):
    """Item vectors that can answer; arrays only, so that they can be kept and compared."""

    def retriever(self, item_scale: Float32 | None) -> Retriever:
        """Answer histories, each item's score multiplied by `item_scale` (n_items,)."""
        ...

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> SparseItemEmbeddings | None:
        """The published form; None for a model that is only measured."""
        ...


class Learner(Protocol):
    """Parameters, their optimiser, and one step. Stages run in order, each begun by `start`."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What has to be run."""
        ...

    def start(self, stage: int, best: Mapping[str, Array]) -> None:
        """Enter a stage, from the end of the one before: new parameters, a fresh optimiser.

        best: the result of the best epoch of the stage before; empty if none was validated yet.
        """
        ...

    def step(self, histories: csr_array) -> float:
        """Learn from one batch of histories (n_users, n_items); the loss before the step."""
        ...

    def state(self) -> dict[str, Array]:
        """All that `restore` needs to go on exactly here."""
        ...

    def restore(self, stage: int, state: Mapping[str, Array]) -> None:
        """Continue inside a stage."""
        ...

    def result(self) -> dict[str, Array]:
        """The item vectors as arrays, which `fitted` turns into a model."""
        ...

    def fitted(self, result: Mapping[str, Array]) -> Fitted:
        """Item vectors, now or of an earlier epoch, that can answer."""
        ...


@dataclass(frozen=True)
class Optimiser:
    """NAdam as Keras has it: its momentum schedule is torch's with momentum_decay = 1.

    The loss of this family is divided by items and users, so its gradients are of the order 1e-9, and the epsilon of
    Keras, 1e-7, sets the step: "NAdam with rate 0.1" is momentum descent whose step depends on the number of items, on
    the width and on the batch. Measured in the size of the values and of the gradients, the same step is asked for
    whatever these are: that is what `relative` does, and what the numbers then mean.
    """

    learning_rate: float = 0.1
    """Constant. Relative: in units of the root mean square of the values as a stage begins."""
    epsilon: float = 1e-7
    """Added to the root of the second moment. Relative: in units of that of a stage's first gradient."""
    relative: bool = False
    """Whether the two are relative."""

    def of(self, parameter: Tensor) -> "Descent":
        """A fresh one for a parameter, which it changes in place."""
        return Descent(self, parameter)


class Descent:
    """NAdam of one parameter; gradients are given, not found.

    Written out, as importing torch.optim takes as long as the default recipe's training: it imports a compiler.
    """

    def __init__(self, how: Optimiser, parameter: Tensor) -> None:
        """Of `Optimiser.of`."""
        self._how, self._parameter = how, parameter
        self._mean, self._square = torch.zeros_like(parameter), torch.zeros_like(parameter)
        self._n_steps, self._momentum, self._units = 0, 1.0, (how.learning_rate, how.epsilon)

    def step(self, gradient: Tensor) -> None:
        """Descend; the first gradient is the measure of the relative ones."""
        if self._n_steps == 0 and self._how.relative:
            units = _root_mean_square(self._parameter), _root_mean_square(gradient)
            self._units = self._how.learning_rate * units[0], self._how.epsilon * units[1]
        self._n_steps += 1
        now, following = (0.9 * (1 - 0.5 * 0.96**step) for step in (self._n_steps, self._n_steps + 1))
        self._momentum *= now
        self._mean.lerp_(gradient, 1 - 0.9)
        self._square.mul_(0.999).addcmul_(gradient, gradient, value=1 - 0.999)
        rate, epsilon = self._units
        root = self._square.div(1 - 0.999**self._n_steps).sqrt_().add_(epsilon)
        self._parameter.addcdiv_(gradient, root, value=-rate * (1 - now) / (1 - self._momentum))
        self._parameter.addcdiv_(self._mean, root, value=-rate * following / (1 - self._momentum * following))

    def state(self) -> dict[str, Array]:
        """The moments and the scalars as arrays."""
        scalars = np.array([self._n_steps, self._momentum, *self._units])
        return {"mean": array(self._mean), "square": array(self._square), "scalars": scalars}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Put back what `state` gave."""
        for own, name in ((self._mean, "mean"), (self._square, "square")):
            own.copy_(torch.from_numpy(state[name].copy()))
        n_steps, self._momentum, rate, epsilon = state["scalars"].tolist()
        self._n_steps, self._units = int(n_steps), (rate, epsilon)


def _root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def refuse_large(n_items: int) -> None:
    """Raise CatalogueTooLargeError beyond MAX_ITEMS."""
    if n_items > MAX_ITEMS:
        raise CatalogueTooLargeError(
            f"the catalogue has {n_items:,} items; every item is an output of every training step, which is supported "
            f"up to {MAX_ITEMS:,}: raise filters.min_item_support to leave the rarest items out"
        )


def array(tensor: Tensor) -> Array:
    """A copy as a NumPy array."""
    return np.array(tensor.detach().cpu().numpy())
