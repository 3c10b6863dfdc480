"""Sets of items that segments have to be better than: random ones, and k-means on dense vectors, of the same sizes."""

import numpy as np

from index.blockwise import unit
from index.types import Float32, Int32, Int64
from training.segment_quality import Sets

BAND = 50
"""Items of neighbouring popularity that may stand for each other."""
STEPS = 20
"""Of k-means; by then next to nothing moves."""


def random_sets(sets: Sets, pool: Int32, rng: np.random.Generator) -> list[Int32]:
    """For each set as many items of the pool, all equally likely."""
    return [rng.choice(pool, len(items), replace=False) for items in sets]


def as_popular(sets: Sets, pool: Int32, popularity: Float32, rng: np.random.Generator) -> list[Int32]:
    """For each set as many items of the pool, each from the same band of popularity: a shuffle inside the bands."""
    ranked = pool[np.argsort(popularity[pool], kind="stable")]
    places = np.full(len(popularity), -1, np.int64)
    places[ranked] = np.arange(len(ranked))
    bands = np.arange(len(ranked)) // BAND
    return [ranked[np.lexsort((rng.random(len(ranked)), bands))[places[items]]] for items in sets]


def nearest_sets(vectors: Float32, sizes: Int64, pool: Int32, rng: np.random.Generator) -> list[Int32]:
    """Of each centre of k-means over the pool its nearest items, nearest first, as many as `sizes` says.

    The centre with the largest cluster gets the largest size, and so on. More sizes than items: each gets a set anyway.
    """
    points = unit(vectors[pool])
    centres, counts = k_means(points, len(sizes), rng)
    order, wanted = np.argsort(-counts, kind="stable"), np.sort(sizes)[::-1]
    cosines = centres[order] @ points.T
    return [pool[np.argsort(-row, kind="stable")[:size]] for row, size in zip(cosines, wanted, strict=True)]


def k_means(points: Float32, n: int, rng: np.random.Generator) -> tuple[Float32, Int64]:
    """Unit centres (n, n_dims) and how many points are nearest to each; spherical, begun as k-means++ is."""
    centres = spread(points, n, rng)
    for _ in range(STEPS):
        nearest = np.argmax(points @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        centres = np.where(np.any(sums, axis=1, keepdims=True), unit(sums), centres)
    return centres, np.bincount(np.argmax(points @ centres.T, axis=1), minlength=n)


def spread(points: Float32, n: int, rng: np.random.Generator) -> Float32:
    """Take n points, each the likelier the farther it is from those before (Arthur and Vassilvitskii, 2007)."""
    chosen = [int(rng.integers(len(points)))]
    far = np.full(len(points), np.inf)
    while len(chosen) < n:
        far = np.minimum(far, np.maximum(1 - points @ points[chosen[-1]], 0))
        even = far.sum() <= 0  # all points are taken
        chosen.append(int(rng.choice(len(points), p=None if even else far / far.sum())))
    return points[chosen]
