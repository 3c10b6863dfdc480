"""Item ids <-> row numbers, without a Python object per item: four flat arrays that can be memory-mapped.

The UTF-8 bytes of all ids lie one behind the other; a lookup is a binary search among their sorted 64-bit hashes
(BLAKE2b), confirmed by comparing the bytes, so a collision of hashes costs one more comparison and never an answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from index import arrays
from index._kernel import rows_of_keys, texts_of
from index.errors import InvalidEmbeddings
from index.types import Array, Bytes, Int32, Int64, UInt64

MAX_ID_BYTES = 256
"""Of an id in UTF-8: here, on the wire and in training data."""


def hash_id(item_id: str) -> int:
    """Hash an id to 64 unsigned bits, the same on every machine: what Redis stores of seen items."""
    # surrogatepass: a malformed id may be looked up, and is then simply unknown
    return int.from_bytes(blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Vocabulary:
    """The ids of n items in row order; arrays are read-only."""

    id_bytes: Bytes
    """UTF-8 of every id, concatenated in row order."""
    id_starts: Int64
    """(n + 1,): where the id of each row starts in id_bytes."""
    sorted_hashes: UInt64
    """(n,): hash_id of every id, ascending."""
    hash_rows: Int32
    """(n,): the row that each of sorted_hashes belongs to."""

    @classmethod
    def build(cls, ids: Sequence[str]) -> Self:
        """Number the ids 0..n-1 in the given order; ValueError for an id that is repeated, empty or too long."""
        encoded = [_encoded(row, item_id) for row, item_id in enumerate(ids)]
        starts = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(raw) for raw in encoded], out=starts[1:])
        hashes = np.fromiter(map(hash_id, ids), dtype=np.uint64, count=len(encoded))
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        _refuse_repeats(ids, hashes[order], order)
        id_bytes = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        built = (id_bytes, starts, hashes[order], order)
        for array in built:
            array.flags.writeable = False
        return cls(*built)

    def __len__(self) -> int:
        return len(self.hash_rows)

    def item_id(self, row: int) -> str:
        """The id of a row; IndexError outside 0..n-1."""
        if not 0 <= row < len(self):
            raise IndexError(f"item row {row} is not in 0..{len(self) - 1}")
        return str(self._raw(row), "utf-8")

    def item_ids(self, rows: Iterable[int] | Int32) -> list[str]:
        """The ids of several rows; IndexError where one is outside 0..n-1."""
        places = rows if isinstance(rows, np.ndarray) else list(rows)
        return texts_of(self.id_bytes, self.id_starts, np.ascontiguousarray(places, dtype=np.int32))

    def row(self, item_id: str) -> int | None:
        """The row of an id, None if it is not here."""
        found = int(self.rows([item_id])[0])
        return None if found < 0 else found

    def rows(self, item_ids: Sequence[str]) -> Int32:
        """The row of each id, (len(item_ids),); -1 where it is not here."""
        hashes = np.fromiter(map(hash_id, item_ids), dtype=np.uint64, count=len(item_ids))
        places = np.searchsorted(self.sorted_hashes, hashes)
        found = [self._confirm(*pair) for pair in zip(item_ids, hashes.tolist(), places.tolist(), strict=True)]
        return np.array(found, dtype=np.int32)

    def rows_of_hashes(self, hashes: UInt64) -> Int32:
        """The rows that have one of these hashes, ascending; unknown hashes are left out."""
        rows = self.all_of_each(hashes)
        return arrays.distinct(rows[rows >= 0])

    def all_of_each(self, hashes: UInt64) -> Int32:
        """The rows that have one of these hashes, in no order, perhaps several times, and -1 for unknown ones."""
        if not self._collide:
            return self.row_of_each(hashes)
        first = np.searchsorted(self.sorted_hashes, hashes, side="left")
        counts = np.searchsorted(self.sorted_hashes, hashes, side="right") - first
        # ids whose hashes collide share one hash: all of them are meant
        return self.hash_rows[arrays.ranges(first, counts)]

    def row_of_each(self, hashes: UInt64) -> Int32:
        """A row that has each hash, (len(hashes),); -1 where none has."""
        return rows_of_keys(self.sorted_hashes, self.hash_rows, hashes)

    @cached_property
    def _collide(self) -> bool:
        """Whether two ids have the same hash, which nobody has seen yet."""
        return bool((self.sorted_hashes[1:] == self.sorted_hashes[:-1]).any())

    def _raw(self, row: int) -> bytes:
        return self.id_bytes[self.id_starts[row] : self.id_starts[row + 1]].tobytes()

    def _confirm(self, item_id: str, hashed: int, place: int) -> int:
        wanted = item_id.encode("utf-8", "surrogatepass")
        while place < len(self) and int(self.sorted_hashes[place]) == hashed:
            row = int(self.hash_rows[place])
            if self._raw(row) == wanted:
                return row
            place += 1
        return -1


def check(items: Vocabulary) -> None:
    """Refuse a vocabulary whose lookups would go wrong with InvalidEmbeddings; hashes every id."""
    arrays.check_starts(items.id_starts, len(items.id_bytes), "item_id_starts")
    try:
        raw = items.id_bytes.tobytes()
        built = Vocabulary.build([str(raw[start:end], "utf-8") for start, end in pairwise(items.id_starts.tolist())])
    except ValueError as error:
        raise InvalidEmbeddings(f"item ids: {error}") from error
    for name in ("sorted_hashes", "hash_rows"):
        if not np.array_equal(getattr(items, name), getattr(built, name)):
            raise InvalidEmbeddings(f"item ids: {name} does not belong to these ids")


def to_arrays(items: Vocabulary) -> dict[str, Array]:
    """The arrays by file name, without suffix."""
    return {
        "item_id_bytes": items.id_bytes,
        "item_id_starts": items.id_starts,
        "item_sorted_hashes": items.sorted_hashes,
        "item_hash_rows": items.hash_rows,
    }


def from_arrays(directory: Path, n_items: int) -> Vocabulary:
    """Memory-map what to_arrays named; CorruptSnapshot unless the arrays fit together (checked in O(1))."""
    starts = arrays.load_starts(directory, "item_id_starts", n_items)
    return Vocabulary(
        id_bytes=arrays.load(directory, "item_id_bytes", np.uint8, length=int(starts[-1])),
        id_starts=starts,
        sorted_hashes=arrays.load(directory, "item_sorted_hashes", np.uint64, length=n_items),
        hash_rows=arrays.load(directory, "item_hash_rows", np.int32, length=n_items),
    )


def _encoded(row: int, item_id: str) -> bytes:
    try:
        raw = item_id.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"id {item_id!r} (row {row}) is not valid Unicode text") from error
    if not 1 <= len(raw) <= MAX_ID_BYTES:
        raise ValueError(f"id {item_id[:40]!r} (row {row}) has {len(raw)} bytes; 1 to {MAX_ID_BYTES} are allowed")
    return raw


def _refuse_repeats(ids: Sequence[str], hashes: UInt64, rows: Int32) -> None:
    """Equal ids have equal hashes, so only runs of equal hashes need a look."""
    runs = np.flatnonzero(hashes[1:] == hashes[:-1])
    near = sorted({int(place) for run in runs for place in (run, run + 1)})
    by_id = sorted((ids[rows[place]], int(rows[place])) for place in near)
    for (one, first), (other, second) in pairwise(by_id):
        if one == other:
            raise ValueError(f"id {one!r} is given twice, in rows {first} and {second}; ids must be unique")
