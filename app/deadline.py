"""How long a request may take: an answer that is ready in time, and says what it lacks, beats a whole one that is late.

    |--- state: at most STATE_SHARE of it ---|--- search, rows, order ---| deadline

The clock starts when the request comes in. What is given up, in this order: the user's stored state where the store is
slow, then what only arranges a list, then rows of a page that are not composed yet. A search once begun is finished.
"""

import time
from typing import NamedTuple

STATE_SHARE = 0.5
"""Of the time left, how much the user store may take: the rest is for the search, without which there is no answer."""


class Deadline(NamedTuple):
    """A point in time."""

    at: float
    """By the clock of time.perf_counter()."""

    @property
    def left(self) -> float:
        """Seconds until then; below 0 afterwards."""
        return self.at - time.perf_counter()

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return time.perf_counter() >= self.at

    @property
    def for_state(self) -> float:
        """Seconds that reading the user may take from now on."""
        return max(0.0, STATE_SHARE * self.left)


NEVER = Deadline(float("inf"))
"""Take all the time there is."""
