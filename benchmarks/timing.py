"""Timing engines against each other in one process, on one thread.

For each query every task is done once, in an order drawn anew each time, so that none always follows the same one and
finds the caches as that left them; several rounds. So whatever slows the machine down slows all of them. The garbage
collector is off; before the first round each task does some queries untimed.

Wall time is what counts. CPU time, of all threads of the process so that nothing is missed, stands beside it: it does
not grow while another process has the core, but it does while another one uses the caches or the memory.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STAT = Path("/proc/stat")
WARM_UP = 8
"""Queries that each task does untimed."""

Task = Callable[[int], Any]
"""Does the work of a query, given its number."""


@dataclass(frozen=True)
class Samples:
    """What one task took, in nanoseconds."""

    wall: NDArray[np.int64]
    """(n_rounds, n_queries)."""
    cpu: NDArray[np.int64]
    """(n_rounds, n_queries): CPU time of the process."""

    def median_ms(self) -> float:
        """The median over all rounds and queries."""
        return float(np.median(self.wall)) / 1e6

    def per_query_ms(self) -> NDArray[np.float64]:
        """The median of the rounds, (n_queries,)."""
        return np.asarray(np.median(self.wall, axis=0) / 1e6)

    def fastest_ms(self) -> NDArray[np.float64]:
        """The fastest of the rounds, (n_queries,): for plots, which noise would blur."""
        return np.asarray(np.min(self.wall, axis=0) / 1e6)

    def summary(self) -> dict[str, float]:
        """Percentiles in milliseconds."""
        wall, cpu = self.wall / 1e6, self.cpu / 1e6
        named = {f"p{share}_ms": float(np.percentile(wall, share)) for share in (95, 99)}
        return {"median_ms": float(np.median(wall)), **named, "cpu_median_ms": float(np.median(cpu))}


@dataclass(frozen=True)
class Disturbance:
    """What else the machine did meanwhile."""

    seconds: float
    """How long was watched."""
    others: float | None
    """Cores that other processes, or other guests of the host, used on average; None where the system does not tell."""

    @property
    def noisy(self) -> bool:
        """A tenth of a core or more went to others."""
        return self.others is not None and self.others >= 0.1

    def to_json(self) -> dict[str, float | bool | None]:
        """For the document."""
        return {"seconds": self.seconds, "others": self.others, "noisy": self.noisy}


def interleave(
    tasks: Mapping[str, Task], n_queries: int, n_rounds: int, done: Callable[[float], None] = lambda _: None
) -> dict[str, Samples]:
    """Time every task on every query; calls done(1) after each query of each round."""
    names = list(tasks)
    wall = np.zeros((len(names), n_rounds, n_queries), np.int64)
    cpu = np.zeros_like(wall)
    order = np.random.default_rng(0)
    with _no_collection():
        for task in tasks.values():
            for number in range(min(WARM_UP, n_queries)):
                task(number)
        for round_number, number in product(range(n_rounds), range(n_queries)):
            for which in order.permutation(len(names)).tolist():
                taken = _timed(tasks[names[which]], number)
                wall[which, round_number, number], cpu[which, round_number, number] = taken
            done(1)
    return {name: Samples(wall[which], cpu[which]) for which, name in enumerate(names)}


def once(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def watched(ours: Callable[[], float] = lambda: 0.0) -> Iterator[Callable[[], Disturbance]]:
    """Watch the machine while the block runs; what it yields tells how disturbed it was so far.

    `ours`: CPU seconds of processes that belong to the measurement and still run.
    """
    started, own, busy = time.monotonic(), _own_seconds() + ours(), _busy_seconds()

    def so_far() -> Disturbance:
        seconds = time.monotonic() - started
        now = _busy_seconds()
        if busy is None or now is None:
            return Disturbance(seconds, None)
        others = (now - busy) - (_own_seconds() + ours() - own)
        return Disturbance(seconds, max(0.0, others / max(seconds, 1e-9)))

    yield so_far


def _timed(task: Task, number: int) -> tuple[int, int]:
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    task(number)
    stopped = time.perf_counter_ns()
    return stopped - wall, time.process_time_ns() - cpu


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _own_seconds() -> float:
    """CPU time of this process and of those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_seconds() -> float | None:
    """CPU time of everything on this machine but idling, and what the host took; None where /proc/stat is missing."""
    if not STAT.exists():
        return None
    user, nice, system, _, _, *rest = map(int, STAT.read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")
