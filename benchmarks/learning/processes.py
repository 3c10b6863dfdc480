"""Do two processes of one thread each learn what one does, and how much faster?

Both are started as `fit --processes` starts them, in turns, and make the same steps on the same batches. The first
steps of a turn warm up. Losses are compared as parts of themselves: they are of the order 1e-4.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.comparison import Finding
from benchmarks.learning import clock, subject
from benchmarks.learning.subject import Subject
from benchmarks.machine import ROOT
from index.types import JSON
from training import parallel
from training.defaults import BATCH_SIZES
from training.models import compressed_elsa
from training.models.compressed_elsa import CompressedElsa

WARM_UP = 2
"""Steps of a turn that are not timed."""
LAUNCHERS = {
    "one": [],
    "two": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"],
}
"""Modules that come before ours."""


def cases(what: Subject) -> list[tuple[int, int]]:
    """Values per item and batch sizes: of the step that has a target, and of the default recipe's, of many users."""
    recipe = subject.default(what.scale)
    return [(what.scale.k, what.scale.batch_size), (recipe.model.k, BATCH_SIZES[1])]


def steps(what: Subject) -> int:
    """How often `measure` calls done."""
    return what.scale.process_rounds * len(LAUNCHERS)


def measure(what: Subject, done: Callable[[float], None]) -> Finding:
    """Let them learn in turns."""
    turns: dict[str, list[list[dict[str, list[float]]]]] = {name: [] for name in LAUNCHERS}
    with tempfile.TemporaryDirectory() as directory:
        kept = subject.keep(what, Path(directory) / "histories.npz")
        for _ in range(what.scale.process_rounds):
            for name in LAUNCHERS:
                turns[name].append(_turn(name, kept))
                done(1)
    figures: dict[str, JSON] = {}
    for number, (k, batch_size) in enumerate(cases(what)):
        one, two = ([turn[number] for turn in turns[name]] for name in LAUNCHERS)
        ms = [1e3 * float(np.median([turn["seconds"][WARM_UP:] for turn in each])) for each in (one, two)]
        differences = np.abs(np.array(two[0]["losses"]) / np.array(one[0]["losses"]) - 1)
        figures[case_name(k, batch_size)] = {
            "one_ms": ms[0],
            "two_ms": ms[1],
            "two_times_one": ms[0] / ms[1],
            "steps": len(differences),
            "losses_differ_by": float(differences.max()),
        }
    return Finding(figures, {})


def case_name(k: int, batch_size: int) -> str:
    """As the document has it."""
    return f"k {k}, batch {batch_size}"


def _turn(name: str, kept: list[str]) -> list[dict[str, list[float]]]:
    command = [sys.executable, "-m", *LAUNCHERS[name], __name__, *kept]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, check=False, text=True)
    if done.returncode:
        raise ChildProcessError(f"training in {name} process(es) failed: {done.stderr[-2000:]}")
    found: list[dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(*kept: str) -> None:
    """Make the steps of every case; the first process prints losses and seconds."""
    what = subject.kept(*kept)
    with clock.threads(1), parallel.together("cpu"):
        told = [_learn(what, *case) for case in cases(what)]
        if parallel.rank() == 0:
            sys.stdout.write(json.dumps(told) + "\n")


def _learn(what: Subject, k: int, batch_size: int) -> dict[str, list[float]]:
    settings = compressed_elsa.Settings(k=k, n_dims=what.scale.n_dims, start_k=k)
    how = subject.optimiser(subject.default(what.scale))
    learner = CompressedElsa(what.known, settings, how, epochs=1, seed=subject.FIRST_SEED)
    learner.start(0, {})
    losses, seconds = [], []
    for number in range(WARM_UP + what.scale.process_steps):
        batch = what.batch(batch_size, number)
        started = time.perf_counter()
        losses.append(learner.step(batch))
        seconds.append(time.perf_counter() - started)
    return {"losses": losses, "seconds": seconds}


if __name__ == "__main__":
    main(*sys.argv[1:])
