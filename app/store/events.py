"""Events on their way to Redis: what each kind does to a user's state, and the form that the script takes them in."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from app.store.keys import event_key, user_keys
from app.store.state import Interaction, entry

HIDING_KINDS = frozenset({"dislike", "hide"})
"""Kinds of events whose items never come back."""

UNSEEN_KINDS = frozenset({"impression"})
"""Kinds of events that do not make an item seen."""

BATCH = 100
"""Events in one run of the script: a run blocks all other users."""

EventResult = Literal["accepted", "duplicate"]


class Event(NamedTuple):
    """An interaction to record."""

    user_id: str
    interaction: Interaction
    event_id: str | None
    """Repeats of it within 24 hours are ignored, per user."""


def batches(events: Sequence[Event]) -> Iterator[list[int]]:
    """Positions of events, user by user, at most `BATCH` together."""
    by_user: dict[str, list[int]] = {}
    for number, event in enumerate(events):
        by_user.setdefault(event.user_id, []).append(number)
    for numbers in by_user.values():
        for start in range(0, len(numbers), BATCH):
            yield numbers[start : start + BATCH]


def stores(event: Event) -> bool:
    """Whether recording it needs memory; a full Redis takes what does not."""
    _, record, _, flags = _packed(event)
    return bool(record or flags)


def keys_and_records(events: Sequence[Event]) -> tuple[list[bytes], list[Any]]:
    """The keys of one run of the script, and its arguments behind the bounds: events of one user."""
    user_id = events[0].user_id
    keys = [*user_keys(user_id)[:4], *(event_key(user_id, e.event_id) for e in events if e.event_id is not None)]
    return keys, [part for event in events for part in _packed(event)]


def _packed(event: Event) -> tuple[bytes, bytes, bytes, str]:
    """The four arguments the script takes for an event."""
    one = event.interaction
    record = entry(one)
    mark = record[:8] + record[16:24]
    flags = ("s" if one.kind not in UNSEEN_KINDS else "") + ("h" if one.kind in HIDING_KINDS else "")
    flags += "i" if event.event_id is not None else ""
    # What weighs nothing stays outside: impressions would push out of the history what the user really did.
    return (mark, record, one.item_id.encode(), flags) if one.weight else (mark, b"", b"", flags)
