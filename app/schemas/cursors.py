"""Cursors: going on where an answer ended."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.cursors import MAX_CHARS, MAX_SERVED
from app.schemas.wire import Request


class Continued(Request):
    """A request whose answer may be gone on with."""

    cursors: bool = Field(
        default=False,
        description="true: the answer comes with cursors for POST /v1/next, which hold the request: for a short answer "
        "they are the larger part of it.",
    )


NextCursor = Annotated[
    str | None,
    Field(
        description=f"For POST /v1/next: more items. Where cursors are asked for and none comes, the list ends here: "
        f"there is no more, or {MAX_SERVED} items were given.",
    ),
]


class Continuable(BaseModel):
    """An answer that may be gone on with."""

    next_cursor: NextCursor = None


class NextRequest(Request):
    """Body of POST /v1/next."""

    cursor: str = Field(min_length=1, max_length=MAX_CHARS, description="As an answer gave it, up to 30 minutes ago.")
    count: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Items at most; for a page_cursor rows, 50 at most. Without it as many as the first time.",
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"cursor": "of an earlier answer", "count": 10}]})
