"""POST /v1/batch: several requests in one, by one index version, their users read in one round trip."""

import asyncio
from collections.abc import Iterable
from typing import assert_never

import numpy as np
from fastapi import APIRouter

from app import answers
from app.deps import AskingDep
from app.errors import NO_SEGMENT, Invalid
from app.explaining import explain
from app.inquiry import NO_HASHES, Inquiry
from app.schemas.batch import (
    BatchAnswer,
    BatchRequest,
    Call,
    ExplainCall,
    HomepageCall,
    RecommendCall,
    SegmentItemsCall,
    SegmentsCall,
    SimilarCall,
)
from app.schemas.explain import ExplainAnswer
from app.schemas.retrieval import HomepageAnswer, HomepageRequest, ItemHit, ItemsAnswer, RecommendRequest
from app.schemas.segments import SegmentsAnswer
from index.types import UInt64
from index.vocabulary import hash_id

router = APIRouter(tags=["retrieval"])

OneAnswer = HomepageAnswer | ItemsAnswer | SegmentsAnswer | ExplainAnswer


@router.post("/v1/batch", summary="Several requests in one", response_model_exclude_none=True)
async def post_batch(body: BatchRequest, asking: AskingDep) -> BatchAnswer:
    """Up to 20 requests, answered in order as each would be alone, all by one version of the index.

    One that is wrong refuses the whole batch, and errors name it: body.requests.2 is the third.
    """
    for number, call in enumerate(body.requests):
        _check(call, f"body.requests.{number}.body")
    asking = await asking.of(body)
    bodies = [call.body for call in body.requests]
    rotating = any(isinstance(one, RecommendRequest | HomepageRequest) and one.rotation_rate > 0 for one in bodies)
    inquiries = await asking.about_each([one.user_id for one in bodies], served=rotating)
    given = NO_HASHES
    made: list[OneAnswer] = []
    for number, (call, inquiry) in enumerate(zip(body.requests, inquiries, strict=True)):
        answer = _one(inquiry._replace(earlier=given), call, f"body.requests.{number}")
        made.append(answer)
        items = [*_items(answer)]
        if isinstance(call.body, RecommendRequest | HomepageRequest):
            asking.remember(call.body, items)
        if body.distinct:
            given = np.concatenate([given, _hashes(items)])
        await asyncio.sleep(0)  # others have waited for as long as one request takes
    return BatchAnswer(index_version=asking.snapshot.version, took_ms=asking.timings.took_ms, answers=made)


def _check(call: Call, place: str) -> None:
    """Refuse what belongs to the whole batch."""
    for field in ("index_version", "deadline_ms"):
        if getattr(call.body, field) is not None:
            raise Invalid("this belongs to the batch as a whole, beside its requests", f"{place}.{field}")


def _one(inquiry: Inquiry, call: Call, place: str) -> OneAnswer:
    try:
        return _answer(inquiry, call, place)
    except Invalid as error:
        if not error.errors:
            raise Invalid(str(error), place) from error
        (first, *_) = error.errors
        field = first.field if first.field.startswith(place) else f"{place}.{first.field}"
        raise Invalid(first.message, field) from error


def _answer(inquiry: Inquiry, call: Call, place: str) -> OneAnswer:
    match call:
        case RecommendCall():
            return answers.items(inquiry, call.body)
        case HomepageCall():
            return answers.page(inquiry, call.body)
        case SimilarCall():
            return answers.similar_items(inquiry, call.body)
        case SegmentsCall():
            return answers.segments(inquiry, call.body)
        case ExplainCall():
            return explain(inquiry, call.body)
        case SegmentItemsCall():
            number = inquiry.snapshot.segments.number(call.segment_id)
            if number is None:
                raise Invalid(NO_SEGMENT, f"{place}.segment_id")
            return answers.items_of_segment(inquiry, call.body, number)
    assert_never(call)


def _items(answer: OneAnswer) -> Iterable[ItemHit]:
    if isinstance(answer, ItemsAnswer):
        return answer.items
    return (item for row in answer.rows for item in row.items) if isinstance(answer, HomepageAnswer) else ()


def _hashes(items: Iterable[ItemHit]) -> UInt64:
    return np.fromiter((hash_id(item.item_id) for item in items), dtype=np.uint64)
