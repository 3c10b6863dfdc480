"""GET /livez, /readyz, /info and /metrics: for orchestrators, dashboards and people who want to know what is served."""

from importlib.metadata import version as installed
from typing import Any, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from app.deps import LiveIndexDep, MetricsDep, SettingsDep, UsersDep
from app.errors import responses
from app.store.users import StoreUnavailable

router = APIRouter(tags=["operations"])


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """A snapshot is loaded and warm."""

    index_version: str
    store: Literal["ok", "unavailable"] = Field(
        description="unavailable: answers are made without user state (degraded), events get 503."
    )


class IndexInfo(BaseModel):
    """The manifest of the snapshot that is served, without its list of files."""

    version: str
    created_at: str
    content_hash: str
    format: int
    n_items: int
    n_dims: int
    n_nonzeros: int
    n_segments: int
    dims_are: str
    query_dims: int | None
    provenance: dict[str, Any] = Field(description="Model, recipe, data and metrics.")


class Info(BaseModel):
    """What is served, by what, and how."""

    version: str = Field(description="Of the Sparrow package.")
    index: IndexInfo | None = Field(description="null: nothing is published yet.")
    example_users: list[str] = Field(description="Users that the page offers.")
    event_weights: dict[str, float] = Field(description="Weight of an event by kind, where it carries none.")
    property_keys: list[str] = Field(description="Names of the properties that items have.")


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


@router.get("/info")
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
async def metrics(found: MetricsDep, live_index: LiveIndexDep) -> Response:
    """Everything that is counted, in Prometheus' text format."""
    return Response(found.exposition(live_index.version, live_index.created_at), media_type=CONTENT_TYPE_LATEST)
