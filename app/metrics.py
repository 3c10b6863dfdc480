"""What is counted and measured, in Prometheus' terms.

With several workers the library's multiprocess mode (PROMETHEUS_MULTIPROC_DIR, set by sparrow-serve) adds them up.
"""

import os
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

BUCKETS = tuple(0.00025 * 2**step for step in range(16))
"""Seconds, geometric: 0.25 ms to 8 s."""


class Metrics:
    """All metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "sparrow_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "sparrow_request_seconds", "Time in the server.", ["route"], buckets=BUCKETS, registry=self._registry
        )
        self.stage_seconds = Histogram(
            "sparrow_stage_seconds", "Time by stage.", ["stage"], buckets=BUCKETS, registry=self._registry
        )
        self.warnings = Counter(
            "sparrow_warnings", "Answers with a warning: fallbacks, degraded ones.", ["code"], registry=self._registry
        )
        self.events = Counter("sparrow_events", "Events by result.", ["status"], registry=self._registry)
        self.store_errors = Counter(
            "sparrow_store_errors", "Calls the user store did not answer.", registry=self._registry
        )
        self.refused_snapshots = Counter(
            "sparrow_refused_snapshots", "Snapshots that were published and not served.", registry=self._registry
        )

    def exposition(self, version: str | None, created_at: float | None) -> bytes:
        """Everything in Prometheus' text format, with the snapshot served now."""
        counted = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        served = CollectorRegistry()
        served.register(_Served(version, created_at))
        return generate_latest(counted) + generate_latest(served)


class _Served(Collector):
    """The snapshot of the worker that is asked: workers differ for a second at most."""

    def __init__(self, version: str | None, created_at: float | None) -> None:
        self._version = version
        self._created_at = created_at

    def collect(self) -> Iterator[Metric]:
        loaded = GaugeMetricFamily("sparrow_snapshot_info", "The snapshot that is served.", labels=["version"])
        if self._version is not None:
            loaded.add_metric([self._version], 1)
        yield loaded
        if self._created_at is not None:
            age = time.time() - self._created_at
            yield GaugeMetricFamily("sparrow_snapshot_age_seconds", "Since the snapshot was built.", value=age)
