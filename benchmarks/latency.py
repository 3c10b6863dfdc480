"""How long does one query take, beside the peers and beside the limits?"""

from collections.abc import Callable

import numpy as np

from benchmarks import limits, oracle, timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.engines import Engine, N, task
from benchmarks.peers import Faiss
from benchmarks.queries import Query
from benchmarks.subject import Subject
from index.types import JSON, Int32

CHECKED = 20
"""Queries that faiss' own truth is computed for: each costs a pass over dense vectors."""


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return n_rounds * len(subject.queries)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time every engine on every query, check every answer."""
    tasks = {name: task(engine, subject.queries) for name, engine in subject.engines.items()}
    bandwidth = [subject.stream.bytes_per_second()]
    samples = timing.interleave(tasks, len(subject.queries), n_rounds, done)
    bandwidth.append(subject.stream.bytes_per_second())
    ours = samples["sparrow"]
    figures: dict[str, JSON] = {
        "engines": summaries(samples),
        "slower_than_ours": {name: ratio(each, ours) for name, each in samples.items() if name != "sparrow"},
        "times_the_limits": _limits(subject, samples, max(bandwidth)),
        "recall": {name: _recall(subject, name) for name in subject.engines if name != "touch"},
        "identical_to_the_oracle": _identical(subject),
        "build_seconds": dict(subject.build_seconds),
        "settings": {name: engine.settings for name, engine in subject.engines.items()},
    }
    return Finding(figures, samples)


def _limits(subject: Subject, samples: dict[str, timing.Samples], bytes_per_second: float) -> dict[str, JSON]:
    lists = subject.searcher.postings
    read = float(np.median([limits.bytes_read(lists, query.dims) for query in subject.queries]))
    stream_ms = read / bytes_per_second * 1e3
    return {
        "bytes_read": read,
        "gigabytes_per_second": bytes_per_second / 1e9,
        "stream_ms": stream_ms,
        "touch_ms": samples["touch"].median_ms(),
        "sparrow_to_touch": ratio(samples["sparrow"], samples["touch"]),
        "unpruned_to_touch": ratio(samples["unpruned"], samples["touch"]),
        "sparrow_to_stream": samples["sparrow"].median_ms() / stream_ms,
    }


def _recall(subject: Subject, name: str) -> dict[str, JSON]:
    engine = subject.engines[name]
    asked = list(zip(subject.queries, subject.truth, strict=True))
    found = [oracle.recall(subject.embeddings, query, _answer(engine, query), true) for query, true in asked]
    said: dict[str, JSON] = {"of_the_truth": float(np.mean(found)), "worst": float(np.min(found))}
    if isinstance(engine, Faiss):
        own = [engine.recall(engine.prepare(query), _answer(engine, query)) for query, _ in asked[:CHECKED]]
        said["of_its_dense_truth"] = float(np.mean(own))
    return said


def _identical(subject: Subject) -> bool:
    asked = zip(subject.queries, subject.truth, strict=True)
    return all(
        oracle.identical(subject.searcher.top_n(query.vector, N, exclude=query.exclude), true) for query, true in asked
    )


def _answer(engine: Engine, query: Query) -> Int32:
    return engine.answer(engine.prepare(query))
