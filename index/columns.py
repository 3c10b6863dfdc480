"""Columns of properties: what the items are filtered by, one column a key, memory-mapped.

The distinct values of a column ascend (texts by code point, which is the order of their UTF-8 bytes; numbers; times as
Unix seconds; false before true), so a value has a code, its place among them, and a range of values is a run of codes.
Where no item has more than one value, `codes` holds one code an item, n_values where it has none; else the codes of
item i, ascending, are codes[starts[i]:starts[i + 1]]. `index.coding` makes columns of the properties.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from index import arrays
from index.bitmap import Bitmap
from index.errors import CorruptSnapshot
from index.types import Array, Bytes, Int32, Int64

FILE_NAME = "columns.json"

Kind: TypeAlias = Literal["text", "number", "time", "boolean"]
Float64: TypeAlias = NDArray[np.float64]
Run: TypeAlias = tuple[int, int]
"""Codes first..last-1, as (first, last); none where last is not above first."""

MAX_WHOLE = 2**53
"""Up to here a 64-bit float holds every whole number."""

RECENT = 0.05
"""Part of the values of a column that counts as recent."""
ENTITY_ITEMS = 1.2, 50.0
"""Items that share a value on average, where the value names an author, a brand or the like."""

_SIDES: Mapping[str, Literal["left", "right"]] = {"gt": "right", "gte": "left", "lt": "left", "lte": "right"}
_COMPARED_RUNS = 8
"""Up to so many runs are compared with the codes one by one; above, a table of all codes is faster (measured)."""
_SPARSE = 64
"""Below one hit in so many items, their owners are searched for; above, counted through (measured)."""


@dataclass(frozen=True)
class Texts:
    """Distinct texts in UTF-8, ascending; lone surrogates are encoded as if they were characters."""

    text_bytes: Bytes
    """All texts, one behind the other."""
    text_starts: Int64
    """(n + 1,): where each starts."""

    def __len__(self) -> int:
        return len(self.text_starts) - 1

    def place(self, text: str) -> int | None:
        """The place of a text among them, by binary search."""
        wanted = text.encode("utf-8", "surrogatepass")
        found = bisect_left(range(len(self)), wanted, key=self._raw)
        return found if found < len(self) and self._raw(found) == wanted else None

    def text(self, place: int) -> str:
        """The text in a place."""
        return self._raw(place).decode("utf-8", "surrogatepass")

    def _raw(self, place: int) -> bytes:
        return self.text_bytes[self.text_starts[place] : self.text_starts[place + 1]].tobytes()


@dataclass(frozen=True)
class Numbers:
    """Distinct numbers, ascending: numbers as they are, times as Unix seconds, booleans as 0 and 1."""

    numbers: Float64
    """(n,)"""

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, number: float) -> int | None:
        """The place of a number among them."""
        found = int(np.searchsorted(self.numbers, number))
        return found if found < len(self) and self.numbers[found] == number else None

    def run(self, bounds: Mapping[str, float]) -> Run:
        """The places of the numbers that keep all bounds: of gt, gte, lt and lte those that are given."""
        places = {name: int(np.searchsorted(self.numbers, bounds[name], _SIDES[name])) for name in bounds}
        first = max((places[name] for name in ("gt", "gte") if name in places), default=0)
        last = min((places[name] for name in ("lt", "lte") if name in places), default=len(self))
        return first, last


@dataclass(frozen=True)
class Column:
    """The values of one property."""

    key: str
    """Name of the property."""
    kind: Kind
    """What its values are."""
    n_present: int
    """How many items have a value."""
    values: Texts | Numbers
    """The distinct ones, ascending; the place of a value among them is its code."""
    codes: Array
    """uint8, uint16 or uint32, see `code_type`."""
    starts: Int64 | None
    """(n_items + 1,): where the codes of each item start; None where no item has more than one value."""

    @property
    def n_values(self) -> int:
        """How many distinct values there are."""
        return len(self.values)

    @cached_property
    def recent(self) -> float:
        """Of numbers: from this one on lies the last twentieth of all values that items have."""
        if not isinstance(self.values, Numbers):
            raise TypeError(f"{self.key} is no column of numbers")
        counts = np.bincount(self.codes[np.less(self.codes, self.n_values)], minlength=self.n_values)
        from_above = np.cumsum(counts[::-1])
        n_recent = max(int(np.count_nonzero(from_above <= RECENT * from_above[-1])), 1)
        return float(self.values.numbers[-n_recent])

    @property
    def n_elements(self) -> int:
        """How many values all items have together."""
        return self.n_present if self.starts is None else len(self.codes)

    def having(self, runs: Sequence[Run]) -> Bitmap:
        """The items that have a value with one of these codes; runs do not overlap."""
        mask = self._mask(runs)
        return Bitmap.from_mask(mask if self.starts is None else _any_of_each(mask, self.starts))

    def elements(self, items: Int32) -> tuple[Int64, Array]:
        """The values of some items, which exist: the place of the owner among `items`, ascending, and the code."""
        if self.starts is None:
            codes = self.codes[items]
            owners = np.flatnonzero(codes < self.n_values)
            return owners, codes[owners]
        first = self.starts[items]
        counts = self.starts[items.astype(np.int64) + 1] - first
        return np.repeat(np.arange(len(items)), counts), self.codes[arrays.ranges(first, counts)]

    def _mask(self, runs: Sequence[Run]) -> NDArray[np.bool_]:
        if len(runs) > _COMPARED_RUNS:
            table = np.zeros(self.n_values + 1, dtype=np.bool_)
            for first, last in runs:
                table[first:last] = True
            return table.take(self.codes)
        mask = np.zeros(len(self.codes), dtype=np.bool_)
        for first, last in runs:
            mask |= self.codes == first if last == first + 1 else (self.codes >= first) & (self.codes < last)
        return mask


@dataclass(frozen=True)
class Columns:
    """What can be filtered by, and what cannot."""

    n_items: int
    """Number of items."""
    by_key: Mapping[str, Column]
    """The columns, keys ascending."""
    unfilterable: Mapping[str, str]
    """Why a property has no column, by key, ascending."""

    def of_kinds(self, *kinds: Kind) -> tuple[str, ...]:
        """Keys of the columns that hold values of these kinds, ascending."""
        return tuple(one.key for one in self.by_key.values() if one.kind in kinds)

    @cached_property
    def entities(self) -> tuple[str, ...]:
        """Keys of texts that a few items share, such as authors or brands: a value has 1.2 to 50 items on average."""
        least, most = ENTITY_ITEMS
        texts = (column for column in self.by_key.values() if column.kind == "text")
        return tuple(one.key for one in texts if least <= one.n_elements / one.n_values <= most)


def code_type(n_values: int) -> type[np.generic]:
    """The narrowest unsigned type that holds 0..n_values."""
    return np.uint8 if n_values <= 0xFF else np.uint16 if n_values <= 0xFFFF else np.uint32


def holds(number: float) -> bool:
    """Whether a column can hold a number as it is: it is finite, and not a whole number beyond +-2^53."""
    return abs(number) <= MAX_WHOLE if isinstance(number, int) else math.isfinite(number)


def to_arrays(columns: Columns) -> dict[str, Array]:
    """The arrays by file name, without suffix."""
    named: dict[str, Array] = {}
    for number, column in enumerate(columns.by_key.values()):
        named[f"column_{number}_codes"] = column.codes
        if column.starts is not None:
            named[f"column_{number}_starts"] = column.starts
        if isinstance(column.values, Texts):
            named[f"column_{number}_text_bytes"] = column.values.text_bytes
            named[f"column_{number}_text_starts"] = column.values.text_starts
        else:
            named[f"column_{number}_values"] = column.values.numbers
    return named


def to_json(columns: Columns) -> dict[str, Any]:
    """What is not arrays, as the snapshot stores it in columns.json."""
    described = [
        {
            "key": column.key,
            "kind": column.kind,
            "multiple": column.starts is not None,
            "n_present": column.n_present,
            "n_values": column.n_values,
        }
        for column in columns.by_key.values()
    ]
    return {"columns": described, "unfilterable": dict(columns.unfilterable)}


def save(directory: Path, columns: Columns) -> None:
    """Write columns.json and the arrays."""
    arrays.save(directory, to_arrays(columns))
    document = json.dumps(to_json(columns), indent=1, sort_keys=True, allow_nan=False)
    (directory / FILE_NAME).write_text(document + "\n")


def load(directory: Path, n_items: int) -> Columns:
    """Memory-map what `save` wrote, in time that the number of columns decides; CorruptSnapshot if it does not fit."""
    path = directory / FILE_NAME
    try:
        described, unfilterable = _from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptSnapshot(f"{path} cannot be read: {error!r}") from error
    opened = (_load(directory, number, each, n_items) for number, each in enumerate(described))
    return Columns(n_items, {column.key: column for column in opened}, unfilterable)


@dataclass(frozen=True)
class _Described:
    """A column as columns.json tells of it."""

    key: str
    kind: Kind
    multiple: bool
    n_present: int
    n_values: int


def _from_json(document: Mapping[str, Any]) -> tuple[list[_Described], dict[str, str]]:
    described = [_Described(**each) for each in document["columns"]]
    for each in described:
        whole = all(type(number) is int and number > 0 for number in (each.n_present, each.n_values))
        texts = type(each.key) is str and each.kind in get_args(Kind)
        if not whole or not texts or type(each.multiple) is not bool:
            raise ValueError(f"{each} is not a column")
    if len({each.key for each in described}) != len(described):
        raise ValueError("a key has two columns")
    return described, {str(key): str(reason) for key, reason in document["unfilterable"].items()}


def _load(directory: Path, number: int, described: _Described, n_items: int) -> Column:
    n_values, name = described.n_values, f"column_{number}"
    starts = arrays.load_starts(directory, f"{name}_starts", n_items) if described.multiple else None
    n_codes = n_items if starts is None else int(starts[-1])
    return Column(
        key=described.key,
        kind=described.kind,
        n_present=described.n_present,
        values=_load_values(directory, name, described),
        codes=arrays.load(directory, f"{name}_codes", code_type(n_values), length=n_codes),
        starts=starts,
    )


def _load_values(directory: Path, name: str, described: _Described) -> Texts | Numbers:
    if described.kind != "text":
        return Numbers(arrays.load(directory, f"{name}_values", np.float64, length=described.n_values))
    starts = arrays.load_starts(directory, f"{name}_text_starts", described.n_values)
    return Texts(arrays.load(directory, f"{name}_text_bytes", np.uint8, length=int(starts[-1])), starts)


def _any_of_each(mask: NDArray[np.bool_], starts: Int64) -> NDArray[np.bool_]:
    """Whether any of mask[starts[i]:starts[i + 1]] is true, for each i."""
    hits = np.flatnonzero(mask)
    found = np.zeros(len(starts) - 1, dtype=np.bool_)
    if len(hits) * _SPARSE < len(starts):
        found[np.searchsorted(starts, hits, "right") - 1] = True
        return found
    before = np.zeros(len(mask) + 1, dtype=np.int32)
    np.cumsum(mask, out=before[1:])
    through = before[starts]
    return np.not_equal(through[1:], through[:-1], out=found)
