"""Reasons: why an item is in an answer, in a few words."""

from typing import Literal

from pydantic import BaseModel, Field

from app.schemas.wire import Request


class Reason(BaseModel):
    """One thing that speaks for an item."""

    kind: Literal["history", "segment", "steering", "popular"] = Field(
        description="An item of the history, a segment that the item has a part in, one that the user asked for more "
        "of, or that many people like it."
    )
    text: str = Field(description="In plain words.")
    contribution: float | None = Field(
        default=None,
        description="How much of the user's score for the item, before boosts, it makes up; see POST /v1/explain. "
        "History and segment are two views of the same score: do not add them up.",
    )
    item_id: str | None = Field(default=None, description="The item of the history.")
    segment_id: str | None = Field(default=None, description="The segment.")


MAX_WITH_REASONS = 200
"""Items of one answer that get reasons: each takes as long as a small search."""


class Explained(Request):
    """A request whose items may come with reasons."""

    explain: bool = Field(
        default=False,
        description="true: items come with reasons: at most two of the history, a segment, steering. Only the first "
        f"{MAX_WITH_REASONS} of an answer do.",
    )
