"""What is stored about a user."""

from typing import Any, Literal

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


Stored = dict[str, float | Literal["never"]]


class UserAnswer(BaseModel):
    """What is stored about a user."""

    user_id: str
    history: list[StoredInteraction] = Field(description="What is scored, newest first; nothing of weight 0.")
    n_seen: int = Field(description="Items left out of answers because the user interacted with them.")
    n_hidden: int = Field(description="Items that never come back: disliked or hidden.")
    steering: Stored = Field(description="By segment_id, from -1 to 1, or never.")


class MarkedItem(BaseModel):
    """An item that was seen, hidden or served."""

    item_hash: str = Field(description="What is stored of the item's id: 64 bits of BLAKE2b, in hexadecimal digits.")
    item_id: str | None = Field(description="The id, where the history or the current index knows it; else null.")
    timestamp: float = Field(description="Unix seconds.")


class ExportAnswer(BaseModel):
    """Everything that is stored about a user, but for the hashes of event ids, which expire within 24 hours."""

    user_id: str
    exported_at: float = Field(description="Unix seconds.")
    history: list[StoredInteraction] = Field(description="Newest first.")
    seen: list[MarkedItem] = Field(description="Newest first.")
    hidden: list[MarkedItem] = Field(description="Newest first.")
    steering: Stored
    served: list[MarkedItem] = Field(description="Returned to the user lately, kept for rotation; newest first.")
