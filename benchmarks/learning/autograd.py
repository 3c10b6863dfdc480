"""The step that others are compared with: masked dense autograd, as the paper's code has it.

    A^ = rows of unit length of (A where |A| is among the k largest of its row, else 0)
    loss = mean((normalise(relu6(x A^ A^T - x)) - normalise(x))^2)

All products are dense, but the input is cut to the items of the batch, and the mask is made anew in each step.
Reference: github.com/zombak79/compressed_elsa, recommenders/core (Keras on torch there).
"""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional


def loss_and_gradient(raw: Tensor, histories: csr_array, k: int) -> tuple[float, Tensor]:
    """The loss of a batch and its gradient with respect to the raw values, (n_items, n_dims)."""
    leaf = raw.detach().requires_grad_()
    loss = _loss(leaf, histories, k)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return float(loss.detach()), gradient


def _loss(raw: Tensor, histories: csr_array, k: int) -> Tensor:
    kept = raw.detach().abs().topk(k, dim=1).indices
    mask = torch.zeros_like(raw, requires_grad=False).scatter_(1, kept, 1.0)
    unit = functional.normalize(raw * mask, dim=1)
    own = torch.from_numpy(np.unique(histories.indices).astype(np.int64))
    given = torch.from_numpy(histories.toarray()).to(raw.dtype)
    predicted = functional.relu6((given[:, own] @ unit[own]) @ unit.T - given)
    difference = functional.normalize(predicted, dim=1) - functional.normalize(given, dim=1)
    return difference.square().mean()
