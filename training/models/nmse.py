"""The loss of the ELSA family and its gradient, written out.

For a user with history x (binary, n items) and scores s = x A A^T - x:

    p = relu6(s),   loss = || p / |p| - x / |x| ||^2 / (B n) = (2 - 2 cos(p, x)) / (B n)
    d loss / d p = 2 / (B n |p|) * (p / |p| * cos(p, x) - x / |x|),   and 0 where relu6 is flat

averaged over B users and n items. The division is part of the algorithm: gradients are of the order 1e-9, so the
epsilon of the optimiser (1e-7) sets the step, and NAdam with rate 0.1 acts as momentum descent with a rate near 1e6.
Reference: Vancura et al., "Scalable Linear Shallow Autoencoder for Collaborative Filtering", RecSys 2022.

Shapes: I items, U users of a chunk, N interactions of the chunk. Users are columns, the layout that sparse rows want.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """Some users' histories as coordinates, on the device."""

    item_N: Tensor
    """int64: item rows, grouped by user."""
    user_N: Tensor
    """int64: columns 0..n_users-1, ascending."""
    n_users: int
    """Number of columns."""


def chunks(histories: csr_array, size: int, device: str) -> list[Chunk]:
    """Cut a batch of users, the rows of a binary matrix, into chunks of at most `size`."""
    return [chunk(histories[start : start + size], device) for start in range(0, histories.shape[0], size)]


def chunk(histories: csr_array, device: str) -> Chunk:
    """All rows of a binary matrix as one chunk."""
    n_users = histories.shape[0]
    users = np.repeat(np.arange(n_users), np.diff(histories.indptr))
    items = torch.from_numpy(histories.indices.astype(np.int64))
    return Chunk(items.to(device), torch.from_numpy(users).to(device), n_users)


def cut(query_DU: Tensor, n: int) -> Tensor:
    """Keep the n largest |q_d| of each user, 0: all; (n_dims, n_users). Of equal ones at the border all stay."""
    if n == 0 or n >= len(query_DU):
        return query_DU
    sizes_DU = query_DU.abs()
    last_1U = sizes_DU.topk(n, dim=0).values[-1:]
    return torch.where(sizes_DU >= last_1U, query_DU, 0)


def loss_and_gradient(score_IU: Tensor, given: Chunk, denominator: int) -> tuple[Tensor, Tensor]:
    """The summed loss of a chunk and d loss / d score, (n_items, n_users); `score_IU` is changed.

    score_IU: x A A^T, from which x is taken off here; denominator: B n, of the whole batch.
    """
    at = (given.item_N, given.user_N)
    score_IU[at] -= 1
    predicted_IU = score_IU.clamp(0, 6)
    length_U = predicted_IU.norm(dim=0)
    sizes_U = torch.bincount(given.user_N, minlength=given.n_users).to(score_IU.dtype)
    target_U = sizes_U.clamp(min=1).rsqrt()
    inverse_U = torch.where(length_U > 0, 1 / length_U, 0)
    overlap_U = torch.zeros_like(length_U).index_add_(0, given.user_N, predicted_IU[at])
    cosine_U = overlap_U * target_U * inverse_U
    loss = (length_U > 0).sum() + (sizes_U > 0).sum() - 2 * cosine_U.sum()
    gradient_IU = predicted_IU * (cosine_U * inverse_U)
    gradient_IU[at] -= target_U[given.user_N]
    gradient_IU *= 2 / denominator * inverse_U
    gradient_IU *= (score_IU > 0) & (score_IU < 6)
    return loss / denominator, gradient_IU


def through_normalisation(gradient: Tensor, unit: Tensor, length: Tensor) -> Tensor:
    """Take d loss / d unit to d loss / d raw, where unit = raw / |raw| by row; `length` is (n, 1)."""
    return (gradient - unit * (gradient * unit).sum(1, keepdim=True)) / length
