"""What an item is worth to a user, by its place in their ranking.

    worth(rank) = (1 + rank / 9) ** -2        rank from 0

Places say it and not scores: these differ between models, users and boosts. Validation readers of the books chose the
exponent (training/RESULTS.md); how often they had liked the item at a place falls more slowly, with exponent -1.25, but
what stands top-left is worth more to a page than that.
"""

from functools import lru_cache

import numpy as np

from index.types import Float32

PLACES = 9.0
"""After so many places it is a quarter."""

FALL = 2.0
"""How fast it falls in the end."""


@lru_cache(maxsize=64)
def worth_of_first(n: int) -> Float32:
    """What the first n items are worth, (n,)."""
    worth: Float32 = ((1 + np.arange(n) / PLACES) ** -FALL).astype(np.float32)
    worth.flags.writeable = False
    return worth


def worth_at(rank: int) -> float:
    """What the item at one place is worth."""
    return float((1 + rank / PLACES) ** -FALL)
