"""What is stored about a user."""

from typing import Any

from pydantic import BaseModel, Field

from app.schemas.wire import Parameters


class UserQuery(Parameters):
    """How much of a user."""

    limit: int = Field(default=10_000, ge=0, le=10_000, description="Interactions at most, the newest.")
    include_properties: bool = Field(default=False, description="true: with the properties of each item.")


class StoredInteraction(BaseModel):
    """An interaction as it is scored."""

    item_id: str
    kind: str
    weight: float
    timestamp: float = Field(description="Unix seconds.")
    properties: dict[str, Any] | None = Field(
        None, description="Only where include_properties asks for them and the index knows the item."
    )


class UserAnswer(BaseModel):
    """What is stored about a user."""

    user_id: str
    history: list[StoredInteraction] = Field(description="What is scored, newest first; nothing of weight 0.")
    n_seen: int = Field(description="Items left out of answers because the user interacted with them.")
    n_hidden: int = Field(description="Items that never come back: disliked or hidden.")
