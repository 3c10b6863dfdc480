"""Events on their way to Redis: what each kind does to a user's state, and the form that the script takes them in."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from app.store.keys import event_key, log_key, partition, user_keys
from app.store.state import Interaction, entry

HIDING_KINDS = frozenset({"dislike", "hide"})
"""Kinds of events whose items never come back."""

UNSEEN_KINDS = frozenset({"impression"})
"""Kinds of events that do not make an item seen."""

BATCH = 100
"""Events in one run of the script: a run blocks all other users."""

ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
"""Of entries of the log; json.dumps would make one for each."""

EventResult = Literal["accepted", "duplicate"]


class Event(NamedTuple):
    """An interaction to record."""

    user_id: str
    interaction: Interaction
    event_id: str | None
    """Repeats of it within 24 hours are ignored, per user."""
    recomm_id: str | None = None
    """The answer that it follows from; for the log only."""


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
    _, record, _, flags = packed(event)
    return bool(record or flags)


def keys_and_records(events: Sequence[Event], *, logged: bool) -> tuple[list[bytes], list[Any]]:
    """The keys of one run of the script, and its arguments behind the bounds: events of one user."""
    user_id = events[0].user_id
    p = partition(user_id)
    ids = (event_key(user_id, event.event_id) for event in events if event.event_id is not None)
    records = [part for event in events for part in (*packed(event), log_entry(event) if logged else b"")]
    return [*user_keys(user_id, p)[:4], log_key(p), *ids], records


def log_entry(event: Event) -> bytes:
    """What the log says of an event; when it was recorded is the id of the entry."""
    one = event.interaction
    known = {
        "op": "event",
        "user_id": event.user_id,
        **one._asdict(),
        "event_id": event.event_id,
        "recomm_id": event.recomm_id,
    }
    return _json({name: value for name, value in known.items() if value is not None})


def deletion_entry(user_id: str) -> bytes:
    """What the log says of a user who was forgotten."""
    return _json({"op": "delete", "user_id": user_id})


def merge_entry(target_id: str, source_id: str) -> bytes:
    """What the log says of a user who became a part of another; it stands in the stream of the source."""
    return _json({"op": "merge", "user_id": target_id, "source": source_id})


def _json(document: dict[str, Any]) -> bytes:
    return ENCODER.encode(document).encode()


def packed(event: Event) -> tuple[bytes, bytes, bytes, str]:
    """The first four arguments the script takes for an event: mark, record, item id, flags."""
    one = event.interaction
    record = entry(one)
    mark = record[:8] + record[16:24]
    flags = ("s" if one.kind not in UNSEEN_KINDS else "") + ("h" if one.kind in HIDING_KINDS else "")
    flags += "i" if event.event_id is not None else ""
    # What weighs nothing stays outside: impressions would push out of the history what the user really did.
    return (mark, record, one.item_id.encode(), flags) if one.weight else (mark, b"", b"", flags)
