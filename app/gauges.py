"""What workers are like right now, for metrics: load, Redis, open versions.

Each worker writes its own levels down once a second; they are added up over the workers that run. Which versions are
open is told by the worker that is asked: workers differ for a second or two at most.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from app.live_index import LiveIndex
from app.metrics import Metrics
from app.shedding import Load
from app.store.connection import Connection

BEAT_SECONDS = 1.0


async def watch(metrics: Metrics, load: Load, connection: Connection) -> None:
    """Write levels down for ever."""
    metrics.workers.set(1)
    while True:
        metrics.in_flight.set(load.in_flight)
        metrics.in_flight_limit.set(load.limit)
        metrics.store_waiting.set(connection.waiting)
        metrics.store_left_alone.set(connection.left_alone)
        await asyncio.sleep(BEAT_SECONDS)


def versions(live_index: LiveIndex) -> Iterator[Metric]:
    """The versions that this worker has open."""
    info = GaugeMetricFamily("sparrow_snapshot_info", "The snapshot that is served.", labels=["version"])
    if live_index.version is not None:
        info.add_metric([live_index.version], 1)
    yield info
    if live_index.created_at is not None:
        age = time.time() - live_index.created_at
        yield GaugeMetricFamily("sparrow_snapshot_age_seconds", "Since the served snapshot was built.", value=age)
    opened = GaugeMetricFamily(
        "sparrow_open_snapshot_age_seconds", "Since each open snapshot was built.", labels=["version"]
    )
    for one in live_index.open_snapshots:
        created_at = datetime.fromisoformat(one.manifest.created_at).timestamp()
        opened.add_metric([one.version], time.time() - created_at)
    yield opened
