"""The catalogue: properties of items and a text search over them, in one read-only SQLite file."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from index.types import Int32


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
        """The properties of each row."""
        raise NotImplementedError

    def search(self, text: str, limit: int, offset: int = 0) -> Int32:
        """The rows whose text holds every word (the last one as a prefix), by popularity; all rows for a blank text."""
        raise NotImplementedError
