"""Where answers end: the cursors that they carry, of which `app.sequel` makes the answers that come after them."""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from app.cursors import MAX_SERVED, Cursor, Kind, packed
from app.inquiry import Inquiry
from app.notices import Notice
from app.schemas.retrieval import HomepageRequest, HomepageRow, ItemHit, RecommendRequest, SimilarRequest
from app.shelf import Row
from index.types import UInt64
from index.vocabulary import hash_id


class Ending(NamedTuple):
    """How an answer ends."""

    cursor: str | None = None
    """None: nothing comes after it, or none was asked for."""
    notices: tuple[Notice, ...] = ()


CUT = Ending(
    notices=(Notice("no_cursor", f"there is no going on: {MAX_SERVED} items were given, or the request is too long"),)
)


def of_items(
    inquiry: Inquiry, kind: Kind, body: RecommendRequest | SimilarRequest, found: Sequence[ItemHit], *key: str
) -> Ending:
    """The end of a list of items; it has a cursor where one is asked for and the list is full."""
    if not body.cursors or len(found) < body.count:
        return Ending()
    cursor = Cursor(kind, _asked(body), inquiry.snapshot.version, key, _given(inquiry, found))
    text = inquiry.cursors.dump(cursor, time.time())
    return CUT if text is None else Ending(text)


def of_page(
    inquiry: Inquiry,
    body: HomepageRequest,
    rows: Sequence[Row],
    composed: Sequence[HomepageRow],
    *shown: str,
    full: bool,
) -> Ending:
    """The end of a page, for more rows than those and `shown`, where it is full; gives each row its own cursor."""
    if not body.cursors:
        return Ending()
    now, asked, version = time.time(), _asked(body), inquiry.snapshot.version
    given = _given(inquiry, (item for row in composed for item in row.items))
    whole = Cursor("page", asked, version, (*shown, *(row.row_id for row in rows)), given)
    head = packed(whole)
    for row, words in zip(rows, composed, strict=True):
        words.next_cursor = inquiry.cursors.dump(whole._replace(kind="row", key=key_of(row)), now, head)
        if words.next_cursor is None:
            return CUT
    if not full:
        return Ending()
    text = inquiry.cursors.dump(whole, now, head)
    return CUT if text is None else Ending(text)


def of_row(inquiry: Inquiry, body: HomepageRequest, key: tuple[str, ...], found: Sequence[ItemHit]) -> Ending:
    """The end of more items of a row, where they are as many as were asked for."""
    cursor = Cursor("row", _asked(body), inquiry.snapshot.version, key, _given(inquiry, found))
    text = inquiry.cursors.dump(cursor, time.time())
    return CUT if text is None else Ending(text)


def key_of(row: Row) -> tuple[str, ...]:
    """What a cursor must know of a row."""
    return row.kind, row.key, "crowd" if row.crowd else ""


def _asked(body: RecommendRequest | SimilarRequest | HomepageRequest) -> dict[str, object]:
    return body.model_dump(mode="json", exclude_defaults=True)


def _given(inquiry: Inquiry, found: Iterable[ItemHit]) -> UInt64:
    """Hashes of what was given until now."""
    hashes = np.fromiter((hash_id(item.item_id) for item in found), dtype=np.uint64)
    return np.concatenate([inquiry.earlier, hashes])
