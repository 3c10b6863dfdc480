"""A circuit breaker: a server that failed several times in a row is left alone, but for one caller at a time.

Who asks meanwhile is refused at once and does not wait for a time-out. Nygard, Release It!, 2007.
"""

import random
import time
from collections import deque
from collections.abc import Callable

FAILURES = 5
"""In a row, with no success between them."""

WINDOW_SECONDS = 10.0
"""Failures that lie further apart open nothing."""

PROBE_SECONDS = 0.25
"""Between callers that are let through while it is open; each wait is up to half as long again."""


class Breaker:
    """Closed at first; opens at the last of `FAILURES` within `WINDOW_SECONDS`; a success closes it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.open = False
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._next_probe = 0.0

    def refuses(self) -> bool:
        """Whether this caller is refused; half open, one is let through to see whether the server answers again."""
        if not self.open:
            return False
        if self._clock() < self._next_probe:
            return True
        self._await_probe()
        return False

    def failed(self) -> None:
        """Note a failure."""
        now = self._clock()
        self._failures.append(now)
        if not self.open and len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS:
            self.open = True
            self._await_probe()

    def succeeded(self) -> None:
        """Note a success."""
        if self._failures:
            self._failures.clear()
            self.open = False

    def _await_probe(self) -> None:
        # At random, so that workers do not come in step.
        self._next_probe = self._clock() + PROBE_SECONDS * random.uniform(1, 1.5)  # noqa: S311
