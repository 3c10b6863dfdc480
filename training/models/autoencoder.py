"""An autoencoder of k signed values, which keeps the direction of vectors: what CompresSAE compresses with.

    e = top_k(x W_enc + b)          the k entries largest in |value|, with their signs; x has unit length
    x_k = e W_dec                   rows of W_dec have unit length
    loss = mean(1 - cos(x, x_k)) + auxiliary_weight * mean(1 - cos(x, x_4k))

x_4k is made of the 4k largest entries, of which the first k are those of x_k. This second term is what gives a gradient
to entries that are not among the first k. The rows of W_dec are brought back to unit length after every step of Adam.
They begin as some of the vectors, where the paper draws them at random. Reference: see `training.models.compressae`.

Shapes: I items, B vectors of a step, V their width, D dims, K values per vector.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from index.types import Array, Float32
from training import parallel
from training.errors import TrainingError
from training.models.learner import array

AUXILIARY_FACTOR = 4
"""How many times k the entries of the auxiliary term are."""

BLOCK = 4096
"""Vectors encoded at once."""


class Weights(NamedTuple):
    """What is learnt."""

    encoder_VD: Tensor
    """W_enc."""
    bias_D: Tensor
    """b."""
    decoder_DV: Tensor
    """W_dec."""


class Code(NamedTuple):
    """Sparse vectors."""

    dims_BK: Tensor
    """int64, the largest |value| of each vector first."""
    values_BK: Tensor
    """Signed."""

    def first(self, k: int) -> "Code":
        """The k largest."""
        return Code(self.dims_BK[:, :k], self.values_BK[:, :k])

    def after(self, k: int) -> "Code":
        """All but the k largest."""
        return Code(self.dims_BK[:, k:], self.values_BK[:, k:])


def encode(weights: Weights, unit_BV: Tensor, k: int) -> Code:
    """Keep the k entries largest in |value|."""
    entries_BD = torch.addmm(weights.bias_D, unit_BV, weights.encoder_VD)
    dims_BK = entries_BD.detach().abs().topk(k, dim=1).indices
    return Code(dims_BK, entries_BD.gather(1, dims_BK))


def decode(weights: Weights, code: Code) -> Tensor:
    """Sums of rows of the decoder, (n_vectors, width)."""
    return functional.embedding_bag(code.dims_BK, weights.decoder_DV, per_sample_weights=code.values_BK, mode="sum")


def loss(weights: Weights, unit_BV: Tensor, k: int, auxiliary_weight: float) -> Tensor:
    """The loss of a batch of unit vectors."""
    n_entries = min(AUXILIARY_FACTOR * k, len(weights.bias_D)) if auxiliary_weight else k
    code = encode(weights, unit_BV, n_entries)
    near_BV = decode(weights, code.first(k))
    more_BV = near_BV + decode(weights, code.after(k)) if n_entries > k else near_BV
    missed, still_missed = (1 - functional.cosine_similarity(unit_BV, each).mean() for each in (near_BV, more_BV))
    return missed + auxiliary_weight * still_missed


def initial_weights(unit_IV: Tensor, n_dims: int, seed: int) -> Weights:
    """A decoder whose rows are half of the vectors at most, then random directions; the encoder its transpose, no bias.

    Of all the vectors each would have a row of its own, and codes would have little in common.
    """
    rng = np.random.default_rng((seed, 0))
    random_DV = rng.standard_normal((n_dims, unit_IV.shape[1])).astype(np.float32)
    decoder_DV = functional.normalize(torch.from_numpy(random_DV), dim=1)
    present_N = rng.permutation(np.flatnonzero(unit_IV.numpy().any(axis=1)))
    chosen_N = present_N[: min(n_dims, len(present_N) // 2)]
    decoder_DV[: len(chosen_N)] = unit_IV[chosen_N]
    return Weights(decoder_DV.t().contiguous(), torch.zeros(n_dims), decoder_DV)


class Autoencoder:
    """Weights with their optimiser, and the items that they are fitted to. TrainingError if all vectors are zero."""

    def __init__(self, dense_IV: Float32, n_dims: int, *, learning_rate: float, seed: int, device: str = "cpu") -> None:
        """dense_IV: of the items, of any length; a row of zeros is an item without a vector."""
        self.unit_IV = functional.normalize(torch.from_numpy(dense_IV), dim=1)
        self._present_N = np.flatnonzero(dense_IV.any(axis=1))
        if not len(self._present_N):
            raise TrainingError("all dense vectors are zero, so there is nothing to compress")
        initial = initial_weights(self.unit_IV, n_dims, seed)
        self.weights = Weights(*(each.to(device).requires_grad_() for each in initial))
        self._adam = torch.optim.Adam(self.weights, lr=learning_rate)
        self._seed, self._device, self._n_steps = seed, device, 0

    def next_items(self, size: int) -> Tensor:
        """The unit vectors to be learnt from next: endless passes over all items, each in an order of its own.

        At most as many as there are items. Which they are follows from the seed and the number of steps alone.
        """
        n_items = len(self._present_N)
        size = min(size, n_items)
        first = self._n_steps * size
        passes = range(first // n_items, (first + size - 1) // n_items + 1)
        orders = [np.random.default_rng((self._seed, 1, number)).permutation(self._present_N) for number in passes]
        return self.unit_IV[np.concatenate(orders)[first % n_items :][:size]]

    def step(self, unit_BV: Tensor, k: int, auxiliary_weight: float) -> float:
        """One step of Adam on some unit vectors; the loss before it."""
        own_BV = unit_BV[parallel.rank() :: parallel.size()].to(self._device)
        found = loss(self.weights, own_BV, k, auxiliary_weight) * (len(own_BV) / len(unit_BV))
        total = 0.0
        for weight, own in zip(self.weights, torch.autograd.grad(found, self.weights), strict=True):
            total, weight.grad = parallel.total(float(found.detach()), own)
        self._adam.step()
        with torch.no_grad():  # after the step, which takes rows off the sphere
            self.weights.decoder_DV.div_(self.weights.decoder_DV.norm(dim=1, keepdim=True))
        self._n_steps += 1
        return total

    @torch.no_grad()
    def codes(self, k: int, *, by_reconstruction: bool) -> tuple[Array, Float32]:
        """Dims and values of all items, both (n_items, k): the code of unit length, or else its reconstruction.

        Zeros where an item has no vector.
        """
        dims, values = [], []
        for first in range(0, len(self.unit_IV), BLOCK):
            unit_BV = self.unit_IV[first : first + BLOCK]
            code = encode(self.weights, unit_BV.to(self._device), k)
            compared = decode(self.weights, code) if by_reconstruction else code.values_BK
            length_B1 = compared.norm(dim=1, keepdim=True).clamp(min=1e-12)
            present_B1 = (unit_BV != 0).any(1, keepdim=True).to(self._device)
            dims.append(array(code.dims_BK))
            values.append(array(code.values_BK / length_B1 * present_B1))
        return np.concatenate(dims), np.concatenate(values)

    def state(self) -> dict[str, Array]:
        """Weights, moments and the number of steps, but not the vectors."""
        state: dict[str, Array] = {"n_steps": np.array(self._n_steps)}
        for name, weight in zip(Weights._fields, self.weights, strict=True):
            state[name] = array(weight)
            state |= {f"{name}_{key}": array(value) for key, value in self._adam.state[weight].items()}
        return state

    def restore(self, state: Mapping[str, Array]) -> None:
        """Put back what `state` took, after a step at least."""
        self._n_steps = int(state["n_steps"])
        for name, weight in zip(Weights._fields, self.weights, strict=True):
            moments = {key: torch.from_numpy(state[f"{name}_{key}"].copy()) for key in ("exp_avg", "exp_avg_sq")}
            self._adam.state[weight] = {key: moment.to(self._device) for key, moment in moments.items()}
            self._adam.state[weight]["step"] = torch.from_numpy(state[f"{name}_step"].copy())
            with torch.no_grad():
                weight.copy_(torch.from_numpy(state[name]))
