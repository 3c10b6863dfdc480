"""Rows of what is new: the newest twentieth of the catalogue, by a property that tells when."""

from app.errors import Invalid
from app.shelf import Row
from index.bitmap import Bitmap
from index.columns import Column
from index.search import Hits
from index.snapshot import Snapshot


def newest(snapshot: Snapshot, key: str, field: str) -> Bitmap:
    """The newest items by a property of times or numbers; Invalid, of a field of the request, where it is neither."""
    column = snapshot.filters.columns.by_key.get(key)
    if column is None or not tells_when(column):
        fit = ", ".join(one.key for one in snapshot.filters.columns.by_key.values() if tells_when(one))
        raise Invalid(f"{key!r} does not tell how new an item is; a property of times or numbers does: {fit}", field)
    return snapshot.filters.compile({"must": [{"key": key, "range": {"gte": column.recent}}]})


def tells_when(column: Column) -> bool:
    """Whether a column holds times or numbers."""
    return column.kind in ("time", "number")


def new_row(key: str, hits: Hits, *, personal: bool) -> Row:
    """A row of hits that are new by a property."""
    return Row("new", key, "New for you" if personal else "New", "The newest, by " + key.replace("_", " "), hits)
