"""What do queries with 64 active dims take, as models with sparse users ask them?"""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import oracle, queries, timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.engines import N, task
from benchmarks.queries import Query
from benchmarks.subject import FEW, Subject
from index.reference import Hits
from index.types import JSON


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return n_rounds * len(subject.queries)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time the 64 largest |q_d| of a query beside the full one, pruned or not, qdrant-edge and the touch limit."""
    few = [queries.cut(query, FEW) for query in subject.queries]
    asked = {f"{name} 64": task(subject.engines[name], few) for name in _taking_part(subject)}
    full = {name: task(subject.engines[name], subject.queries) for name in ("sparrow", "unpruned")}
    tasks = {**full, **asked}
    samples = timing.interleave(tasks, len(few), n_rounds, done)
    ours, truth = samples["sparrow 64"], oracle.truth(subject.embeddings, few, N)
    others = {name: each for name, each in samples.items() if name != "sparrow 64"}
    figures: dict[str, JSON] = {
        "engines": summaries(samples),
        "slower_than_ours": {name: ratio(each, ours) for name, each in others.items()},
        "recall": {name: _recall(subject, name, few, truth) for name in _taking_part(subject) if name != "touch"},
        "identical_to_the_oracle": _identical(subject, few, truth),
    }
    return Finding(figures, samples)


def _taking_part(subject: Subject) -> list[str]:
    return [name for name in ("sparrow", "unpruned", "qdrant-edge", "touch") if name in subject.engines]


def _identical(subject: Subject, few: Sequence[Query], truth: Sequence[Hits]) -> bool:
    return all(
        oracle.identical(subject.searcher.top_n(query.vector, N, exclude=query.exclude), true)
        for query, true in zip(few, truth, strict=True)
    )


def _recall(subject: Subject, name: str, few: Sequence[Query], truth: Sequence[Hits]) -> float:
    engine = subject.engines[name]
    answers = [engine.answer(engine.prepare(query)) for query in few]
    asked = zip(few, answers, truth, strict=True)
    return float(np.mean([oracle.recall(subject.embeddings, *each) for each in asked]))
