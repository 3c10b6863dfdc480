"""How many queries a second: on one thread and on two; and in batches of 32?"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks import oracle, timing
from benchmarks.comparison import Finding, summaries
from benchmarks.engines import N, task
from benchmarks.subject import Subject
from benchmarks.timing import Samples, Task
from index.types import JSON

BATCH = 32
CHECKED = 2
"""Batches that are compared with the oracle's answers."""


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return 2 * n_rounds + n_rounds * _n_batches(subject)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time threads, then batches."""
    threads = _threads(subject, 2 * n_rounds, done)
    batches = timing.interleave(_batch_tasks(subject), _n_batches(subject), n_rounds, done)
    n_batches, size = _n_batches(subject), _size(subject)
    figures: dict[str, JSON] = {
        "queries_per_second": {name: float(np.median(each)) for name, each in threads.items()},
        "two_threads_times_one": float(np.median(threads["2 threads"] / threads["1 thread"])),
        "engines": summaries(batches),
        "batch_size": size,
        "batch_cpu_ms_per_query": _cpu_ms(batches["batch"]) / size,
        "unpruned_cpu_ms_per_query": _cpu_ms(batches["unpruned singles"]) / size,
        "batch_cpu_times_unpruned": _cpu_ms(batches["batch"]) / _cpu_ms(batches["unpruned singles"]),
        "batch_cpu_times_pruned": _cpu_ms(batches["batch"]) / _cpu_ms(batches["singles"]),
        "identical_to_the_oracle": all(_identical(subject, number) for number in range(min(CHECKED, n_batches))),
    }
    return Finding(figures, batches)


def _threads(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> dict[str, NDArray[np.float64]]:
    """Queries per second in each round, all queries by one thread and shared by two, in turn."""
    ask = task(subject.engines["sparrow"], subject.queries)
    n = len(subject.queries)

    def some(numbers: range) -> None:
        for number in numbers:
            ask(number)

    with ThreadPoolExecutor(2) as pool:

        def shared(n_threads: int) -> None:
            list(pool.map(some, [range(first, n, n_threads) for first in range(n_threads)]))

        shared(2)
        found = []
        for _ in range(n_rounds):
            found.append([n / timing.once(partial(shared, n_threads)) for n_threads in (1, 2)])
            done(1)
    one, two = np.array(found).T
    return {"1 thread": one, "2 threads": two}


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
