"""/v1/users: what is stored about a user, all of it, forgetting it, steering, and merging one user into another.

Ids are read from the path as it was sent: the user `a/export` is `/v1/users/a%2Fexport`, and `/v1/users/a/export` is
the export of `a`. So a method that is wrong there, such as DELETE of `a/steering`, is refused and not about a user of
such a name.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response

from app.deps import LiveIndexDep, TimingsDep, UsersDep
from app.errors import Invalid, NotFound, responses
from app.live_index import LiveIndex
from app.routes import RawPathRoute
from app.schemas.steering import SteeringAnswer, SteeringRequest
from app.schemas.users import ExportAnswer, MarkedItem, StoredInteraction, UserAnswer, UserQuery
from app.schemas.wire import UserId
from app.store.state import Marks
from app.store.users import Interaction, Stored
from index.vocabulary import hash_id

router = APIRouter(tags=["users"], route_class=RawPathRoute)

PATH = "/v1/users/{user_id:raw}"

ABSENT = "nothing is stored about this user"


@router.get(f"{PATH}/export", responses=responses(404, 503))
async def export_user(user_id: UserId, users: UsersDep, live_index: LiveIndexDep, timings: TimingsDep) -> ExportAnswer:
    """Everything that is stored about the user, for whom it belongs to."""
    with timings.stage("state"):
        stored = await users.everything(user_id)
    if stored.empty:
        raise NotFound(ABSENT)
    with timings.stage("compose"):
        names = _names(live_index, stored)
        return ExportAnswer(
            user_id=user_id,
            exported_at=time.time(),
            history=[StoredInteraction(**one._asdict()) for one in stored.history],
            seen=list(_marked(stored.seen, names)),
            hidden=list(_marked(stored.hidden, names)),
            steering=dict(stored.steering),
            served=list(_marked(stored.served, names)),
        )


@router.put(f"{PATH}/steering", responses=responses(400, 413, 503))
async def steer_user(
    user_id: UserId, body: SteeringRequest, users: UsersDep, live_index: LiveIndexDep, timings: TimingsDep
) -> SteeringAnswer:
    """Store how much more or less of which segments the user wants, instead of what was stored; {} forgets it."""
    steering = {segment_id: strength for segment_id, strength in body.steering.items() if strength != 0}
    with timings.stage("state"):
        await users.steer(user_id, steering)
    segments = None if live_index.version is None else live_index.snapshot.segments
    unknown = [] if segments is None else [one for one in steering if segments.number(one) is None]
    return SteeringAnswer(user_id=user_id, steering=steering, unknown_segments=unknown)


@router.put("/v1/users/{target:raw}/merge/{source:raw}", status_code=204, responses=responses(503))
async def merge_users(target: UserId, source: UserId, users: UsersDep, timings: TimingsDep) -> Response:
    """Add all that is known about the source to the target, within the usual bounds, and forget the source.

    For somebody who was anonymous and signs in. Where both steer a segment, never wins, and else the target. Repeating
    it does no harm and completes a merge that a crash or a 503 interrupted: until it is done the source stays as it
    was. Of a source about whom nothing is stored there is nothing to do.
    """
    if target == source:
        raise Invalid("a user cannot be merged into the same user", field="path.source")
    with timings.stage("state"):
        await users.merge(target, source)
    return Response(status_code=204)


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
    return UserAnswer(
        user_id=user_id,
        history=history,
        n_seen=len(state.seen),
        n_hidden=len(state.hidden),
        steering=dict(state.steering),
    )


@router.delete(PATH, status_code=204, responses=responses(404, 503))
async def delete_user(user_id: UserId, users: UsersDep, timings: TimingsDep) -> Response:
    """Forget the user: everything stored is removed at once."""
    with timings.stage("state"):
        await users.delete(user_id)
    return Response(status_code=204)


def _properties(live_index: LiveIndex, interactions: Sequence[Interaction]) -> dict[str, dict[str, Any]]:
    """By item id. User state can be read before anything is published: nothing is known of its items then."""
    if live_index.version is None:
        return {}
    snapshot = live_index.snapshot
    rows = {one.item_id: row for one in interactions if (row := snapshot.items.row(one.item_id)) is not None}
    return dict(zip(rows, snapshot.catalogue.properties(rows.values()), strict=True))


def _names(live_index: LiveIndex, stored: Stored) -> dict[int, str]:
    """Item ids by their hashes, as far as anybody here knows them."""
    names = {hash_id(one.item_id): one.item_id for one in stored.history}
    if live_index.version is not None:
        items = live_index.snapshot.items
        hashes = np.concatenate([stored.seen.hashes, stored.hidden.hashes, stored.served.hashes])
        rows = items.row_of_each(hashes)
        known = rows >= 0
        names.update(zip(hashes[known].tolist(), items.item_ids(rows[known]), strict=True))
    return names


def _marked(marks: Marks, names: Mapping[int, str]) -> Iterator[MarkedItem]:
    """Newest first."""
    for item, timestamp in zip(reversed(marks.hashes.tolist()), reversed(marks.times.tolist()), strict=True):
        yield MarkedItem(item_hash=f"{item:016x}", item_id=names.get(item), timestamp=timestamp)
