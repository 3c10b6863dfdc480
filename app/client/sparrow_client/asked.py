"""What may be asked, as typed dictionaries: the keyword arguments of the client's methods.

Filters are Qdrant's shape, a safe subset: {"must": [{"key": "year", "range": {"gte": 1990}}]}.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, Required, TypedDict

Filter = Mapping[str, Any]
Kind = Literal["impression", "view", "click", "cart", "purchase", "like", "rating", "dislike", "hide"]


class HistoryEntry(TypedDict):
    """An interaction that counts for one request."""

    item_id: str
    kind: NotRequired[Kind]
    weight: NotRequired[float | None]
    timestamp: NotRequired[float | None]


class Boost(TypedDict):
    """A factor on the scores of the items that pass a filter."""

    filter: Filter
    factor: float


class Served(TypedDict, total=False):
    """How a request wants to be served."""

    index_version: str | None
    deadline_ms: int | None


class Who(Served, total=False):
    """Whose taste: a stored user, a history sent along, both, or nobody."""

    user_id: str | None
    history: Sequence[HistoryEntry]
    exclude_ids: Sequence[str]
    exclude_seen: bool
    steer: Mapping[str, float]
    scenario: str | None


class Selecting(TypedDict, total=False):
    """Which items, or which rather."""

    filter: Filter | None
    boost: Sequence[Boost]


class Ordered(Selecting, total=False):
    """In which order, and how told."""

    max_per: Mapping[str, int]
    diversity: float
    rotation_rate: float
    rotation_time: float
    seed: int | None
    include_properties: bool | Sequence[str]
    explain: bool
    cursors: bool


class Recommend(Who, Ordered, total=False):
    """Items for a user."""

    count: int
    segment_ids: Sequence[str] | None
    candidate_ids: Sequence[str] | None
    min_score: float | None


class LayoutRow(TypedDict):
    """A row that the page has whatever it gains."""

    kind: Literal["top_picks", "because", "segment", "property", "new", "continue", "list", "popular"]
    title: NotRequired[str | None]
    position: NotRequired[int | None]
    segment_id: NotRequired[str | None]
    property: NotRequired[str | None]
    value: NotRequired[str | None]
    item_ids: NotRequired[Sequence[str]]
    row_size: NotRequired[int | None]


class Homepage(Who, Ordered, total=False):
    """A page of rows."""

    device: Literal["phone", "tablet", "desktop"]
    n_rows: int | None
    row_size: int | None
    max_overlap: float
    layout: Sequence[LayoutRow]
    last_rows: Sequence[str]


class Similar(Served, total=False):
    """Items like others."""

    item_ids: Required[Sequence[str]]
    count: int
    user_id: str | None
    filter: Filter | None
    include_properties: bool | Sequence[str]
    cursors: bool


class SegmentsFor(Who, total=False):
    """A user's segments."""

    count: int


class Explain(Who, Selecting, total=False):
    """Why items."""

    item_ids: Required[Sequence[str]]


class Next(TypedDict):
    """More of an earlier answer."""

    cursor: str
    count: NotRequired[int | None]


class RecommendCall(TypedDict):
    """In a batch."""

    endpoint: Literal["recommend"]
    body: Recommend


class HomepageCall(TypedDict):
    """In a batch."""

    endpoint: Literal["homepage"]
    body: Homepage


class SimilarCall(TypedDict):
    """In a batch."""

    endpoint: Literal["similar"]
    body: Similar


class SegmentsCall(TypedDict):
    """In a batch."""

    endpoint: Literal["segments/recommend"]
    body: SegmentsFor


class SegmentItemsCall(TypedDict):
    """In a batch."""

    endpoint: Literal["segments/items"]
    segment_id: str
    body: Recommend


class ExplainCall(TypedDict):
    """In a batch."""

    endpoint: Literal["explain"]
    body: Explain


BatchCall = RecommendCall | HomepageCall | SimilarCall | SegmentsCall | SegmentItemsCall | ExplainCall


class Batch(Served, total=False):
    """Several requests in one."""

    requests: Required[Sequence[BatchCall]]
    distinct: bool


class Event(TypedDict):
    """One thing a user did with an item."""

    user_id: str
    item_id: str
    kind: Kind
    timestamp: NotRequired[float | None]
    weight: NotRequired[float | None]
    event_id: NotRequired[str | None]
    recomm_id: NotRequired[str | None]


class Events(TypedDict):
    """Body of POST /v1/events."""

    events: Sequence[Event]


class Steer(TypedDict):
    """Body of PUT /v1/users/{user_id}/steering."""

    steering: Mapping[str, float | Literal["never"]]


class ItemsQuery(TypedDict, total=False):
    """A search in the catalogue."""

    query: str
    filter: Filter | None
    limit: int
    offset: int


class SegmentsQuery(TypedDict, total=False):
    """Which segments."""

    hidden: bool


class Edit(TypedDict, total=False):
    """What people say of a segment; null takes it back."""

    title: str | None
    hidden: bool | None
    merged_into: str | None


class Edits(TypedDict):
    """Body of PUT /v1/segments/edits."""

    edits: Mapping[str, Edit]


class UserQuery(TypedDict, total=False):
    """How much of a user."""

    limit: int
    include_properties: bool
