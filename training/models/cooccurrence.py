"""The first positions of Compressed ELSA: random vectors, smoothed once over co-occurrence.

    A0 = Xn^T (Xn R),  Xn = D_u^-1/2 X D_i^-1/2,  R Xavier-uniform (n_items, n_dims)

Items that share users get similar rows of A0, so they keep similar dimensions. R is made and smoothed in blocks of
dimensions, so memory is O((n_users + n_items) * BLOCK), not n_items x n_dims.
"""

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from index.types import Float32
from training.models import csr

BLOCK = 256
"""Dimensions of R held at once."""


def initial_values(seed: int, block: int, n_items: int, n_dims: int) -> Float32:
    """Columns block * BLOCK.. of R, Xavier-uniform (n_items, up to BLOCK); they depend on (seed, block) only."""
    limit = np.sqrt(6 / (n_items + n_dims))
    width = min(BLOCK, n_dims - block * BLOCK)
    return np.random.default_rng((seed, block)).uniform(-limit, limit, (n_items, width)).astype(np.float32)


def initial_at(dims_IK: Tensor, n_dims: int, seed: int) -> Tensor:
    """R at the given dims (int64), of their shape and on their device."""
    n_items = len(dims_IK)
    values_IK = torch.empty(dims_IK.shape, device=dims_IK.device)
    for block in range(-(-n_dims // BLOCK)):
        random = torch.from_numpy(initial_values(seed, block, n_items, n_dims)).to(dims_IK.device)
        local_IK = dims_IK - block * BLOCK
        here_IK = (local_IK >= 0) & (local_IK < random.shape[1])
        values_IK = torch.where(here_IK, random.gather(1, local_IK.clamp(0, random.shape[1] - 1)), values_IK)
    return values_IK


def first_positions(
    histories: csr_array, n_dims: int, width: int, seed: int, device: str, *, non_negative: bool = False
) -> Tensor:
    """The `width` dimensions where |Xn^T (Xn R)| is largest in each row, int64 (n_items, width).

    R is made and smoothed in blocks of dimensions, and the best so far are merged with each block. non_negative: where
    Xn^T (Xn R) itself is largest.
    """
    n_items = histories.shape[1]
    normalised = _normalised(histories)
    forward, backward = (_on_device(each, device) for each in (normalised, normalised.T.tocsr()))
    dims = torch.empty((n_items, 0), dtype=torch.int64, device=device)
    sizes = torch.empty((n_items, 0), device=device)
    for block in range(-(-n_dims // BLOCK)):
        random = torch.from_numpy(initial_values(seed, block, n_items, n_dims)).to(device)
        smooth = backward @ (forward @ random)
        numbers = torch.arange(block * BLOCK, block * BLOCK + random.shape[1], device=device).expand(n_items, -1)
        found = smooth if non_negative else smooth.abs()
        sizes, dims = (torch.cat(pair, 1) for pair in ((sizes, found), (dims, numbers)))
        best = sizes.topk(min(width, sizes.shape[1]), dim=1, sorted=False).indices
        sizes, dims = (each.gather(1, best) for each in (sizes, dims))
    return dims


def _normalised(histories: csr_array) -> csr_array:
    """D_u^-1/2 X D_i^-1/2."""
    scales = []
    for axis in (1, 0):
        degree = np.maximum(histories.sum(axis=axis), 1).astype(np.float32)
        scales.append(diags_array(1 / np.sqrt(degree)))
    return csr_array(scales[0] @ histories @ scales[1], dtype=np.float32)


def _on_device(matrix: csr_array, device: str) -> Tensor:
    parts = (torch.from_numpy(np.asarray(part)) for part in (matrix.indptr, matrix.indices, matrix.data))
    starts, columns, values = (part.to(device) for part in parts)
    return csr.matrix(starts, columns, values, matrix.shape[1])
