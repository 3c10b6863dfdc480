"""One catalogue with its queries, their true answers and the engines that hold it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import catalogue, limits, oracle, peers, queries
from benchmarks.catalogue import Catalogue, Codes
from benchmarks.engines import Engine, N, Sparrow, Unpruned
from benchmarks.limits import Stream
from benchmarks.model import Model
from benchmarks.queries import Query
from index.embeddings import SparseItemEmbeddings
from index.reference import Hits
from index.search import Searcher
from index.types import JSON, Int32, Int64

REAL = "real"
FEW = 64
"""Active dims of the queries that have few."""
LARGEST_OF_PEERS = 1_000_000
"""Items; beyond, a peer needs more memory than it is worth."""
WINDOWS: Mapping[str, tuple[float, float]] = {"clustered": (0.30, 0.34), "diffuse": (0.15, 0.18)}
"""Where the median of kth/|q| must lie at 1M for ratios to count."""
TOUCHED = (4.5e6, 7e6)
"""Where the median of the postings touched must lie at 1M."""


@dataclass(frozen=True)
class Place:
    """What is measured."""

    n_items: int
    """Size of the catalogue; it does not matter for the real one."""
    variant: str
    """Of the generator, or REAL."""

    @property
    def name(self) -> str:
        """As in tables: 1M clustered, 10k real."""
        if self.variant == REAL:
            return "10k real"
        for unit, suffix in ((1_000_000, "M"), (1_000, "k")):
            if self.n_items >= unit:
                return f"{round(self.n_items / unit)}{suffix} {self.variant}"
        return f"{self.n_items} {self.variant}"


@dataclass(frozen=True)
class Subject:
    """Everything that a question is asked about."""

    place: Place
    """Which catalogue."""
    model: Model
    """The real one, of which this one is made."""
    embeddings: SparseItemEmbeddings
    """Its codes."""
    bases: Int32
    """(n_items,): row of the real item that each one was made from."""
    searcher: Searcher
    """Ours."""
    engines: Mapping[str, Engine]
    """By name: sparrow, unpruned, touch and those of the peers that take part."""
    root: Path
    """Where there is room for files."""
    stream: Stream
    """Measures the bandwidth."""
    build_seconds: Mapping[str, float]
    """What it took to put the catalogue into each; where a peer keeps that on disk, to open it."""
    queries: tuple[Query, ...]
    """Full width."""
    truth: tuple[Hits, ...]
    """Their exact answers."""


def real(model: Model, n_queries: int, peer_names: Iterable[str], root: Path) -> Subject:
    """The real catalogue, asked with whole histories."""
    embeddings = model.embeddings
    asked = queries.of_items(embeddings, model.histories, n_queries)
    place = Place(embeddings.n_items, REAL)
    made = Catalogue(embeddings, np.arange(embeddings.n_items, dtype=np.int32))
    return _subject(place, model, made, asked, peer_names, root)


def scaled(
    model: Model,
    codes: Codes,
    place: Place,
    n_queries: int,
    peer_names: Iterable[str],
    root: Path,
    done: Callable[[float], None] = lambda _: None,
) -> Subject:
    """A generated catalogue; calls done(items made) while it is made."""
    made = catalogue.stored(root, codes, catalogue.VARIANTS[place.variant], place.n_items, done)
    asked = queries.of_clones(made, model.histories, n_queries)
    return _subject(place, model, made, asked, peer_names, root)


def touched(subject: Subject, asked: Sequence[Query]) -> Int64:
    """How many postings the dims of each query have, (n_queries,)."""
    lists = np.bincount(subject.embeddings.decoder.dims, minlength=subject.embeddings.n_dims)
    return np.array([lists[query.dims].sum() for query in asked], np.int64)


def describe(subject: Subject) -> dict[str, JSON]:
    """What the queries are like, medians; and why ratios on this catalogue do not count, if they do not."""
    kth = [hits.scores[-1] / query.length for hits, query in zip(subject.truth, subject.queries, strict=True)]
    few = [queries.cut(query, FEW) for query in subject.queries]
    found: dict[str, JSON] = {
        "items": subject.embeddings.n_items,
        "dims": subject.embeddings.n_dims,
        "nonzeros": len(subject.embeddings.decoder.dims),
        "queries": len(subject.queries),
        "kth_over_length": float(np.median(kth)),
        "query_nonzeros": float(np.median([len(query.dims) for query in subject.queries])),
        "postings_touched": float(np.median(touched(subject, subject.queries))),
        "postings_touched_64": float(np.median(touched(subject, few))),
    }
    return found | {"outside": _outside(subject.place, found)}


def _outside(place: Place, found: Mapping[str, JSON]) -> str | None:
    """Why ratios at 1M do not count, if they do not."""
    if place.n_items != 1_000_000 or place.variant not in WINDOWS:
        return None
    for name, (low, high) in (("kth_over_length", WINDOWS[place.variant]), ("postings_touched", TOUCHED)):
        value = found[name]
        if not isinstance(value, float) or not low <= value <= high:
            return f"{name} is {value}, outside {low:g} to {high:g}"
    return None


def _subject(
    place: Place,
    model: Model,
    made: Catalogue,
    asked: list[Query],
    peer_names: Iterable[str],
    root: Path,
) -> Subject:
    embeddings = made.embeddings
    started = time.perf_counter()
    searcher = Searcher.of(embeddings)
    seconds = {"sparrow": time.perf_counter() - started}
    built = limits.build(root)
    engines: dict[str, Engine] = {
        "sparrow": Sparrow(searcher),
        "unpruned": Unpruned(searcher),
        "touch": limits.Touch(built, searcher.postings),
    }
    for name in peer_names if place.n_items <= LARGEST_OF_PEERS else ():
        started = time.perf_counter()
        engines[name] = peers.make(name, embeddings, root)
        seconds[name] = time.perf_counter() - started
    truth = oracle.truth(embeddings, asked, N)
    stream = limits.Stream(built)
    fixed = (place, model, embeddings, made.bases, searcher, engines, root, stream, seconds)
    return Subject(*fixed, tuple(asked), tuple(truth))
