"""What one ranked list is worth, and how much of the catalogue the lists use.

    recall@n = |found in the first n| / min(n, |targets|)                 calibrated: 1 is reachable for every user
    nDCG@n   = sum over hits 1 / log2(1 + rank) / the same for an ideal list of min(n, |targets|) hits
    coverage = |items in any list| / |items of the catalogue|

The calibrated recall is recpack's CalibratedRecallK, as reported by Vancura et al. (Compressed ELSA, WWW 2026).
"""

from collections.abc import Iterable

import numpy as np

from index.types import Array, Int32


def recall(ranked: Int32, targets: Int32, n: int) -> float:
    """Calibrated recall of the first n of `ranked` (no repetitions); `targets` is not empty."""
    return float(np.isin(ranked[:n], targets).sum() / min(n, len(targets)))


def ndcg(ranked: Int32, targets: Int32, n: int) -> float:
    """Normalised discounted cumulative gain of the first n of `ranked`; `targets` is not empty."""
    gains = discounts(n)
    found = np.isin(ranked[:n], targets)
    return float(gains[: len(found)][found].sum() / gains[: len(targets)].sum())


def discounts(n: int) -> Array:
    """1 / log2(1 + rank) for the ranks 1..n."""
    return np.asarray(1.0 / np.log2(np.arange(2, n + 2)))


def coverage(lists: Iterable[Int32], n_items: int) -> float:
    """Share of the catalogue that appears in at least one list."""
    seen = np.zeros(n_items, bool)
    for ranked in lists:
        seen[ranked] = True
    return float(seen.mean())
