"""POST /v1/explain: why this item for this user."""

from fastapi import APIRouter

from app.deps import AskingDep
from app.explaining import explain
from app.schemas.explain import ExplainAnswer, ExplainRequest

router = APIRouter(tags=["retrieval"])


@router.post("/v1/explain", summary="Why an item")
async def post_explain(body: ExplainRequest, asking: AskingDep) -> ExplainAnswer:
    """What the scores of items are made of: by item of the history, by segment, by steering and by boosts.

    The score is the one that POST /v1/recommend gives the item for the same user, history, steering and boosts, whether
    or not the item may be shown. Items that the index does not know are skipped with the warning unknown_items.
    """
    asking = await asking.of(body)
    return explain(await asking.about(body.user_id), body)
