"""Giving back to users what the event log says of them: added to what Redis holds, while it serves.

Each user is changed by one script which sees whether somebody else did so meanwhile, and whether the user was forgotten
since the log was read. Adding is an idempotent union, so it may be repeated.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.store.connection import Connection
from app.store.evaluation import Run, evaluate
from app.store.keys import gone_key, partition, user_keys
from app.store.merging import Bounds, Values, merged
from app.store.script import RESTORING

TRIES = 10
"""Of a user whose events come in meanwhile."""


class Lost(NamedTuple):
    """What is to be given back to a user."""

    user_id: str
    values: Values
    seconds: int
    """To live at least, from now."""


class Outcome(NamedTuple):
    """What became of users."""

    restored: int = 0
    """Something was missing, and is there again."""
    whole: int = 0
    """Nothing was missing."""
    gone: int = 0
    """Forgotten within the last day: whatever is stored now came later and is whole."""

    def __add__(self, other: object) -> "Outcome":  # not a longer tuple
        if not isinstance(other, Outcome):
            return NotImplemented
        return Outcome(*(a + b for a, b in zip(self, other, strict=True)))


async def restore(connection: Connection, lost: Sequence[Lost], bounds: Bounds) -> Outcome:
    """Give back to each; StoreUnavailable, also where somebody changes a user all the time."""
    outcome, left = Outcome(), list(lost)
    for _ in range(TRIES):
        found = await connection.get([_keys(one) for one in left], "reading")
        before = [Values(*(value or b"" for value in values)) for values in found]
        after = [merged(old, one.values, bounds) for old, one in zip(before, left, strict=True)]
        changed = [number for number, old in enumerate(before) if after[number] != old]
        outcome += Outcome(whole=len(left) - len(changed))
        runs = [_run(left[number], before[number], after[number]) for number in changed]
        replies = await evaluate(connection, RESTORING, runs, "recording", repeat=True) if runs else []
        outcome += Outcome(restored=replies.count(1), gone=replies.count(2))
        left = [left[number] for number, reply in zip(changed, replies, strict=True) if reply == 0]
        if not left:
            return outcome
    busy = TimeoutError(f"events of a user came in during each of {TRIES} tries to restore")
    raise connection.failed("recording", busy)


def _keys(one: Lost) -> tuple[int, Sequence[bytes]]:
    p = partition(one.user_id)
    return p, user_keys(one.user_id, p)[:4]


def _run(one: Lost, before: Values, after: Values) -> Run:
    p, keys = _keys(one)
    return Run(p, [gone_key(one.user_id), *keys], [one.seconds, *before, *after])
