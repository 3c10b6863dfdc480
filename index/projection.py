"""A map of a few hundred things: what is alike lies close together, and nothing lies upon another.

t-SNE (van der Maaten and Hinton, 2008) in plain NumPy, from a start without chance: the two leading eigenvectors of the
cosines. Then discs of given sizes are pushed apart until they touch at most. All pairs are held, so this is for
segments, of which there are hundreds, not for items.
"""

import numpy as np

from index.types import Array, Float32

NEIGHBOURS = 12.0
"""How many things each one is near to (the perplexity)."""
STEPS = 600
EARLY = 150
"""Steps in which what is alike is drawn together more strongly, so that groups find each other."""
EXAGGERATION = 8.0
PUSHES = 400
FILLED = 0.45
"""Share of the map that discs cover before they are pushed apart."""
WIDE = 1.5
"""The map is so many times as wide as high, as screens are."""
GAP = 1.06
"""Discs stay so many times their radii apart."""


def project(cosines: Float32) -> Array:
    """Places on the plane, (n, 2), of things with these cosines, (n, n); centred, in no unit."""
    n = len(cosines)
    places = _start(cosines)
    if n < 4:
        return places
    near = _affinities(np.maximum(1 - cosines.astype(np.float64), 0), min(NEIGHBOURS, (n - 1) / 3))
    speed, rate = np.zeros((n, 2)), max(n / EXAGGERATION / 4, 20)
    for step in range(STEPS):
        early = step < EARLY
        speed = (0.5 if early else 0.8) * speed - rate * _slope(near * (EXAGGERATION if early else 1), places)
        places = places + speed
    return np.asarray(places - places.mean(axis=0))


def _start(cosines: Float32) -> Array:
    """Two leading eigenvectors, small; turned so that no sign depends on the machine."""
    n = len(cosines)
    if n < 2:
        return np.zeros((n, 2))
    _, vectors = np.linalg.eigh(cosines.astype(np.float64))
    leading = vectors[:, -1:-3:-1]
    leading = leading * np.where(leading[np.argmax(abs(leading), axis=0), [0, 1]] < 0, -1, 1)
    spiral = _sunflower(n) * 1e-3  # two things with the same cosines must not lie in one place
    return np.asarray((leading - leading.mean(axis=0)) / np.maximum(leading.std(axis=0), 1e-9) * 1e-2 + spiral)


def _sunflower(n: int) -> Array:
    """Evenly spread places in the unit disc, from the middle outwards, (n, 2)."""
    radius = np.sqrt((np.arange(n) + 0.5) / max(n, 1))
    angle = np.arange(n) * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def around(place: Array, radius: float, n: int) -> Array:
    """Places of n things in a disc, the first in its middle, (n, 2)."""
    return np.asarray(place + radius * _sunflower(n))


def _affinities(distances: Array, perplexity: float) -> Array:
    """How near things are, symmetric, summing to 1: of each a Gaussian as wide as the perplexity asks for."""
    n = len(distances)
    low, high, found = np.zeros((n, 1)), np.full((n, 1), np.inf), np.ones((n, 1))
    for _ in range(60):
        weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) * found)
        np.fill_diagonal(weights, 0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1, keepdims=True)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, found, low), np.where(wide, high, found)
        found = np.where(np.isinf(high), found * 2, (low + high) / 2)
    both = weights + weights.T
    return np.asarray(both / both.sum())


def _slope(near: Array, places: Array) -> Array:
    """The gradient of the divergence between `near` and the nearness of the places, (n, 2)."""
    apart = places[:, None] - places
    kernel = 1 / (1 + (apart**2).sum(axis=2))
    np.fill_diagonal(kernel, 0)
    force = (near - kernel / kernel.sum()) * kernel
    return np.asarray(4 * (force[:, :, None] * apart).sum(axis=1))


def spread(places: Array, radii: Array) -> Array:
    """The same map, as large as discs of these radii need, (n, 2): none covers another but by a hair."""
    n = len(places)
    if n < 2:
        return places
    extent = np.maximum(np.ptp(places, axis=0), 1e-9)
    wanted = np.sqrt(np.pi * (radii**2).sum() / FILLED)
    moved = places / extent * wanted * [np.sqrt(WIDE), 1 / np.sqrt(WIDE)] + _sunflower(n) * 1e-6
    least = (radii[:, None] + radii) * GAP
    np.fill_diagonal(least, 0)
    for _ in range(PUSHES):
        apart = moved[:, None] - moved
        distance = np.sqrt((apart**2).sum(axis=2))
        too_close = np.maximum(least - distance, 0)
        if not too_close.any():
            break
        push = too_close / np.maximum(distance, 1e-9) / 2  # each of the two goes half of the way
        moved = moved + (push[:, :, None] * apart).sum(axis=1)
    return np.asarray(moved)
