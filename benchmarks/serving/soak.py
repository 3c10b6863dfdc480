"""Does it hold? Mixed traffic at half of what it can do, while snapshots are swapped and workers restarted.

The same load runs twice on the same workers: undisturbed, then with a version published every 30 s, the two in turn,
and a worker killed or all restarted in turn every minute. Every answer counts: one that is not 2xx is an error, and so
is a connection that breaks under a request.
"""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from redis import Redis

from benchmarks.comparison import Finding
from benchmarks.serving import drive
from benchmarks.serving.drive import Served
from benchmarks.serving.latency import LOAD
from benchmarks.serving.stage import Scale, Stage
from index import publication
from index.disk import replace_text
from index.types import JSON

SWAP_SECONDS = 30.0
RESTART_SECONDS = 60.0
WINDOW_SECONDS = 5.0
"""Percentiles over time are of so long."""
SETTLED = 0.4
"""Of the memory over time, what comes after this share counts: before, workers fill their buffers."""
MIXED = "mixed"


@dataclass(frozen=True)
class Rhythm:
    """How often what happens, in seconds."""

    swap: float = SWAP_SECONDS
    restart: float = RESTART_SECONDS
    measure: float = 1.0


class Trouble(threading.Thread):
    """Swaps and restarts until it is told to stop; takes down memory meanwhile."""

    def __init__(self, stage: Stage, versions: Sequence[str], rhythm: Rhythm, *, quiet: bool) -> None:
        super().__init__(daemon=True)
        self._stage, self._rhythm, self._quiet = stage, rhythm, quiet
        self._versions = itertools.cycle(versions)
        self._over = threading.Event()
        self.swaps: list[float] = []
        self.restarts: list[float] = []
        self.resident: list[tuple[float, int]] = []

    def run(self) -> None:
        """Part of Thread."""
        start = time.monotonic()
        while not self._over.wait(self._rhythm.measure):
            now = time.monotonic() - start
            self.resident.append((now, self._stage.sparrow.resident_bytes()))
            if self._quiet:
                continue
            if now >= self._rhythm.swap * (len(self.swaps) + 1):
                # As publication does it, but for the hashes, which keep a core busy: the workers check them anyway.
                replace_text(self._stage.place.snapshots / publication.CURRENT, next(self._versions) + "\n")
                self.swaps.append(now)
            if now >= self._rhythm.restart * (len(self.restarts) + 0.5):
                os.kill(self._stage.sparrow.process.pid, signal.SIGHUP)
                self.restarts.append(now)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


def measure(
    stage: Stage, scale: Scale, minutes: float, versions: Sequence[str], rhythm: Rhythm, done: Callable[[float], None]
) -> Finding:
    """Half of the time undisturbed (at most two minutes), then all of it with swaps and restarts."""
    connections = scale.closed_connections * stage.n_workers
    traffic = stage.traffic[MIXED]
    most = drive.closed(stage.sparrow, traffic, connections, scale.seconds).per_second
    figures: dict[str, JSON] = {"rate": LOAD * most, "minutes": minutes}
    before = _redis_bytes(stage)
    p99 = {}
    for name, seconds in (("quiet", min(30 * minutes, 120.0)), ("disturbed", 60 * minutes)):
        trouble = Trouble(stage, versions, rhythm, quiet=name == "quiet")
        trouble.start()
        try:
            served = drive.opened(stage.sparrow, traffic, scale.open_connections, LOAD * most, seconds)
        finally:
            trouble.stop()
        told = drive.percentiles(served)
        p99[name] = told["p99_ms"]
        figures[name] = {
            "seconds": seconds,
            "requests": len(served),
            "errors": served.n_errors,
            "statuses": dict(served.statuses()),
            **told,
            "swaps": list(trouble.swaps),
            "restarts": list(trouble.restarts),
            "windows": _windows(served),
            "resident": [[at, float(size)] for at, size in trouble.resident],
            "resident_slope_mib_per_minute": _slope(trouble.resident),
        }
        done(seconds)
    figures |= {
        "p99_times_quiet": p99["disturbed"] / p99["quiet"],
        "redis_bytes": {"before": before, "after": _redis_bytes(stage)},
        "users": 2 * len(stage.place.histories),
    }
    figures["redis_bytes_per_user"] = _redis_bytes(stage) / (2 * len(stage.place.histories))
    return Finding(figures, {})


def _windows(served: Served) -> list[list[float]]:
    """Start of each window, its median and 99th percentile in milliseconds, errors."""
    number = (served.due // WINDOW_SECONDS).astype(np.int64)
    found = []
    for each in np.unique(number).tolist():
        part = served.where(number == each)
        told = np.percentile(part.latency_ms, (50, 99)).tolist()
        found.append([each * WINDOW_SECONDS, *told, float(part.n_errors)])
    return found


def _slope(resident: Sequence[tuple[float, int]]) -> float | None:
    """MiB a minute, by least squares over the settled part; None where there are too few points."""
    settled = np.array(resident[int(SETTLED * len(resident)) :], dtype=np.float64)
    if len(settled) < 3:
        return None
    return float(np.polyfit(settled[:, 0] / 60, settled[:, 1] / 2**20, 1)[0])


def _redis_bytes(stage: Stage) -> float:
    """Memory of what is stored, as Redis tells it."""
    with Redis(port=stage.redis.port) as client:
        return float(client.info("memory")["used_memory_dataset"])
