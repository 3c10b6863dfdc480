"""What may be said on the wire about retrieval: requests, answers, and the bounds of both.

Requests are strict: an unknown field, a string for a number, NaN or an infinity is refused. Ids are strings of 1 to 256
bytes in UTF-8. Row numbers of the index never appear here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.settings import MAX_WEIGHT
from index.vocabulary import MAX_ID_BYTES


def _bounded_id(value: str) -> str:
    """Refuse what has no UTF-8 form, and what is too long in it: a bound on characters would not bound bytes."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("an id must be valid Unicode; this one holds an unpaired surrogate") from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise ValueError(f"an id must have 1 to {MAX_ID_BYTES} bytes in UTF-8; this one has {size}")
    return value


def _reachable(value: str) -> str:
    """Refuses what no URL can name, since clients resolve dots: such a user could be stored and never deleted."""
    if value in (".", ".."):
        raise ValueError("'.' and '..' cannot be the id of a user")
    return value


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), AfterValidator(_bounded_id)]
ItemId = Annotated[Id, Field(description="The id of an item, as in the training data: 1 to 256 bytes in UTF-8.")]
UserId = Annotated[Id, AfterValidator(_reachable), Field(description="The id of a user: 1 to 256 bytes in UTF-8.")]
Kind = Literal["impression", "view", "click", "cart", "purchase", "like", "rating", "dislike", "hide"]
Count = Annotated[int, Field(ge=1, le=1000, description="How many to return at most.")]


def unknown_key(model: type[BaseModel], given: Mapping[str, Any], message: str) -> ValidationError:
    """The error that names the first key of `given` that is no field of `model`, in its place."""
    key = next(key for key in given if key not in model.model_fields)
    printable = key.encode("utf-8", "backslashreplace").decode()  # JSON can name what no error can
    kind = PydanticCustomError("extra_forbidden", "{message}", {"message": message})
    return ValidationError.from_exception_data(model.__name__, [{"type": kind, "loc": (printable,), "input": None}])


class Request(BaseModel):
    """The strictness every request body shares."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: object) -> object:
        """Refuses an object of more keys than fields by one error: one a key would be hundreds of thousands."""
        if isinstance(given, dict) and len(given) > len(cls.model_fields):
            raise unknown_key(cls, given, "Extra inputs are not permitted")
        return given


class Parameters(BaseModel):
    """The strictness of a query string: an unknown name is refused, for the answer without it would be another one."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        """Refuses an unknown name; names the known ones."""
        if isinstance(given, dict) and not given.keys() <= cls.model_fields.keys():
            raise unknown_key(
                cls, given, f"there is no such parameter; the known ones are {', '.join(cls.model_fields)}"
            )
        return given


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


class Who(Request):
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


Properties = Annotated[
    bool | Annotated[list[Id], Field(max_length=100)],
    Field(description="true: all properties of each item; a list of keys: only these. An unknown key is refused."),
]


class RecommendRequest(Who):
    """Body of POST /v1/recommend and of POST /v1/segments/{segment_id}/items."""

    count: Count = 10
    include_properties: Properties = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": [{"item_id": "2"}, {"item_id": "18"}], "count": 5}]}
    )


class Layout(NamedTuple):
    """The size of a page."""

    n_rows: int
    row_size: int


LAYOUTS = {
    "phone": Layout(n_rows=6, row_size=6),
    "tablet": Layout(n_rows=6, row_size=9),
    "desktop": Layout(n_rows=6, row_size=12),
}
"""What a device asks for when it says no more; a phone shows two to three items at once and scrolls."""


class HomepageRequest(Who):
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
        description="A row is not used where more than this share of its items is in earlier rows already.",
    )
    include_properties: Properties = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": [{"item_id": "2"}, {"item_id": "18"}], "device": "phone"}]}
    )

    def layout(self) -> Layout:
        """The size asked for, or else the device's."""
        default = LAYOUTS[self.device]
        return Layout(n_rows=self.n_rows or default.n_rows, row_size=self.row_size or default.row_size)


class SimilarRequest(Request):
    """Body of POST /v1/similar."""

    item_ids: list[ItemId] = Field(min_length=1, max_length=100, description="What the answer should be like.")
    count: Count = 10
    user_id: UserId | None = Field(
        default=None, description="Tilts the answer to this user's taste and leaves out what the user has seen."
    )
    include_properties: Properties = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"item_ids": ["7"], "count": 5}]})


class SegmentsRequest(Who):
    """Body of POST /v1/segments/recommend."""

    count: Count = 10

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": [{"item_id": "2"}], "count": 5}]})


class Caution(BaseModel):
    """Something the caller should know about an answer that was given all the same."""

    code: Literal["unknown_items", "unknown_user", "popular_fallback", "store_unavailable"]
    message: str


class Answer(BaseModel):
    """What every retrieval answer carries."""

    recomm_id: str = Field(description="Unique to this answer; send it along with the events that follow from it.")
    index_version: str = Field(description="The snapshot that answered.")
    took_ms: float = Field(description="Time in the server, in milliseconds.")
    degraded: bool = Field(description="true: user state could not be read, the answer was made without it.")
    warnings: list[Caution]


class ItemHit(BaseModel):
    """An item of an answer."""

    item_id: str
    score: float = Field(
        description="Comparable inside one list only; in a list of popular items, the number of users."
    )
    properties: dict[str, Any] | None = Field(default=None, description="Only where include_properties asks for them.")


class ItemsAnswer(Answer):
    """Items, best first. May be shorter than asked: only items that something speaks for are returned."""

    items: list[ItemHit]


class HomepageRow(BaseModel):
    """One titled shelf."""

    row_id: str = Field(description="Opaque; the same for the same shelf on every page of every user.")
    kind: Literal["top_picks", "because", "segment", "popular"]
    title: str
    segment_id: str | None = Field(default=None, description="The segment behind a row of kind segment.")
    reason: str = Field(description="Why this row is here, in plain words.")
    score: float = Field(description="Mean score of its items; comparable between rows of one kind.")
    items: list[ItemHit]


class HomepageAnswer(Answer):
    """A page of rows, top first. No item is on it twice."""

    rows: list[HomepageRow]


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


class CatalogueItem(BaseModel):
    """An item and what is known about it."""

    item_id: str
    properties: dict[str, Any]


class CataloguePage(BaseModel):
    """Items that match a search, most popular first."""

    index_version: str
    items: list[CatalogueItem]
