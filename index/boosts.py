"""Boosts: factors on the scores of some items, so that they are found rather, or less.

boosted score(i) = score(i) * factor(i), rounded to float32; where several boosts name an item, their factors multiply.
A search goes on leaving out what cannot be among the best: the bound that decides it is divided by the greatest factor.
So mild boosts cost little, and a factor of 100 on anything costs nearly a full pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from index.bitmap import Bitmap
from index.types import Float32


@dataclass(frozen=True, eq=False)
class Boosts:
    """A factor for each item; ValueError unless all are finite and above 0."""

    factors: Float32
    """(n_items,)."""
    least: float = field(init=False)
    """The least of them."""
    greatest: float = field(init=False)
    """The greatest of them."""

    def __post_init__(self) -> None:
        least, greatest = float(self.factors.min()), float(self.factors.max())
        if not 0 < least <= greatest < np.inf:
            raise ValueError(f"boosts run from {least} to {greatest}; factors must be finite and above 0")
        object.__setattr__(self, "least", least)
        object.__setattr__(self, "greatest", greatest)

    @classmethod
    def of(cls, boosted: Sequence[tuple[Bitmap, float]], n_items: int) -> "Boosts":
        """The factors of some sets of items, 1 for all others."""
        factors = np.ones(n_items, dtype=np.float32)
        for items, factor in boosted:
            # several times as fast as to multiply where the mask is true
            factors *= np.array([1, factor], dtype=np.float32).take(items.mask().view(np.uint8))
        return cls(factors)
