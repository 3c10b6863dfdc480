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
    """NAdam as Keras has it: its momentum schedule is torch's with momentum_decay = 1, its epsilon 1e-7.

    Both matter: with torch's defaults (0.004 and 1e-8) the same learning rate gives another algorithm (see `nmse`).
    """

    learning_rate: float = 0.1
    """Constant."""
    epsilon: float = 1e-7
    """Added to the root of the second moment, which it dominates here."""

    def build(self, parameter: Tensor) -> torch.optim.NAdam:
        """A fresh optimiser of one parameter; its gradient is set by hand."""
        return torch.optim.NAdam([parameter], lr=self.learning_rate, eps=self.epsilon, momentum_decay=1.0)


MOMENTS = ("exp_avg", "exp_avg_sq", "mu_product", "step")


def optimiser_state(optimiser: torch.optim.NAdam) -> dict[str, Array]:
    """The state of the only parameter as arrays; empty before the first step."""
    (parameter,) = optimiser.param_groups[0]["params"]
    # a copy: the optimiser goes on in place
    return {name: value.detach().cpu().numpy().copy() for name, value in optimiser.state[parameter].items()}


def restore_optimiser(optimiser: torch.optim.NAdam, state: Mapping[str, Array]) -> None:
    """Put back what `optimiser_state` took."""
    (parameter,) = optimiser.param_groups[0]["params"]
    for name in MOMENTS:
        if name in state:
            value = torch.from_numpy(state[name].copy())
            # torch keeps the two scalars on the CPU
            optimiser.state[parameter][name] = value if value.ndim == 0 else value.to(parameter.device)


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
