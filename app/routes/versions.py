"""GET /v1/versions: which index versions are open, and what they are."""

import asyncio

from fastapi import APIRouter

from app.deps import LiveIndexDep
from app.errors import responses
from app.schemas.operations import IndexInfo, OpenVersion, Versions
from index.errors import CorruptSnapshot

router = APIRouter(tags=["operations"])


@router.get("/v1/versions", summary="Open index versions", responses=responses(503))
async def get_versions(live_index: LiveIndexDep) -> Versions:
    """The versions that the worker which answers has open, newest first.

    A request may name any of them, and any other that is stored, by its field index_version.
    """
    try:
        pinned = await asyncio.to_thread(live_index.pinned)
    except CorruptSnapshot:  # `sparrow-index` says what is wrong with the file
        pinned = None
    roles = live_index.roles
    versions = [
        OpenVersion(
            **IndexInfo.model_validate(one.manifest, from_attributes=True).model_dump(),
            current=one.version == roles.current,
            before=one.version == roles.before,
            pinned=one.version == pinned,
        )
        for one in live_index.open_snapshots
    ]
    return Versions(versions=versions)
