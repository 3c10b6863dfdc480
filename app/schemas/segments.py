"""Segments: what they are, and which of them a user leans to."""

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.retrieval import Answer, Who
from app.schemas.wire import Count


class SegmentsRequest(Who):
    """Body of POST /v1/segments/recommend."""

    count: Count = 10

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": [{"item_id": "2"}], "count": 5}]})


class SegmentSummary(BaseModel):
    """A segment: a titled set of items that the model found."""

    segment_id: str = Field(description="Opaque; survives retraining where the items stay the same.")
    title: str
    size: int = Field(description="Number of items.")


class SegmentHit(SegmentSummary):
    """A segment ranked for a user."""

    score: float = Field(description="How strongly the user's taste points at the segment.")
    reason: str = Field(description="Why, in plain words.")


class SegmentsAnswer(Answer):
    """The user's segments, strongest first."""

    segments: list[SegmentHit]


class SegmentWithTerms(SegmentSummary):
    """A segment and the words that set it apart."""

    terms: list[str]


class SegmentList(BaseModel):
    """All segments of the current snapshot."""

    index_version: str
    segments: list[SegmentWithTerms]


class SegmentItem(BaseModel):
    """An item that belongs to a segment."""

    item_id: str
    title: str = Field(description="Its property title or name, else its id.")
    strength: float = Field(description="How typical it is, in (0, 1].")


class SegmentDetail(SegmentWithTerms):
    """One segment and its most typical items."""

    index_version: str
    top_items: list[SegmentItem]
