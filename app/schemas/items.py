"""Items of the catalogue, and how they are asked for."""

from typing import Any

from pydantic import BaseModel, Field

from app.schemas.wire import Parameters


class ItemsQuery(Parameters):
    """Which items."""

    query: str = Field(
        default="", max_length=200, description="Every word must be in the item's text, the last may be begun."
    )
    filter: str | None = Field(
        default=None,
        max_length=3000,
        description="A filter on properties as in POST /v1/recommend, as JSON text.",
        examples=['{"must": [{"key": "year", "range": {"gte": 1990}}]}'],
    )
    limit: int = Field(default=20, ge=1, le=100, description="How many to return at most.")
    offset: int = Field(default=0, ge=0, le=1_000_000, description="How many to skip.")


class CatalogueItem(BaseModel):
    """An item and what is known about it."""

    item_id: str
    properties: dict[str, Any]


class CataloguePage(BaseModel):
    """Items that match a search, most popular first."""

    index_version: str
    items: list[CatalogueItem]
