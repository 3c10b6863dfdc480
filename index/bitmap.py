"""A set of item rows as bits: what a filter compiles to, and what search restricts itself to.

Row r is bit r % 64 of word r // 64, bit 0 the lowest; bits beyond the last row are 0.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.types import Int32, UInt64

_WORD_BITS = 64
_WORD_SHIFT = 6
_LOOK = 1024  # rows that first_of looks at to begin with


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A set of the rows 0..n_items-1; ValueError where words and n_items do not fit together."""

    words: UInt64
    """(ceil(n_items / 64),), read-only."""
    n_items: int
    """How many rows there are to choose from."""
    count: int = field(init=False)
    """How many are chosen."""

    def __post_init__(self) -> None:
        if self.words.dtype != np.uint64 or self.words.shape != (n_words(self.n_items),):
            found = f"{self.words.dtype} of {self.words.shape}"
            raise ValueError(f"words are {found}; {self.n_items} rows need uint64 of ({n_words(self.n_items)},)")
        if len(self.words) and self.words[-1] & ~_last_word(self.n_items):
            raise ValueError(f"words have bits beyond the last of {self.n_items} rows")
        words = np.ascontiguousarray(self.words).view()
        words.flags.writeable = False
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "count", int(np.bitwise_count(words).sum()))

    @classmethod
    def full(cls, n_items: int) -> Self:
        """Every row."""
        return ~cls(np.zeros(n_words(n_items), dtype=np.uint64), n_items)

    @classmethod
    def from_rows(cls, rows: Int32, n_items: int) -> Self:
        """These rows, in any order, repeats allowed; ValueError for a row outside 0..n_items-1."""
        if len(rows) and (rows.min() < 0 or rows.max() >= n_items):
            raise ValueError(
                f"item rows {rows.min()}..{rows.max()} given, of 0..{n_items - 1}: leave out unknown items"
            )
        mask = np.zeros(n_items, dtype=np.bool_)
        mask[rows] = True
        return cls.from_mask(mask)

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> Self:
        """The rows where `mask` of (n_items,) is true."""
        packed = np.zeros(n_words(len(mask)) * 8, dtype=np.uint8)
        bits = np.packbits(mask, bitorder="little")
        packed[: len(bits)] = bits
        return cls(packed.view("<u8"), len(mask))

    def rows(self) -> Int32:
        """The rows, ascending, (count,)."""
        return np.flatnonzero(self.mask()).astype(np.int32)

    def mask(self) -> NDArray[np.bool_]:
        """Whether each row is chosen, (n_items,)."""
        return np.unpackbits(self.words.view(np.uint8), count=self.n_items, bitorder="little").view(np.bool_)

    def has(self, rows: Int32) -> NDArray[np.bool_]:
        """Whether each of these rows, which exist, is chosen, (len(rows),)."""
        bits: UInt64 = self.words[rows >> _WORD_SHIFT] >> (rows & (_WORD_BITS - 1)).astype(np.uint64)
        return (bits & np.uint64(1)).astype(np.bool_)

    def first_of(self, rows: Int32, n: int) -> Int32:
        """The first n of these rows, in their order, that are chosen; looks no further than it needs to."""
        found: list[Int32] = []
        n_found = start = 0
        size = max(_LOOK, 2 * n)
        while n_found < n and start < len(rows):
            ahead = rows[start : start + size]
            found.append(ahead[self.has(ahead)])
            n_found += len(found[-1])
            start += size
            size *= 2
        return np.concatenate([rows[:0], *found])[:n]

    def __contains__(self, row: int) -> bool:
        return 0 <= row < self.n_items and bool(int(self.words[row // _WORD_BITS]) >> row % _WORD_BITS & 1)

    def __and__(self, other: Self) -> Self:
        return type(self)(self.words & self._words_of(other), self.n_items)

    def __or__(self, other: Self) -> Self:
        return type(self)(self.words | self._words_of(other), self.n_items)

    def __invert__(self) -> Self:
        words = ~self.words
        if len(words):
            words[-1] &= _last_word(self.n_items)
        return type(self)(words, self.n_items)

    def _words_of(self, other: Self) -> UInt64:
        if other.n_items != self.n_items:
            raise ValueError(f"bitmaps of {self.n_items} and of {other.n_items} rows do not go together")
        return other.words


def n_words(n_items: int) -> int:
    """How many words hold a bit for each of n_items rows."""
    return -(-n_items // _WORD_BITS)


def _last_word(n_items: int) -> np.uint64:
    """The bits of the last word that stand for a row."""
    return np.uint64((1 << ((n_items - 1) % _WORD_BITS + 1)) - 1)
