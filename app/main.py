"""The application: `create_app(settings)` wires settings, user store, live index, metrics, errors and routes."""

import asyncio
import logging
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from app import errors, gauges, security
from app.cursors import Cursors
from app.editing import Editing
from app.emphasis import unfit
from app.keys import Keyring
from app.live_index import LiveIndex
from app.metrics import Metrics, forget_levels
from app.routes import batch, events, explain, items, operations, page, retrieval, segments, users, versions
from app.routes import next as next_route
from app.secret import secret_of
from app.security import Guard, HostCheck, Origins
from app.settings import Settings
from app.shedding import Load, Shedding
from app.shortcut import Shortcut
from app.store.edits import EditStore
from app.store.limits import Limits
from app.store.users import Users
from app.telemetry import BodyLimit, PathCheck, Telemetry
from app.tracing import Tracing, tracing
from app.warming import warm
from app.watchdog import Watchdog
from index.snapshot import Snapshot

log = logging.getLogger(__name__)

DESCRIPTION = "Which items, in which rows, for this user, now? Errors are application/problem+json."

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would tell paths, and so ids of users, and what was wrong with their requests: see app/tracing.py."""


def create_app(settings: Settings) -> FastAPI:
    """The application. It opens nothing before its lifespan starts, and starts without Redis and without a snapshot."""
    metrics = Metrics()
    application = FastAPI(
        title="Sparrow",
        version=version("sparrow-recs"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    application.state.settings = settings
    application.state.metrics = metrics
    application.state.live_index = LiveIndex(
        settings.snapshots,
        settings.data,
        settings.poll_seconds,
        metrics,
        settings.max_open_versions,
        partial(_ready, settings),
    )
    metrics.add_source(partial(gauges.versions, application.state.live_index))
    load = application.state.load = Load(settings.max_in_flight, settings.max_queue_ms)
    application.state.users = Users(settings, metrics)
    application.state.editing = Editing(EditStore(application.state.users.connection), application.state.live_index)
    application.state.tracing = tracing()
    errors.install(application)
    for router in (retrieval.router, next_route.router, batch.router, explain.router, events.router):
        application.include_router(router, responses=errors.responses(400, 413, 503))
    application.include_router(segments.router, responses=errors.responses(503))
    for router in (items.router, users.router, operations.router, versions.router):
        application.include_router(router, responses=errors.responses())
    application.include_router(page.page_router())
    # The last one added is the outermost.
    application.add_middleware(Shortcut, routes=retrieval.router.routes)
    application.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    application.add_middleware(PathCheck)
    _guard(application, settings)
    application.add_middleware(Shedding, load=load, metrics=metrics)
    if settings.allowed_hosts:
        application.add_middleware(HostCheck, hosts=settings.allowed_hosts)
    if settings.cors_origins:
        application.add_middleware(Origins, origins=settings.cors_origins)
    application.add_middleware(Telemetry, metrics=metrics, tracing=application.state.tracing)
    return application


def _ready(settings: Settings, snapshot: Snapshot) -> None:
    """Warm a snapshot before it is served, and say what of the settings it has nothing for."""
    warm(snapshot)
    for told in unfit(snapshot.filters.columns, settings.emphasis):
        log.warning("%s", told)


def _guard(application: FastAPI, settings: Settings) -> None:
    """Keys and rates, where the settings ask for them."""
    keyring = None if settings.keys_file is None else Keyring(settings.keys_file)
    run = application.state.users.run
    limits = Limits(settings.rate_limit, settings.workers, run) if settings.rate_limit else None
    if keyring is not None or limits is not None:
        application.add_middleware(Guard, keyring=keyring, limits=limits, metrics=application.state.metrics)
    security.install(application, required=keyring is not None)


@asynccontextmanager
async def _lifespan(application: FastAPI) -> AsyncIterator[None]:
    live_index: LiveIndex = application.state.live_index
    users: Users = application.state.users
    spans: Tracing | None = application.state.tracing
    editing: Editing = application.state.editing
    with suppress(TimeoutError):  # of a cluster, each step has a clock of its own
        async with asyncio.timeout(application.state.settings.store_timeout_ms / 1000):
            await editing.refresh()
    await live_index.refresh()
    application.state.cursors = Cursors(secret_of(application.state.settings))
    load: Load = application.state.load
    levels = gauges.watch(application.state.metrics, load, users.connection)
    watches = [asyncio.create_task(one) for one in (live_index.watch(), editing.watch(), load.watch(), levels)]
    watchdog = Watchdog(asyncio.get_running_loop())
    if multiprocessing.parent_process() is not None:  # which starts another in its place
        watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
        for watch in watches:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        await users.close()
        if spans is not None:
            await asyncio.to_thread(spans.close)
        forget_levels(os.getpid())
