"""A circuit breaker: a server that failed several times in a row is left alone until it answers a probe.

Who asks meanwhile is refused at once and does not wait for a time-out. Nygard, Release It!, 2007.
"""

import time
from collections import deque
from collections.abc import Callable

FAILURES = 5
"""In a row, with no success between them."""

WINDOW_SECONDS = 10.0
"""Failures that lie further apart open nothing."""


class Breaker:
    """Closed at first; opens at the last of `FAILURES` within `WINDOW_SECONDS`; a success closes it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.open = False
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)

    def failed(self) -> bool:
        """Note a failure; whether it opened the breaker."""
        now = self._clock()
        self._failures.append(now)
        full = len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS
        opened, self.open = full and not self.open, self.open or full
        return opened

    def succeeded(self) -> None:
        """Note a success."""
        if self._failures:
            self._failures.clear()
            self.open = False
