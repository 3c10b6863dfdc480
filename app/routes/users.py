"""GET and DELETE /v1/users/{user_id}: what is stored about a user, and forgetting it."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.deps import UsersDep
from app.errors import NotFound, responses
from app.schemas import UserId

router = APIRouter(tags=["users"])

# ":path" because an id may hold slashes.
PATH = "/v1/users/{user_id:path}"

ABSENT = "nothing is stored about this user"


class StoredInteraction(BaseModel):
    """An interaction as it is scored."""

    item_id: str
    kind: str
    weight: float
    timestamp: float = Field(description="Unix seconds.")


class UserAnswer(BaseModel):
    """What is stored about a user."""

    user_id: str
    history: list[StoredInteraction] = Field(description="What is scored, newest first; nothing of weight 0.")
    n_seen: int = Field(description="Items left out of answers because the user interacted with them.")
    n_hidden: int = Field(description="Items that never come back: disliked or hidden.")


@router.get(PATH, responses=responses(404, 503))
async def get_user(user_id: UserId, users: UsersDep) -> UserAnswer:
    """The user's state, as the next answer will use it."""
    state = await users.read(user_id)
    if state.empty:
        raise NotFound(ABSENT)
    history = [StoredInteraction(**one._asdict()) for one in state.history]
    return UserAnswer(user_id=user_id, history=history, n_seen=len(state.seen), n_hidden=len(state.hidden))


@router.delete(PATH, status_code=204, responses=responses(404, 503))
async def delete_user(user_id: UserId, users: UsersDep) -> Response:
    """Forget the user: everything stored is removed at once."""
    await users.delete(user_id)
    return Response(status_code=204)
