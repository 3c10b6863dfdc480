"""What is measured: anything that prepares a query once, untimed, and then answers it, timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from benchmarks.queries import Query
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


@dataclass(frozen=True)
class Built:
    """An engine with the catalogue in it."""

    engine: Engine
    """Ready to answer."""
    seconds: float
    """What building took; of opening, where it had been built before and is kept on disk."""


def build(make: Callable[[], Engine]) -> Built:
    """Make an engine and time it."""
    started = time.perf_counter()
    engine = make()
    return Built(engine, time.perf_counter() - started)


def best(scores: np.ndarray[Any, np.dtype[np.float32]], n: int) -> Int32:
    """The places of the n largest scores, best first."""
    places = np.argpartition(-scores, n)[:n] if n < len(scores) else np.arange(len(scores))
    return places[np.argsort(-scores[places])].astype(np.int32)
