"""Steering: how much more, or less, of which segments; for one request, or stored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.wire import Id, Request
from app.store.state import MAX_STEERED

Strength = Annotated[float, Field(ge=-1, le=1)]


class Steered(Request):
    """What may be steered for one request."""

    steer: dict[Id, Strength] = Field(
        default_factory=dict,
        max_length=MAX_STEERED,
        description="By segment_id, from -1 (away from it) to 1 (as strong as the whole history). Comes before what is "
        "stored for the same segment, also before never; 0: as if nothing was stored.",
    )


class SteeringRequest(Request):
    """Body of PUT /v1/users/{user_id}/steering: it replaces what was stored."""

    steering: dict[Id, Strength | Literal["never"]] = Field(
        max_length=MAX_STEERED,
        description="By segment_id, from -1 to 1; never: items of the segment are left out of all answers. What is "
        "left out of this object, or 0, is no longer stored.",
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"steering": {"sabcdefghij": 0.5, "sklmnopqrst": "never"}}]}
    )


class SteeringAnswer(BaseModel):
    """The steering that is stored now."""

    user_id: str
    steering: dict[str, float | Literal["never"]]
    unknown_segments: list[str] = Field(
        description="Those of them that the current index does not have: stored, and used once an index has them."
    )
