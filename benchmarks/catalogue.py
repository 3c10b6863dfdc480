"""Catalogues larger than the real one, made of the real one's item codes (the generator of our retrieval study).

An item is the code of a random real item and, in dimensions of its own, that of one of its 20 nearest neighbours:

    row = normalise(jitter(swap([code(base), permuted(code(neighbour))])))        D = 2 d, k = 2 k_real

A share of the dims is swapped for dims drawn by their real popularity, with a random sign; every value is multiplied by
exp(sigma * normal). Items are made in chunks of a fixed size with a seed each: a smaller catalogue is the beginning of
a larger one, and the working memory stays bounded.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from benchmarks import cache
from index import arrays
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Array, Float32, Int32
from index.vocabulary import Vocabulary

VERSION = 1
"""Of this generator: another one makes other catalogues, and what is cached no longer counts."""
CHUNK = 1 << 17
"""Items made at once, from one seed: about 0.5 GB of working memory."""
N_NEIGHBOURS = 20
BASES = "bases"


@dataclass(frozen=True)
class Variant:
    """How much of the real catalogue's structure is left."""

    name: str
    """For tables."""
    swapped: float
    """Share of the dims that are drawn anew."""
    sigma: float
    """Of the logarithm of the values' factors."""
    partner: Literal["nearest", "random"]
    """Which of the 20 neighbours gives the second half."""
    seed: int
    """Of all that is drawn."""


# kth/|q|, the score of rank 100 over the length of the query, says how far a bound on what is missing can prune. With
# the study's own settings, our codes reach its windows (.30-.34 and .15-.18 at 1M), so nothing was tuned.
CLUSTERED = Variant("clustered", swapped=0.15, sigma=0.3, partner="nearest", seed=1)
DIFFUSE = Variant("diffuse", swapped=0.35, sigma=0.25, partner="random", seed=2)
VARIANTS = {variant.name: variant for variant in (CLUSTERED, DIFFUSE)}


@dataclass(frozen=True)
class Codes:
    """What the generator draws from: the real items whose codes are complete."""

    rows: Int32
    """(n,): their rows in the real catalogue."""
    dims: Int32
    """(n, k_real): ascending within a row."""
    values: Float32
    """(n, k_real)."""
    neighbours: Int32
    """(n, 20): places in `rows` of the nearest by cosine, the nearest first."""
    permutation: Int32
    """(d,): which dim of the second half stands for a real dim."""

    @property
    def n_dims(self) -> int:
        """Number of real dims."""
        return len(self.permutation)


@dataclass(frozen=True)
class Catalogue:
    """Item codes, and which real item each of them comes from."""

    embeddings: SparseItemEmbeddings
    """Tied."""
    bases: Int32
    """(n_items,): row of the real item."""


def codes(real: SparseRows) -> Codes:
    """The complete rows (those with the most non-zeros; a few items have none) and their neighbours."""
    lengths = np.diff(real.row_starts)
    k = int(lengths.max())
    rows = np.flatnonzero(lengths == k).astype(np.int32)
    taken = real.take(rows)
    dims, values = taken.dims.reshape(-1, k).astype(np.int32), taken.values.reshape(-1, k)
    permutation = np.random.default_rng(0).permutation(real.n_dims).astype(np.int32)
    return Codes(rows, dims, values, _nearest(dims, values, real.n_dims), permutation)


def stored(
    root: Path, source: Codes, variant: Variant, n_items: int, done: Callable[[float], None] = lambda _: None
) -> Catalogue:
    """The catalogue as it is cached under `root`, memory-mapped; made first if it is not there."""

    def make(directory: Path) -> None:
        made = generate(source, variant, n_items, done)
        made.embeddings.save(directory)
        arrays.save(directory, {BASES: made.bases})

    directory = cache.directory(root, f"{variant.name}-{n_items}-{_fingerprint(source, variant)}", make)
    bases = arrays.load(directory, BASES, np.int32, length=n_items)
    return Catalogue(SparseItemEmbeddings.load(directory), bases)


def generate(
    source: Codes, variant: Variant, n_items: int, done: Callable[[float], None] = lambda _: None
) -> Catalogue:
    """Make n_items items; calls done(items made) after each chunk."""
    k = 2 * source.dims.shape[1]
    dims, values = np.empty((n_items, k), np.uint16), np.empty((n_items, k), np.float32)
    bases = np.empty(n_items, np.int32)
    for number, start in enumerate(range(0, n_items, CHUNK)):
        room = slice(start, min(start + CHUNK, n_items))
        for whole, part in zip((dims, values, bases), _chunk(source, variant, number), strict=True):
            whole[room] = part[: room.stop - start]
        done(room.stop - start)
    starts = np.arange(0, n_items * k + 1, k, dtype=np.int64)
    rows = SparseRows(starts, dims.reshape(-1), values.reshape(-1), 2 * source.n_dims)
    ids = Vocabulary.build([f"{variant.name}-{number}" for number in range(n_items)])
    about = {"generator": VERSION, **asdict(variant)}
    return Catalogue(SparseItemEmbeddings(ids, rows, None, "tied", None, "latents", about), bases)


def _chunk(source: Codes, variant: Variant, number: int) -> tuple[Array, Float32, Int32]:
    """CHUNK items: dims (ascending within a row), values, bases."""
    rng = np.random.default_rng((variant.seed, number))
    bases = rng.integers(len(source.rows), size=CHUNK)
    choice = 0 if variant.partner == "nearest" else rng.integers(N_NEIGHBOURS, size=CHUNK)
    partners = source.neighbours[bases, choice]
    dims = np.concatenate([source.dims[bases], _second(source, source.dims[partners])], axis=1)
    values = np.concatenate([source.values[bases], source.values[partners]], axis=1)
    swapped = rng.random(dims.shape, dtype=np.float32) < variant.swapped
    _swap(source, dims, swapped, rng)
    flipped = swapped & (rng.random(dims.shape, dtype=np.float32) < 0.5)
    values *= np.exp(variant.sigma * rng.standard_normal(dims.shape, dtype=np.float32))
    values[flipped] *= -1
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return *_sorted(dims, values), source.rows[bases]


def _swap(source: Codes, dims: Int32, swapped: Array, rng: np.random.Generator) -> None:
    """Draw the swapped dims of each row by their real popularity, within their half, until no row has one twice."""
    popular = source.dims.reshape(-1)  # a random non-zero's dim is a dim drawn by popularity
    k = source.dims.shape[1]
    rows = np.arange(len(dims))
    while len(rows):
        drawn = popular[rng.integers(len(popular), size=(len(rows), 2 * k))]
        drawn[:, k:] = _second(source, drawn[:, k:])
        dims[rows] = np.where(swapped[rows], drawn, dims[rows])
        ordered = np.sort(dims[rows], axis=1)
        rows = rows[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]


def _second(source: Codes, dims: Int32) -> Int32:
    return source.permutation[dims] + np.int32(source.n_dims)


def _sorted(dims: Int32, values: Float32) -> tuple[Array, Float32]:
    """Each row by ascending dim: one sort of (dim, bits of the value) packed into a number."""
    packed = dims.astype(np.uint64) << np.uint64(32) | values.view(np.uint32)
    packed.sort(axis=1)
    return (packed >> np.uint64(32)).astype(np.uint16), packed.astype(np.uint32).view(np.float32)


def _nearest(dims: Int32, values: Float32, n_dims: int) -> Int32:
    """The nearest other items by cosine (rows are of unit length), (n, 20), the nearest first."""
    n, k = dims.shape
    rows = csr_array((values.reshape(-1), dims.reshape(-1), np.arange(0, n * k + 1, k)), shape=(n, n_dims))
    columns = csr_array(rows.T)
    nearest = np.empty((n, N_NEIGHBOURS), np.int32)
    for start in range(0, n, 1024):
        scores = (rows[start : start + 1024] @ columns).toarray()
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        nearest[start : start + 1024] = np.argsort(-scores, axis=1, kind="stable")[:, :N_NEIGHBOURS]
    return nearest


def _fingerprint(source: Codes, variant: Variant) -> str:
    digest = hashlib.blake2b(json.dumps([VERSION, CHUNK, asdict(variant)]).encode(), digest_size=6)
    for array in (source.rows, source.dims, source.values):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
