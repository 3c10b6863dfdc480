"""Sparse matrices in torch: built once per stage, filled at every step.

torch announces on every construction that its CSR layout is in beta; the two products used here (CSR times dense,
sampled dense times dense) are what this room needs of it, and the tests compare both with dense algebra.
"""

import warnings

import torch
from torch import Tensor


def matrix(row_starts: Tensor, columns: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """A CSR tensor of shape (len(row_starts) - 1, n_columns); int32 indices are what MKL takes without a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(
            row_starts.to(torch.int32),
            columns.to(torch.int32),
            values,
            size=(len(row_starts) - 1, n_columns),
            check_invariants=False,
        )


def from_coordinates(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR tensor from coordinates whose `rows` ascend."""
    starts = torch.searchsorted(rows.contiguous(), torch.arange(shape[0] + 1, device=rows.device))
    return matrix(starts, columns, values, shape[1])
