"""POST /v1/next: more of an earlier answer."""

import time

from fastapi import APIRouter

from app.cursors import Cursor
from app.deps import Asking, AskingDep
from app.live_index import NotOpen
from app.schemas.cursors import NextRequest
from app.schemas.next import NextAnswer
from app.schemas.retrieval import SimilarRequest
from app.sequel import Asked, asked, sequel

router = APIRouter(tags=["retrieval"])


@router.post("/v1/next", summary="More of an earlier answer", response_model_exclude_none=True)
async def post_next(body: NextRequest, asking: AskingDep) -> NextAnswer:
    """More items of a list or of a row, or more rows of a page, for the same request: never one that was given before.

    Exact while the index version that answered is open, afterwards from the current one with the warning index_changed.
    What the user has seen or hidden since then does not come back. A cursor can be used again: it stands for a place.
    """
    cursor = asking.cursors.load(body.cursor, time.time())
    request = asked(cursor)
    asking = await _at(asking, cursor, request)
    rotating = not isinstance(request, SimilarRequest) and request.rotation_rate > 0
    answer = sequel(await asking.about(request.user_id, served=rotating), cursor, request, body.count)
    if not isinstance(request, SimilarRequest):
        asking.remember(request, [*(answer.items or ()), *(item for row in answer.rows or () for item in row.items)])
    return answer


async def _at(asking: Asking, cursor: Cursor, request: Asked) -> Asking:
    """With the version that the cursor is of, if it is open or the request named it; else with the current one."""
    unnamed = request.model_copy(update={"index_version": None})
    if request.index_version is not None:
        try:
            return await asking.of(request)
        except NotOpen:
            return await asking.of(unnamed)
    asking = await asking.of(unnamed)
    return asking._replace(snapshot=asking.live_index.open_version(cursor.index_version) or asking.snapshot)
