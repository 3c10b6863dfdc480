"""The segments: what the model found, what a user leans to, and the items of one of them."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.deps import SettingsDep, SnapshotDep, TimingsDep, UsersDep
from app.errors import NotFound, responses
from app.inquiry import envelope, item_hits, profile_of, property_keys, read_user
from app.recommend import rank_segments, segment_items, segment_reasons, titles
from app.schemas import (
    Id,
    ItemsAnswer,
    RecommendRequest,
    SegmentDetail,
    SegmentHit,
    SegmentItem,
    SegmentList,
    SegmentsAnswer,
    SegmentsRequest,
    SegmentWithTerms,
)
from index.snapshot import Snapshot

router = APIRouter(tags=["segments"])

TOP_ITEMS = 20
"""Most typical items that describe a segment."""

SegmentId = Annotated[Id, Path(description="As in a row of a homepage or in GET /v1/segments.")]


@router.get("/v1/segments", summary="All segments")
async def get_segments(snapshot: SnapshotDep) -> SegmentList:
    """All segments: titled sets of items that the model found."""
    segments = [
        SegmentWithTerms(segment_id=one.segment_id, title=one.title, size=one.size, terms=list(one.terms))
        for one in snapshot.segments.segments
    ]
    return SegmentList(index_version=snapshot.version, segments=segments)


@router.post("/v1/segments/recommend", summary="A user's segments", responses=responses(400, 413))
async def post_segments_recommend(
    body: SegmentsRequest, snapshot: SnapshotDep, users: UsersDep, settings: SettingsDep, timings: TimingsDep
) -> SegmentsAnswer:
    """The segments that a user's taste points at, strongest first, with at least 3 items left to see in each."""
    found = await read_user(body.user_id, users, timings)
    profile = profile_of(snapshot, found, body, settings, timings)
    with timings.stage("search"):
        ranked = rank_segments(snapshot, profile, body.count)
    with timings.stage("compose"):
        reasons = segment_reasons(snapshot, profile, [one.number for one in ranked])
        pairs = [(snapshot.segments.segments[one.number], one.score) for one in ranked]
        segments = [
            SegmentHit(segment_id=one.segment_id, title=one.title, size=one.size, score=score, reason=reason)
            for (one, score), reason in zip(pairs, reasons, strict=True)
        ]
    notices = (*found.notices, *profile.notices)
    return SegmentsAnswer(segments=segments, **envelope(snapshot, timings, notices, degraded=found.degraded))


@router.get("/v1/segments/{segment_id}", summary="One segment", responses=responses(404))
async def get_segment(segment_id: SegmentId, snapshot: SnapshotDep) -> SegmentDetail:
    """One segment: title, terms, size and its most typical items."""
    number = _number(snapshot, segment_id)
    one = snapshot.segments.segments[number]
    items = snapshot.segments.items_of(number)[:TOP_ITEMS]
    strengths = snapshot.segments.strengths_of(number)[:TOP_ITEMS].tolist()
    triples = zip(snapshot.items.item_ids(items), titles(snapshot, items), strengths, strict=True)
    return SegmentDetail(
        index_version=snapshot.version,
        segment_id=one.segment_id,
        title=one.title,
        size=one.size,
        terms=list(one.terms),
        top_items=[SegmentItem(item_id=item_id, title=title, strength=share) for item_id, title, share in triples],
    )


@router.post(
    "/v1/segments/{segment_id}/items",
    summary="Items of a segment",
    response_model_exclude_none=True,
    responses=responses(400, 404, 413),
)
async def post_segment_items(
    segment_id: SegmentId,
    body: RecommendRequest,
    snapshot: SnapshotDep,
    users: UsersDep,
    settings: SettingsDep,
    timings: TimingsDep,
) -> ItemsAnswer:
    """Items of one segment as the user would rank them; without a known user the popular and typical first."""
    number = _number(snapshot, segment_id)
    keys = property_keys(snapshot, body.include_properties)
    found = await read_user(body.user_id, users, timings)
    profile = profile_of(snapshot, found, body, settings, timings)
    with timings.stage("search"):
        hits = segment_items(snapshot, profile, number, body.count)
    with timings.stage("compose"):
        items = item_hits(snapshot, hits, keys)
    notices = (*found.notices, *profile.notices)
    return ItemsAnswer(items=items, **envelope(snapshot, timings, notices, degraded=found.degraded))


def _number(snapshot: Snapshot, segment_id: str) -> int:
    number = snapshot.segments.number(segment_id)
    if number is None:
        raise NotFound("there is no segment of this id in this index version; GET /v1/segments lists them")
    return number
