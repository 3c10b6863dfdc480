"""CompresSAE: dense item vectors rewritten as k signed values of a wide space, after they were learnt.

The vectors are those of dense ELSA at its best epoch, which is fitted first, or of a file (`training.vectors`); an
autoencoder (`training.models.autoencoder`) gives each item a code e and reconstructs e W_dec. A user is the sum of the
items of the history, and items are compared in either of two ways, both through the search that serves:

    codes     cosines of the codes:               D = e / |e|          q = x D
    kernel    cosines of the reconstructions:     D = e / |e W_dec|    q = (x D) W_dec W_dec^T

Codes take no more than what is stored of the items. The kernel, W_dec, is dense, (n_dims, width of the vectors).
Reference: Kasalicky et al., "The Future is Sparse: Embedding Compression for Scalable Retrieval in Recommender
Systems", RecSys 2025. As a baseline on dense ELSA: Vancura et al., WWW 2026, whose code cuts the auxiliary term at k as
well, so that there it is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Array, Float32
from index.vocabulary import Vocabulary
from training import vectors
from training.errors import RunError, TrainingError
from training.evaluate import SparseRetriever
from training.models import elsa
from training.models.autoencoder import Autoencoder
from training.models.compressed_elsa import default_dims
from training.models.learner import Fitted, Optimiser, Stage, array


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Values per item."""
    n_dims: int = 0
    """Width of the space; 0: as in Compressed ELSA."""
    retrieval: Literal["codes", "kernel"] = "codes"
    """What is compared: codes, or their reconstructions."""
    auxiliary_weight: float = 0.125
    """Of the term of 4k entries; 0: none."""
    histories: bool = False
    """Whether the sums of the items of users' histories are learnt from as well as the items."""
    step_items: int = 1024
    """Items learnt from in every step; there is one step for every batch of users."""
    learning_rate: float = 1e-2
    """Of Adam. (That of the section training is of dense ELSA.)"""
    dense_dims: int = 2048
    """Width of dense ELSA."""
    dense_epochs: int = 15
    """Passes over the training users at most, of dense ELSA: validation users end them."""
    vectors: str | None = None
    """A file of dense vectors to take in place of dense ELSA's."""
    vector_ids: str | None = None
    """Where the ids of its vectors are: a file for .npy, the name of a column for .parquet."""


class CompresSae:
    """The learner. Raises TrainingError for k above the width, DataError for a file of vectors that is no use."""

    def __init__(
        self,
        histories: csr_array,
        settings: Settings,
        optimiser: Optimiser,
        *,
        epochs: int,
        seed: int,
        device: str = "cpu",
        items: Vocabulary | None = None,
    ) -> None:
        """histories: of the training users, binary (n_users, n_items); items: their ids, needed for a file only."""
        self.n_items = int(histories.shape[1])
        self.n_dims = settings.n_dims or default_dims(self.n_items)
        if settings.k > self.n_dims:
            raise TrainingError(f"model.k = {settings.k} is more than n_dims = {self.n_dims}; lower k or raise n_dims")
        self._settings, self._epochs, self._seed, self._device = settings, epochs, seed, device
        self._numbers = Vocabulary.build([str(number) for number in range(self.n_items)])
        self._given = _read(settings, items)
        dense, n_epochs = elsa.Settings(settings.dense_dims), settings.dense_epochs
        self._make_elsa = partial(elsa.Elsa, histories, dense, optimiser, epochs=n_epochs, seed=seed, device=device)
        self._elsa = self._make_elsa() if settings.vectors is None else None
        self._coder: Autoencoder | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Dense ELSA, if it is needed, and the autoencoder."""
        own = Stage(f"{self._settings.k} of {self.n_dims} dims", self._epochs, validated=True)
        return (own,) if self._elsa is None else (*self._elsa.stages, own)

    def start(self, stage: int, best: Mapping[str, Array]) -> None:
        """Begin with dense ELSA, or on its best vectors with fresh weights."""
        if self._elsa is not None and stage == 0:
            self._elsa.start(stage, best)
        else:
            self._compress(best["vectors"] if self._given is None else self._given)

    def _compress(self, dense_IV: Float32) -> None:
        self._dense_IV = dense_IV
        rate = self._settings.learning_rate
        self._coder = Autoencoder(dense_IV, self.n_dims, learning_rate=rate, seed=self._seed, device=self._device)
        if self._elsa is not None:
            self._elsa = self._make_elsa()  # lets go of its parameters

    def step(self, histories: csr_array) -> float:
        """One step of dense ELSA on these users, or of the autoencoder on the next items."""
        if self._coder is None:
            return self._dense_stage().step(histories)
        batch_BV = self._coder.next_items(self._settings.step_items)
        if self._settings.histories:
            batch_BV = torch.cat([batch_BV, _directions(histories, self._coder.unit_IV)])
        return self._coder.step(batch_BV, self._settings.k, self._settings.auxiliary_weight)

    def state(self) -> dict[str, Array]:
        """That of the stage, with the dense vectors that it works on, unless they are in a file."""
        if self._coder is None:
            return self._dense_stage().state()
        return self._coder.state() | ({"dense": self._dense_IV} if self._given is None else _digest(self._given))

    def restore(self, stage: int, state: Mapping[str, Array]) -> None:
        """Continue inside a stage."""
        if self._elsa is not None and stage == 0:
            self._elsa.restore(stage, state)
        else:
            self._compress(state["dense"] if self._given is None else self._given_again(state))
            self._coding_stage().restore(state)

    def result(self) -> dict[str, Array]:
        """Dense vectors, or the codes of all items with the kernel where it is needed."""
        if self._coder is None:
            return self._dense_stage().result()
        by_reconstruction = self._settings.retrieval == "kernel"
        dims_IK, values_IK = self._coder.codes(self._settings.k, by_reconstruction=by_reconstruction)
        made: dict[str, Array] = {"dims": dims_IK, "values": values_IK}
        return made | ({"kernel": array(self._coder.weights.decoder_DV)} if by_reconstruction else {})

    def fitted(self, result: Mapping[str, Array]) -> Fitted:
        """Turn what `result` gave into a model: of the stage that gave it."""
        if "vectors" in result:
            return self._make_elsa().fitted(result)
        dims_IK, values_IK = result["dims"], result["values"]
        starts = np.arange(len(dims_IK) + 1) * dims_IK.shape[1]
        rows = SparseRows.from_csr(starts, dims_IK.reshape(-1), values_IK.reshape(-1), self.n_dims)
        return SparseCodes(rows, result.get("kernel"), self._numbers)

    def _given_again(self, state: Mapping[str, Array]) -> Float32:
        """The vectors of the file, if they are what the stage was begun with."""
        if self._given is None or not np.array_equal(state["digest"], _digest(self._given)["digest"]):
            raise RunError(f"{self._settings.vectors} holds other vectors than before; put those back, or train anew")
        return self._given

    def _dense_stage(self) -> elsa.Elsa:
        if self._elsa is None:
            raise TypeError("no stage was started")
        return self._elsa

    def _coding_stage(self) -> Autoencoder:
        if self._coder is None:
            raise TypeError("the stage was not started")
        return self._coder


def _read(settings: Settings, items: Vocabulary | None) -> Float32 | None:
    """The dense vectors of the file, if there is one."""
    if settings.vectors is None:
        return None
    if items is None:
        raise TypeError("vectors are found by the ids of the items; give them")
    return vectors.load(Path(settings.vectors), settings.vector_ids, items)


def _digest(vectors_IV: Float32) -> dict[str, Array]:
    return {"digest": np.frombuffer(sha256(vectors_IV.tobytes()).digest(), np.uint8)}


def _directions(histories: csr_array, unit_IV: Tensor) -> Tensor:
    """The sums of users' items as unit vectors, without users who have none."""
    sums_UV = torch.from_numpy(histories @ unit_IV.numpy())
    return functional.normalize(sums_UV[(sums_UV != 0).any(1)], dim=1)


@dataclass(frozen=True)
class SparseCodes:
    """Fitted codes."""

    rows: SparseRows
    """D, (n_items, n_dims); empty rows for items without a vector."""
    kernel: Float32 | None
    """W_dec, (n_dims, width), where reconstructions are compared."""
    numbers: Vocabulary
    """Row numbers as ids, for searches that never look at an id: those of validation."""

    def retriever(self, item_scale: Float32 | None) -> SparseRetriever:
        """Answer through `index.search`."""
        return SparseRetriever(self.embeddings(self.numbers, item_scale))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> SparseItemEmbeddings:
        """The artifact that is published; its provenance is still empty."""
        return SparseItemEmbeddings(items, self.rows, item_scale, "tied", None, "latents", {}, self.kernel)
