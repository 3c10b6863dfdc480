"""The application: `create_app(settings)` wires settings, user store, live index, metrics, errors and routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI

from app import errors
from app.live_index import LiveIndex
from app.metrics import Metrics
from app.routes import events, items, operations, page, retrieval, segments, users
from app.settings import Settings
from app.store.users import Users
from app.telemetry import BodyLimit, PathCheck, Telemetry

DESCRIPTION = "Which items, in which rows, for this user, now? Errors are application/problem+json."


def create_app(settings: Settings) -> FastAPI:
    """The application. It opens nothing before its lifespan starts, and starts without Redis and without a snapshot."""
    metrics = Metrics()
    application = FastAPI(
        title="Sparrow",
        version=version("sparrow-recs"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    application.state.settings = settings
    application.state.metrics = metrics
    application.state.live_index = LiveIndex(settings.snapshots, settings.data, settings.poll_seconds, metrics)
    application.state.users = Users(settings, metrics)
    errors.install(application)
    for router in (retrieval.router, events.router):
        application.include_router(router, responses=errors.responses(400, 413, 503))
    application.include_router(segments.router, responses=errors.responses(503))
    for router in (items.router, users.router, operations.router):
        application.include_router(router, responses=errors.responses())
    application.include_router(page.page_router())
    # The last one added is the outermost.
    application.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    application.add_middleware(PathCheck)
    application.add_middleware(Telemetry, metrics=metrics)
    return application


@asynccontextmanager
async def _lifespan(application: FastAPI) -> AsyncIterator[None]:
    live_index: LiveIndex = application.state.live_index
    users: Users = application.state.users
    await live_index.refresh()
    watch = asyncio.create_task(live_index.watch())
    try:
        yield
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await users.close()
