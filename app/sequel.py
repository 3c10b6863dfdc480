"""What comes after an answer: more items of a list or of a row, more rows of a page; nothing that was given before.

The request is made again, for the user as they are now, without what was given. On the same index and with the same
state that is exactly the continuation: the scores of what is left do not depend on what was left out. What is seen or
hidden since then does not come back. Caps, diversity and rotation begin anew with each answer.
"""

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from app import answers, continuing
from app.composing import item_hits, property_keys
from app.continuing import Ending
from app.cursors import BadCursor, Cursor, Kind
from app.errors import Invalid
from app.following import ranking
from app.inquiry import NO_HASHES, Inquiry
from app.notices import Notice
from app.ordering import NO_HITS, order
from app.schemas.layout import RowKind
from app.schemas.next import NextAnswer
from app.schemas.retrieval import HomepageRequest, ItemsAnswer, RecommendRequest, SimilarRequest
from app.selection import select

Asked = RecommendRequest | SimilarRequest | HomepageRequest

MODELS: Mapping[Kind, type[Asked]] = {
    "recommend": RecommendRequest,
    "segment": RecommendRequest,
    "similar": SimilarRequest,
    "row": HomepageRequest,
    "page": HomepageRequest,
}

MAX_ROWS = 50

CHANGED = Notice("index_changed", "the index has changed since: this is what the current one has left, in its order")

GONE = "the cursor was made by another version of this server: ask again from the start"


def asked(cursor: Cursor) -> Asked:
    """The request that a cursor holds; BadCursor where this server does not know such requests."""
    try:
        return MODELS[cursor.kind].model_validate(cursor.body)
    except (KeyError, ValidationError):
        raise BadCursor(GONE) from None


def sequel(inquiry: Inquiry, cursor: Cursor, body: Asked, count: int | None) -> NextAnswer:
    """The next `count` items or rows; without it as many as before."""
    inquiry = inquiry._replace(earlier=cursor.served)
    if inquiry.snapshot.version != cursor.index_version:
        user = inquiry.user
        inquiry = inquiry._replace(user=user._replace(notices=(*user.notices, CHANGED)))
    if cursor.kind == "page" and count is not None and count > MAX_ROWS:
        raise Invalid(f"a page goes on by at most {MAX_ROWS} rows at a time", "body.count")
    try:
        if not isinstance(body, HomepageRequest):
            return _items(inquiry, cursor, body, count)
        return _rows(inquiry, cursor, body, count) if cursor.kind == "page" else _of_row(inquiry, cursor, body, count)
    except Invalid as error:  # of a property that was there
        raise Invalid(f"this index version cannot answer the request that it holds: {error}", "body.cursor") from error


def _items(inquiry: Inquiry, cursor: Cursor, body: RecommendRequest | SimilarRequest, count: int | None) -> NextAnswer:
    body = body.model_copy(update={"count": count or body.count})
    if isinstance(body, SimilarRequest):
        return _of(answers.similar_items(inquiry, body))
    if cursor.kind == "recommend":
        return _of(answers.items(inquiry, body))
    number = inquiry.snapshot.segments.number(cursor.key[0])
    if number is None:  # the index has changed, which is said
        return NextAnswer(items=[], **inquiry.envelope((), body.scenario))
    return _of(answers.items_of_segment(inquiry, body, number))


def _of(answer: ItemsAnswer) -> NextAnswer:
    return NextAnswer.model_construct(**dict(answer))


def _rows(inquiry: Inquiry, cursor: Cursor, body: HomepageRequest, count: int | None) -> NextAnswer:
    body = body.model_copy(update={"n_rows": count or body.size().n_rows})
    return NextAnswer.model_construct(**dict(answers.page(inquiry, body, *cursor.key)))


def _of_row(inquiry: Inquiry, cursor: Cursor, body: HomepageRequest, count: int | None) -> NextAnswer:
    snapshot, timings = inquiry.snapshot, inquiry.timings
    kind, about, whose = cursor.key
    count = count or body.size().row_size
    keys = property_keys(snapshot, body.include_properties)
    selection = select(snapshot, filter=body.filter, boost=body.boost)
    profile, ordering = inquiry._replace(earlier=NO_HASHES).profile(body), inquiry.ordering(body)
    given = snapshot.items.rows_of_hashes(inquiry.earlier)
    with timings.stage("search"):
        rank = ranking(snapshot, profile, given, cast(RowKind, kind), about, crowd=whose == "crowd")
        hits = NO_HITS if rank is None else order(snapshot, rank, count, selection, ordering)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys, answers.reasons_for(snapshot, profile, body, hits))
        ending = continuing.of_row(inquiry, body, cursor.key, found) if len(found) == count else Ending()
    envelope = inquiry.envelope((*profile.notices, *ending.notices), body.scenario)
    return NextAnswer(items=found, next_cursor=ending.cursor, **envelope)
