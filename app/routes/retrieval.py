"""POST /v1/recommend, /v1/homepage and /v1/similar: what to show to whom."""

from fastapi import APIRouter

from app import homepage
from app.deps import SettingsDep, SnapshotDep, TimingsDep, UsersDep
from app.inquiry import envelope, item_hits, profile_of, property_keys, read_user
from app.recommend import Notice, recommend, resolve, similar
from app.schemas import (
    HomepageAnswer,
    HomepageRequest,
    HomepageRow,
    ItemsAnswer,
    RecommendRequest,
    SimilarRequest,
)
from index.snapshot import Snapshot

router = APIRouter(tags=["retrieval"])


@router.post("/v1/recommend", summary="Items for a user", response_model_exclude_none=True)
async def post_recommend(
    body: RecommendRequest, snapshot: SnapshotDep, users: UsersDep, settings: SettingsDep, timings: TimingsDep
) -> ItemsAnswer:
    """The best items for a user, best first: a stored user, a history that is sent along, or both.

    Where neither says anything the most popular items are returned, with the warning popular_fallback.
    """
    keys = property_keys(snapshot, body.include_properties)
    found = await read_user(body.user_id, users, timings)
    profile = profile_of(snapshot, found, body, settings, timings)
    with timings.stage("search"):
        hits = recommend(snapshot, profile, body.count)
    with timings.stage("compose"):
        items = item_hits(snapshot, hits, keys)
    notices = (*found.notices, *profile.notices)
    return ItemsAnswer(items=items, **envelope(snapshot, timings, notices, degraded=found.degraded))


@router.post("/v1/homepage", summary="A page of titled rows", response_model_exclude_none=True)
async def post_homepage(
    body: HomepageRequest, snapshot: SnapshotDep, users: UsersDep, settings: SettingsDep, timings: TimingsDep
) -> HomepageAnswer:
    """A page of titled rows, top first: top picks, because you liked, segments, popular. No item is on it twice.

    A row that could not be filled at least half, or with 3 items, is not used: a page may have fewer rows than asked.
    """
    keys = property_keys(snapshot, body.include_properties)
    found = await read_user(body.user_id, users, timings)
    profile = profile_of(snapshot, found, body, settings, timings)
    layout = body.layout()
    with timings.stage("search"):
        size = homepage.Size(layout.n_rows, layout.row_size, body.max_overlap)
        rows = homepage.page(snapshot, profile, size)
    with timings.stage("compose"):
        composed = [_row(snapshot, row, keys) for row in rows]
    notices = (*found.notices, *profile.notices)
    return HomepageAnswer(rows=composed, **envelope(snapshot, timings, notices, degraded=found.degraded))


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


@router.post("/v1/similar", summary="Items like others", response_model_exclude_none=True)
async def post_similar(
    body: SimilarRequest, snapshot: SnapshotDep, users: UsersDep, timings: TimingsDep
) -> ItemsAnswer:
    """Items like one or several items, which are not among them.

    A user_id tilts the ranking to that user's taste and leaves out what they have seen or hidden. Items that the index
    does not know are skipped with the warning unknown_items; where none is left the list is empty.
    """
    keys = property_keys(snapshot, body.include_properties)
    found = await read_user(body.user_id, users, timings)
    with timings.stage("encode"):
        rows = snapshot.items.rows(body.item_ids)
        taste = resolve(snapshot, found.state, ())
    with timings.stage("search"):
        hits = similar(snapshot, rows[rows >= 0], body.count, exclude=taste.exclude, taste=taste)
    with timings.stage("compose"):
        items = item_hits(snapshot, hits, keys)
    notices = [*found.notices]
    unknown = {item_id for item_id, row in zip(body.item_ids, rows, strict=True) if row < 0}
    if unknown:
        notices.append(
            Notice("unknown_items", f"{len(unknown)} of item_ids are unknown to this index version and skipped")
        )
    return ItemsAnswer(items=items, **envelope(snapshot, timings, notices, degraded=found.degraded))
