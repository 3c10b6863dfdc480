"""When to ask again, and how long to wait before: exponential backoff with jitter, or what the server says."""

import random
from typing import NamedTuple

import httpx

from sparrow_client.errors import seconds_of

AGAIN = frozenset({429, 503})
"""Statuses of what was not done, and may be asked again."""


class Retrying(NamedTuple):
    """How often, and with how much patience."""

    times: int = 3
    """Besides the first."""
    first_seconds: float = 0.1
    """About so long before the first repetition, twice as long before each further one."""
    longest_seconds: float = 10.0
    """Where the server asks for more patience, its refusal is raised instead."""

    def pause(self, n_tried: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds until the next try; None for none."""
        if n_tried > self.times:
            return None
        backoff = self.first_seconds * 2 ** (n_tried - 1) * random.uniform(0.5, 1.5)  # noqa: S311
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in AGAIN:
                return None
            told = seconds_of(outcome)
            # everybody was told the same: without a part of chance all would come back at once
            backoff = backoff if told is None else told + backoff
        return backoff if backoff <= self.longest_seconds else None


ONCE = Retrying(times=0)
"""No second try."""
