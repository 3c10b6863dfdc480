"""The segments: what the model found, what a user leans to, the items of one of them, and what people say of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from app import answers
from app.deps import AskingDep, EditingDep, LiveIndexDep, SnapshotDep, TimingsDep
from app.editing import check_document, patched, replaced
from app.errors import NO_SEGMENT, NotFound, responses
from app.recommend import titles
from app.schemas.retrieval import ItemsAnswer, RecommendRequest
from app.schemas.segments import (
    EditRequest,
    SegmentDetail,
    SegmentEdits,
    SegmentEditsAnswer,
    SegmentGroup,
    SegmentItem,
    SegmentList,
    SegmentsAnswer,
    SegmentsQuery,
    SegmentsRequest,
    SegmentWithTerms,
)
from app.schemas.wire import Id
from index.edits import Edit, Edits
from index.segments import Segment, Segments
from index.snapshot import Snapshot

router = APIRouter(tags=["segments"])

TOP_ITEMS = 20
"""Most typical items that describe a segment."""

SegmentId = Annotated[Id, Path(description="As in a row of a homepage or in GET /v1/segments.")]


@router.get("/v1/segments", summary="All segments")
async def get_segments(snapshot: SnapshotDep, wanted: Annotated[SegmentsQuery, Query()]) -> SegmentList:
    """The segments: titled sets of items that the model found, as people have edited them."""
    shown = snapshot.segments.segments[: snapshot.segments.n_shown]
    listed = snapshot.found_segments.segments if wanted.hidden else shown
    segments = [SegmentWithTerms(**_described(snapshot, one.segment_id)) for one in listed]
    return SegmentList(index_version=snapshot.version, groups=_groups(snapshot, segments), segments=segments)


@router.post("/v1/segments/recommend", summary="A user's segments", responses=responses(400, 413))
async def post_segments_recommend(body: SegmentsRequest, asking: AskingDep) -> SegmentsAnswer:
    """The segments that a user's taste points at, strongest first, with at least 3 items left to see in each."""
    asking = await asking.of(body)
    return answers.segments(await asking.about(body.user_id), body)


@router.get("/v1/segments/edits", summary="Export edits", response_model_exclude_unset=True)
async def get_segment_edits(live_index: LiveIndexDep, editing: EditingDep, timings: TimingsDep) -> SegmentEdits:
    """All edits of segments: those that the index was built with, and those made since over them.

    An edit of null takes back what an index was built with. While the store is away: as far as this worker knows them.
    """
    with timings.stage("state"):
        await editing.refresh()
    return SegmentEdits(edits=_edits(live_index.snapshot.edits))


@router.put(
    "/v1/segments/edits", summary="Import edits", response_model_exclude_unset=True, responses=responses(400, 413)
)
async def put_segment_edits(
    body: SegmentEdits, live_index: LiveIndexDep, editing: EditingDep, timings: TimingsDep
) -> SegmentEditsAnswer:
    """Replace all edits of segments by these: all of them, or, where one of them is wrong, none."""
    given: Edits = body.model_dump(exclude_unset=True)["edits"]
    check_document(given)
    _ = live_index.snapshot  # 503 where there is none
    with timings.stage("state"):
        await editing.change(lambda stored: replaced(live_index.open_snapshots, stored, given))
    snapshot = live_index.snapshot
    unknown = [one for one in given if snapshot.found_segments.number(one) is None]
    return SegmentEditsAnswer(edits=_edits(snapshot.edits), unknown_segments=unknown)


@router.get("/v1/segments/{segment_id}", summary="One segment", responses=responses(404))
async def get_segment(segment_id: SegmentId, snapshot: SnapshotDep) -> SegmentDetail:
    """One segment: title, terms, size and its most typical items. One that is merged, as it was before."""
    return _detail(snapshot, segment_id)


@router.patch("/v1/segments/{segment_id}", summary="Edit a segment", responses=responses(400, 404, 413))
async def patch_segment(
    segment_id: SegmentId, body: EditRequest, live_index: LiveIndexDep, editing: EditingDep, timings: TimingsDep
) -> SegmentDetail:
    """Give a segment another title, hide it, or make it a part of another; null takes an edit back.

    The worker that answers has it at once, the others within seconds; the next index is built with it.
    """
    snapshot, edit = live_index.snapshot, Edit(**body.model_dump(exclude_unset=True))  # type: ignore[typeddict-item]
    _found(snapshot, segment_id)
    with timings.stage("state"):
        await editing.change(lambda stored: patched(snapshot, stored, segment_id, edit))
    return _detail(live_index.open_version(snapshot.version) or live_index.snapshot, segment_id)


@router.post(
    "/v1/segments/{segment_id}/items",
    summary="Items of a segment",
    response_model_exclude_none=True,
    responses=responses(400, 404, 413),
)
async def post_segment_items(segment_id: SegmentId, body: RecommendRequest, asking: AskingDep) -> ItemsAnswer:
    """Items of one segment as the user would rank them; without a known user the popular and typical first."""
    asking = await asking.of(body)
    number = asking.snapshot.segments.number(segment_id)
    if number is None:
        raise NotFound(NO_SEGMENT)
    inquiry = await asking.about(body.user_id, served=body.rotation_rate > 0)
    answer = answers.items_of_segment(inquiry, body, number)
    asking.remember(body, answer.items)
    return answer


def _found(snapshot: Snapshot, segment_id: str) -> Segment:
    """The segment as the model found it; NotFound."""
    number = snapshot.found_segments.number(segment_id)
    if number is None:
        raise NotFound(NO_SEGMENT)
    return snapshot.found_segments.segments[number]


def _place(snapshot: Snapshot, segment_id: str) -> tuple[Segments, int]:
    """Where a known segment is described: one that is merged, among those found."""
    segments = snapshot.found_segments if segment_id in snapshot.segments.merged else snapshot.segments
    return segments, segments.number(segment_id) or 0


def _described(snapshot: Snapshot, segment_id: str) -> dict[str, Any]:
    found, edit = _found(snapshot, segment_id), snapshot.edits.get(segment_id, {})
    segments, number = _place(snapshot, segment_id)
    one = segments.segments[number]
    return {
        "segment_id": segment_id,
        "title": (edit.get("title") or one.title) if one is found else one.title,
        "size": one.size,
        "terms": list(one.terms),
        "found_title": found.title,
        "hidden": bool(edit.get("hidden")),
        "merged_into": snapshot.segments.merged.get(segment_id),
        "group_id": snapshot.segments.segments[snapshot.segments.number(segment_id) or 0].group,
    }


def _groups(snapshot: Snapshot, listed: Sequence[SegmentWithTerms]) -> list[SegmentGroup]:
    """The groups of these segments."""
    sizes = Counter(one.group_id for one in listed)
    groups = (
        SegmentGroup(group_id=group.group_id, title=group.title, size=sizes[group.group_id])
        for group in snapshot.segments.groups
    )
    return sorted((group for group in groups if group.size), key=lambda group: -group.size)


def _detail(snapshot: Snapshot, segment_id: str) -> SegmentDetail:
    described = _described(snapshot, segment_id)
    segments, number = _place(snapshot, segment_id)
    items = segments.items_of(number)[:TOP_ITEMS]
    strengths = segments.strengths_of(number)[:TOP_ITEMS].tolist()
    triples = zip(snapshot.items.item_ids(items), titles(snapshot, items), strengths, strict=True)
    return SegmentDetail(
        index_version=snapshot.version,
        **described,
        top_items=[SegmentItem(item_id=item_id, title=title, strength=share) for item_id, title, share in triples],
    )


def _edits(edits: Edits) -> dict[str, EditRequest]:
    return {segment_id: EditRequest(**edit) for segment_id, edit in edits.items()}
