"""GET /livez, /readyz, /info and /metrics: for orchestrators, dashboards and people who want to know what is served."""

from importlib.metadata import version as installed

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.deps import LiveIndexDep, MetricsDep, SettingsDep, UsersDep
from app.errors import responses
from app.schemas.operations import IndexInfo, Info, Live, Ready
from app.store.users import StoreUnavailable

router = APIRouter(tags=["operations"])


# HEAD too, which some load balancers ask by.
@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> Live:
    """200 as long as the process answers at all."""
    return Live()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=responses(503))
async def readyz(live_index: LiveIndexDep, users: UsersDep) -> Ready:
    """200 where an index is served.

    The user store is reported and not required: without it answers are degraded, not down.
    """
    version = live_index.snapshot.version
    try:
        await users.ping()
    except StoreUnavailable:
        return Ready(index_version=version, store="unavailable")
    return Ready(index_version=version, store="ok")


@router.get("/info", responses=responses(503))
async def info(live_index: LiveIndexDep, settings: SettingsDep) -> Info:
    """What exactly is served."""
    snapshot = None if live_index.version is None else live_index.snapshot
    manifest = None if snapshot is None else IndexInfo.model_validate(snapshot.manifest, from_attributes=True)
    return Info(
        version=installed("sparrow-recs"),
        index=manifest,
        example_users=list(settings.example_users),
        event_weights=settings.event_weights,
        property_keys=[] if snapshot is None else list(snapshot.catalogue.keys),
    )


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
async def metrics(found: MetricsDep) -> Response:
    """Everything that is counted, in Prometheus' text format."""
    return Response(found.exposition(), media_type=CONTENT_TYPE_LATEST)
