"""Small catalogues whose item ids tell which version they belong to: item 7 of the third one is c3-7."""

from pathlib import Path

import numpy as np

from index.builder import build
from index.embeddings import SparseItemEmbeddings
from index.segments import CarriedIds, FoundSegment, assemble
from index.sparse import SparseRows
from index.types import Float32, Int32
from index.vocabulary import Vocabulary

N_ITEMS = 400
N_TASTES = 8
N_DIMS = 32


def item_id(number: int, item: int) -> str:
    """The id of an item of a catalogue."""
    return f"c{number}-{item}"


def store(root: Path, number: int) -> str:
    """Store catalogue `number` as a snapshot; its version."""
    matrix = _matrix()
    rows, dims = matrix.nonzero()
    starts = np.searchsorted(rows, np.arange(N_ITEMS + 1))
    embeddings = SparseItemEmbeddings(
        items=Vocabulary.build([item_id(number, item) for item in range(N_ITEMS)]),
        decoder=SparseRows.from_csr(starts, dims, matrix[rows, dims], N_DIMS),
        item_scale=None,
        encoder="tied",
        query_dims=None,
        dims_are="latents",
        provenance={"model": "planted"},
    )
    found = [_taste(matrix, taste) for taste in range(N_TASTES)]
    titles = [f"Taste {taste}" for taste in range(N_TASTES)]
    ids = CarriedIds(tuple(f"s{taste}" for taste in range(N_TASTES)), frozenset())
    segments = assemble(found, ids, titles, [(title,) for title in titles], N_DIMS)
    popularity = np.arange(N_ITEMS, 0, -1, dtype=np.float32)
    properties = [{"title": f"Item {item}"} for item in range(N_ITEMS)]
    return build(root, embeddings=embeddings, properties=properties, popularity=popularity, segments=segments)


def _matrix() -> Float32:
    """Rows of unit length: a taste each, with noise around it."""
    random = np.random.default_rng(0)
    matrix = np.zeros((N_ITEMS, N_DIMS), dtype=np.float32)
    for item in range(N_ITEMS):
        matrix[item, item % N_TASTES] = 1.0
        others = random.choice(np.arange(N_TASTES, N_DIMS), size=4, replace=False)
        matrix[item, others] = random.uniform(-0.3, 0.3, size=4)
    unit: Float32 = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return unit


def _taste(matrix: Float32, taste: int) -> FoundSegment:
    items: Int32 = np.arange(taste, N_ITEMS, N_TASTES, dtype=np.int32)
    centroid: Float32 = matrix[items].mean(axis=0)
    centroid /= np.linalg.norm(centroid)
    strengths = np.clip(matrix[items] @ centroid, 1e-3, 1).astype(np.float32)
    order = np.lexsort((items, -strengths))
    return FoundSegment(((taste, 1),), items[order], strengths[order], centroid)
