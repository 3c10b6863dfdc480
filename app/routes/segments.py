"""The segments: what the model found, what a user leans to, and the items of one of them."""

from typing import Annotated

from fastapi import APIRouter, Path

from app import answers
from app.deps import AskingDep, SnapshotDep
from app.errors import NO_SEGMENT, NotFound, responses
from app.recommend import titles
from app.schemas.retrieval import ItemsAnswer, RecommendRequest
from app.schemas.segments import (
    SegmentDetail,
    SegmentItem,
    SegmentList,
    SegmentsAnswer,
    SegmentsRequest,
    SegmentWithTerms,
)
from app.schemas.wire import Id
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
async def post_segments_recommend(body: SegmentsRequest, asking: AskingDep) -> SegmentsAnswer:
    """The segments that a user's taste points at, strongest first, with at least 3 items left to see in each."""
    asking = await asking.of(body)
    return answers.segments(await asking.about(body.user_id), body)


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
async def post_segment_items(segment_id: SegmentId, body: RecommendRequest, asking: AskingDep) -> ItemsAnswer:
    """Items of one segment as the user would rank them; without a known user the popular and typical first."""
    asking = await asking.of(body)
    number = _number(asking.snapshot, segment_id)
    inquiry = await asking.about(body.user_id, served=body.rotation_rate > 0)
    answer = answers.items_of_segment(inquiry, body, number)
    asking.remember(body, answer.items)
    return answer


def _number(snapshot: Snapshot, segment_id: str) -> int:
    number = snapshot.segments.number(segment_id)
    if number is None:
        raise NotFound(NO_SEGMENT)
    return number
