"""Dense ELSA: item vectors of unit length, and scores x A A^T - x.

Trained with the loss of `nmse` and its gradient written out; the histories stay sparse, so a step is three dense
products (scores, and the gradient through decoder and encoder). It is the yardstick of the sparse models: measured,
not published.
Reference: Vancura et al., "Scalable Linear Shallow Autoencoder for Collaborative Filtering", RecSys 2022.

Shapes: I items, D dims, U users of a chunk, N interactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from index.types import Array, Float32
from index.vocabulary import Vocabulary
from training import parallel
from training.evaluate import DenseRetriever
from training.models import csr, nmse
from training.models.learner import Optimiser, Stage, array, refuse_large

CHUNK_CELLS = 1 << 24
"""Scores held at once (n_items x users of a chunk): 64 MB per buffer."""


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    n_dims: int = 2048
    """Width of the vectors."""


def loss_and_gradient(
    raw_ID: Tensor,
    histories: csr_array,
    n_users: int,
    *,
    query_dims: int = 0,
    chunk_cells: int = CHUNK_CELLS,
) -> tuple[float, Tensor]:
    """The loss of some of a batch's `n_users` and its gradient with respect to the raw vectors.

    query_dims: use only so many largest dims of a user, 0: all; what is cut still gets its gradient.
    """
    length_I1 = raw_ID.norm(dim=1, keepdim=True)
    unit_ID = raw_ID / length_I1
    gradient_ID = torch.zeros_like(unit_ID)
    n_items = len(raw_ID)
    loss = torch.zeros((), dtype=raw_ID.dtype, device=raw_ID.device)
    for chunk in nmse.chunks(histories, max(16, chunk_cells // n_items), str(raw_ID.device)):
        histories_UI, histories_IU = _both_ways(chunk, n_items, raw_ID.dtype)
        query_UD = nmse.cut((histories_UI @ unit_ID).t(), query_dims).t()
        part, score_gradient_IU = nmse.loss_and_gradient(unit_ID @ query_UD.t(), chunk, n_users * n_items)
        gradient_ID.addmm_(score_gradient_IU, query_UD)
        gradient_ID += histories_IU @ (score_gradient_IU.t() @ unit_ID)
        loss += part
    return float(loss), nmse.through_normalisation(gradient_ID, unit_ID, length_I1)


def _both_ways(chunk: nmse.Chunk, n_items: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The histories (n_users, n_items) and their transpose as CSR."""
    ones = torch.ones(len(chunk.item_N), dtype=dtype, device=chunk.item_N.device)
    item_N, order = torch.sort(chunk.item_N, stable=True)
    by_user = csr.from_coordinates(chunk.user_N, chunk.item_N, ones, (chunk.n_users, n_items))
    return by_user, csr.from_coordinates(item_N, chunk.user_N[order], ones, (n_items, chunk.n_users))


class Elsa:
    """The learner. Raises CatalogueTooLargeError beyond 100,000 items."""

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
        self._settings, self._seed, self._device = settings, seed, device
        self._optimiser, self._epochs = optimiser, epochs
        self._known_I = np.bincount(histories.indices, minlength=self.n_items) > 0

    @property
    def stages(self) -> tuple[Stage, ...]:
        """A single one."""
        return (Stage(f"{self._settings.n_dims} dimensions", self._epochs, validated=True),)

    def start(self, stage: int, best: Mapping[str, Array]) -> None:  # noqa: ARG002 (there is one stage)
        """Draw Xavier-uniform vectors."""
        shape = (self.n_items, self._settings.n_dims)
        limit = np.sqrt(6 / sum(shape))
        random = np.random.default_rng((self._seed, stage)).uniform(-limit, limit, shape)
        self._enter(torch.from_numpy(random.astype(np.float32)))

    def _enter(self, raw_ID: Tensor) -> None:
        self._raw_ID = raw_ID.to(self._device)
        self._descent = self._optimiser.of(self._raw_ID)

    def step(self, histories: csr_array) -> float:
        """One step on a batch, in chunks of users."""
        own = loss_and_gradient(self._raw_ID, parallel.share(histories), histories.shape[0])
        loss, gradient = parallel.total(*own)
        self._descent.step(gradient)
        return loss

    def state(self) -> dict[str, Array]:
        """Vectors and the optimiser's moments."""
        return {"raw": array(self._raw_ID), **self._descent.state()}

    def restore(self, stage: int, state: Mapping[str, Array]) -> None:  # noqa: ARG002 (there is one stage)
        """Continue from `state`."""
        self._enter(torch.from_numpy(state["raw"].copy()))
        self._descent.restore(state)

    def result(self) -> dict[str, Array]:
        """Unit vectors; zero for an item that nobody in training has, as there is nothing to learn it from."""
        unit_ID = array(torch.nn.functional.normalize(self._raw_ID, dim=1))
        return {"vectors": unit_ID * self._known_I[:, None]}

    def fitted(self, result: Mapping[str, Array]) -> "DenseFactors":
        """Turn what `result` gave into a model."""
        return DenseFactors(torch.from_numpy(result["vectors"]).to(self._device))


@dataclass(frozen=True)
class DenseFactors:
    """Fitted item vectors."""

    vectors_ID: Tensor
    """A, (n_items, n_dims)."""

    def retriever(self, item_scale: Float32 | None) -> DenseRetriever:
        """Answer by dense scores of a batch of histories."""
        n_items = len(self.vectors_ID)
        scale_I = torch.ones(n_items) if item_scale is None else torch.from_numpy(item_scale)
        scale_I = scale_I.to(self.vectors_ID.device)

        def score(histories: csr_array) -> Float32:
            given = nmse.chunk(histories, str(self.vectors_ID.device))
            by_user, _ = _both_ways(given, n_items, self.vectors_ID.dtype)
            return array((by_user @ self.vectors_ID) @ self.vectors_ID.t() * scale_I)

        return DenseRetriever(score, n_items)

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> None:
        """Nothing: a dense model is measured, not published."""
