"""What is counted and measured, by prometheus_client.

Several workers add up in files of the folder that its own variable PROMETHEUS_MULTIPROC_DIR names; sparrow-serve makes
one before it starts them.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

SECONDS = tuple(0.00025 * 2**step for step in range(16))
"""Bounds of buckets, geometric: 0.25 ms to 8 s."""

POSTINGS = tuple(float(64 * 4**step) for step in range(12))
"""Bounds of buckets, geometric: 64 to 268 million."""

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus_client, which reads it when it is imported."""

Source = Callable[[], Iterable[Metric]]
"""Makes metrics when they are asked for."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time of creation beside each number, which nobody looks at


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._sources = _Sources()
        self._registry.register(self._sources)
        self.requests = self._counter("sparrow_requests", "Requests answered.", ["method", "route", "status"])
        self.request_seconds = self._histogram("sparrow_request_seconds", "Time in the server.", ["route"])
        self.stage_seconds = self._histogram(
            "sparrow_stage_seconds", "Time by stage; one request in 8 is looked at.", ["stage"]
        )
        self.warnings = self._counter(
            "sparrow_warnings",
            "Answers with a warning: fallbacks, degraded ones.",
            ["code"],
            ["store_unavailable", "popular_fallback", "deadline"],
        )
        self.events = self._counter("sparrow_events", "Events by result.", ["status"], ["accepted", "refused"])
        self.attributed_events = self._counter(
            "sparrow_attributed_events", "Events that name the answer they follow from, by kind.", ["kind"]
        )
        self.store_errors = self._counter("sparrow_store_errors", "Calls the user store did not answer.")
        self.log_full = self._counter("sparrow_log_full", "Requests refused because nothing drains the event log.")
        self.refused_snapshots = self._counter(
            "sparrow_refused_snapshots", "Snapshots that were published and not served."
        )
        self.shed = self._counter(
            "sparrow_shed",
            "Requests refused because there was too much to do.",
            ["reason"],
            ["in_flight", "queue"],
        )
        self.workers = self._gauge("sparrow_workers", "Worker processes that serve.")
        self.in_flight = self._gauge("sparrow_in_flight", "Requests that are being answered, once a second.")
        self.in_flight_limit = self._gauge("sparrow_in_flight_limit", "How many may be: more are shed.")
        self.store_waiting = self._gauge("sparrow_store_waiting", "Calls that wait for Redis, once a second.")
        self.store_left_alone = self._gauge(
            "sparrow_store_left_alone",
            "Workers that leave the store alone because it failed; of a cluster, the share of its users.",
        )
        self.refusals = self._counter(
            "sparrow_refusals",
            "Requests refused for who sent them: no key, its role, its rate.",
            ["reason"],
            ["unauthorized", "forbidden", "rate"],
        )
        self.effect_seconds = self._histogram(
            "sparrow_effect_seconds",
            "From the time of a user's newest event to an answer that is made of it, where that is under a minute.",
        )
        self.query_postings = self._histogram(
            "sparrow_query_postings",
            "Entries in the posting lists of a query's dimensions; one request in 8 is looked at.",
            bounds=POSTINGS,
        )

    def add_source(self, source: Source) -> None:
        """Ask it for more metrics, of the worker that answers, each time somebody asks for all."""
        self._sources.all.append(source)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format, of all workers of this server."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            registry.register(self._sources)
        return generate_latest(registry)

    def _counter(self, name: str, text: str, labels: Sequence[str] = (), known: Sequence[str] = ()) -> Counter:
        counter = Counter(name, text, labels, registry=self._registry)
        # 0 from the start: a number that appears with the first error is no rise that anybody could see.
        for value in known:
            counter.labels(value)
        return counter

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry, multiprocess_mode="livesum")

    def _histogram(
        self, name: str, text: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=bounds, registry=self._registry)


def forget_levels(pid: int) -> None:
    """Of a worker that has ended: what it was like is no more; what it counted stays."""
    if FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


class _Sources(Collector):
    def __init__(self) -> None:
        self.all: list[Source] = []

    def collect(self) -> Iterator[Metric]:
        for source in self.all:
            yield from source()
