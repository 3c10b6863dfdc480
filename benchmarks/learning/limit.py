"""How near is the compiled step to what the caches allow?

touch reads and writes the lines of memory that a step at the same positions does, in the same order, and nothing else:
192 bytes read and 64 written for each value of each item and each 16 users, where the step does 96 operations. One
thread; rates are of the fastest round by CPU time.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks import limits, timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.learning import clock
from benchmarks.learning.step import Problem, beginning
from benchmarks.learning.subject import Subject
from benchmarks.timing import Samples
from index.types import JSON
from training.models.sparse_step import Compiled

GROUP = 16
"""Users that are computed side by side."""
LINE = limits.LINE_BYTES
READ, WRITTEN, OPERATIONS = 3 * LINE, LINE, 6 * GROUP
"""For each value of each item and each group."""
ROUNDS = 10


class Touch:
    """The lines of a step."""

    def __init__(self, built: Path, dims: Tensor, n_dims: int, n_users: int) -> None:
        self._library = ctypes.CDLL(str(built.resolve()))
        self._library.touch_step.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
        self._library.touch_step.restype = ctypes.c_uint64
        self._dims = dims.int().numpy().ravel()
        self._n_groups = -(-n_users // GROUP)
        words = LINE // 8
        memory = np.zeros((2 * n_dims + 1) * words, np.uint64)
        shift = -memory.ctypes.data % LINE // 8
        self.memory = memory[shift : shift + 2 * n_dims * words].reshape(n_dims, 2, words)
        self.memory[:, 0] = np.arange(n_dims * words).reshape(n_dims, words)
        """(n_dims, query and gradient, 8): numbers that differ."""

    def step(self, _number: int = 0) -> int:
        """Touch; the exclusive or of the query lines read."""
        where = self.memory.ctypes.data, self._dims.ctypes.data
        return int(self._library.touch_step(*where, len(self._dims), self._n_groups))


def steps(what: Subject) -> int:
    """How often `measure` calls done."""
    return ROUNDS * len(_ks(what))


def measure(what: Subject, done: Callable[[float], None]) -> Finding:
    """Time both in turns, for every k."""
    raw, histories = beginning(what), what.batch(what.scale.batch_size)
    built = limits.build(what.cache)
    figures: dict[str, JSON] = {}
    samples: dict[str, Samples] = {}
    for k in _ks(what):
        dims = Problem(raw, histories, k).positions()
        values = raw.gather(1, dims)
        compiled, touch = Compiled(dims.int(), raw.shape[1]), Touch(built, dims, raw.shape[1], histories.shape[0])

        def step(_: int, compiled: Compiled = compiled, values: Tensor = values) -> None:
            compiled(values, histories, histories.shape[0])

        with clock.threads(1):
            timed = timing.interleave({"compiled": step, "touch": touch.step}, 1, ROUNDS, done)
        billions = dims.numel() * -(-histories.shape[0] // GROUP) / 1e9
        seconds = {name: float(each.cpu.min()) / 1e9 for name, each in timed.items()}
        figures[f"k {k}"] = {
            "times": summaries(timed),
            "gflops": OPERATIONS * billions / seconds["compiled"],
            "gflops_of_touch": OPERATIONS * billions / seconds["touch"],
            "read_gb_per_second": READ * billions / seconds["compiled"],
            "touch_read_gb_per_second": READ * billions / seconds["touch"],
            "times_touch": ratio(timed["compiled"], timed["touch"]),
        }
        samples |= {f"k {k}: {name}": each for name, each in timed.items()}
    return Finding(figures, samples)


def _ks(what: Subject) -> list[int]:
    return sorted({what.scale.k, *what.scale.other_k})
