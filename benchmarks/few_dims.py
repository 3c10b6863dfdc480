"""What do queries with 64 active dims take, as models with sparse users ask them?"""

from collections.abc import Callable

import numpy as np

from benchmarks import oracle, queries, timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.engines import N, task
from benchmarks.subject import FEW, Subject
from index.types import JSON


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return n_rounds * len(subject.queries)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time the 64 largest |q_d| of every query beside the full query, qdrant-edge and the touch limit."""
    few = [queries.cut(query, FEW) for query in subject.queries]
    asked = {f"{name} 64": task(subject.engines[name], few) for name in _taking_part(subject)}
    tasks = {"sparrow": task(subject.engines["sparrow"], subject.queries), **asked}
    samples = timing.interleave(tasks, len(few), n_rounds, done)
    ours = samples["sparrow 64"]
    others = {name: each for name, each in samples.items() if name != "sparrow 64"}
    figures: dict[str, JSON] = {
        "engines": summaries(samples),
        "slower_than_ours": {name: ratio(each, ours) for name, each in others.items()},
        "recall": _recall(subject, few),
    }
    return Finding(figures, samples)


def _taking_part(subject: Subject) -> list[str]:
    return [name for name in ("sparrow", "unpruned", "qdrant-edge", "touch") if name in subject.engines]


def _recall(subject: Subject, few: list[queries.Query]) -> dict[str, JSON]:
    truth = oracle.truth(subject.embeddings, few, N)
    found: dict[str, JSON] = {}
    for name in _taking_part(subject):
        engine = subject.engines[name]
        if name != "touch":
            answers = [engine.answer(engine.prepare(query)) for query in few]
            shares = [oracle.recall(subject.embeddings, *each) for each in zip(few, answers, truth, strict=True)]
            found[name] = float(np.mean(shares))
    return found
