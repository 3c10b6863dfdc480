"""Segments: what they are, which of them a user leans to, and what people say of them over what the model says."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.schemas.retrieval import Answer, Who
from app.schemas.wire import Count, Id, Parameters, Request
from index.edits import MAX_EDITS, MAX_TITLE, check_title


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
    found_title: str = Field(description="What the model calls it.")
    hidden: bool = Field(description="Whether it is never a row of a page, among a user's segments or a reason.")
    merged_into: str | None = Field(description="The segment that its items are a part of, and that its id stands for.")
    group_id: str | None = Field(
        description="The group that it is of; of one that is merged, that of the segment it went into. "
        "null: the index has no groups."
    )


class SegmentsQuery(Parameters):
    """Which segments."""

    hidden: bool = Field(default=False, description="true: with those that are hidden or merged into others.")


class SegmentGroup(BaseModel):
    """Segments of one broad taste."""

    group_id: str = Field(description="Opaque; survives retraining where most of its segments stay.")
    title: str
    size: int = Field(description="How many of the listed segments are of it.")


class SegmentList(BaseModel):
    """Segments of the current snapshot, and the groups that they are of, those of most segments first."""

    index_version: str
    groups: list[SegmentGroup]
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


Title = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_TITLE,
        description="Plain text without white space at its ends, control characters and breaks of lines.",
    ),
    AfterValidator(check_title),
]


class EditRequest(Request):
    """What people say of a segment. What is left out stays as it is; null takes it back."""

    title: Title | None = None
    hidden: bool | None = Field(
        default=None,
        description="true: it is never a row of a page, among a user's segments or a reason. Its id can still be used.",
    )
    merged_into: Id | None = Field(
        default=None,
        description="The segment that its items are a part of from now on, and that its id stands for.",
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Quiet crime"}, {"hidden": None}]})


class SegmentEdits(Request):
    """All edits, as they are exported and imported."""

    edits: dict[Id, EditRequest] = Field(
        max_length=MAX_EDITS,
        description="By segment_id. Of a segment that the index does not have an edit is kept and does nothing.",
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"edits": {"sabcdefghij": {"title": "Quiet crime"}}}]})


class SegmentEditsAnswer(SegmentEdits):
    """All edits as they are now."""

    unknown_segments: list[str] = Field(description="Those of them that the current index does not have.")
