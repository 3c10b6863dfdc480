"""GET and DELETE /v1/users/{user_id}: what is stored about a user, and forgetting it."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.deps import LiveIndexDep, TimingsDep, UsersDep
from app.errors import NotFound, responses
from app.live_index import LiveIndex
from app.schemas.users import StoredInteraction, UserAnswer, UserQuery
from app.schemas.wire import UserId
from app.store.users import Interaction

router = APIRouter(tags=["users"])

PATH = "/v1/users/{user_id:id}"

ABSENT = "nothing is stored about this user"


@router.get(PATH, responses=responses(404, 503), response_model_exclude_none=True)
async def get_user(
    user_id: UserId,
    users: UsersDep,
    live_index: LiveIndexDep,
    timings: TimingsDep,
    wanted: Annotated[UserQuery, Query()],
) -> UserAnswer:
    """The user's state, as the next answer will use it."""
    with timings.stage("state"):
        state = await users.read(user_id)
    if state.empty:
        raise NotFound(ABSENT)
    newest = state.history[: wanted.limit]
    known = _properties(live_index, newest) if wanted.include_properties else {}
    history = [StoredInteraction(**one._asdict(), properties=known.get(one.item_id)) for one in newest]
    return UserAnswer(user_id=user_id, history=history, n_seen=len(state.seen), n_hidden=len(state.hidden))


def _properties(live_index: LiveIndex, interactions: Sequence[Interaction]) -> dict[str, dict[str, Any]]:
    """By item id. User state can be read before anything is published: nothing is known of its items then."""
    if live_index.version is None:
        return {}
    snapshot = live_index.snapshot
    rows = {one.item_id: row for one in interactions if (row := snapshot.items.row(one.item_id)) is not None}
    return dict(zip(rows, snapshot.catalogue.properties(rows.values()), strict=True))


@router.delete(PATH, status_code=204, responses=responses(404, 503))
async def delete_user(user_id: UserId, users: UsersDep, timings: TimingsDep) -> Response:
    """Forget the user: everything stored is removed at once."""
    with timings.stage("state"):
        await users.delete(user_id)
    return Response(status_code=204)
