"""Who is asked for, and what is answered: lists of items and pages of rows."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.schemas.cursors import Continuable, Continued, NextCursor
from app.schemas.layout import LayoutRow, RowKind
from app.schemas.reasons import Explained, Reason
from app.schemas.selection import Filtered, Ordered, Selecting
from app.schemas.serving import Served
from app.schemas.steering import Steered
from app.schemas.wire import Count, Id, ItemId, Kind, Request, UserId
from app.settings import MAX_WEIGHT


class HistoryEntry(Request):
    """One interaction that counts for this request only."""

    item_id: ItemId
    kind: Kind = Field(default="like", description="What the user did; sets the weight where none is given.")
    weight: float | None = Field(
        default=None,
        ge=-MAX_WEIGHT,
        le=MAX_WEIGHT,
        description="Overrides the weight of the kind. Below 0: a dislike. 0: seen, nothing more.",
    )
    timestamp: float | None = Field(
        default=None,
        ge=0,
        le=253_402_300_799,
        description="Unix seconds. Entries without one count as now, newest first.",
    )


class Who(Steered, Served):
    """Whose taste to answer for: a stored user, a history sent along, both (added up), or nobody (what is popular)."""

    user_id: UserId | None = None
    history: list[HistoryEntry] = Field(
        default_factory=list, max_length=1000, description="Newest first. Used for this answer, never stored."
    )
    exclude_ids: list[ItemId] = Field(
        default_factory=list,
        max_length=1000,
        description="Items that must not be in the answer; unknown ids do no harm.",
    )
    exclude_seen: bool = Field(
        default=True, description="Leave out what the user has interacted with. Hidden items never come back."
    )
    scenario: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Where the answer is shown, for example home-top. It changes nothing in the answer but its "
        "recomm_id, by which events that follow from it are attributed.",
    )


Properties = Annotated[
    bool | Annotated[list[Id], Field(max_length=100)],
    Field(description="true: all properties of each item; a list of keys: only these. An unknown key is refused."),
]


class RecommendRequest(Ordered, Selecting, Explained, Continued, Who):
    """Body of POST /v1/recommend and of POST /v1/segments/{segment_id}/items."""

    count: Count = 10
    segment_ids: list[Id] | None = Field(
        default=None,
        max_length=100,
        description="Only items of these segments, of any of them. Unknown ones are skipped, with a warning.",
    )
    candidate_ids: list[ItemId] | None = Field(
        default=None,
        max_length=1000,
        description="Only these items: the answer is this list, ranked for the user, without what is seen, hidden, "
        "excluded or filtered out. Unknown ones are skipped, with a warning.",
    )
    min_score: float | None = Field(
        default=None,
        description="Only items of at least this score. Of popular items the score is the number of users.",
    )
    include_properties: Properties = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": [{"item_id": "2"}, {"item_id": "18"}], "count": 5}]}
    )


class PageSize(NamedTuple):
    """The size of a page."""

    n_rows: int
    row_size: int


SIZES = {
    "phone": PageSize(n_rows=6, row_size=6),
    "tablet": PageSize(n_rows=6, row_size=9),
    "desktop": PageSize(n_rows=6, row_size=12),
}
"""What a device asks for when it says no more; a phone shows two to three items at once and scrolls."""


class HomepageRequest(Ordered, Selecting, Explained, Continued, Who):
    """Body of POST /v1/homepage."""

    device: Literal["phone", "tablet", "desktop"] = Field(
        default="desktop", description="Sets the defaults of n_rows and row_size."
    )
    n_rows: int | None = Field(
        default=None, ge=1, le=50, description="Rows at most; without it, as the device needs (6)."
    )
    row_size: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Items in a row at most; without it 6 (phone), 9 (tablet) or 12 (desktop).",
    )
    max_overlap: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="A row is not used where more than this share of its best items is in other rows already; top "
        "picks and what is popular give way.",
    )
    layout: list[LayoutRow] = Field(
        default_factory=list,
        max_length=50,
        description="Rows that the page has whatever they gain, as long as there are items for them; the others are "
        "chosen around them.",
        examples=[[{"kind": "list", "title": "Our picks", "item_ids": ["2", "18"], "position": 1}]],
    )
    last_rows: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=50,
        description="The row_ids of the page that the user saw last: these rows rather stay (SPARROW_PAGE_STABILITY).",
    )
    include_properties: Properties = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": [{"item_id": "2"}, {"item_id": "18"}], "device": "phone"}]}
    )

    def size(self) -> PageSize:
        """The size asked for, or else the device's."""
        default = SIZES[self.device]
        return PageSize(n_rows=self.n_rows or default.n_rows, row_size=self.row_size or default.row_size)

    @model_validator(mode="after")
    def _holds_layout(self) -> Self:
        """Refuses a layout that does not fit into the page."""
        if not self.layout:
            return self
        n_rows, places = self.size().n_rows, [one.position for one in self.layout if one.position is not None]
        if len(self.layout) > n_rows:
            raise ValueError(f"the layout has {len(self.layout)} rows, the page {n_rows}; ask for more n_rows")
        if places and max(places) > n_rows:
            raise ValueError(f"position {max(places)} is below the page, which has {n_rows} rows")
        if len(set(places)) < len(places):
            raise ValueError("two rows of the layout have the same position")
        first: dict[tuple[str | None, ...], int] = {}
        for number, one in enumerate(self.layout):
            if first.setdefault(one.about(), number) != number:
                how = "; lists are told apart by their titles" if one.kind == "list" else ""
                raise ValueError(f"layout.{number} asks for the same row as layout.{first[one.about()]}{how}")
        return self


class SimilarRequest(Filtered, Continued, Served):
    """Body of POST /v1/similar."""

    item_ids: list[ItemId] = Field(min_length=1, max_length=100, description="What the answer should be like.")
    count: Count = 10
    user_id: UserId | None = Field(
        default=None, description="Tilts the answer to this user's taste and leaves out what the user has seen."
    )
    include_properties: Properties = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"item_ids": ["7"], "count": 5}]})


class Caution(BaseModel):
    """Something the caller should know about an answer that was given all the same."""

    code: Literal[
        "unknown_items",
        "unknown_user",
        "unknown_segments",
        "nothing_left",
        "popular_fallback",
        "store_unavailable",
        "deadline",
        "index_changed",
        "no_cursor",
    ]
    message: str


class Answer(BaseModel):
    """What every retrieval answer carries."""

    recomm_id: str = Field(description="Unique to this answer; send it along with the events that follow from it.")
    index_version: str = Field(description="The snapshot that answered.")
    took_ms: float = Field(description="Time in the server, in milliseconds.")
    degraded: bool = Field(description="true: user state could not be read, the answer was made without it.")
    warnings: list[Caution]


@dataclass(slots=True)
class ItemHit:
    """An item of an answer."""  # no model: a page has a hundred, and validates none of what we made ourselves

    item_id: str
    score: Annotated[
        float, Field(description="Comparable inside one list only; in a list of popular items, the number of users.")
    ]
    properties: Annotated[dict[str, Any] | None, Field(description="Only where include_properties asks for them.")] = (
        None
    )
    reasons: Annotated[list[Reason] | None, Field(description="Only where explain asks for them.")] = None


class ItemsAnswer(Answer, Continuable):
    """Items, best first. May be shorter than asked: only what something speaks for, or what the caller named."""

    items: list[ItemHit]


@dataclass(slots=True, kw_only=True)
class HomepageRow:
    """One titled shelf."""

    next_cursor: NextCursor = None
    row_id: Annotated[str, Field(description="Opaque; the same for the same shelf on every page of every user.")]
    kind: RowKind
    title: str
    segment_id: Annotated[str | None, Field(description="The segment behind a row of kind segment.")] = None
    property: Annotated[str | None, Field(description="The property of a row of kind property or new.")] = None
    value: Annotated[str | None, Field(description="The value that all items of a row of kind property have.")] = None
    reason: Annotated[str, Field(description="Why this row is here, in plain words.")]
    score: Annotated[float, Field(description="Mean score of its items; comparable between rows of one kind.")]
    items: list[ItemHit]


class HomepageAnswer(Answer):
    """A page of rows, top first. No item is on it twice."""

    rows: list[HomepageRow]
    page_cursor: str | None = Field(default=None, description="For POST /v1/next: more rows.")
