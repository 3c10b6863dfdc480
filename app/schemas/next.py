"""More of an earlier answer."""

from pydantic import Field

from app.schemas.cursors import Continuable
from app.schemas.retrieval import Answer, HomepageRow, ItemHit


class NextAnswer(Answer, Continuable):
    """More items of a list or of a row, or more rows of a page; none that was given before."""

    items: list[ItemHit] | None = Field(default=None, description="Of a next_cursor.")
    rows: list[HomepageRow] | None = Field(default=None, description="Of a page_cursor.")
    page_cursor: str | None = Field(default=None, description="For more rows still.")
