"""How long does a request take at half of the most that its endpoint can do?

Each endpoint is loaded to half of its own maximum, found by a short closed loop just before, so that both are equally
busy. Arrivals are independent of each other (Poisson).
"""

from collections.abc import Callable

import numpy as np

from benchmarks.comparison import Finding
from benchmarks.serving import drive
from benchmarks.serving.drive import Served
from benchmarks.serving.stage import Scale, Stage
from index.types import JSON

NAMES = ("recommend", "homepage", "mixed", "empty", "get")
LOAD = 0.5
"""Share of the maximum."""


def steps(scale: Scale) -> int:
    """How often `measure` calls done."""
    return scale.rounds * len(NAMES)


def measure(stage: Stage, scale: Scale, done: Callable[[float], None]) -> Finding:
    """Load each in turns."""
    found: dict[str, list[Served]] = {name: [] for name in NAMES}
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    order = np.random.default_rng(1)
    for number in range(scale.rounds):
        for which in order.permutation(len(NAMES)).tolist():
            name = NAMES[which]
            server, traffic = stage.server(name), stage.traffic[name]
            connections = scale.closed_connections * stage.n_workers
            most = drive.closed(server, traffic, connections, scale.warm_up_seconds).per_second
            rates[name].append(LOAD * most)
            served = drive.opened(server, traffic, scale.open_connections, LOAD * most, scale.latency_seconds, number)
            found[name].append(served)
            done(1)
    each = {name: [drive.percentiles(served) for served in rounds] for name, rounds in found.items()}
    p99 = {name: np.array([told["p99_ms"] for told in rounds]) for name, rounds in each.items()}
    figures: dict[str, JSON] = {
        "endpoints": {
            name: {
                "rate": float(np.median(rates[name])),
                "requests": sum(map(len, found[name])),
                "errors": sum(served.n_errors for served in found[name]),
                **{key: float(np.median([told[key] for told in each[name]])) for key in each[name][0]},
                "sent_late_p99_ms": float(np.median([_late_ms(served) for served in found[name]])),
                "histogram": [*drive.histogram(_together(found[name]))],
            }
            for name in NAMES
        },
        "p99_times_get": float(np.median(p99["recommend"] / p99["get"])),
        "p99_times_empty": float(np.median(p99["recommend"] / p99["empty"])),
    }
    return Finding(figures, {})


def _late_ms(served: Served) -> float:
    """How late the generator itself was, at most, for 99 % of the requests."""
    return float(np.percentile(1e3 * (served.sent - served.due), 99))


def _together(rounds: list[Served]) -> Served:
    return Served(*(np.concatenate(column) for column in zip(*(vars(each).values() for each in rounds), strict=True)))
