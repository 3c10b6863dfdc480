"""Answers of the retrieval endpoints: a request's body and what is known about its user in, the answer out; no I/O.

Routes, batches and cursors all come through here, so that the same body has the same answer wherever it is asked.
"""

from app import homepage
from app.inquiry import Inquiry, item_hits, property_keys
from app.recommend import Notice, rank_segments, recommend, resolve, segment_items, segment_reasons, similar
from app.schemas.retrieval import (
    HomepageAnswer,
    HomepageRequest,
    HomepageRow,
    ItemsAnswer,
    RecommendRequest,
    SimilarRequest,
)
from app.schemas.segments import SegmentHit, SegmentsAnswer, SegmentsRequest
from index.snapshot import Snapshot


def items(inquiry: Inquiry, body: RecommendRequest) -> ItemsAnswer:
    """The best items for the user."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    profile = inquiry.profile(body)
    with timings.stage("search"):
        hits = recommend(snapshot, profile, body.count)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys)
    return ItemsAnswer(items=found, **inquiry.envelope(profile.notices, body.scenario))


def page(inquiry: Inquiry, body: HomepageRequest) -> HomepageAnswer:
    """A page of rows."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    profile, layout = inquiry.profile(body), body.layout()
    with timings.stage("search"):
        size = homepage.Size(layout.n_rows, layout.row_size, body.max_overlap)
        rows = homepage.page(snapshot, profile, size)
    with timings.stage("compose"):
        composed = [_row(snapshot, row, keys) for row in rows]
    return HomepageAnswer(rows=composed, **inquiry.envelope(profile.notices, body.scenario))


def _row(snapshot: Snapshot, row: homepage.Row, keys: tuple[str, ...] | None) -> HomepageRow:
    return HomepageRow(
        row_id=row.row_id,
        kind=row.kind,
        title=row.title,
        segment_id=row.key if row.kind == "segment" else None,
        reason=row.reason,
        score=row.score,
        items=item_hits(snapshot, row.hits, keys),
    )


def similar_items(inquiry: Inquiry, body: SimilarRequest) -> ItemsAnswer:
    """Items like others."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    with timings.stage("encode"):
        rows = snapshot.items.rows(body.item_ids)
        taste = resolve(snapshot, inquiry.user.state, ())
    with timings.stage("search"):
        hits = similar(snapshot, rows[rows >= 0], body.count, exclude=taste.exclude, taste=taste)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys)
    unknown = {item_id for item_id, row in zip(body.item_ids, rows, strict=True) if row < 0}
    told = f"{len(unknown)} of item_ids are unknown to this index version and skipped"
    return ItemsAnswer(items=found, **inquiry.envelope([Notice("unknown_items", told)] if unknown else []))


def segments(inquiry: Inquiry, body: SegmentsRequest) -> SegmentsAnswer:
    """The user's segments."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    profile = inquiry.profile(body)
    with timings.stage("search"):
        ranked = rank_segments(snapshot, profile, body.count)
    with timings.stage("compose"):
        reasons = segment_reasons(snapshot, profile, [one.number for one in ranked])
        pairs = [(snapshot.segments.segments[one.number], one.score) for one in ranked]
        found = [
            SegmentHit(segment_id=one.segment_id, title=one.title, size=one.size, score=score, reason=reason)
            for (one, score), reason in zip(pairs, reasons, strict=True)
        ]
    return SegmentsAnswer(segments=found, **inquiry.envelope(profile.notices, body.scenario))


def items_of_segment(inquiry: Inquiry, body: RecommendRequest, number: int) -> ItemsAnswer:
    """Items of one segment."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    keys = property_keys(snapshot, body.include_properties)
    profile = inquiry.profile(body)
    with timings.stage("search"):
        hits = segment_items(snapshot, profile, number, body.count)
    with timings.stage("compose"):
        found = item_hits(snapshot, hits, keys)
    return ItemsAnswer(items=found, **inquiry.envelope(profile.notices, body.scenario))
