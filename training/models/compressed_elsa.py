"""Compressed ELSA: `k` values per item at learnt positions of a wide space, trained without ever being dense.

    scores = x A A^T - x,  A (n_items, n_dims): rows of unit length with k non-zeros

The positions come from one smoothing of random vectors R over co-occurrence, A0 = Xn^T (Xn R) with
Xn = D_u^-1/2 X D_i^-1/2: an item keeps the `start` dimensions where |A0| is largest. Then they are halved: train one
epoch at the positions kept, keep the larger half of |value|, restart the values from R, until k are left, which are
trained to the end. Within a stage the positions are fixed, so all products are sparse: with users as columns,

    u = A^T x^T,  s = A u - x^T,  g = d loss / d s,  dA = (g u^T + x^T (A^T g)^T) at the positions of A only

and memory is O(n_items * (k + users of a chunk)), never n_items x n_dims.

Model, loss and halving with restart: Vancura et al., "Efficient Learning of Sparse Representations from Interactions",
WWW 2026. There one dense epoch decides the first positions; the smoothing in its place is ours (see RESULTS.md).

Shapes: I items, K values per item, D dims, U users, N interactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Array, Float32
from index.vocabulary import Vocabulary
from training.errors import TrainingError
from training.evaluate import SparseRetriever
from training.models import nmse
from training.models.cooccurrence import first_positions
from training.models.learner import Optimiser, Stage, array, optimiser_state, refuse_large, restore_optimiser
from training.models.positions import Positions, positions

CHUNK_CELLS = 1 << 22
"""Scores held at once (n_items x users of a chunk): 16 MB per buffer."""


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Values per item."""
    n_dims: int = 0
    """Width of the space; 0: the power of two nearest to a third of the items, within 512..4096."""
    start_k: int = 0
    """Positions per item in the first stage; 0: n_dims / 32, at least 2 k."""
    stage_epochs: int = 1
    """Passes before each halving."""


def default_dims(n_items: int) -> int:
    """2 ^ round(log2(n_items / 3)), within 512..4096."""
    return int(np.clip(2 ** round(np.log2(max(n_items, 3) / 3)), 512, 4096))


def widths(settings: Settings, n_dims: int) -> tuple[int, ...]:
    """Positions per item in every stage, the last one k."""
    width = min(n_dims, settings.start_k or max(n_dims // 32, 2 * settings.k))
    halving = []
    while width > settings.k:
        halving.append(width)
        width //= 2
    return (*halving, settings.k)


def loss_and_gradient(where: Positions, values_IK: Tensor, batch: list[nmse.Chunk]) -> tuple[float, Tensor]:
    """The loss of a batch and its gradient with respect to the raw values, at their positions."""
    length_I1 = values_IK.norm(dim=1, keepdim=True)
    unit_IK = values_IK / length_I1
    where.fill(unit_IK)
    gradient_IK = torch.zeros_like(unit_IK)
    denominator = len(values_IK) * sum(chunk.n_users for chunk in batch)
    loss = torch.zeros((), dtype=values_IK.dtype, device=values_IK.device)
    for chunk in batch:
        loss += _accumulate(where, unit_IK, chunk, denominator, gradient_IK)
    return float(loss), nmse.through_normalisation(gradient_IK, unit_IK, length_I1)


def _accumulate(where: Positions, unit_IK: Tensor, chunk: nmse.Chunk, denominator: int, gradient_IK: Tensor) -> Tensor:
    """Add a chunk's gradient with respect to the unit rows; its part of the loss."""
    item_N, n_users = chunk.item_N, chunk.n_users
    # flat cell of (dim, user) for each of the K values of each interaction
    cell_NK = where.dims_IK[item_N] * n_users + chunk.user_N[:, None]
    query_DU = torch.zeros(where.n_dims * n_users, dtype=unit_IK.dtype, device=unit_IK.device)
    query_DU.index_add_(0, cell_NK.reshape(-1), unit_IK[item_N].reshape(-1))
    query_DU = query_DU.view(where.n_dims, n_users)
    loss, score_gradient_IU = nmse.loss_and_gradient(where.by_item @ query_DU, chunk, denominator)
    decoder = torch.sparse.sampled_addmm(where.by_item, score_gradient_IU, query_DU.t(), beta=0.0)
    gradient_IK += decoder.values().view_as(unit_IK)
    query_gradient_DU = where.by_dim @ score_gradient_IU
    gradient_IK.index_add_(0, item_N, query_gradient_DU.view(-1)[cell_NK])
    return loss


class CompressedElsa:
    """The learner. Raises CatalogueTooLargeError beyond 100,000 items, TrainingError for k above the width."""

    def __init__(
        self,
        histories: csr_array,
        settings: Settings,
        optimiser: Optimiser,
        *,
        epochs: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """histories: of the training users, binary (n_users, n_items)."""
        self.n_items = int(histories.shape[1])
        refuse_large(self.n_items)
        self.n_dims = settings.n_dims or default_dims(self.n_items)
        if settings.k > self.n_dims:
            raise TrainingError(f"model.k = {settings.k} is more than n_dims = {self.n_dims}; lower k or raise n_dims")
        self._histories, self._settings, self._seed, self._device = histories, settings, seed, device
        self._build_optimiser, self._epochs = optimiser.build, epochs
        self._widths = widths(settings, self.n_dims)
        # an item that nobody in training has keeps no row: there is nothing to learn it from
        self._known_I = np.bincount(histories.indices, minlength=self.n_items) > 0
        self._numbers = Vocabulary.build([str(number) for number in range(self.n_items)])

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One for every halving, then the last one at k."""
        *halving, k = self._widths
        early = [Stage(f"{width} values per item", self._settings.stage_epochs, validated=False) for width in halving]
        return (*early, Stage(f"{k} values per item", self._epochs, validated=True))

    def start(self, stage: int, best: Mapping[str, Array]) -> None:  # noqa: ARG002 (only the last is validated)
        """Choose the positions of a stage; the values start from R again."""
        if stage == 0:
            dims_IK, initial_IK = first_positions(
                self._histories, self.n_dims, self._widths[0], self._seed, self._device
            )
        else:
            kept = self._values_IK.detach().abs().topk(self._widths[stage], dim=1).indices
            dims_IK, initial_IK = self._where.dims_IK.gather(1, kept), self._initial_IK.gather(1, kept)
        dims_IK, order = dims_IK.sort(dim=1)
        self._enter(dims_IK, initial_IK.gather(1, order))

    def _enter(self, dims_IK: Tensor, initial_IK: Tensor) -> None:
        self._where, self._initial_IK = positions(dims_IK, self.n_dims), initial_IK
        self._values_IK = initial_IK.clone()
        self._optimiser = self._build_optimiser(self._values_IK)

    def step(self, histories: csr_array) -> float:
        """One step on a batch, in chunks of users."""
        size = max(16, CHUNK_CELLS // self.n_items)
        batch = nmse.chunks(histories, size, self._device)
        loss, self._values_IK.grad = loss_and_gradient(self._where, self._values_IK, batch)
        self._optimiser.step()
        return loss

    def state(self) -> dict[str, Array]:
        """Positions, values, initial values and the optimiser's moments."""
        own = {"dims": self._where.dims_IK, "values": self._values_IK, "initial": self._initial_IK}
        return {name: array(each) for name, each in own.items()} | optimiser_state(self._optimiser)

    def restore(self, stage: int, state: Mapping[str, Array]) -> None:  # noqa: ARG002 (the state knows its stage)
        """Continue from `state`."""
        tensors = {name: torch.from_numpy(state[name].copy()) for name in ("dims", "values", "initial")}
        self._enter(tensors["dims"].to(self._device), tensors["initial"].to(self._device))
        self._values_IK.copy_(tensors["values"])
        restore_optimiser(self._optimiser, state)

    def result(self) -> dict[str, Array]:
        """Positions and unit rows."""
        unit_IK = torch.nn.functional.normalize(self._values_IK, dim=1)
        return {"dims": array(self._where.dims_IK), "values": array(unit_IK)}

    def fitted(self, result: Mapping[str, Array]) -> "SparseFactors":
        """Turn what `result` gave into a model."""
        return SparseFactors(_rows(result["dims"], result["values"], self.n_dims, self._known_I), self._numbers)


@dataclass(frozen=True)
class SparseFactors:
    """Fitted item vectors."""

    rows: SparseRows
    """A, (n_items, n_dims); empty rows for items that nobody in training has."""
    numbers: Vocabulary
    """Row numbers as ids, for searches that never look at an id: those of validation."""

    def retriever(self, item_scale: Float32 | None) -> SparseRetriever:
        """Answer through `index.search`."""
        return SparseRetriever(self.embeddings(self.numbers, item_scale))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> SparseItemEmbeddings:
        """The artifact that is published; its provenance is still empty."""
        return SparseItemEmbeddings(items, self.rows, item_scale, "tied", None, "latents", {})


def _rows(dims_IK: Array, values_IK: Array, n_dims: int, known_I: Array) -> SparseRows:
    counts = np.where(known_I, dims_IK.shape[1], 0)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return SparseRows.from_csr(starts, dims_IK[known_I].reshape(-1), values_IK[known_I].reshape(-1), n_dims)
