"""What is measured: anything that prepares a query once, untimed, and then answers it, timed."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from benchmarks.queries import Query
from benchmarks.timing import Task
from index.search import Searcher
from index.types import Int32

N = 100
"""Length of the lists that are asked for."""


class Engine(Protocol):
    """One way to answer queries."""

    name: str
    """For tables."""
    settings: str
    """Version and whatever has been set, in words."""

    def prepare(self, query: Query) -> Any:  # noqa: ANN401 - each engine has its own form
        """Bring a query into the engine's own form; not timed, which favours engines with costly requests."""
        ...

    def answer(self, prepared: Any) -> Int32:  # noqa: ANN401 - as above
        """The item rows of the N best that are not excluded, best first."""
        ...


class Sparrow:
    """The search that serves."""

    name = "sparrow"

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self.settings = f"Searcher.top_n, exact, level {searcher.kernel.level}, all in memory"

    def prepare(self, query: Query) -> Query:
        """Nothing to do."""
        return query

    def answer(self, prepared: Query) -> Int32:
        """Ask."""
        return self._searcher.top_n(prepared.vector, N, exclude=prepared.exclude).items


class Unpruned:
    """The same search made to accumulate every posting of the query."""

    name = "unpruned"

    def __init__(self, searcher: Searcher) -> None:
        self._kernel = searcher.kernel
        self.settings = f"the same kernel with prune=False, exact, level {searcher.kernel.level}"

    def prepare(self, query: Query) -> Query:
        """Nothing to do."""
        return query

    def answer(self, prepared: Query) -> Int32:
        """Ask the kernel itself; no caller of Sparrow can."""
        return self._kernel.top_n(prepared.vector, N, prepared.exclude, None, 0, prune=False)[0]


def task(engine: Engine, queries: Sequence[Query]) -> Task:
    """What is timed: an engine answering one of the prepared queries."""
    prepared = [engine.prepare(query) for query in queries]
    return lambda number: engine.answer(prepared[number])


def best(scores: np.ndarray[Any, np.dtype[np.float32]], n: int) -> Int32:
    """The places of the n largest scores, best first."""
    last = max(0, len(scores) - n)
    places = np.argpartition(scores, last)[last:]
    return places[np.argsort(-scores[places])].astype(np.int32)
