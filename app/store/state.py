"""What is stored about a user, and its form in Redis: flat records that NumPy reads as they are.

    history   n (u32), n records of 28 bytes, then the n item ids in UTF-8 one behind the other
              record: time f64, weight f64, hash of the item id u64, bytes of the item id u16, kind u8, 0
    seen, hidden, served   records of 16 bytes: time f64, hash of the item id u64; each item once
    steering  JSON, strength or "never" by segment id

All numbers are little-endian, all records oldest first, in the order of arrival where times are equal. An answer needs
no item id of a history but its hash, so nothing is decoded one by one before somebody looks at it.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from index.vocabulary import hash_id

KINDS = ("impression", "view", "click", "cart", "purchase", "like", "rating", "dislike", "hide")
"""By their number in a record: new ones are added at the end, none is ever taken out."""

KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}

ENTRY = struct.Struct("<ddQHBx")
"""Of the history."""

ENTRIES = np.dtype(
    {
        "names": ["time", "weight", "hash", "id_bytes", "kind"],
        "formats": ["<f8", "<f8", "<u8", "<u2", "u1"],
        "offsets": [0, 8, 16, 24, 26],
        "itemsize": ENTRY.size,
    }
)
"""The same for NumPy."""

COUNT = struct.Struct("<I")
"""In front of the history."""

MARK = struct.Struct("<dQ")
"""Of items seen, hidden or served."""

MARKS = np.dtype([("time", "<f8"), ("hash", "<u8")])
"""The same for NumPy."""


class Unreadable(ValueError):  # noqa: N818  (the name says what is the matter)
    """A key in Redis holds what this version did not write; the message names the key's part, never its content."""


class Interaction(NamedTuple):
    """One thing a user did with an item."""

    item_id: str
    kind: str
    weight: float
    """What it says about the user's taste; below 0: the user did not like the item."""
    timestamp: float
    """Unix seconds."""


class History(Sequence[Interaction]):
    """Interactions, newest first: columns at once, and the interactions themselves for who wants to read them."""

    __slots__ = ("_entries", "_ids", "_starts")

    def __init__(self, stored: bytes | None) -> None:
        self._entries, self._ids = split(stored)
        self._starts: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, newest_first: Iterable[Interaction]) -> "History":
        """What holds these interactions; a history as it is."""
        if isinstance(newest_first, History):
            return newest_first
        return cls(join([(entry(one), one.item_id.encode()) for one in reversed(list(newest_first))]))

    @property
    def newest(self) -> float:
        """Unix seconds of the newest; 0 where there is none."""
        return float(self._entries["time"][-1]) if len(self._entries) else 0.0

    @property
    def times(self) -> NDArray[np.float64]:
        """(n,): Unix seconds, newest first, as all columns."""
        return self._column("time", np.float64)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(n,)."""
        return self._column("weight", np.float64)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """(n,): of the item ids."""
        return self._column("hash", np.uint64)

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """(n,): numbers in `KINDS`."""
        return self._column("kind", np.uint8)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, at: int) -> Interaction: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Interaction, ...]: ...
    def __getitem__(self, at: int | slice) -> Interaction | tuple[Interaction, ...]:
        if isinstance(at, slice):
            return tuple(self._read(number) for number in range(len(self))[at])
        return self._read(range(len(self))[at])

    def __iter__(self) -> Iterator[Interaction]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return self[:] == (other[:] if isinstance(other, History) else other)

    def __repr__(self) -> str:
        return f"History of {len(self)} interactions"  # never what they are: it could end up in a log

    def _column(self, name: str, dtype: type[np.generic]) -> NDArray[Any]:
        return self._entries[name][::-1].astype(dtype)

    def _read(self, number: int) -> Interaction:
        if self._starts is None:
            self._starts = np.cumsum(self._entries["id_bytes"], dtype=np.int64)
        at = len(self) - 1 - number
        time, weight, _, n_bytes, kind = self._entries[at].item()
        end = int(self._starts[at])
        if kind >= len(KINDS):
            raise Unreadable("history names a kind that this version does not know")
        return Interaction(str(self._ids[end - n_bytes : end], "utf-8"), KINDS[kind], weight, time)


class Marks(NamedTuple):
    """Items, each with the time of a mark; oldest first."""

    hashes: NDArray[np.uint64]
    """(n,): of item ids, each once."""
    times: NDArray[np.float64]
    """(n,): Unix seconds."""


Steering = Mapping[str, float | Literal["never"]]
"""By segment id: how much more (up to 1) or less (down to -1) of it, or "never"."""

MAX_STEERED = 100
"""Segments that one request, or one user, may steer."""

UNSTEERED: Steering = MappingProxyType({})

NO_HASHES: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

NOTHING_SERVED = Marks(NO_HASHES, np.empty(0, dtype=np.float64))


class UserState(NamedTuple):
    """All that an answer needs of what is stored about a user."""

    history: Sequence[Interaction]
    """Newest first, weights are not 0. The store gives a `History`."""
    seen: NDArray[np.uint64]
    """Hashes of item ids, oldest first."""
    hidden: NDArray[np.uint64]
    """Hashes of item ids, oldest first."""
    steering: Steering = UNSTEERED
    """What the user asked for more or less of."""
    served: Marks = NOTHING_SERVED
    """What was returned to the user lately, and when; only where it was asked for."""

    @property
    def empty(self) -> bool:
        """True where nothing is stored."""
        return not (len(self.history) or len(self.seen) or len(self.hidden) or self.steering)


def entry(one: Interaction) -> bytes:
    """The record of an interaction, without its item id."""
    n_bytes = len(one.item_id.encode())
    return ENTRY.pack(one.timestamp, one.weight, hash_id(one.item_id), n_bytes, KIND_NUMBERS[one.kind])


def join(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A history of records and item ids, oldest first."""
    return b"".join([COUNT.pack(len(records)), *(one for one, _ in records), *(item_id for _, item_id in records)])


def split(stored: bytes | None) -> tuple[NDArray[Any], bytes]:
    """Records and item ids of a history; Unreadable where they do not fit together."""
    if not stored:
        return np.empty(0, dtype=ENTRIES), b""
    try:
        (n,) = COUNT.unpack_from(stored)
        entries = np.frombuffer(stored, dtype=ENTRIES, count=n, offset=COUNT.size) if n else np.empty(0, dtype=ENTRIES)
    except (struct.error, ValueError) as error:
        raise Unreadable("history is not what this version writes") from error
    return entries, stored[COUNT.size + n * ENTRY.size :]


def marks(stored: bytes | None) -> NDArray[Any]:
    """Records of seen, hidden or served, of type `MARKS`; Unreadable where it is no whole number of them."""
    if not stored:
        return np.empty(0, dtype=MARKS)
    try:
        return np.frombuffer(stored, dtype=MARKS)
    except ValueError as error:
        raise Unreadable("marks of items are not what this version writes") from error


def hashes(stored: bytes | None) -> NDArray[np.uint64]:
    """Of the items in `seen` or `hidden`."""
    return marks(stored)["hash"].astype(np.uint64) if stored else NO_HASHES


def read_marks(stored: bytes | None) -> Marks:
    """With the times."""
    found = marks(stored)
    return Marks(found["hash"].astype(np.uint64), found["time"].astype(np.float64))


def read_steering(stored: bytes | None) -> Steering:
    """Of JSON; Unreadable where it is none."""
    if not stored:
        return UNSTEERED
    try:
        found: Steering = json.loads(stored)
    except ValueError as error:
        raise Unreadable("steering is not what this version writes") from error
    return found


def write_steering(steering: Steering) -> bytes:
    """As JSON; nothing where it is empty."""
    return json.dumps(dict(steering), separators=(",", ":"), sort_keys=True).encode() if steering else b""
