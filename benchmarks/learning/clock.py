"""Threads, and what a piece of work takes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from benchmarks.timing import Samples


@dataclass(frozen=True)
class Taken:
    """Time that some work took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of all threads of this process."""

    def __add__(self, other: "Taken") -> "Taken":
        """Of both."""
        return Taken(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, times: float) -> "Taken":
        """Of the same work so many times."""
        return Taken(self.wall * times, self.cpu * times)


def taken(work: Callable[[], object]) -> Taken:
    """Do it once."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def samples(each: Sequence[Taken]) -> Samples:
    """The same work done several times, as rounds of one query."""
    nanoseconds = np.array([(one.wall * 1e9, one.cpu * 1e9) for one in each]).astype(np.int64)
    return Samples(nanoseconds[:, :1], nanoseconds[:, 1:])


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Give torch and every pool of threads so many."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)
