"""What does restricting a search cost, from 0.01 % of the items to all of them?

random      items drawn one by one
similar     items made from neighbouring real items, as a genre would keep them
contiguous  a run of rows, as a catalogue that was imported shop by shop would keep them
"""

from collections.abc import Callable

import numpy as np

from benchmarks import oracle, timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.engines import N
from benchmarks.subject import Subject
from benchmarks.timing import Task
from index import reference
from index.bitmap import Bitmap
from index.types import JSON, Int32

SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0)
"""Of the items, kept."""
KINDS = ("random", "similar", "contiguous")
ASKED = 100
"""Queries asked of each filter."""
CHECKED = 3
"""Queries whose answers are compared with the oracle's, for each filter."""


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return n_rounds * min(ASKED, len(subject.queries))


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time every kind and share beside the unfiltered search."""
    filters = {name(kind, share): _filter(subject, kind, share) for kind in KINDS for share in SHARES}
    tasks = {"unfiltered": _task(subject, None), **{key: _task(subject, each) for key, each in filters.items()}}
    samples = timing.interleave(tasks, min(ASKED, len(subject.queries)), n_rounds, done)
    plain = samples["unfiltered"]
    figures: dict[str, JSON] = {
        "engines": summaries(samples),
        "times_the_unfiltered": {key: ratio(samples[key], plain) for key in filters},
        "kept": {key: each.count for key, each in filters.items()},
        "identical_to_the_oracle": _identical(subject, filters),
    }
    return Finding(figures, samples)


def name(kind: str, share: float) -> str:
    """Of a filter."""
    return f"{kind} {share:.2%}"


def _task(subject: Subject, within: Bitmap | None) -> Task:
    def search(number: int) -> Int32:
        query = subject.queries[number]
        return subject.searcher.top_n(query.vector, N, exclude=query.exclude, within=within).items

    return search


def _filter(subject: Subject, kind: str, share: float) -> Bitmap:
    rng = np.random.default_rng(3)
    n_items = subject.embeddings.n_items
    wanted = max(1, round(share * n_items))
    if kind == "random":
        rows = rng.choice(n_items, wanted, replace=False)
    elif kind == "similar":
        rows = np.argsort(_distance(subject, rng)[subject.bases], kind="stable")[:wanted]
    else:
        rows = rng.integers(n_items - wanted + 1) + np.arange(wanted)
    return Bitmap.from_rows(rows.astype(np.int32), n_items)


def _distance(subject: Subject, rng: np.random.Generator) -> Int32:
    """The rank of each real item by the likeness of its first clone to that of a random one."""
    decoder = subject.embeddings.decoder
    bases, first = np.unique(subject.bases, return_index=True)
    centre = decoder.dense_row(int(rng.choice(first)))
    likeness = reference.score_rows(decoder.take(first.astype(np.int32)), centre)
    rank = np.zeros(int(bases[-1]) + 1, np.int32)
    rank[bases[np.argsort(-likeness, kind="stable")]] = np.arange(len(bases))
    return rank


def _identical(subject: Subject, filters: dict[str, Bitmap]) -> bool:
    for query in subject.queries[:CHECKED]:
        scores = oracle.all_scores(subject.embeddings, query)
        for within in filters.values():
            true = reference.select(scores, N, query.exclude, within.rows())
            hits = subject.searcher.top_n(query.vector, N, exclude=query.exclude, within=within)
            if not oracle.identical(hits, true):
                return False
    return True
