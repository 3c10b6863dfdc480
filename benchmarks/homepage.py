"""What does a whole homepage take: the best items of 12 segments, from one pass?

A segment of a generated catalogue holds the items that were made from the items of a real one. A reader's page has the
12 segments of which the history has most.
"""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import oracle, timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.engines import task
from benchmarks.queries import Query
from benchmarks.subject import Subject
from index import reference
from index.reference import Hits
from index.types import JSON, Int32

N_ROWS, ROW_SIZE = 12, 20
CHECKED = 5
"""Pages that are compared with the oracle's."""


def steps(subject: Subject, n_rounds: int) -> int:
    """How often `measure` calls done."""
    return n_rounds * len(subject.queries)


def measure(subject: Subject, n_rounds: int, done: Callable[[float], None]) -> Finding:
    """Time pages beside one search and one pass over all postings."""
    segments = _segments(subject)
    pages = [_page(subject, segments, query) for query in subject.queries]

    def page(number: int) -> list[Hits]:
        return _answer(subject, subject.queries[number], pages[number])

    def with_top_picks(number: int) -> list[Hits]:
        return _answer(subject, subject.queries[number], [None, *pages[number]])

    tasks = {
        "homepage": page,
        "homepage with top picks": with_top_picks,
        **{name: task(subject.engines[name], subject.queries) for name in ("sparrow", "unpruned")},
    }
    samples = timing.interleave(tasks, len(subject.queries), n_rounds, done)
    figures: dict[str, JSON] = {
        "engines": summaries(samples),
        "times_top_n": ratio(samples["homepage"], samples["sparrow"]),
        "times_unpruned": ratio(samples["homepage"], samples["unpruned"]),
        "with_top_picks_times_unpruned": ratio(samples["homepage with top picks"], samples["unpruned"]),
        "segment_items": float(np.median([len(items) for page in pages for items in page])),
        "identical_to_the_oracle": _identical(subject, pages),
    }
    return Finding(figures, samples)


def _segments(subject: Subject) -> list[Int32]:
    order = np.argsort(subject.bases, kind="stable").astype(np.int32)
    ordered = subject.bases[order]
    made = []
    for items in subject.model.segments:
        first, stop = np.searchsorted(ordered, items), np.searchsorted(ordered, items, side="right")
        made.append(np.concatenate([order[slice(*each)] for each in zip(first, stop, strict=True)]))
    return made


def _page(subject: Subject, segments: list[Int32], query: Query) -> list[Int32]:
    read = subject.bases[query.exclude]
    counts = np.array([np.isin(read, items).sum() for items in subject.model.segments])
    return [segments[number] for number in np.argsort(-counts, kind="stable")[:N_ROWS]]


def _answer(subject: Subject, query: Query, page: Sequence[Int32 | None]) -> list[Hits]:
    return subject.searcher.top_n_per_segment(query.vector, page, ROW_SIZE, exclude=query.exclude)


def _identical(subject: Subject, pages: list[list[Int32]]) -> bool:
    for query, page in list(zip(subject.queries, pages, strict=True))[:CHECKED]:
        scores = oracle.all_scores(subject.embeddings, query)
        true = [reference.select(scores, ROW_SIZE, query.exclude, items) for items in page]
        if not all(map(oracle.identical, _answer(subject, query, page), true)):
            return False
    return True
