"""What the server answers. Fields that a newer server adds are ignored, so that an older client goes on."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Stored = dict[str, float | Literal["never"]]
"""Steering: strength or "never" by segment id."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Caution(_Document):
    """Something to know about an answer that was given all the same."""

    code: str
    message: str


class _Answer(_Document):
    """What every retrieval answer carries."""

    recomm_id: str
    """Send it along with the events that follow from the answer."""
    index_version: str
    took_ms: float
    degraded: bool
    """User state could not be read."""
    warnings: list[Caution]


class Reason(_Document):
    """One thing that speaks for an item."""

    kind: str
    text: str
    contribution: float | None = None
    item_id: str | None = None
    segment_id: str | None = None


class Item(_Document):
    """An item of an answer."""

    item_id: str
    score: float
    properties: dict[str, Any] | None = None
    reasons: list[Reason] | None = None


class Items(_Answer):
    """Items, best first."""

    items: list[Item]
    next_cursor: str | None = None


class Row(_Document):
    """A titled shelf."""

    row_id: str
    kind: str
    title: str
    reason: str
    score: float
    items: list[Item]
    segment_id: str | None = None
    property: str | None = None
    value: str | None = None
    next_cursor: str | None = None


class Page(_Answer):
    """Rows, top first. No item is on a page twice."""

    rows: list[Row]
    page_cursor: str | None = None


class More(_Answer):
    """More items of a list or of a row, or more rows of a page."""

    items: list[Item] | None = None
    rows: list[Row] | None = None
    next_cursor: str | None = None
    page_cursor: str | None = None


class Segment(_Document):
    """A titled set of items that the model found."""

    segment_id: str
    title: str
    size: int


class RankedSegment(Segment):
    """A segment as it fits a user."""

    score: float
    reason: str


class Segments(_Answer):
    """The user's segments, strongest first."""

    segments: list[RankedSegment]


class SegmentWithTerms(Segment):
    """A segment and the words that set it apart."""

    terms: list[str]
    found_title: str
    hidden: bool
    merged_into: str | None
    group_id: str | None


class SegmentGroup(_Document):
    """Segments of one broad taste."""

    group_id: str
    title: str
    size: int


class SegmentList(_Document):
    """Segments of an index version, and the groups that they are of, those of most segments first."""

    index_version: str
    groups: list[SegmentGroup]
    segments: list[SegmentWithTerms]


class SegmentItem(_Document):
    """An item that belongs to a segment."""

    item_id: str
    title: str
    strength: float


class SegmentDetail(SegmentWithTerms):
    """A segment and its most typical items."""

    index_version: str
    top_items: list[SegmentItem]


class SegmentEdit(_Document):
    """What people say of a segment; of what is not set they say nothing."""

    title: str | None = None
    hidden: bool | None = None
    merged_into: str | None = None


class SegmentEdits(_Document):
    """All edits by segment; `model_dump(exclude_unset=True)` is what `replace_edits` takes."""

    edits: dict[str, SegmentEdit]


class ReplacedEdits(SegmentEdits):
    """All edits as they are now, and those of them that the index does not have."""

    unknown_segments: list[str]


class HistoryShare(_Document):
    """What an item of the history adds to a score."""

    item_id: str
    title: str
    kind: str
    weight: float
    contribution: float


class SegmentShare(_Document):
    """What a segment adds to a score."""

    segment_id: str
    title: str
    contribution: float


class SteeringShare(SegmentShare):
    """What steering adds to a score."""

    strength: float


class Explanation(_Document):
    """A score and what it is made of."""

    item_id: str
    title: str
    score: float
    may_be_shown: bool
    history: list[HistoryShare]
    popularity: float
    segments: list[SegmentShare]
    other: float
    steering: list[SteeringShare]
    boosts: float


class Explanations(_Answer):
    """One for each item that the index knows, in order."""

    explanations: list[Explanation]


class Batch(_Document):
    """One answer for each request, in order."""

    index_version: str
    took_ms: float
    answers: list[Page | Items | Segments | Explanations]


class EventResult(_Document):
    """What became of an event."""

    status: str
    """accepted, duplicate, unknown_item or refused."""
    detail: str | None = None


class EventResults(_Document):
    """One for each event, in order."""

    results: list[EventResult]


class StoredInteraction(_Document):
    """An interaction as it is scored."""

    item_id: str
    kind: str
    weight: float
    timestamp: float
    properties: dict[str, Any] | None = None


class User(_Document):
    """What is stored about a user."""

    user_id: str
    history: list[StoredInteraction]
    n_seen: int
    n_hidden: int
    steering: Stored


class MarkedItem(_Document):
    """An item that was seen, hidden or served."""

    item_hash: str
    timestamp: float
    item_id: str | None = None


class Export(_Document):
    """Everything that is stored about a user."""

    user_id: str
    exported_at: float
    history: list[StoredInteraction]
    seen: list[MarkedItem]
    hidden: list[MarkedItem]
    steering: Stored
    served: list[MarkedItem]


class Steering(_Document):
    """The steering that is stored now."""

    user_id: str
    steering: Stored
    unknown_segments: list[str]


class CatalogueItem(_Document):
    """An item and what is known about it."""

    item_id: str
    properties: dict[str, Any]


class CataloguePage(_Document):
    """Items that match a search, most popular first."""

    index_version: str
    items: list[CatalogueItem]


class Index(_Document):
    """What an index version is."""

    version: str
    created_at: str
    content_hash: str
    format: int
    n_items: int
    n_dims: int
    n_nonzeros: int
    n_segments: int
    dims_are: str
    provenance: dict[str, Any]
    query_dims: int | None = None


class OpenVersion(Index):
    """An index version that requests may be answered from."""

    current: bool
    before: bool
    pinned: bool


class Versions(_Document):
    """The open ones, the newest first."""

    versions: list[OpenVersion]


class Info(_Document):
    """What is served, by what, and how."""

    version: str
    example_users: list[str]
    event_weights: dict[str, float]
    property_keys: list[str]
    index: Index | None = None


class Live(_Document):
    """The process answers."""

    status: str


class Ready(_Document):
    """An index is loaded and warm."""

    index_version: str
    store: str
