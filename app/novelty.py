"""Rows of what is new: the newest twentieth of the catalogue, by a property that tells when."""

from app.errors import Invalid
from app.shelf import Row
from index.bitmap import Bitmap
from index.search import Hits
from index.snapshot import Snapshot


def newest(snapshot: Snapshot, key: str, field: str) -> Bitmap:
    """The newest items by a property of times or numbers; Invalid, of a field of the request, where it is neither."""
    fit = telling_when(snapshot)
    if key not in fit:
        told = f"{key!r} does not tell how new an item is; a property of times or numbers does: {', '.join(fit)}"
        raise Invalid(told, field)
    recent = snapshot.filters.columns.by_key[key].recent
    return snapshot.filters.compile({"must": [{"key": key, "range": {"gte": recent}}]})


def telling_when(snapshot: Snapshot) -> tuple[str, ...]:
    """Properties that tell how new an item is."""
    return snapshot.filters.columns.of_kinds("time", "number")


def new_row(key: str, hits: Hits, *, personal: bool) -> Row:
    """A row of hits that are new by a property."""
    return Row("new", key, "New for you" if personal else "New", "The newest, by " + key.replace("_", " "), hits)
