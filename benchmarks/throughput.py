"""How many queries a second: on one thread and on two; and in batches of 32?"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks import oracle, timing
from benchmarks.comparison import Finding, summaries
from benchmarks.engines import N, task
from benchmarks.subject import Subject
from benchmarks.timing import Samples, Task
from index.types import JSON

SECONDS = 0.5
"""A round takes at least: the system counts CPU time in hundredths."""
THREAD_ROUNDS = 20
BATCH = 32
CHECKED = 2
"""Batches that are compared with the oracle's answers."""


class Round(NamedTuple):
    """One thread and then two on the same queries."""

    one: float
    """Queries per second."""
    two: float
    """Queries per second."""
    noisy: bool
    """Whether others took a core's part meanwhile."""


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return THREAD_ROUNDS + n_rounds * _n_batches(subject)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time threads, then batches."""
    rounds = _threads(subject, THREAD_ROUNDS, done)
    batches = timing.interleave(_batch_tasks(subject), _n_batches(subject), n_rounds, done)
    n_batches, size = _n_batches(subject), _size(subject)
    figures: dict[str, JSON] = {
        "threads": _scaling(rounds),
        "engines": summaries(batches),
        "batch_size": size,
        "batch_cpu_ms_per_query": _cpu_ms(batches["batch"]) / size,
        "unpruned_cpu_ms_per_query": _cpu_ms(batches["unpruned singles"]) / size,
        "batch_cpu_times_unpruned": _cpu_ms(batches["batch"]) / _cpu_ms(batches["unpruned singles"]),
        "batch_cpu_times_pruned": _cpu_ms(batches["batch"]) / _cpu_ms(batches["singles"]),
        "identical_to_the_oracle": all(_identical(subject, number) for number in range(min(CHECKED, n_batches))),
    }
    return Finding(figures, batches)


def _threads(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> list[Round]:
    """All queries, by one thread and shared by two, in turn."""
    ask = task(subject.engines["sparrow"], subject.queries)
    n = len(subject.queries)

    def some(numbers: range) -> None:
        for number in numbers:
            ask(number)

    with ThreadPoolExecutor(2) as pool:

        def shared(n_threads: int, n_passes: int) -> None:
            for _ in range(n_passes):
                list(pool.map(some, [range(first, n, n_threads) for first in range(n_threads)]))

        n_passes = max(1, round(SECONDS / timing.once(partial(shared, 1, 1))))
        rounds = []
        for _ in range(n_rounds):
            with timing.watched() as so_far:
                one, two = (n_passes * n / timing.once(partial(shared, each, n_passes)) for each in (1, 2))
                rounds.append(Round(one, two, so_far().noisy))
            done(1)
    return rounds


def _scaling(rounds: Sequence[Round]) -> dict[str, JSON]:
    """Medians over the quiet rounds or, if there is none, over all."""
    quiet = [each for each in rounds if not each.noisy]
    counted = np.array([each[:2] for each in quiet or rounds])
    return {
        "queries_per_second": {
            "1 thread": float(np.median(counted[:, 0])),
            "2 threads": float(np.median(counted[:, 1])),
        },
        "two_times_one": float(np.median(counted[:, 1] / counted[:, 0])),
        "rounds": len(rounds),
        "quiet_rounds": len(quiet),
        "disturbance": {"noisy": not quiet},
    }


def _batch_tasks(subject: Subject) -> dict[str, Task]:
    vectors = np.stack([query.vector for query in subject.queries])
    size = _size(subject)

    def batch(number: int) -> object:
        inside = slice(number * size, (number + 1) * size)
        excluded = [query.exclude for query in subject.queries[inside]]
        return subject.searcher.batch(vectors[inside], N, exclude=excluded)

    def one_by_one(name: str) -> Task:
        ask = task(subject.engines[name], subject.queries)
        return lambda number: [ask(each) for each in range(number * size, (number + 1) * size)]

    return {"batch": batch, "singles": one_by_one("sparrow"), "unpruned singles": one_by_one("unpruned")}


def _identical(subject: Subject, number: int) -> bool:
    inside = slice(number * _size(subject), (number + 1) * _size(subject))
    asked = subject.queries[inside]
    vectors, excluded = np.stack([query.vector for query in asked]), [query.exclude for query in asked]
    found = subject.searcher.batch(vectors, N, exclude=excluded)
    return all(map(oracle.identical, found, subject.truth[inside]))


def _size(subject: Subject) -> int:
    return min(BATCH, len(subject.queries))


def _n_batches(subject: Subject) -> int:
    return len(subject.queries) // _size(subject)


def _cpu_ms(samples: Samples) -> float:
    return float(np.median(samples.cpu)) / 1e6
