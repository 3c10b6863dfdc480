"""The catalogue: properties of items, and a text search over them (`index.texts`).

The properties of each item are one JSON object, keys sorted and in ASCII; those of all items lie one behind the other.
"""

import json
import re
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from index import arrays, texts
from index.bitmap import Bitmap
from index.errors import CorruptSnapshot, InvalidEmbeddings
from index.types import JSON, Bytes, Int32, Int64

KEYS = "properties.json"

ASIDE = re.compile(r"(?<=\S)\s*\([^()]*\)\s*$")
"""A bracket at the end of a title, such as the series of a book: (Dune Chronicles #1)."""

REMEMBERED_TITLES = 1 << 16
"""Titles that are kept in memory: some 8 MB."""

_CHECKED_ITEMS = 1 << 16
"""Items whose properties are decoded at a time when all are read."""


@dataclass(frozen=True)
class Catalogue:
    """An open catalogue; safe to share between threads."""

    property_bytes: Bytes
    """The JSON of all items, concatenated in row order."""
    property_starts: Int64
    """(n_items + 1,): where the JSON of each row starts."""
    keys: tuple[str, ...]
    """Names of all properties, ascending."""
    popular: Int32
    """(n_items,): all rows by descending popularity."""
    connection: sqlite3.Connection
    """To the text index."""
    _titles: dict[int, str | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By row, of the first that were asked for: the same few items explain most answers."""

    def properties(self, rows: Iterable[int] | Int32) -> list[dict[str, Any]]:
        """The properties of each row; IndexError for a row that does not exist."""
        return [json.loads(self._stored(int(row))) for row in rows]

    def titles(self, rows: Sequence[int]) -> list[str | None]:
        """What to call items in a sentence: the property title, else name, without an aside in brackets.

        None for one that has neither; IndexError for a row that does not exist.
        """
        return [self._titles[row] if row in self._titles else self._read_title(row) for row in rows]

    def _read_title(self, row: int) -> str | None:
        title = _title(json.loads(self._stored(row)))
        if len(self._titles) < REMEMBERED_TITLES:
            self._titles[row] = title
        return title

    def all_properties(self) -> Iterator[dict[str, Any]]:
        """The properties of all items in row order; ValueError, naming the row, for what is not a JSON object."""
        decode = json.JSONDecoder().raw_decode
        n_items = len(self.popular)
        for first in range(0, n_items, _CHECKED_ITEMS):
            places = self.property_starts[first : first + _CHECKED_ITEMS + 1]
            text = str(self.property_bytes[places[0] : places[-1]].tobytes(), "ascii")
            start = 0
            for row, end in enumerate((places[1:] - places[0]).tolist(), start=first):
                own, stop = decode(text, start)
                if stop != end or not isinstance(own, dict):
                    raise ValueError(f"item row {row} holds {text[start:end][:40]!r}, which is not one JSON object")
                yield own
                start = end

    def search(self, text: str, limit: int, offset: int = 0, within: Bitmap | None = None) -> Int32:
        """The rows whose text holds every word (the last one as a prefix), by popularity; all rows for a blank text.

        With `within` only rows that are in it.
        """
        if limit < 0 or offset < 0:
            raise ValueError(f"limit {limit} and offset {offset} must not be negative")
        limit, offset = min(limit, len(self.popular)), min(offset, len(self.popular))
        if within is None:
            if not text.strip():
                return self.popular[offset : offset + limit]
            return self.popular[texts.search(self.connection, text, limit, offset)]
        if not text.strip():
            return within.first_of(self.popular, offset + limit)[offset:]
        found = (self.popular[places] for places in texts.search_all(self.connection, text))
        chosen = chain.from_iterable(rows[within.has(rows)] for rows in found)
        return np.array(list(islice(chosen, offset, offset + limit)), dtype=np.int32)

    def _stored(self, row: int) -> bytes:
        if not 0 <= row < len(self.popular):
            raise IndexError(f"item row {row} is not in 0..{len(self.popular) - 1}")
        return self.property_bytes[self.property_starts[row] : self.property_starts[row + 1]].tobytes()


def write(directory: Path, properties: Sequence[Mapping[str, JSON]]) -> None:
    """Write all but the text index; InvalidEmbeddings for properties that JSON cannot hold."""
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
    stored: list[str] = []
    try:
        stored.extend(encode(own) if own else "{}" for own in properties)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEmbeddings(f"properties of item row {len(stored)} cannot be stored as JSON: {error}") from error
    starts = np.zeros(len(stored) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, stored), np.int64, len(stored)), out=starts[1:])
    text = "".join(stored).encode("ascii")
    arrays.save(directory, {"property_bytes": np.frombuffer(text, dtype=np.uint8), "property_starts": starts})
    keys = sorted(set(chain.from_iterable(properties)))
    (directory / KEYS).write_text(json.dumps({"keys": keys}, indent=1) + "\n")


def open_catalogue(directory: Path, popular: Int32) -> Catalogue:
    """Open what write and texts.write wrote, read-only and memory-mapped; CorruptSnapshot if it is not that."""
    starts = arrays.load_starts(directory, "property_starts", len(popular))
    stored: Bytes = arrays.load(directory, "property_bytes", np.uint8, length=int(starts[-1]))
    keys = _read_keys(directory / KEYS)
    catalogue = Catalogue(stored, starts, keys, popular, texts.connect(directory))
    weakref.finalize(catalogue, catalogue.connection.close)  # after the last request that uses it
    return catalogue


def check(catalogue: Catalogue, where: Path) -> None:
    """Read everything; CorruptSnapshot naming the first thing that is wrong."""
    try:
        arrays.check_starts(catalogue.property_starts, len(catalogue.property_bytes), "property_starts")
        keys = set(chain.from_iterable(catalogue.all_properties()))
    except (ValueError, RecursionError) as error:
        raise CorruptSnapshot(f"{where / 'property_bytes.npy'}: {error}") from error
    if keys != set(catalogue.keys):
        raise CorruptSnapshot(f"{where / KEYS} lists {list(catalogue.keys)}; the items have {sorted(keys)}")
    texts.check(catalogue.connection, where)


def _title(properties: Mapping[str, JSON]) -> str | None:
    for key in ("title", "name"):
        found = properties.get(key)
        if isinstance(found, str) and found:
            return ASIDE.sub("", found)
    return None


def _read_keys(path: Path) -> tuple[str, ...]:
    try:
        keys = json.loads(path.read_bytes())["keys"]
        in_order = isinstance(keys, list) and all(type(key) is str for key in keys) and sorted(set(keys)) == keys
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptSnapshot(f"{path} cannot be read: {error!r}") from error
    if not in_order:
        raise CorruptSnapshot(f"{path} cannot be read: its keys must be distinct names in ascending order")
    return tuple(keys)
