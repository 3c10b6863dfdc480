"""From a plan to what came of it: the generator is run once for each measurement."""

import subprocess
import sys
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import ROOT
from benchmarks.serving.asking import Traffic
from benchmarks.serving.load import COLUMNS, Plan
from benchmarks.serving.servers import Server

SHARES = (50.0, 90.0, 99.0, 99.9)
"""Percentiles that are told."""

PER_DECADE = 20
"""Buckets of a histogram: a bucket is 12 % wide."""


@dataclass(frozen=True)
class Served:
    """Every request of a run, in the order in which they ended."""

    kind: NDArray[np.int32]
    """(n,): which of the traffic's kinds."""
    status: NDArray[np.int32]
    """(n,): of HTTP; 0 where there was no answer."""
    due: NDArray[np.float64]
    """(n,): seconds; when the request was to be sent."""
    sent: NDArray[np.float64]
    """(n,): when it was."""
    ended: NDArray[np.float64]
    """(n,): when its answer was whole."""

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def good(self) -> NDArray[np.bool_]:
        """(n,): answered by 2xx."""
        return np.asarray(self.status // 100 == 2)

    @property
    def n_errors(self) -> int:
        """Requests without an answer, or with one of another status."""
        return int(np.count_nonzero(~self.good))

    @property
    def per_second(self) -> float:
        """Answers a second, over the whole run."""
        return float(np.count_nonzero(self.good) / self.ended.max()) if len(self) else 0.0

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """(n,): from when it was due; of a lost request, until it was given up."""
        return 1e3 * (self.ended - self.due)

    def of(self, kind: int) -> "Served":
        """The requests of one kind."""
        return self.where(self.kind == kind)

    def where(self, chosen: NDArray[np.bool_]) -> "Served":
        """Some of them."""
        return Served(*(column[chosen] for column in vars(self).values()))

    def statuses(self) -> dict[str, int]:
        """How many of each."""
        values, counts = np.unique(self.status, return_counts=True)
        return {str(value): int(count) for value, count in zip(values, counts, strict=True)}


def closed(server: Server, traffic: Traffic, connections: int, seconds: float) -> Served:
    """As many as the server can answer, by so many who wait for nothing else."""
    order = traffic.order[: 1 << 16].tolist()
    return _run(server, traffic, connections, order, [], seconds)


def opened(server: Server, traffic: Traffic, connections: int, rate: float, seconds: float, seed: int = 0) -> Served:
    """Arrivals at a mean rate, independent of each other and of the server (Poisson), drawn from a seed."""
    n = max(1, round(rate * seconds))
    times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, n))
    order = np.resize(traffic.order, n).tolist()
    return _run(server, traffic, connections, order, times.tolist(), 0.0)


def percentiles(served: Served) -> dict[str, float]:
    """Of the latency in milliseconds."""
    if not len(served):
        return {}
    return {f"p{share:g}_ms": float(np.percentile(served.latency_ms, share)) for share in SHARES}


def histogram(served: Served) -> list[list[float]]:
    """Buckets of equal relative width: upper bound in milliseconds, number of requests; empty ones are left out."""
    bucket = np.ceil(PER_DECADE * np.log10(np.maximum(served.latency_ms, 1e-3))).astype(np.int64)
    values, counts = np.unique(bucket, return_counts=True)
    return [[10.0 ** (value / PER_DECADE), float(count)] for value, count in zip(values, counts, strict=True)]


def _run(
    server: Server,
    traffic: Traffic,
    connections: int,
    order: Sequence[int],
    times: Sequence[float],
    seconds: float,
) -> Served:
    sizes = [len(each) for each in traffic.requests]
    plan = Plan("127.0.0.1", server.port, connections, sizes, list(order), list(times), seconds)
    with tempfile.TemporaryDirectory(prefix="sparrow-load-") as folder:
        told, found = Path(folder) / "plan", Path(folder) / "result"
        plan.write(told, list(traffic.requests))
        command = [sys.executable, "-m", "benchmarks.serving.load", str(told), str(found)]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise ChildProcessError(f"the load generator failed: {done.stderr[-2000:]}")
        columns = _read(found)
    request = columns.pop("request")
    return Served(kind=traffic.kind_of[request], **columns)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    width = sum(array(kind).itemsize for _, kind in COLUMNS)
    data = path.read_bytes()
    n, start = len(data) // width, 0
    columns = {}
    for name, kind in COLUMNS:
        columns[name] = np.frombuffer(data, dtype=np.dtype(kind), count=n, offset=start)
        start += n * array(kind).itemsize
    return columns
