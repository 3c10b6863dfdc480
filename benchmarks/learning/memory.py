"""How much memory does training need, beside dense training of the same width?

Each way trains in a process of its own, on one thread. What counts is the highest resident size while it trains, less
that before it begins, when all is imported and the histories are loaded.

The default recipe runs to its end, with validations. Of the paper's schedule run dense, one epoch of each of the first
two stages, as the ones after only get narrower; of dense ELSA, an epoch; of autograd, a step.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.comparison import Finding
from benchmarks.learning import clock, subject
from benchmarks.learning.step import Masked, Problem, beginning
from benchmarks.learning.subject import Subject
from benchmarks.machine import ROOT
from index.types import JSON
from training import job
from training.models.elsa import Elsa, Settings

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CLEAR_PEAK = "5"
MIB = 1024
"""Of the kB in /proc."""
OURS = "default"


def _default(what: Subject) -> None:
    job.run(subject.default(what.scale), what.histories, what.split)


def _paper(what: Subject) -> None:
    known, size = what.known, what.scale.batch_size
    learner = subject.dense_learner(subject.paper(what.scale, size), known)
    for stage in range(2):
        learner.start(stage, {})
        for batch in subject.epoch(known, size):
            learner.step(batch)


def _elsa(what: Subject) -> None:
    known, how = what.known, subject.optimiser(subject.default(what.scale))
    learner = Elsa(known, Settings(what.scale.n_dims), how, epochs=1, seed=0)
    learner.start(0, {})
    for batch in subject.epoch(known, what.scale.batch_size):
        learner.step(batch)


def _autograd(what: Subject) -> None:
    Masked(Problem(beginning(what), what.batch(what.scale.batch_size), what.scale.k)).step()


WAYS: Mapping[str, Callable[[Subject], None]] = {
    OURS: _default,
    "paper, dense": _paper,
    "dense ELSA": _elsa,
    "dense autograd": _autograd,
}
"""Ours, and dense ones."""


def steps(_: Subject) -> int:
    """How often `measure` calls done."""
    return len(WAYS)


def measure(what: Subject, done: Callable[[float], None]) -> Finding:
    """Train in every way; ours is compared with the leanest dense one."""
    if not CLEAR.exists():
        raise ValueError(f"memory is read from {STATUS}, which only Linux has; leave the question out by --only")
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        kept = subject.keep(what, Path(directory) / "histories.npz")
        for way in WAYS:
            figures[way] = in_a_process(way, kept)
            done(1)
    shares: dict[str, JSON] = {
        way: figures[OURS]["training_mib"] / each["training_mib"] for way, each in figures.items() if way != OURS
    }
    leanest = min(figures[way]["training_mib"] for way in shares)
    total = figures[OURS]["peak_mib"] / min(figures[way]["peak_mib"] for way in shares)
    told: dict[str, JSON] = {way: dict(each) for way, each in figures.items()}
    of_leanest = figures[OURS]["training_mib"] / leanest
    return Finding({"ways": told, "shares": shares, "of_leanest_dense": of_leanest, "total_of_leanest": total}, {})


def in_a_process(way: str, kept: list[str]) -> dict[str, float]:
    """Train there; what it needed."""
    command = [sys.executable, "-m", __name__, way, *kept]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT, check=False, text=True)
    if done.returncode:
        raise ChildProcessError(f"training by {way!r} failed with exit code {done.returncode}, see above")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _resident(key: str) -> float:
    """VmRSS or VmHWM of this process, in MiB."""
    line = next(each for each in STATUS.read_text().splitlines() if each.startswith(key))
    return int(line.split()[1]) / MIB


def main(way: str, *kept: str) -> None:
    """Train in one way and print what it needed."""
    what = subject.kept(*kept)
    with clock.threads(1):
        # not ru_maxrss: that begins with the peak of the process that started this one
        CLEAR.write_text(CLEAR_PEAK)
        before = _resident("VmRSS")
        WAYS[way](what)
        peak = _resident("VmHWM")
    sys.stdout.write(json.dumps({"before_mib": before, "peak_mib": peak, "training_mib": peak - before}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
