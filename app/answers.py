"""Answers of the retrieval endpoints: a request's body and what is known about its user in, the answer out; no I/O.

Routes, batches and cursors all come through here, so that the same body has the same answer wherever it is asked.
"""

from app import continuing, homepage
from app.composing import item_hits, items_of, page_rows, property_keys
from app.explanation import reasons
from app.inquiry import LATE, Inquiry
from app.layout import unknown_in
from app.notices import Notice, skipped
from app.ordering import Ordering
from app.placing import Size
from app.recommend import Profile, rank_segments, recommend, resolve, segment_items, segment_reasons, similar
from app.schemas.reasons import MAX_WITH_REASONS, Explained, Reason
from app.schemas.retrieval import (
    HomepageAnswer,
    HomepageRequest,
    ItemsAnswer,
    RecommendRequest,
    SimilarRequest,
)
from app.schemas.segments import SegmentHit, SegmentsAnswer, SegmentsRequest
from app.selection import Selection, nothing_left, select
from index.search import Hits
from index.snapshot import Snapshot


def items(inquiry: Inquiry, body: RecommendRequest) -> ItemsAnswer:
    """The best items for the user."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    profile, selection, (ordering, late) = inquiry.profile(body), _selection(snapshot, body), _affordable(inquiry, body)
    with timings.stage("search"):
        hits = recommend(snapshot, profile, body.count, selection, ordering)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys, reasons_for(snapshot, profile, body, hits))
        ending = continuing.of_items(inquiry, "recommend", body, found)
    notices = (*profile.notices, *late, *selection.notices, *nothing_left(selection, empty=not found), *ending.notices)
    return ItemsAnswer(items=found, next_cursor=ending.cursor, **inquiry.envelope(notices, body.scenario))


def page(inquiry: Inquiry, body: HomepageRequest, *shown: str) -> HomepageAnswer:
    """A page of rows, none of them with an id of `shown`; below these the layout has been obeyed."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    selection = select(snapshot, filter=body.filter, boost=body.boost)
    profile, (ordering, late), (n_rows, row_size) = inquiry.profile(body), _affordable(inquiry, body), body.size()
    layout = () if shown else body.layout
    with timings.stage("search"):
        emphasis, last = inquiry.settings.emphasis, frozenset(body.last_rows)
        size = Size(n_rows, row_size, body.max_overlap, shown=frozenset(shown), emphasis=emphasis, last=last)
        rows = homepage.page(snapshot, profile, size, selection, ordering, layout, lambda: not inquiry.deadline.passed)
    if len(rows) < size.n_rows and inquiry.deadline.passed:
        late = (LATE,)
    with timings.stage("compose"):
        told = reasons_for(snapshot, profile, body, items_of(rows)) if body.explain else None
        composed = page_rows(snapshot, rows, keys, told)
        whole = len(rows) == size.n_rows or bool(late)
        ending = continuing.of_page(inquiry, body, rows, composed, *shown, full=whole)
    unknown = unknown_in(snapshot, layout) if layout else ()
    notices = (*profile.notices, *late, *unknown, *nothing_left(selection, empty=not rows), *ending.notices)
    return HomepageAnswer(rows=composed, page_cursor=ending.cursor, **inquiry.envelope(notices, body.scenario))


def reasons_for(snapshot: Snapshot, profile: Profile, body: Explained, hits: Hits) -> list[list[Reason]] | None:
    """The reasons for each item, where they are asked for, of the first `MAX_WITH_REASONS` of an answer."""
    return reasons(snapshot, profile, hits.items[:MAX_WITH_REASONS]) if body.explain else None


def _affordable(inquiry: Inquiry, body: RecommendRequest | HomepageRequest) -> tuple[Ordering, tuple[Notice, ...]]:
    """The ordering that the request asks for; after its deadline without what only makes it nicer, and a notice."""
    ordering = inquiry.ordering(body)
    if ordering.diversity and inquiry.deadline.passed:
        return ordering._replace(diversity=0.0), (LATE,)
    return ordering, ()


def _selection(snapshot: Snapshot, body: RecommendRequest) -> Selection:
    return select(
        snapshot,
        filter=body.filter,
        boost=body.boost,
        segment_ids=body.segment_ids,
        candidate_ids=body.candidate_ids,
        min_score=body.min_score,
    )


def similar_items(inquiry: Inquiry, body: SimilarRequest) -> ItemsAnswer:
    """Items like others."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    selection = select(snapshot, filter=body.filter)
    with timings.stage("encode"):
        rows = snapshot.items.rows(body.item_ids)
        taste = inquiry.beyond(resolve(snapshot, inquiry.user.state, ()))
    with timings.stage("search"):
        hits = similar(snapshot, rows[rows >= 0], body.count, exclude=taste.exclude, taste=taste, selection=selection)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys)
        ending = continuing.of_items(inquiry, "similar", body, found)
    unknown = skipped("unknown_items", "item_ids", zip(body.item_ids, (rows >= 0).tolist(), strict=True))
    notices = (*unknown, *nothing_left(selection, empty=not found), *ending.notices)
    return ItemsAnswer(items=found, next_cursor=ending.cursor, **inquiry.envelope(notices))


def segments(inquiry: Inquiry, body: SegmentsRequest) -> SegmentsAnswer:
    """The user's segments."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    profile = inquiry.profile(body)
    with timings.stage("search"):
        ranked = rank_segments(snapshot, profile, body.count)
    with timings.stage("compose"):
        told = segment_reasons(snapshot, profile, [one.number for one in ranked])
        pairs = [(snapshot.segments.segments[one.number], one.score) for one in ranked]
        found = [
            SegmentHit(segment_id=one.segment_id, title=one.title, size=one.size, score=score, reason=reason)
            for (one, score), reason in zip(pairs, told, strict=True)
        ]
    return SegmentsAnswer(segments=found, **inquiry.envelope(profile.notices, body.scenario))


def items_of_segment(inquiry: Inquiry, body: RecommendRequest, number: int) -> ItemsAnswer:
    """Items of one segment."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    profile, selection, (ordering, late) = inquiry.profile(body), _selection(snapshot, body), _affordable(inquiry, body)
    with timings.stage("search"):
        hits = segment_items(snapshot, profile, number, body.count, selection, ordering)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys, reasons_for(snapshot, profile, body, hits))
        ending = continuing.of_items(inquiry, "segment", body, found, snapshot.segments.segments[number].segment_id)
    notices = (*profile.notices, *late, *selection.notices, *nothing_left(selection, empty=not found), *ending.notices)
    return ItemsAnswer(items=found, next_cursor=ending.cursor, **inquiry.envelope(notices, body.scenario))
