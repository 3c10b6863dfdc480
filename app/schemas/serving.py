"""How a request wants to be served: by which version of the index, and by when."""

from typing import Annotated

from pydantic import AfterValidator, Field

from app.schemas.wire import Request
from index.versions import is_version


def _named(value: str) -> str:
    if not is_version(value):
        raise ValueError("this is no name of an index version, such as 20261121T081200Z-3f9a2c1d; see GET /v1/versions")
    return value


VersionName = Annotated[str, Field(min_length=25, max_length=25), AfterValidator(_named)]

MAX_DEADLINE_MS = 60_000


class Served(Request):
    """What every retrieval request may say about how it is served."""

    index_version: VersionName | None = Field(
        default=None,
        description="Answer from this version, as in an earlier answer or in GET /v1/versions, instead of the current "
        "one. One that is stored and not open is opened; one that is not stored is refused.",
    )
    deadline_ms: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DEADLINE_MS,
        description="Rather answer with less than later than this, in milliseconds: without stored state (degraded), "
        "with fewer rows or a plainer order (warning deadline). Without it, as the server is set.",
    )
