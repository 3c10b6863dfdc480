"""Several requests in one."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.explain import ExplainAnswer, ExplainRequest
from app.schemas.retrieval import HomepageAnswer, HomepageRequest, ItemsAnswer, RecommendRequest, SimilarRequest
from app.schemas.segments import SegmentsAnswer, SegmentsRequest
from app.schemas.serving import Served
from app.schemas.wire import Id, Request

MAX_REQUESTS = 20
"""Of a batch."""


class RecommendCall(Request):
    """As POST /v1/recommend."""

    endpoint: Literal["recommend"]
    body: RecommendRequest


class HomepageCall(Request):
    """As POST /v1/homepage."""

    endpoint: Literal["homepage"]
    body: HomepageRequest


class SimilarCall(Request):
    """As POST /v1/similar."""

    endpoint: Literal["similar"]
    body: SimilarRequest


class SegmentsCall(Request):
    """As POST /v1/segments/recommend."""

    endpoint: Literal["segments/recommend"]
    body: SegmentsRequest


class SegmentItemsCall(Request):
    """As POST /v1/segments/{segment_id}/items."""

    endpoint: Literal["segments/items"]
    segment_id: Id
    body: RecommendRequest


class ExplainCall(Request):
    """As POST /v1/explain."""

    endpoint: Literal["explain"]
    body: ExplainRequest


Call = RecommendCall | HomepageCall | SimilarCall | SegmentsCall | SegmentItemsCall | ExplainCall


class BatchRequest(Served):
    """Body of POST /v1/batch. One index version serves it all: index_version and deadline_ms stand here alone."""

    requests: list[Annotated[Call, Field(discriminator="endpoint")]] = Field(min_length=1, max_length=MAX_REQUESTS)
    distinct: bool = Field(
        default=False,
        description="true: no item twice over the whole batch. What an earlier request of it was given is left out of "
        "the later ones, whoever they are for.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "requests": [
                        {"endpoint": "recommend", "body": {"history": [{"item_id": "2"}], "count": 5}},
                        {"endpoint": "similar", "body": {"item_ids": ["7"], "count": 5}},
                    ],
                    "distinct": True,
                }
            ]
        }
    )


class BatchAnswer(BaseModel):
    """One answer for each request, in order, as it would be alone."""

    index_version: str = Field(description="The snapshot that answered all of them.")
    took_ms: float = Field(description="Time in the server for all of them, in milliseconds.")
    answers: list[HomepageAnswer | ItemsAnswer | SegmentsAnswer | ExplainAnswer]
