"""GET /v1/items: the catalogue, read one by one or searched by text."""

import json
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from app.deps import SnapshotDep
from app.errors import Invalid, NotFound, responses
from app.schemas.items import CatalogueItem, CataloguePage, ItemsQuery
from app.schemas.wire import ItemId
from app.selection import compiled
from index.bitmap import Bitmap
from index.snapshot import Snapshot
from index.types import Int32

router = APIRouter(tags=["items"])


@router.get("/v1/items", summary="Search items", responses=responses(503))
async def get_items(snapshot: SnapshotDep, wanted: Annotated[ItemsQuery, Query()]) -> CataloguePage:
    """Items whose text holds every word of the query and that pass the filter, most popular first."""
    within = None if wanted.filter is None else _passing(snapshot, wanted.filter)
    rows = snapshot.catalogue.search(wanted.query, wanted.limit, wanted.offset, within)
    return CataloguePage(index_version=snapshot.version, items=_described(snapshot, rows))


@router.get("/v1/items/{item_id:id}", summary="One item", responses=responses(404, 503))
async def get_item(item_id: ItemId, snapshot: SnapshotDep) -> CatalogueItem:
    """One item and its properties."""
    row = snapshot.items.row(item_id)
    if row is None:
        raise NotFound("this index version has no item of this id; GET /v1/items?query= finds items by text")
    return _described(snapshot, np.array([row], dtype=np.int32))[0]


def _passing(snapshot: Snapshot, text: str) -> Bitmap:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("it is not JSON; a filter is JSON text, encoded for a URL", "query.filter") from None
    return compiled(snapshot, given, "query.filter")


def _described(snapshot: Snapshot, rows: Int32) -> list[CatalogueItem]:
    pairs = zip(snapshot.items.item_ids(rows), snapshot.catalogue.properties(rows), strict=True)
    return [CatalogueItem(item_id=item_id, properties=properties) for item_id, properties in pairs]
