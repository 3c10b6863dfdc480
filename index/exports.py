"""Recommendations for many users at once, from a file of users to a file of items.

Both are JSON Lines, one user a line, in the same order:

    {"user_id": "u1", "history": ["b1", {"item_id": "b2", "weight": 0.5}], "exclude_ids": ["b3"]}
    {"user_id": "u1", "items": [{"item_id": "b7", "score": 1.25}, ...]}                                    best first

A weight is 1 where none is given. As in /v1/recommend only items with a score above 0 are answered; a user without any
known item gets an empty list.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from index import disk, query
from index.bitmap import Bitmap
from index.errors import InvalidUsers
from index.reference import Hits
from index.snapshot import Snapshot
from index.types import JSON, Float32, Int32

MAX_WEIGHT = 100.0
"""Of an item of the history, either way, as on the wire: no sum of them overflows."""

_BATCH_USERS = 256
_BATCH_VALUES = 1 << 24
"""Of the queries of a batch, where there are so many dimensions that this bounds it."""


@dataclass(frozen=True)
class User:
    """One line of the file of users."""

    user_id: str
    """Named in the answer, nothing else."""
    history: tuple[tuple[str, float], ...]
    """Item ids and weights."""
    exclude_ids: tuple[str, ...]
    """Items that must not be in the answer."""


@dataclass(frozen=True)
class Wish:
    """What every user is answered."""

    count: int
    """Items, at most."""
    include_history: bool
    """Whether items of the history may be answered."""
    within: Bitmap | None
    """The items that may be answered; None: all."""


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    n_users: int
    """Answers written."""
    n_unknown_items: int
    """Entries of histories whose item is not in the snapshot; they were skipped."""
    n_empty: int
    """Users with an empty list: nothing of the history is known, or nothing passes."""


def read_users(path: Path, advance: Callable[[int], object] = lambda _: None) -> Iterator[User]:
    """The users of a file, one at a time; InvalidUsers naming file, line and reason for a line that is no user.

    Blank lines are passed over. `advance` is told the number of bytes read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            advance(len(line))
            if line.strip():
                try:
                    yield _user(json.loads(line, parse_constant=_refuse_constant))
                except (ValueError, RecursionError) as error:
                    raise InvalidUsers(f"{path}:{number}: {error}") from error


def export(
    opened: Snapshot, users: Path, out: Path, wish: Wish, advance: Callable[[int], object] = lambda _: None
) -> Exported:
    """Write the answer to each user to `out`, all answers or nothing; `advance` is told the number of users done."""
    tally = {"n_users": 0, "n_unknown_items": 0, "n_empty": 0}

    def write(file: BinaryIO) -> None:
        for batch in _batches(read_users(users), opened.embeddings.n_dims):
            histories = [opened.items.rows([item_id for item_id, _ in user.history]) for user in batch]
            for user, history, hits in zip(batch, histories, _answers(opened, batch, histories, wish), strict=True):
                file.write(_line(opened, user, hits))
                tally["n_users"] += 1
                tally["n_unknown_items"] += int(np.count_nonzero(history < 0))
                tally["n_empty"] += not len(hits.items)
            advance(len(batch))

    disk.replace(out, write)
    return Exported(**tally)


def _batches(users: Iterator[User], n_dims: int) -> Iterator[list[User]]:
    size = max(min(_BATCH_USERS, _BATCH_VALUES // n_dims), 1)
    while batch := list(islice(users, size)):
        yield batch


def _answers(opened: Snapshot, users: Sequence[User], histories: Sequence[Int32], wish: Wish) -> list[Hits]:
    """The answers to some users, whose histories are given as rows; -1 is an unknown item."""
    queries = np.stack([_query(opened, *pair) for pair in zip(users, histories, strict=True)])
    exclude = [_excluded(opened, *pair, wish) for pair in zip(users, histories, strict=True)]
    found = opened.searcher.batch(queries, wish.count, exclude=exclude, within=wish.within)
    n_good = [int(np.count_nonzero(hits.scores > 0)) for hits in found]
    return [Hits(hits.items[:n], hits.scores[:n]) for hits, n in zip(found, n_good, strict=True)]


def _query(opened: Snapshot, user: User, history: Int32) -> Float32:
    weights = np.array([weight for _, weight in user.history], dtype=np.float32)
    return query.encode(opened.embeddings, history[history >= 0], weights[history >= 0])


def _excluded(opened: Snapshot, user: User, history: Int32, wish: Wish) -> Int32:
    rows = opened.items.rows(user.exclude_ids)
    rows = rows if wish.include_history else np.concatenate([rows, history])
    return rows[rows >= 0]


def _line(opened: Snapshot, user: User, hits: Hits) -> bytes:
    pairs = zip(opened.items.item_ids(hits.items), hits.scores.tolist(), strict=True)
    items = [{"item_id": item_id, "score": score} for item_id, score in pairs]
    return (json.dumps({"user_id": user.user_id, "items": items}) + "\n").encode()


def _user(given: JSON) -> User:
    """InvalidUsers saying what a user must be."""
    fields = _fields("a user", given, {"user_id", "history", "exclude_ids"}, {"user_id", "history"})
    excluded = _list("exclude_ids", fields.get("exclude_ids", []))
    return User(
        user_id=_text("user_id", fields["user_id"]),
        history=tuple(map(_entry, _list("history", fields["history"]))),
        exclude_ids=tuple(_text("an id of exclude_ids", each) for each in excluded),
    )


def _entry(given: JSON) -> tuple[str, float]:
    if isinstance(given, str):
        return _text("item_id", given), 1.0
    fields = _fields("an entry of the history", given, {"item_id", "weight"}, {"item_id"})
    weight = fields.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= MAX_WEIGHT:
        raise InvalidUsers(f"weight is {_shown(weight)}; must be a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}")
    return _text("item_id", fields["item_id"]), float(weight)


def _fields(what: str, given: JSON, known: set[str], needed: set[str]) -> Mapping[str, JSON]:
    if not isinstance(given, Mapping):
        raise InvalidUsers(f"{_shown(given)} is not {what}: that is an object of {', '.join(sorted(known))}")
    for name in sorted(needed - given.keys()):
        raise InvalidUsers(f"{what} has no {name}")
    for name in sorted(given.keys() - known):
        raise InvalidUsers(f"{what} has {_shown(name)}; known are {', '.join(sorted(known))}")
    return given


def _list(what: str, given: JSON) -> list[JSON]:
    if not isinstance(given, list):
        raise InvalidUsers(f"{what} is {_shown(given)}; must be a list")
    return given


def _text(what: str, given: JSON) -> str:
    if not isinstance(given, str) or not given:
        raise InvalidUsers(f"{what} is {_shown(given)}; must be a text that is not empty")
    return given


def _shown(given: JSON) -> str:
    text = json.dumps(given)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidUsers(f"{name} is not a JSON value")
