"""POST /v1/recommend, /v1/homepage and /v1/similar: what to show to whom."""

from fastapi import APIRouter

from app import answers
from app.deps import AskingDep
from app.schemas.retrieval import HomepageAnswer, HomepageRequest, ItemsAnswer, RecommendRequest, SimilarRequest

router = APIRouter(tags=["retrieval"])


@router.post("/v1/recommend", summary="Items for a user", response_model_exclude_none=True)
async def post_recommend(body: RecommendRequest, asking: AskingDep) -> ItemsAnswer:
    """The best items for a user, best first: a stored user, a history that is sent along, or both.

    Where neither says anything the most popular items are returned, with the warning popular_fallback.
    """
    asking = await asking.of(body)
    answer = answers.items(await asking.about(body.user_id, served=body.rotation_rate > 0), body)
    asking.remember(body, answer.items)
    return answer


@router.post("/v1/homepage", summary="A page of titled rows", response_model_exclude_none=True)
async def post_homepage(body: HomepageRequest, asking: AskingDep) -> HomepageAnswer:
    """A page of titled rows, top first: top picks, because you liked, segments, popular. No item is on it twice.

    A row that could not be filled at least half, or with 3 items, is not used: a page may have fewer rows than asked.
    """
    asking = await asking.of(body)
    answer = answers.page(await asking.about(body.user_id, served=body.rotation_rate > 0), body)
    asking.remember(body, (item for row in answer.rows for item in row.items))
    return answer


@router.post("/v1/similar", summary="Items like others", response_model_exclude_none=True)
async def post_similar(body: SimilarRequest, asking: AskingDep) -> ItemsAnswer:
    """Items like one or several items, which are not among them.

    A user_id tilts the ranking to that user's taste and leaves out what they have seen or hidden. Items that the index
    does not know are skipped with the warning unknown_items; where none is left the list is empty.
    """
    asking = await asking.of(body)
    return answers.similar_items(await asking.about(body.user_id), body)
