"""The loss of ELSA with values at fixed positions, and its gradient: `k` values in each row of A, at `dims`.

    u = A^T x^T,  s = A u - x^T,  g = d loss / d s,  dA = (g u^T + x^T (A^T g)^T) at the positions of A only

for the loss of `nmse`. With `query_dims`, only so many largest |u_d| of a user are used; what is cut still gets its
gradient (straight through), or it could never come back. There are three ways to compute it, which agree:

* `Compiled`, on a CPU: `training._kernel`, memory O(values) and a few users;
* `InTorch`, on any device: sparse products over chunks of users, memory O(values + items x users of a chunk);
* `Dense`, where the rows are a fifth dense or more and sparse products no longer pay.

Shapes: I items, K values per item, D dims, U users of a chunk, N interactions, O items that are outputs.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from index.types import Int32
from training import _kernel
from training.models import csr, elsa, nmse

CHUNK_CELLS = 1 << 22
"""Scores held at once by InTorch (items x users of a chunk): 16 MB per buffer."""
DENSE_SHARE = 0.2
"""Of the dims, in every row; measured in training/kernel/README.md."""


class SparseStep(Protocol):
    """A way to compute it."""

    def __call__(
        self, values_IK: Tensor, histories: csr_array, n_users: int, outputs: Int32 | None = None
    ) -> tuple[float, Tensor]:
        """Take raw values and the binary histories of some of a batch's `n_users`; give their loss and its gradient.

        outputs: the item rows, ascending, that are scored; all items of the histories are among them. None: all items.
        The loss is divided by n_users and the number of outputs; the gradient is with respect to the raw values.
        """
        ...


def is_dense(k: int, n_dims: int) -> bool:
    """Whether k values in each row are computed by `Dense`, of which every item is an output."""
    return k >= DENSE_SHARE * n_dims


def sparse_step(dims_IK: Tensor, n_dims: int, query_dims: int = 0) -> SparseStep:
    """The fastest way for these positions (int64, distinct within a row), on their device."""
    if is_dense(dims_IK.shape[1], n_dims):
        return Dense(dims_IK, n_dims, query_dims)
    if dims_IK.device.type == "cpu":
        return Compiled(dims_IK.to(torch.int32).contiguous(), n_dims, query_dims)
    return InTorch(dims_IK, n_dims, query_dims)


@dataclass(frozen=True)
class Compiled:
    """On a CPU, in single precision, with as many threads as torch has."""

    dims_IK: Tensor
    """int32."""
    n_dims: int
    """Width of the space."""
    query_dims: int = 0
    """Largest dims of a user that are used; 0: all."""

    def __call__(
        self, values_IK: Tensor, histories: csr_array, n_users: int, outputs: Int32 | None = None
    ) -> tuple[float, Tensor]:
        """As of SparseStep."""
        length_I1 = values_IK.norm(dim=1, keepdim=True)
        unit_IK = values_IK / length_I1
        loss, gradient = _kernel.step(
            self.dims_IK.numpy(),
            unit_IK.numpy(),
            self.n_dims,
            histories.indptr.astype(np.int64),
            histories.indices.astype(np.int32),
            float(n_users) * (len(values_IK) if outputs is None else len(outputs)),
            outputs=outputs,
            query_dims=self.query_dims,
            n_threads=torch.get_num_threads(),
        )
        return loss, nmse.through_normalisation(torch.from_numpy(gradient), unit_IK, length_I1)


@dataclass(frozen=True)
class InTorch:
    """On any device, in the precision of the values."""

    dims_IK: Tensor
    """int64."""
    n_dims: int
    """Width of the space."""
    query_dims: int = 0
    """Largest dims of a user that are used; 0: all."""
    chunk_cells: int = CHUNK_CELLS
    """Scores held at once."""

    def __call__(
        self, values_IK: Tensor, histories: csr_array, n_users: int, outputs: Int32 | None = None
    ) -> tuple[float, Tensor]:
        """As of SparseStep."""
        length_I1 = values_IK.norm(dim=1, keepdim=True)
        unit_IK = values_IK / length_I1
        shown_O = None if outputs is None else torch.from_numpy(outputs).to(values_IK.device, torch.int64)
        decoder = self._decoder(unit_IK, shown_O)
        gradient_IK = torch.zeros_like(unit_IK)
        size = max(16, self.chunk_cells // decoder.n_outputs)
        loss = torch.zeros((), dtype=values_IK.dtype, device=values_IK.device)
        for chunk in nmse.chunks(histories, size, str(values_IK.device)):
            loss += self._accumulate(unit_IK, decoder, chunk, n_users * decoder.n_outputs, gradient_IK)
        return float(loss), nmse.through_normalisation(gradient_IK, unit_IK, length_I1)

    def _decoder(self, unit_IK: Tensor, shown_O: Tensor | None) -> "_Decoder":
        """The rows of the outputs in both orders."""
        dims_OK, unit_OK = (self.dims_IK, unit_IK) if shown_O is None else (self.dims_IK[shown_O], unit_IK[shown_O])
        n_outputs, k = dims_OK.shape
        flat, values = dims_OK.reshape(-1), unit_OK.reshape(-1)
        starts = torch.arange(0, len(flat) + 1, k, device=flat.device)
        dims, order = torch.sort(flat, stable=True)
        by_dim = csr.from_coordinates(dims, order // k, values[order], (self.n_dims, n_outputs))
        place_I = None
        if shown_O is not None:
            place_I = torch.zeros(len(self.dims_IK), dtype=torch.int64, device=flat.device)
            place_I[shown_O] = torch.arange(n_outputs, device=flat.device)
        return _Decoder(csr.matrix(starts, flat, values, self.n_dims), by_dim, shown_O, place_I, n_outputs)

    def _accumulate(
        self, unit_IK: Tensor, decoder: "_Decoder", chunk: nmse.Chunk, denominator: int, gradient_IK: Tensor
    ) -> Tensor:
        """Add a chunk's gradient with respect to the unit rows; its part of the loss."""
        item_N, n_users = chunk.item_N, chunk.n_users
        # flat cell of (dim, user) for each of the K values of each interaction
        cell_NK = self.dims_IK[item_N] * n_users + chunk.user_N[:, None]
        query_DU = torch.zeros(self.n_dims * n_users, dtype=unit_IK.dtype, device=unit_IK.device)
        query_DU.index_add_(0, cell_NK.reshape(-1), unit_IK[item_N].reshape(-1))
        query_DU = nmse.cut(query_DU.view(self.n_dims, n_users), self.query_dims)
        own = chunk if decoder.place_I is None else replace(chunk, item_N=decoder.place_I[item_N])
        loss, gradient_OU = nmse.loss_and_gradient(decoder.by_item @ query_DU, own, denominator)
        through = torch.sparse.sampled_addmm(decoder.by_item, gradient_OU, query_DU.t().contiguous(), beta=0.0)
        gradient_OK = through.values().view(decoder.n_outputs, -1)
        if decoder.shown_O is None:
            gradient_IK += gradient_OK
        else:
            gradient_IK.index_add_(0, decoder.shown_O, gradient_OK)
        query_gradient_DU = decoder.by_dim @ gradient_OU
        gradient_IK.index_add_(0, item_N, query_gradient_DU.view(-1)[cell_NK])
        return loss


@dataclass(frozen=True)
class _Decoder:
    by_item: Tensor
    """CSR (n_outputs, n_dims)."""
    by_dim: Tensor
    """CSR (n_dims, n_outputs)."""
    shown_O: Tensor | None
    """int64 item rows of the outputs; None: all."""
    place_I: Tensor | None
    """Where in them an item is."""
    n_outputs: int
    """Their number."""


@dataclass(frozen=True)
class Dense:
    """With the rows made dense, on any device."""

    dims_IK: Tensor
    """int64."""
    n_dims: int
    """Width of the space."""
    query_dims: int = 0
    """Largest dims of a user that are used; 0: all."""

    def __call__(
        self, values_IK: Tensor, histories: csr_array, n_users: int, outputs: Int32 | None = None
    ) -> tuple[float, Tensor]:
        """As of SparseStep, but ValueError for `outputs`: every item is one."""
        if outputs is not None:
            raise ValueError("every item is an output of dense rows; outputs must be None")
        raw_ID = values_IK.new_zeros((len(values_IK), self.n_dims)).scatter_(1, self.dims_IK, values_IK)
        loss, gradient_ID = elsa.loss_and_gradient(raw_ID, histories, n_users, query_dims=self.query_dims)
        return loss, gradient_ID.gather(1, self.dims_IK)
