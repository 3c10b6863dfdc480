"""Schedules of sparsity: how many values an item keeps in each stage, and for how many epochs.

    halving       from `start_k` by halves down to k, `stage_epochs` each: ours, for positions from co-occurrence
    step-wise     all n_dims, then n_dims / 4, n_dims / 8, ... k, `stage_epochs` each
    linear        from n_dims down by equal steps, one epoch each
    exponential   n_dims, then n_dims * 2^-(i / stage_epochs + 1) in the i-th epoch
    constant      k from the beginning

Step-wise, linear, exponential and constant are those of Vancura et al. (Compressed ELSA, WWW 2026); linear and
exponential take as many epochs as step-wise does before its last stage. Every schedule ends with `epochs` at k.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

Schedule = Literal["halving", "step-wise", "linear", "exponential", "constant"]


class Width(NamedTuple):
    """A stage."""

    k: int
    """Values per item."""
    epochs: int
    """Passes over the users."""


def widths(schedule: Schedule, n_dims: int, k: int, *, start_k: int, stage_epochs: int, epochs: int) -> list[Width]:
    """The stages, each narrower than the one before, the last one at k; k <= n_dims."""
    steps = _halves(n_dims // 4, k)
    n_epochs = stage_epochs * (len(steps) + 1)
    match schedule:
        case "halving":
            before = [Width(each, stage_epochs) for each in _halves(min(n_dims, start_k), k)]
        case "step-wise":
            before = [Width(each, stage_epochs) for each in (n_dims, *steps)]
        case "linear":
            drop = (n_dims - k) // n_epochs
            before = [Width(n_dims - i * drop, 1) for i in range(n_epochs)]
        case "exponential":
            shares = [1.0, *(2 ** -(i / stage_epochs + 1) for i in range(1, n_epochs))]
            before = [Width(int(n_dims * share), 1) for share in shares]
        case "constant":
            before = []
    return _merged([*(each for each in before if each.k > k), Width(k, epochs)])


def _halves(first: int, k: int) -> list[int]:
    """From `first` by halves, as long as more than k."""
    found = []
    while first > k:
        found.append(first)
        first //= 2
    return found


def _merged(stages: list[Width]) -> list[Width]:
    """Neighbours of the same width as one."""
    merged = stages[:1]
    for before, stage in pairwise(stages):
        if stage.k == before.k:
            merged[-1] = Width(stage.k, merged[-1].epochs + stage.epochs)
        else:
            merged.append(stage)
    return merged
