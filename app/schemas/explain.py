"""Why an item: short reasons on the items of an answer, and the whole account of a score."""

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.retrieval import Answer, Who
from app.schemas.selection import Selecting
from app.schemas.wire import ItemId

MAX_EXPLAINED = 20
"""Items of one request: each names every item of the history."""


class ExplainRequest(Who, Selecting):
    """Body of POST /v1/explain."""

    item_ids: list[ItemId] = Field(min_length=1, max_length=MAX_EXPLAINED, description="What is to be explained.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": [{"item_id": "2"}, {"item_id": "18"}], "item_ids": ["7"]}]}
    )


class HistoryShare(BaseModel):
    """What an item of the history adds to a score."""

    item_id: str
    title: str = Field(description="Its property title or name, else its id.")
    kind: str = Field(description="What the user did.")
    weight: float
    contribution: float


class SegmentShare(BaseModel):
    """What the dimensions of a segment add to a score."""

    segment_id: str
    title: str
    contribution: float


class SteeringShare(SegmentShare):
    """What steering towards a segment, or away from it, adds to a score."""

    strength: float


class ItemExplanation(BaseModel):
    """A score and what it is made of.

        score = sum of history + popularity + sum of steering + boosts
              = sum of segments + other     + sum of steering + boosts

    up to 0.00001 of |score|. The first line counts what the user did, the second what the item is.
    """

    item_id: str
    title: str
    score: float = Field(description="As POST /v1/recommend gives it, before diversity and rotation reorder.")
    may_be_shown: bool = Field(description="false: left out of answers, because it was seen, hidden, excluded or so.")
    history: list[HistoryShare] = Field(description="Largest contributions first; what adds nothing is left out.")
    popularity: float = Field(description="What everybody's taste adds where the user's own is unknown, else 0.")
    segments: list[SegmentShare] = Field(
        description="Each dimension of the item is counted in the segment that is strongest in it, and all that no "
        "segment has in other."
    )
    other: float
    steering: list[SteeringShare]
    boosts: float = Field(description="What the boosts add to all that.")


class ExplainAnswer(Answer):
    """One explanation for each item that the index knows, in order."""

    explanations: list[ItemExplanation]
