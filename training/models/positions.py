"""Where the values of a sparse matrix are while they are being learnt: fixed positions, k in every row."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.models import csr


@dataclass(frozen=True)
class Positions:
    """Where the values of A are, and both orders in which products walk them."""

    dims_IK: Tensor
    """int64: ascending within a row."""
    by_item: Tensor
    """CSR (n_items, n_dims), to be filled."""
    by_dim: Tensor
    """CSR (n_dims, n_items), to be filled."""
    order: Tensor
    """Flat places of the values in the order of `by_dim`."""

    @property
    def n_dims(self) -> int:
        """Width of the space."""
        return int(self.by_dim.shape[0])

    def fill(self, values_IK: Tensor) -> None:
        """Make both matrices hold these values."""
        flat = values_IK.reshape(-1)
        self.by_item.values().copy_(flat)
        self.by_dim.values().copy_(flat[self.order])


def positions(dims_IK: Tensor, n_dims: int, dtype: torch.dtype = torch.float32) -> Positions:
    """Lay out the positions of a stage."""
    n_items, k = dims_IK.shape
    flat = dims_IK.reshape(-1)
    empty = torch.zeros(len(flat), dtype=dtype, device=flat.device)
    starts = torch.arange(0, len(flat) + 1, k, device=flat.device)
    by_item = csr.matrix(starts, flat, empty, n_dims)
    dims, order = torch.sort(flat, stable=True)
    by_dim = csr.from_coordinates(dims, order // k, empty.clone(), (n_dims, n_items))
    return Positions(dims_IK, by_item, by_dim, order)
