"""What the service must show, and where it was measured."""

from collections.abc import Sequence

from benchmarks.serving.stage import named
from benchmarks.targets import Target

BOOKS = named("10k", 1)
SOAKED = named("1M", 2)


def _of(pair: str) -> tuple[str, ...]:
    return ("throughput", "ratios", pair)


TARGETS: Sequence[Target] = (
    Target("recommend, throughput of an empty endpoint", BOOKS, _of("recommend of empty"), ">=", 0.33),
    Target("recommend, of one with a Redis GET", BOOKS, _of("recommend of get"), ">=", 0.5),
    Target("homepage, of recommend", BOOKS, _of("homepage of recommend"), ">=", 0.5),
    Target("recommend, p99 at half load, of the Redis GET's", BOOKS, ("latency", "p99_times_get"), "<=", 3.0),
    Target("soak: errors", SOAKED, ("soak", "disturbed", "errors"), "==", 0),
    Target("soak: p99, of the undisturbed", SOAKED, ("soak", "p99_times_quiet"), "<=", 4.0),
    Target("goal: recommend, of an empty endpoint", BOOKS, _of("recommend of empty"), ">=", 0.45),
    Target("goal: recommend, of one with a Redis GET", BOOKS, _of("recommend of get"), ">=", 0.7),
)
