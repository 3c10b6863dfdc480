"""The others: scipy, Qdrant's engine in this process, and faiss; each at one thread, with its settings in words.

A peer that is not installed is reported as absent with how to install it; nothing is compared with it then.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cache, oracle
from benchmarks.engines import Engine, N, best
from benchmarks.queries import Query
from index.embeddings import SparseItemEmbeddings
from index.sparse import SparseRows
from index.types import Float32, Int32

INSTALL = "pip install -c constraints.txt -e '.[bench]'"
POINTS_AT_ONCE = 10_000
PROJECTED = 256
"""Dimensions of the dense vectors that faiss searches."""


class Scipy:
    """A CSR matrix times the dense query, then argpartition."""

    name = "scipy"
    settings = "csr_array @ q, argpartition; float32"

    def __init__(self, rows: SparseRows) -> None:
        self._matrix = oracle.csr(rows)

    def prepare(self, query: Query) -> Query:
        """Nothing to do."""
        return query

    def answer(self, prepared: Query) -> Int32:
        """Score everything."""
        scores = self._matrix @ prepared.vector
        scores[prepared.exclude] = -np.inf
        return best(scores, N)


class Qdrant:
    """qdrant-edge: the Rust engine of the Qdrant server, in this process, from one optimised segment."""

    name = "qdrant-edge"
    settings = (
        "one optimised segment, sparse index pinned in memory, float32 weights, no payload, "
        "max_search_threads 1, history by must_not HasId, request built beforehand"
    )

    def __init__(self, rows: SparseRows, root: Path) -> None:
        from qdrant_edge import EdgeShard

        digest = hashlib.blake2b(rows.dims.tobytes() + rows.values.tobytes(), digest_size=6).hexdigest()
        directory = cache.directory(root, f"qdrant-{digest}", lambda directory: _fill_qdrant(directory, rows))
        self._shard = EdgeShard.load(str(directory), _qdrant_config())
        indexed, filled = self._shard.info().indexed_vectors_count, np.count_nonzero(np.diff(rows.row_starts))
        if indexed != filled:
            raise ValueError(f"{directory} has {indexed} of {filled} vectors in its index; remove it")

    def prepare(self, query: Query) -> Any:  # noqa: ANN401 - a class of an optional package
        """Build the request."""
        from qdrant_edge import Filter, HasIdCondition, QueryRequest, SparseVector
        from qdrant_edge import Query as QdrantQuery

        dims = query.dims
        vector = SparseVector(dims.tolist(), query.vector[dims].tolist())
        unseen = Filter(must_not=[HasIdCondition(set(query.exclude.tolist()))])
        nearest = QdrantQuery.Nearest(vector, using="code")
        return QueryRequest(limit=N, query=nearest, filter=unseen, with_vector=False, with_payload=False)

    def answer(self, prepared: Any) -> Int32:  # noqa: ANN401 - as above
        """Ask the shard."""
        return np.array([point.id for point in self._shard.query(prepared)], np.int32)


class Faiss:
    """faiss IndexFlatIP over a random projection of the codes to 256 dense dims: a dense model's exact search.

    Its truth is that of the dense vectors. How much of the sparse truth it finds says nothing about a dense model, only
    that a projection is no way to search these codes.
    """

    name = "faiss"
    settings = f"IndexFlatIP on a random projection to {PROJECTED} dense dims, float32, one thread"

    def __init__(self, rows: SparseRows) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        rng = np.random.default_rng(0)
        self._projection = rng.standard_normal((rows.n_dims, PROJECTED), np.float32) / np.float32(np.sqrt(PROJECTED))
        self._index = faiss.IndexFlatIP(PROJECTED)
        for start in range(0, rows.n_rows, oracle.BLOCK):
            block = np.arange(start, min(start + oracle.BLOCK, rows.n_rows), dtype=np.int32)
            self._index.add(np.ascontiguousarray(oracle.csr(rows.take(block)) @ self._projection))

    def prepare(self, query: Query) -> tuple[Float32, Int32]:
        """Project the query."""
        return (query.vector @ self._projection)[None, :], query.exclude

    def answer(self, prepared: tuple[Float32, Int32]) -> Int32:
        """Ask for as many more as are excluded (its selectors are slower), and leave these out."""
        vector, exclude = prepared
        _, found = self._index.search(vector, min(N + len(exclude), self._index.ntotal))
        return np.asarray(found[0][~np.isin(found[0], exclude)][:N], np.int32)

    def recall(self, prepared: tuple[Float32, Int32], answered: Int32) -> float:
        """The share of the dense truth that was found."""
        import faiss

        vectors = faiss.vector_to_array(self._index.codes).view(np.float32).reshape(-1, PROJECTED)
        scores = vectors @ prepared[0][0]
        scores[prepared[1]] = -np.inf
        return float(np.isin(best(scores, N), answered).mean())


@dataclass(frozen=True)
class Peer:
    """How to get a peer."""

    package: str
    """What pip calls it."""
    module: str
    """What Python calls it."""
    make: Callable[[SparseRows, Path], Engine]
    """From rows with the item scale in them, and a directory for what is worth keeping."""


PEERS: Mapping[str, Peer] = {
    "scipy": Peer("scipy", "scipy", lambda rows, _root: Scipy(rows)),
    "qdrant-edge": Peer("qdrant-edge-py", "qdrant_edge", Qdrant),
    "faiss": Peer("faiss-cpu", "faiss", lambda rows, _root: Faiss(rows)),
}


def absent(name: str) -> str | None:
    """Why a peer cannot be compared with, in one sentence; None if it is installed."""
    if importlib.util.find_spec(PEERS[name].module) is not None:
        return None
    return f"{name} is not installed, so nothing is compared with it; to change that: {INSTALL}"


def make(name: str, embeddings: SparseItemEmbeddings, root: Path) -> Engine:
    """Put a catalogue into a peer."""
    return PEERS[name].make(oracle.scaled(embeddings.decoder, embeddings.item_scale), root)


def versions() -> dict[str, str]:
    """The version of each installed peer."""
    return {name: metadata.version(peer.package) for name, peer in PEERS.items() if absent(name) is None}


def _qdrant_config() -> Any:  # noqa: ANN401 - a class of an optional package
    """Thresholds so that all points end in one indexed segment; nothing but the sparse vectors is stored."""
    import qdrant_edge

    code = qdrant_edge.EdgeSparseVectorParams(
        datatype=qdrant_edge.VectorStorageDatatype.Float32, memory=qdrant_edge.Memory.Pinned
    )
    optimizers = qdrant_edge.EdgeOptimizersConfig(
        default_segment_number=1, max_segment_size=1 << 30, indexing_threshold=1
    )
    return qdrant_edge.EdgeConfig(
        sparse_vectors={"code": code}, optimizers=optimizers, max_search_threads=1, wal_enabled=False
    )


def _fill_qdrant(directory: Path, rows: SparseRows) -> None:
    import qdrant_edge

    shard = qdrant_edge.EdgeShard.create(str(directory), _qdrant_config())
    for start in range(0, rows.n_rows, POINTS_AT_ONCE):
        numbers = range(start, min(start + POINTS_AT_ONCE, rows.n_rows))
        codes = (rows.row(number) for number in numbers)
        points = [
            qdrant_edge.Point(number, {"code": qdrant_edge.SparseVector(dims.tolist(), values.tolist())})
            for number, (dims, values) in zip(numbers, codes, strict=True)
        ]
        shard.update(qdrant_edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()
    shard.close()
