"""Text search over the properties: an FTS5 index in one read-only SQLite file.

Documents are numbered by popularity, so that matches come out most popular first without sorting, however many there
are; an item without texts has none. The index follows from the properties and the order of popularity.
"""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from index.errors import CorruptSnapshot
from index.types import JSON, Int32

FILE_NAME = "texts.sqlite"
_FETCHED = 1024  # places that search_all reads at a time
MAX_WORDS = 32
"""Words of a search text that count; those beyond are ignored."""

_SCHEMA = """
CREATE VIRTUAL TABLE texts USING fts5 (
    text, content = '', columnsize = 0, prefix = '1 2', tokenize = "unicode61 remove_diacritics 2"
);
"""
# one statement for many documents: SQLite runs it without Python, and so beside it
_INSERT = "INSERT INTO texts (rowid, text) SELECT CAST(key AS INTEGER), value FROM json_each(?)"
_CHUNK_CHARACTERS = 1 << 20


def write(directory: Path, properties: Sequence[Mapping[str, JSON]], popular: Int32) -> None:
    """Index the texts of all items; equal input gives equal bytes under one version of SQLite."""
    connection = sqlite3.connect(directory / FILE_NAME, isolation_level=None, check_same_thread=False)
    try:
        # a crash leaves a temporary directory that the next writer removes: no journal, one fsync at the end
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; " + _SCHEMA + "BEGIN;")
        with ThreadPoolExecutor(max_workers=1) as beside:
            before: Future[sqlite3.Cursor] | None = None
            for chunk in _chunks(properties, popular):
                if before is not None:
                    before.result()
                before = beside.submit(connection.execute, _INSERT, (json.dumps(chunk, ensure_ascii=False),))
            if before is not None:
                before.result()
        connection.execute("COMMIT")
    finally:
        connection.close()


def connect(directory: Path) -> sqlite3.Connection:
    """Open what write wrote, immutable and memory-mapped, for all threads; CorruptSnapshot if it is not that."""
    path = (directory / FILE_NAME).resolve()
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA mmap_size = {path.stat().st_size}")
            connection.execute("SELECT rowid FROM texts WHERE texts MATCH 'a' LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise CorruptSnapshot(f"{path} cannot be read as a text index: {error}") from error
    return connection


def search(connection: sqlite3.Connection, text: str, limit: int, offset: int) -> list[int]:
    """Places in the order of popularity, from 0, of the items with every word; the last word counts as a prefix."""
    wanted = _match(text)
    if not wanted:
        return []
    found = connection.execute(
        "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid LIMIT ? OFFSET ?", (wanted, limit, offset)
    )
    return [number - 1 for (number,) in found]


def search_all(connection: sqlite3.Connection, text: str) -> Iterator[list[int]]:
    """All that `search` would find, some at a time, as far as it is read."""
    wanted = _match(text)
    if not wanted:
        return
    found = connection.execute("SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid", (wanted,))
    while numbers := found.fetchmany(_FETCHED):
        yield [number - 1 for (number,) in numbers]


def check(connection: sqlite3.Connection, where: Path) -> None:
    """Read everything; CorruptSnapshot if SQLite finds the file damaged."""
    try:
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise CorruptSnapshot(f"{where / FILE_NAME}: {error}") from error
    if problem != "ok":
        raise CorruptSnapshot(f"{where / FILE_NAME}: {problem}")


def _chunks(properties: Sequence[Mapping[str, JSON]], popular: Int32) -> Iterator[dict[int, str]]:
    """The texts to index, by number, from 1; what lies in memory at a time is bounded."""
    chunk: dict[int, str] = {}
    size = 0
    described = np.fromiter(map(bool, properties), np.bool_, len(properties))[popular]
    numbers = np.flatnonzero(described)
    for number, row in zip((numbers + 1).tolist(), popular[numbers].tolist(), strict=True):
        text = _text(properties[row])
        if text:
            chunk[number] = text
            size += len(text)
        if size > _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = {}, 0
    yield chunk


def _text(properties: Mapping[str, JSON]) -> str:
    """What can be found by: words of text properties. Addresses are left out, every item would match 'https'."""
    text = "\n".join([text for key in sorted(properties) for text in _texts(properties[key]) if "://" not in text])
    return text.replace("\0", " ") if text.isascii() else _plain(text)


def _texts(value: JSON) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return [text for text in value if isinstance(text, str)] if isinstance(value, Sequence) else ()


def _plain(text: str) -> str:
    """As SQLite takes it: composed, without lone surrogates and NUL."""
    return unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode().replace("\0", " ")


def _match(text: str) -> str:
    """An FTS5 query from what a user typed: each word quoted, so that nothing in it is query syntax."""
    words = [word for word in re.split(r"\s+", _plain(text)) if any(map(str.isalnum, word))][:MAX_WORDS]
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    return " ".join(quoted) + " *" if quoted else ""
