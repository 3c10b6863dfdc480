"""Pruned EASE: the k largest weights of each item in EASE's matrix B, see `ease`; never is all of B held.

Kept per target item (a column of B: what speaks for an item, its bytes in the decoder are the same for all), or per
source item (a row of B: what an item speaks for; an item may then have any number of values, k on average). Signs are
kept: what speaks against an item counts as well.
Reference: Steck, WWW 2019, as for EASE; pruning by magnitude is the plain baseline of Vancura et al., WWW 2026.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from training.models import ease, item_item
from training.models.item_item import ItemItem


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Weights per item, below the number of items."""
    l2: float = 50.0
    """Weight of the ridge, above 0."""
    kept_per: Literal["target", "source"] = "target"
    """Whose k weights are kept."""


def fit(histories: csr_array, settings: Settings, seed: int) -> ItemItem:  # noqa: ARG001 (nothing is drawn)
    """Solve for binary histories (n_users, n_items), and prune. `cut` makes smaller ones of what is kept per target.

    Raises as `ease.precision`, and TrainingError for a k that no item can have.
    """
    n_items = int(histories.shape[1])
    item_item.refuse_k(settings.k, n_items - 1)
    solved = ease.precision(histories, settings.l2)
    kept = item_item.stack(_pruned(solved, settings), n_items)
    return ItemItem(kept if settings.kept_per == "target" else item_item.transposed(kept), "identity", None)


def _pruned(solved: ease.Precision, settings: Settings) -> Iterator[csr_array]:
    """Blocks of columns of B (per target) or of rows, cut to k; P is symmetric, so its rows are its columns."""
    diagonal_I = solved.diagonal()
    known_I = np.diff(solved.items_IU.indptr) > 0
    for numbers, rows_BI in solved.blocks():
        rows_BI /= -(diagonal_I[numbers, None] if settings.kept_per == "target" else diagonal_I)
        rows_BI[np.arange(len(numbers)), numbers] = 0
        # an item that nobody in training has is orthogonal to all, up to rounding
        rows_BI[~known_I[numbers]] = 0
        rows_BI[:, ~known_I] = 0
        yield item_item.strongest_of_dense(rows_BI, settings.k)
