"""Compressed ELSA: `k` values per item at learnt positions of a wide space.

    scores = x A A^T - x,  A (n_items, n_dims): rows of unit length with k non-zeros

The positions are found by pruning (`sparsity`): train at the positions kept, keep those of the largest |value|, and
`restart` the values there from what they were at first, R, or go on with what they are; at k they are trained to the
end. Within a stage the positions are fixed, so all products are sparse and n_items x n_dims is never made, but by the
schedules that begin with all dims. Ours, `halving`, begins with `start_k` dims: those where one smoothing of R over
co-occurrence, A0 = Xn^T (Xn R) with Xn = D_u^-1/2 X D_i^-1/2, is largest.

Model, loss, the other schedules and the restart: Vancura et al., "Efficient Learning of Sparse Representations from
Interactions", WWW 2026. There the first positions come of training all dims; the smoothing in its place is ours (see
RESULTS.md). With `constant` the k positions are free: the largest |value| in every step, of rows that stay dense.

Shapes: I items, K values per item, D dims.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Array, Float32, Int32
from index.vocabulary import Vocabulary
from training import parallel
from training.errors import TrainingError
from training.evaluate import SparseRetriever
from training.models import sparsity
from training.models.cooccurrence import first_positions, initial_at
from training.models.learner import Optimiser, Stage, array
from training.models.sparse_step import SparseStep, is_dense, sparse_step

MAX_OUTPUTS = 100_000
"""Items scored in a step unless a recipe says how many."""
LEAST = 1e-8
"""Of non-negative values while they are learnt, so that no row is without length."""


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Values per item."""
    n_dims: int = 0
    """Width of the space; 0: the power of two nearest to a third of the items, within 512..4096."""
    schedule: sparsity.Schedule = "halving"
    """How the positions are found."""
    start_k: int = 0
    """Positions per item in the first stage of `halving`; 0: n_dims / 32, at least 2 k."""
    stage_epochs: int = 1
    """Passes over the users in a stage before the last; see `sparsity`."""
    restart: bool = True
    """Whether the values of a stage begin with R again."""
    query_dims: int = 0
    """Largest dims of a user that are used, in training and when serving; 0: all."""
    non_negative: bool = False
    """Whether values must not be negative."""
    n_outputs: int = 0
    """Items scored in a step: those of its users, and others drawn anew; 0: all, and of more than 100,000 so many."""


def default_dims(n_items: int) -> int:
    """2 ^ round(log2(n_items / 3)), within 512..4096."""
    return int(np.clip(2 ** round(np.log2(max(n_items, 3) / 3)), 512, 4096))


class CompressedElsa:
    """The learner. TrainingError for k above the width, or for rows too dense to score only some of the items."""

    def __init__(
        self,
        histories: csr_array,
        settings: Settings,
        optimiser: Optimiser,
        *,
        epochs: int,
        seed: int,
        device: str = "cpu",
        make_step: Callable[[Tensor, int, int], SparseStep] = sparse_step,
    ) -> None:
        """histories: of the training users, binary (n_users, n_items).

        make_step: how to compute a step, of positions, n_dims and query_dims; benchmarks compare others.
        """
        self._make_step = make_step
        self.n_items = int(histories.shape[1])
        self.n_dims = settings.n_dims or default_dims(self.n_items)
        if settings.k > self.n_dims:
            raise TrainingError(f"model.k = {settings.k} is more than n_dims = {self.n_dims}; lower k or raise n_dims")
        self._histories, self._settings, self._seed, self._device = histories, settings, seed, device
        self._optimiser = optimiser
        start_k = settings.start_k or max(self.n_dims // 32, 2 * settings.k)
        self._widths = sparsity.widths(
            settings.schedule,
            self.n_dims,
            settings.k,
            start_k=start_k,
            stage_epochs=settings.stage_epochs,
            epochs=epochs,
        )
        self._n_outputs = min(settings.n_outputs or MAX_OUTPUTS, self.n_items)
        self._refuse_dense()
        # an item that nobody in training has keeps no row: there is nothing to learn it from
        self._known_I = np.bincount(histories.indices, minlength=self.n_items) > 0
        self._numbers = Vocabulary.build([str(number) for number in range(self.n_items)])

    def _refuse_dense(self) -> None:
        """Raise TrainingError if rows are so dense that every item must be scored, and fewer are."""
        k = self._widths[0].k
        if self._n_outputs < self.n_items and is_dense(k, self.n_dims):
            raise TrainingError(
                f"model.schedule = {self._settings.schedule} begins with {k:,} of {self.n_dims:,} values per item; "
                f"from a fifth on, every step has to score all {self.n_items:,} items, not {self._n_outputs:,}: choose "
                "the schedule halving, with start_k and k below a fifth of n_dims, or (slow, and dense in memory) "
                f"model.n_outputs = {self.n_items}"
            )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One for every width; the last one, at k, is validated."""
        last = len(self._widths) - 1
        return tuple(
            Stage(f"{width.k} values per item", width.epochs, validated=number == last)
            for number, width in enumerate(self._widths)
        )

    def start(self, stage: int, best: Mapping[str, Array]) -> None:  # noqa: ARG002 (only the last is validated)
        """Choose the positions of a stage and the values that it begins with."""
        if stage == 0:
            dims_IK = self._first_positions()
        else:
            kept_IK = self._values_IK.abs().topk(self._widths[stage].k, dim=1).indices
            dims_IK = self._dims_IK.gather(1, kept_IK)
        dims_IK, order_IK = dims_IK.sort(dim=1)
        if stage == 0:
            values_IK = self._initial_IK = self._initial(dims_IK)
        elif self._settings.restart:
            values_IK = self._initial_IK = self._initial_IK.gather(1, kept_IK).gather(1, order_IK)
        else:
            values_IK = torch.nn.functional.normalize(self._values_IK.gather(1, kept_IK), dim=1).gather(1, order_IK)
        self._enter(dims_IK, values_IK.clone())

    def _initial(self, dims_IK: Tensor) -> Tensor:
        values_IK = initial_at(dims_IK, self.n_dims, self._seed)
        return values_IK.abs() if self._settings.non_negative else values_IK

    def _first_positions(self) -> Tensor:
        if self._settings.schedule == "halving":
            shape = self.n_dims, self._widths[0].k
            only = self._settings.non_negative
            return first_positions(self._histories, *shape, self._seed, self._device, non_negative=only)
        return torch.arange(self.n_dims, device=self._device).repeat(self.n_items, 1)

    def _enter(self, dims_IK: Tensor, values_IK: Tensor) -> None:
        self._dims_IK, self._values_IK = dims_IK, values_IK
        self._step = self._make_step(dims_IK, self.n_dims, self._settings.query_dims)
        self._descent = self._optimiser.of(values_IK)

    def step(self, histories: csr_array) -> float:
        """One step on a batch."""
        outputs = self._outputs(histories)
        loss, gradient_IK = parallel.total(*self._slope(parallel.share(histories), histories.shape[0], outputs))
        self._descent.step(gradient_IK)
        if self._settings.non_negative:
            self._values_IK.clamp_(min=LEAST)
        return loss

    def _slope(self, histories: csr_array, n_users: int, outputs: Int32 | None) -> tuple[float, Tensor]:
        if self._settings.schedule != "constant":
            return self._step(self._values_IK, histories, n_users, outputs)
        kept_IK = self._free_positions()
        step = self._make_step(kept_IK, self.n_dims, self._settings.query_dims)
        loss, gradient_IK = step(self._values_IK.gather(1, kept_IK), histories, n_users, outputs)
        return loss, torch.zeros_like(self._values_IK).scatter_(1, kept_IK, gradient_IK)

    def _free_positions(self) -> Tensor:
        return self._values_IK.abs().topk(self._settings.k, dim=1).indices.sort(dim=1).values

    def _outputs(self, histories: csr_array) -> Int32 | None:
        """The items of a batch and others, drawn for it alone, up to n_outputs; None: all."""
        if self._n_outputs == self.n_items:
            return None
        own = np.unique(histories.indices)
        random = np.random.default_rng((self._seed, zlib.crc32(histories.indices.tobytes())))
        others = np.setdiff1d(np.arange(self.n_items), own, assume_unique=True)
        drawn = random.choice(others, max(0, self._n_outputs - len(own)), replace=False)
        return np.union1d(own, drawn).astype(np.int32)

    def state(self) -> dict[str, Array]:
        """Positions, values and the optimiser's moments."""
        return {"dims": array(self._dims_IK.int()), "values": array(self._values_IK), **self._descent.state()}

    def restore(self, stage: int, state: Mapping[str, Array]) -> None:  # noqa: ARG002 (the state knows its stage)
        """Continue from `state`."""
        dims_IK, values_IK = (torch.from_numpy(state[name].copy()).to(self._device) for name in ("dims", "values"))
        self._initial_IK = self._initial(dims_IK.long())
        self._enter(dims_IK.long(), values_IK)
        self._descent.restore(state)

    def result(self) -> dict[str, Array]:
        """Positions and unit rows."""
        dims_IK, values_IK = self._dims_IK, self._values_IK
        if self._settings.schedule == "constant":
            dims_IK = self._free_positions()
            values_IK = values_IK.gather(1, dims_IK)
        unit_IK = torch.nn.functional.normalize(values_IK, dim=1)
        if self._settings.non_negative:
            unit_IK = unit_IK * (values_IK > LEAST)
        return {"dims": array(dims_IK.int()), "values": array(unit_IK)}

    def fitted(self, result: Mapping[str, Array]) -> "SparseFactors":
        """Turn what `result` gave into a model."""
        rows = _rows(result["dims"], result["values"], self.n_dims, self._known_I)
        return SparseFactors(rows, self._numbers, self._settings.query_dims or None)


@dataclass(frozen=True)
class SparseFactors:
    """Fitted item vectors."""

    rows: SparseRows
    """A, (n_items, n_dims); empty rows for items that nobody in training has."""
    numbers: Vocabulary
    """Row numbers as ids, for searches that never look at an id: those of validation."""
    query_dims: int | None
    """Largest dims of a query that are used; None: all."""

    def retriever(self, item_scale: Float32 | None) -> SparseRetriever:
        """Answer through `index.search`."""
        return SparseRetriever(self.embeddings(self.numbers, item_scale))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> SparseItemEmbeddings:
        """The artifact that is published; its provenance is still empty."""
        return SparseItemEmbeddings(items, self.rows, item_scale, "tied", self.query_dims, "latents", {})


def _rows(dims_IK: Array, values_IK: Array, n_dims: int, known_I: Array) -> SparseRows:
    """The rows of known items without the values that are 0."""
    stored_IK = (values_IK != 0) & known_I[:, None]
    starts = np.concatenate([[0], np.cumsum(stored_IK.sum(1))])
    return SparseRows.from_csr(starts, dims_IK[stored_IK], values_IK[stored_IK], n_dims)
