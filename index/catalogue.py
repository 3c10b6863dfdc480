"""The catalogue: properties of items and a text search over them, in one read-only SQLite file.

Table `items` holds each row's properties as JSON. The full-text index numbers its documents by popularity, so that
matches come out most popular first without sorting, however many there are.
"""

import json
import re
import sqlite3
import unicodedata
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from index.errors import CorruptSnapshot, InvalidEmbeddings
from index.types import JSON, Int32

FILE_NAME = "catalogue.sqlite"
MAX_WORDS = 32
"""Words of a search text that count; those beyond are ignored."""

_SCHEMA = """
CREATE TABLE items (row INTEGER PRIMARY KEY, properties TEXT NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE texts USING fts5 (
    text, content = '', columnsize = 0, prefix = '1 2 3', tokenize = "unicode61 remove_diacritics 2"
);
"""


@dataclass(frozen=True)
class Catalogue:
    """An open catalogue; safe to share between threads."""

    connection: sqlite3.Connection
    """Opened immutable."""
    popular: Int32
    """(n_items,): all rows by descending popularity."""
    keys: tuple[str, ...]
    """Names of all properties, ascending."""

    def properties(self, rows: Iterable[int] | Int32) -> list[dict[str, Any]]:
        """The properties of each row; IndexError for a row that does not exist."""
        return [json.loads(self._stored(int(row))) for row in rows]

    def search(self, text: str, limit: int, offset: int = 0) -> Int32:
        """The rows whose text holds every word (the last one as a prefix), by popularity; all rows for a blank text."""
        if limit < 0 or offset < 0:
            raise ValueError(f"limit {limit} and offset {offset} must not be negative")
        if not text.strip():
            return self.popular[offset : offset + limit]
        wanted = _match(text)
        if not wanted:
            return self.popular[:0]
        window = (min(limit, len(self.popular)), min(offset, len(self.popular)))
        found = self.connection.execute(
            "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid LIMIT ? OFFSET ?", (wanted, *window)
        )
        return self.popular[[rank - 1 for (rank,) in found]]

    def digest(self) -> str:
        """SHA-256 of what is stored, in row order: unlike the bytes of the file, the same under every SQLite."""
        stored = self.connection.execute("SELECT row, properties FROM items ORDER BY row")
        hashed = sha256()
        for row, properties in stored:
            hashed.update(f"{row} {properties}\n".encode())
        return hashed.hexdigest()

    def _stored(self, row: int) -> str:
        found = self.connection.execute("SELECT properties FROM items WHERE row = ?", (row,)).fetchone()
        if found is None:
            raise IndexError(f"item row {row} is not in 0..{len(self.popular) - 1}")
        return str(found[0])


def write(directory: Path, properties: Sequence[Mapping[str, JSON]], popular: Int32) -> None:
    """Write the catalogue of all items; equal input gives equal bytes under one version of SQLite."""
    connection = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    try:
        # a crash leaves a temporary directory that the next writer removes: no journal, one fsync at the end
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; " + _SCHEMA + "BEGIN;")
        rows = ((row, _dumped(row, own)) for row, own in enumerate(properties))
        connection.executemany("INSERT INTO items VALUES (?, ?)", rows)
        texts = ((rank, _text(properties[row])) for rank, row in enumerate(popular.tolist(), start=1))
        connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", texts)
        keys = sorted(set(chain.from_iterable(properties)))
        connection.execute("INSERT INTO facts VALUES ('keys', ?)", (json.dumps(keys),))
        connection.execute("INSERT INTO texts (texts) VALUES ('optimize')")
        connection.execute("COMMIT")
    finally:
        connection.close()


def open_catalogue(directory: Path, popular: Int32) -> Catalogue:
    """Open what write wrote, read-only and memory-mapped; CorruptSnapshot if it is not that."""
    path = (directory / FILE_NAME).resolve()
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        try:
            keys, last_row = _facts(connection, path.stat().st_size)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptSnapshot(f"{path} cannot be read as a catalogue: {error}") from error
    catalogue = Catalogue(connection, popular, keys)
    weakref.finalize(catalogue, connection.close)  # after the last request that uses it
    if last_row != len(popular) - 1:
        raise CorruptSnapshot(f"{path} ends with row {last_row}; expected {len(popular) - 1}")
    return catalogue


def check(catalogue: Catalogue, where: Path) -> None:
    """Read everything; CorruptSnapshot naming the first thing that is wrong."""
    try:
        problem = catalogue.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        (count,) = catalogue.connection.execute("SELECT count(*) FROM items").fetchone()
        keys = {key for own in catalogue.properties(range(len(catalogue.popular))) for key in own}
    except (sqlite3.Error, ValueError, IndexError, TypeError, RecursionError) as error:
        raise CorruptSnapshot(f"{where / FILE_NAME}: {error}") from error
    if problem != "ok" or count != len(catalogue.popular) or keys != set(catalogue.keys):
        raise CorruptSnapshot(f"{where / FILE_NAME}: {problem}, {count} items, properties {sorted(keys)}")


def _facts(connection: sqlite3.Connection, size: int) -> tuple[tuple[str, ...], int | None]:
    connection.execute(f"PRAGMA mmap_size = {size}")
    ((keys,),) = connection.execute("SELECT value FROM facts WHERE name = 'keys'")
    ((last_row,),) = connection.execute("SELECT max(row) FROM items")
    connection.execute("SELECT rowid FROM texts WHERE texts MATCH 'a' LIMIT 1").fetchone()
    return tuple(str(key) for key in json.loads(keys)), last_row


def _dumped(row: int, properties: Mapping[str, JSON]) -> str:
    try:
        return json.dumps(properties, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidEmbeddings(f"properties of item row {row} cannot be stored as JSON: {error}") from error


def _text(properties: Mapping[str, JSON]) -> str:
    """What can be found by: words of text properties. Addresses are left out, every item would match 'https'."""
    found = (text for key in sorted(properties) for text in _texts(properties[key]) if "://" not in text)
    # SQLite takes no lone surrogates
    return unicodedata.normalize("NFC", "\n".join(found)).encode("utf-8", "replace").decode()


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        yield from (text for text in value if isinstance(text, str))


def _match(text: str) -> str:
    """An FTS5 query from what a user typed: each word quoted, so that nothing in it is query syntax."""
    plain = unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode()
    words = [word for word in re.split(r"[\s\0]+", plain) if any(map(str.isalnum, word))][:MAX_WORDS]
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    return " ".join(quoted) + " *" if quoted else ""
