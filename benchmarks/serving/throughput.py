"""How many requests a second, beside a framework that does nothing else?

ratio by wall time   requests a second of ours over those of the other, both saturated, the median of the rounds
ratio by CPU time    CPU time a request of the other's process over that of ours, which other processes on the
                     machine disturb far less; Redis and the generator are in neither
"""

from collections.abc import Callable

import numpy as np

from benchmarks.comparison import Finding
from benchmarks.serving import drive
from benchmarks.serving.drive import Served
from benchmarks.serving.stage import OURS, PLAIN, Scale, Stage
from index.types import JSON

PAIRS = (
    ("recommend", "empty"),
    ("recommend", "get"),
    ("recommend", "bare"),
    ("homepage", "recommend"),
    ("homepage", "empty"),
    ("events", "empty"),
    ("mixed", "empty"),
)
"""Whose throughput is told as a part of whose."""


def steps(scale: Scale) -> int:
    """How often `measure` calls done."""
    return scale.rounds * len(OURS + PLAIN)


def measure(stage: Stage, scale: Scale, done: Callable[[float], None]) -> Finding:
    """Saturate each in turns, in an order drawn anew each round."""
    names = OURS + PLAIN
    rates: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    errors = dict.fromkeys(names, 0)
    order = np.random.default_rng(0)
    for name in names:
        _closed(stage, name, scale, scale.warm_up_seconds)
    for _ in range(scale.rounds):
        for which in order.permutation(len(names)).tolist():
            name = names[which]
            before = stage.server(name).cpu_seconds()
            served = _closed(stage, name, scale, scale.seconds)
            cpu[name].append(1e6 * (stage.server(name).cpu_seconds() - before) / max(1, len(served)))
            rates[name].append(served.per_second)
            errors[name] += served.n_errors
            done(1)
    figures: dict[str, JSON] = {
        "endpoints": {
            name: {
                "per_second": float(np.median(rates[name])),
                "per_second_rounds": list(rates[name]),
                "cpu_us": float(np.median(cpu[name])),
                "cpu_us_rounds": list(cpu[name]),
                "errors": errors[name],
            }
            for name in names
        },
        "ratios": {
            f"{ours} of {other}": {
                "wall": float(np.median(np.array(rates[ours]) / np.array(rates[other]))),
                "cpu": float(np.median(np.array(cpu[other]) / np.array(cpu[ours]))),
            }
            for ours, other in PAIRS
        },
        "errors": sum(errors.values()),
    }
    return Finding(figures, {})


def _closed(stage: Stage, name: str, scale: Scale, seconds: float) -> Served:
    connections = scale.closed_connections * stage.n_workers
    return drive.closed(stage.server(name), stage.traffic[name], connections, seconds)
