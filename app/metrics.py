"""What is counted and measured, in Prometheus' terms.

prometheus_client writes the text; the numbers are app/tallies.py, which several workers add to. Its own counters cost a
request more than searching ten thousand items does, mapped ones for several workers most of all.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.tallies import Name, Numbers, Tallies

SECONDS = tuple(0.00025 * 2**step for step in range(16))
"""Bounds of buckets, geometric: 0.25 ms to 8 s."""

POSTINGS = tuple(float(64 * 4**step) for step in range(12))
"""Bounds of buckets, geometric: 64 to 268 million."""

Source = Callable[[], Iterable[Metric]]
"""Makes metrics when they are asked for."""


class Count:
    """A number that goes up."""

    __slots__ = ("_slot", "_values")

    def __init__(self, tallies: Tallies, name: Name) -> None:
        self._values = tallies.values
        self._slot = tallies.place(name, 1)

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""
        self._values[self._slot] += amount


class Level(Count):
    """A number that goes up and down, in this process."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """What it is now."""
        self._values[self._slot] = value


class Distribution:
    """How many observations fell into each bucket, and their sum, which lies in the slot behind the buckets."""

    __slots__ = ("_bounds", "_slot", "_sum", "_values")

    def __init__(self, tallies: Tallies, name: Name, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._values = tallies.values
        self._slot = tallies.place(name, len(bounds) + 2)
        self._sum = self._slot + len(bounds) + 1

    def observe(self, value: float) -> None:
        """Count one observation."""
        values = self._values
        values[self._slot + bisect_left(self._bounds, value)] += 1.0
        values[self._sum] += value


class Counter:
    """Numbers that go up, one for each choice of labels."""

    def __init__(
        self, tallies: Tallies, name: str, text: str, labels: Sequence[str] = (), known: Sequence[str] = ()
    ) -> None:
        self.name, self.text, self.label_names = name, text, tuple(labels)
        self._tallies = tallies
        self._children: dict[tuple[str, ...], Count] = {}
        # 0 from the start: a number that appears with the first error is no rise that anybody could see.
        for value in known:
            self.labels(value)
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Count:
        """The number for these labels; keep it, where many are counted."""
        found = self._children.get(values)
        if found is None:
            found = self._children[values] = Count(self._tallies, Name(self.name, values))
        return found

    def inc(self, amount: float = 1.0) -> None:
        """Add to the one without labels."""
        self.labels().inc(amount)

    def family(self, numbers: Numbers) -> Metric:
        """As Prometheus wants it."""
        family = CounterMetricFamily(self.name, self.text, labels=self.label_names)
        for labels, (value,) in _of(self.name, numbers):
            family.add_metric(labels, value)
        return family


class Gauge:
    """A number that goes up and down in each process; added up over those that run."""

    def __init__(self, tallies: Tallies, name: str, text: str) -> None:
        self.name, self.text = name, text
        self._level = Level(tallies, Name(name, ()))

    def set(self, value: float) -> None:
        """What it is now, in this process."""
        self._level.set(value)

    def inc(self, amount: float = 1.0) -> None:
        """Add to it; a negative amount takes away."""
        self._level.inc(amount)

    def family(self, numbers: Numbers) -> Metric:
        """As Prometheus wants it."""
        (value,) = numbers[Name(self.name, ())]
        return GaugeMetricFamily(self.name, self.text, value=value)


class Histogram:
    """Distributions, one for each choice of labels."""

    def __init__(
        self, tallies: Tallies, name: str, text: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> None:
        self.name, self.text, self.label_names, self._bounds = name, text, tuple(labels), tuple(bounds)
        self._tallies = tallies
        self._children: dict[tuple[str, ...], Distribution] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Distribution:
        """The distribution for these labels; keep it, where many are observed."""
        found = self._children.get(values)
        if found is None:
            found = self._children[values] = Distribution(self._tallies, Name(self.name, values), self._bounds)
        return found

    def observe(self, value: float) -> None:
        """Count one observation of the one without labels."""
        self.labels().observe(value)

    def family(self, numbers: Numbers) -> Metric:
        """As Prometheus wants it: each bucket holds the ones below."""
        family = HistogramMetricFamily(self.name, self.text, labels=self.label_names)
        bounds = [*(repr(bound) for bound in self._bounds), "+Inf"]
        for labels, (*counts, total) in _of(self.name, numbers):
            family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return family


class Metrics:
    """All metrics of one application; `folder` is shared with the other processes of its server."""

    def __init__(self, folder: Path | None = None) -> None:
        tallies = self._tallies = Tallies(folder)
        self._sources: list[Source] = []
        self.requests = Counter(tallies, "sparrow_requests", "Requests answered.", ["method", "route", "status"])
        self.request_seconds = Histogram(tallies, "sparrow_request_seconds", "Time in the server.", ["route"])
        self.stage_seconds = Histogram(tallies, "sparrow_stage_seconds", "Time by stage.", ["stage"])
        self.warnings = Counter(
            tallies,
            "sparrow_warnings",
            "Answers with a warning: fallbacks, degraded ones.",
            ["code"],
            ["store_unavailable", "popular_fallback", "deadline"],
        )
        self.events = Counter(tallies, "sparrow_events", "Events by result.", ["status"], ["accepted", "refused"])
        self.attributed_events = Counter(
            tallies, "sparrow_attributed_events", "Events that name the answer they follow from, by kind.", ["kind"]
        )
        self.store_errors = Counter(tallies, "sparrow_store_errors", "Calls the user store did not answer.")
        self.refused_snapshots = Counter(
            tallies, "sparrow_refused_snapshots", "Snapshots that were published and not served."
        )
        self.shed = Counter(
            tallies,
            "sparrow_shed",
            "Requests refused because there was too much to do.",
            ["reason"],
            ["in_flight", "queue"],
        )
        self.workers = Gauge(tallies, "sparrow_workers", "Worker processes that serve.")
        self.in_flight = Gauge(tallies, "sparrow_in_flight", "Requests that are being answered, once a second.")
        self.in_flight_limit = Gauge(tallies, "sparrow_in_flight_limit", "How many may be: more are shed.")
        self.store_waiting = Gauge(tallies, "sparrow_store_waiting", "Calls that wait for Redis, once a second.")
        self.store_left_alone = Gauge(
            tallies,
            "sparrow_store_left_alone",
            "Workers that leave the store alone because it failed; of a cluster, the share of its users.",
        )
        self.refusals = Counter(
            tallies,
            "sparrow_refusals",
            "Requests refused for who sent them: no key, its role, its rate.",
            ["reason"],
            ["unauthorized", "forbidden", "rate"],
        )
        self.effect_seconds = Histogram(
            tallies,
            "sparrow_effect_seconds",
            "From the time of a user's newest event to an answer that is made of it, where that is under a minute.",
        )
        self.query_postings = Histogram(
            tallies,
            "sparrow_query_postings",
            "Entries in the posting lists of a query's dimensions; one request in 32 is looked at.",
            bounds=POSTINGS,
        )

    def add_source(self, source: Source) -> None:
        """Ask it for more metrics, of the worker that answers, each time somebody asks for all."""
        self._sources.append(source)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(_Everything(self._families()))
        return generate_latest(registry)

    def _families(self) -> Iterator[Metric]:
        total, running = self._tallies.total(), self._tallies.total(running=True)
        for one in vars(self).values():
            if isinstance(one, Counter | Histogram):
                yield one.family(total)
            elif isinstance(one, Gauge):
                yield one.family(running)
        for source in self._sources:
            yield from source()


class _Everything(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _of(metric: str, numbers: Numbers) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    return ((name.labels, values) for name, values in numbers.items() if name.metric == metric)
