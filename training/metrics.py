"""What ranked lists are worth, a list a row; and how much of the catalogue they show.

    recall@n            = |found in the first n| / |targets|                 LightGCN's, and that of the gowalla tables
    calibrated_recall@n = |found in the first n| / min(n, |targets|)         recpack's: 1 is reachable for every user
    nDCG@n              = sum over hits 1 / log2(1 + rank) / the same for an ideal list of min(n, |targets|) hits
    penalised_recall@n  = sum over hits p^-b / sum over targets p^-b         p: users of the item, b >= 0
    coverage            = |items in any list| / |items of the catalogue|

The calibrated recall is recpack's CalibratedRecallK, as reported by Vancura et al. (Compressed ELSA, WWW 2026). The
penalised one is that of Kasalicky, Alves and Kordik (arXiv 2308.06885, EvalRS at KDD 2023): finding what everybody has
says little. Their figure of many users is the quotient of the sums over all of them; asked as `protocols.prequential`
asks, it is their recall_LLOO^b, and b = .30 is what agreed best with live tests there (with b = 0: recall_LLOO).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.types import Array, Float32, Int32, Int64

Found: TypeAlias = NDArray[np.bool_]
"""(n_lists, depth): whether the item at this rank is a target."""

BETA = 0.30
"""How strongly popularity is penalised."""
NOTHING = -1
"""Fills lists that are shorter than others."""


def find(ranked: Int32, targets: Int32, n_targets: Int64) -> Found:
    """Which ranked items are targets.

    ranked: (n_lists, depth), no repetitions but NOTHING; targets: those of one list behind those of the other, each
    list's ascending and without repetitions; n_targets: (n_lists,), how many are whose.
    """
    base = max(int(ranked.max(initial=0)), int(targets.max(initial=0))) + 1
    owners = np.repeat(np.arange(len(n_targets)), n_targets)
    wanted = owners * base + targets  # ascending
    shown = np.arange(len(ranked))[:, None] * base + ranked
    at = np.minimum(np.searchsorted(wanted, shown), max(len(wanted) - 1, 0))
    return np.asarray((wanted[at] == shown) & (ranked != NOTHING)) if len(wanted) else np.zeros(ranked.shape, bool)


def recall(found: Found, n_targets: Int64, n: int) -> Array:
    """Recall of the first n of each list, (n_lists,); every list has a target."""
    return np.asarray(found[:, :n].sum(axis=1) / n_targets)


def calibrated_recall(found: Found, n_targets: Int64, n: int) -> Array:
    """Calibrated recall of the first n of each list, (n_lists,); every list has a target."""
    return np.asarray(found[:, :n].sum(axis=1) / np.minimum(n, n_targets))


def ndcg(found: Found, n_targets: Int64, n: int) -> Array:
    """Normalised discounted cumulative gain of the first n of each list, (n_lists,); every list has a target."""
    gains = 1.0 / np.log2(np.arange(2, n + 2))
    ideal = np.cumsum(gains)[np.minimum(n, n_targets) - 1]
    return np.asarray(found[:, :n] @ gains[: found.shape[1]] / ideal)


def worth(popularity: Float32, beta: float) -> Array:
    """max(p, 1)^-beta for every item, float64 (n_items + 1,); the last is that of items which nobody has."""
    return np.asarray(np.append(np.maximum(popularity, 1.0), 1.0) ** -beta, np.float64)


def worth_of(each: Array, items: Int32) -> Array:
    """The `worth` of items, in their shape; rows beyond the catalogue (and NOTHING) are items which nobody has."""
    return np.asarray(each[np.minimum(items, len(each) - 1)])


def penalised_recall(found: Found, ranked_worth: Array, target_worth: Array, n: int) -> Array:
    """Popularity-penalised recall of the first n, (n_lists,).

    ranked_worth: (n_lists, depth), of what is ranked; target_worth: (n_lists,), of all targets of the list together.
    """
    return np.asarray(np.where(found, ranked_worth, 0.0)[:, :n].sum(axis=1) / target_worth)


def coverage(shown: NDArray[np.bool_]) -> float:
    """Share of the catalogue that was shown to anybody; shown: (n_items,)."""
    return float(shown.mean())
