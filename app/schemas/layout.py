"""The layout of a page: which rows the caller wants on it, and where."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.schemas.wire import Id, ItemId, Request

RowKind = Literal["top_picks", "because", "segment", "property", "new", "continue", "list", "popular"]

MAX_TITLE = 100

MAX_LISTED = 200
"""Items that the caller may name for a row."""

NEEDED = {"segment": "segment_id", "property": "property", "list": "item_ids"}
"""What a row of a kind cannot do without."""

TAKEN = {"segment_id": ("segment",), "property": ("property", "new"), "value": ("property",)}
"""The kinds of rows that a field is for."""


class LayoutRow(Request):
    """A row that the page has whatever it gains, as long as there are items for it."""

    kind: RowKind = Field(
        description="continue: what the user looked at or put into the cart, and did not buy or like since. list: the "
        "caller's own items, in their order. new: the newest twentieth of the catalogue, by a property."
    )
    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE)] | None = Field(
        default=None, description="Instead of the row's own title. A list needs one of its own."
    )
    position: int | None = Field(
        default=None, ge=1, le=50, description="The row that it is, from 1; without it, where it gains most."
    )
    segment_id: Id | None = Field(default=None, description="Of a segment.")
    property: Id | None = Field(
        default=None,
        description="Of a property row: the key of texts, such as authors. Of new: the key of times or numbers.",
    )
    value: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Of a property row: the value; without it, one that the user likes."
    )
    item_ids: list[ItemId] = Field(
        default_factory=list,
        max_length=MAX_LISTED,
        description="Of a list: its items. Of because: the one item that it is about. Else: items that lead the row.",
    )
    row_size: int | None = Field(default=None, ge=1, le=100, description="Items at most; without it as the page.")

    def about(self) -> tuple[str | None, ...]:
        """What tells it from others: two rows with the same are one."""
        (item, *_) = self.item_ids if self.kind == "because" and self.item_ids else (None,)
        return self.kind, self.segment_id, self.property, self.value, self.title if self.kind == "list" else None, item

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuses what a row of the kind needs and lacks, or has and cannot use."""
        needed = NEEDED.get(self.kind)
        if needed is not None and not getattr(self, needed):
            raise ValueError(f"a row of kind {self.kind} needs {needed}")
        if self.kind == "list" and self.title is None:
            raise ValueError("a row of kind list needs a title")
        for field, kinds in TAKEN.items():
            if getattr(self, field) is not None and self.kind not in kinds:
                raise ValueError(f"{field} is for rows of kind {' or '.join(kinds)}, not of {self.kind}")
        if self.item_ids and (self.kind == "continue" or (self.kind == "because" and len(self.item_ids) > 1)):
            raise ValueError(
                f"a row of kind {self.kind} takes {'no' if self.kind == 'continue' else 'one of'} item_ids"
            )
        return self
