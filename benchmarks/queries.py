"""Queries as a reader's history makes them: q = sum of the codes of the items read, which are then excluded.

Larger catalogues: a history is cut to 5..50 of its items, and each becomes a random one of the catalogue's items that
were made from it. The real catalogue: whole histories.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.catalogue import Catalogue
from index.embeddings import SparseItemEmbeddings
from index.query import encode
from index.types import Float32, Int32

SHORTEST, LONGEST = 5, 50
SEED = 7


@dataclass(frozen=True)
class Query:
    """What is asked."""

    vector: Float32
    """(n_dims,)."""
    exclude: Int32
    """The history: item rows."""

    @property
    def dims(self) -> Int32:
        """The active dims, ascending."""
        return np.flatnonzero(self.vector).astype(np.int32)

    @property
    def length(self) -> float:
        """|q|."""
        return float(np.linalg.norm(self.vector.astype(np.float64)))


def of_clones(catalogue: Catalogue, histories: Sequence[Int32], n_queries: int) -> list[Query]:
    """Queries of histories of real items, asked in turn and again from the first, each time cut anew."""
    rng = np.random.default_rng(SEED)
    order = np.argsort(catalogue.bases, kind="stable").astype(np.int32)
    ordered = catalogue.bases[order]
    made = []
    for number in range(n_queries):
        history = histories[number % len(histories)]
        n = min(len(history), int(rng.integers(SHORTEST, LONGEST + 1)))
        chosen = rng.choice(history, n, replace=False)
        first, stop = np.searchsorted(ordered, chosen), np.searchsorted(ordered, chosen, side="right")
        there = stop > first  # an item without a complete code has no clones
        made.append(_query(catalogue.embeddings, order[rng.integers(first[there], stop[there])]))
    return made


def of_items(embeddings: SparseItemEmbeddings, histories: Sequence[Int32], n_queries: int) -> list[Query]:
    """Queries of whole histories of the catalogue's own items."""
    return [_query(embeddings, history) for history in histories[:n_queries]]


def cut(query: Query, n_dims: int) -> Query:
    """The same query with only its n_dims largest |q_d|: what a model with sparse users would ask."""
    largest = np.argsort(-np.abs(query.vector), kind="stable")[:n_dims]
    vector = np.zeros_like(query.vector)
    vector[largest] = query.vector[largest]
    return Query(vector, query.exclude)


def _query(embeddings: SparseItemEmbeddings, items: Int32) -> Query:
    return Query(encode(embeddings, items, np.ones(len(items), np.float32)), np.sort(items))
