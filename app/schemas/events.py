"""Events: what users did, and what became of each."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.wire import Id, ItemId, Kind, Request, UserId
from app.settings import MAX_WEIGHT


class EventBody(Request):
    """One interaction of a user with an item."""

    user_id: UserId
    item_id: ItemId
    kind: Kind
    timestamp: float | None = Field(None, description="Unix seconds; without it, now.")
    weight: float | None = Field(
        None, ge=-MAX_WEIGHT, le=MAX_WEIGHT, description="Overrides the weight of the kind. 0: seen, nothing more."
    )
    event_id: Id | None = Field(None, description="Repeats for this user within 24 hours are ignored.")
    recomm_id: Id | None = Field(
        None, description="The answer that this event follows from. Of another service's the event counts, not the id."
    )


class EventsRequest(Request):
    """Body of POST /v1/events."""

    events: list[EventBody] = Field(min_length=1, max_length=1000)

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"events": [{"user_id": "u1", "item_id": "2", "kind": "like"}]}]}
    )


Status = Literal["accepted", "duplicate", "unknown_item", "refused"]


class EventOutcome(BaseModel):
    """What became of one event."""

    status: Status = Field(
        description="accepted; duplicate: its event_id was recorded before; unknown_item: recorded, though the index "
        "does not know the item yet; refused: not recorded, see detail."
    )
    detail: str | None = Field(None, description="Why it was refused; else what of it was left aside.")


class EventsAnswer(BaseModel):
    """One result for each event, in order."""

    results: list[EventOutcome]
