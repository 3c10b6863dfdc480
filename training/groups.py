"""Groups: segments of one broad taste, found at publishing, so that a catalogue can be looked at from broad to narrow.

How near two segments are is the cosine of their centroids, which says what is read by the same people but is nearly 0
for most pairs, and a part of how alike the words and makers of their items are (cosine of tf-idf, centred by row and
column, so that no segment is near to all). Groups are agglomerated by average linkage (Sokal and Michener, 1958) until
about 1.4 sqrt(n) are left, at most 30.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.blockwise import unit
from index.segments import FoundSegment, sparse_centroids
from index.types import Float32, Float64
from training.labels import READ_MEMBERS, Reading, are_kinds, titles

TEXTS = 0.2
"""What is said weighs so much beside the cosine: on the books, 0.1 and 0.3 group what is read together equally well."""
PER_ROOT = 1.4
MOST = 30
"""Groups at most."""
LEADING = 20
"""A member of this rank in its segment says half as much of the group as the first."""

LEAST_SHARE = 0.12
"""Part of a group, at least, that says of what kind it is; most texts need not say it."""
LEAST_LIFT = 2.5
"""... as a multiple of the part of all items that say it."""
LEAST_SPREAD = 0.6
"""Part of its segments that say it more than others do,"""
RAISED = 1.5
"""so many times as often."""


@dataclass(frozen=True)
class Grouping:
    """All groups, those of most segments first."""

    members: tuple[tuple[int, ...], ...]
    """Numbers of segments, ascending; each segment is in one group."""
    titles: tuple[str, ...]
    """Unique, at most 40 characters."""


def find(found: Sequence[FoundSegment], reading: Reading) -> Grouping:
    """Put segments into groups, and title these as segments are titled; none without segments."""
    if not found:
        return Grouping((), ())
    n_groups = min(MOST, max(1, round(PER_ROOT * len(found) ** 0.5)))
    members = agglomerated(_affinity(found, reading), n_groups)
    wholes = [_whole([found[number] for number in own]) for own in members]
    labels = titles(wholes, reading, _kinds(members, found, reading))
    return Grouping(tuple(map(tuple, members)), tuple(label.title for label in labels))


def agglomerated(affinity: Float64, n_groups: int) -> list[list[int]]:
    """Join the two groups of the greatest mean affinity, of equal ones the first, until so many are left.

    affinity: symmetric, (n, n).
    """
    near: Float64 = np.array(affinity, dtype=np.float64)
    np.fill_diagonal(near, -np.inf)
    groups = {number: [number] for number in range(len(near))}
    while len(groups) > n_groups:
        one, other = sorted(int(place) for place in np.unravel_index(np.argmax(near), near.shape))
        sizes = len(groups[one]), len(groups[other])
        near[one] = near[:, one] = (sizes[0] * near[one] + sizes[1] * near[other]) / sum(sizes)
        near[one, one] = near[other] = near[:, other] = -np.inf
        groups[one] += groups.pop(other)
    return sorted((sorted(own) for own in groups.values()), key=lambda own: (-len(own), own))


def _affinity(found: Sequence[FoundSegment], reading: Reading) -> Float64:
    centroids = sparse_centroids(found, len(found[0].centroid))
    cosines = centroids.cosines(np.arange(len(found), dtype=np.int32))
    return cosines.astype(np.float64) + TEXTS * _centred(_likeness(found, reading))


def _likeness(found: Sequence[FoundSegment], reading: Reading) -> Float64:
    """How alike what is said of the items of each two segments is, (n, n)."""
    shares = _shares(found, reading)
    weighed = np.maximum(shares - shares.mean(axis=0), 0) * -np.log(np.maximum(reading.counted.share, 1e-9))
    unit_rows: Float32 = unit(weighed.astype(np.float32))
    return (unit_rows @ unit_rows.T).astype(np.float64)


def _shares(found: Sequence[FoundSegment], reading: Reading) -> Float32:
    """Part of each segment, by strength, that has each term, (n, n_terms)."""
    counted = reading.counted
    shares = [counted.shares_in(reading.members(each), each.strengths[:READ_MEMBERS]) for each in found]
    return np.array(shares, dtype=np.float32).reshape(len(found), len(counted.terms))


def _kinds(
    members: Sequence[Sequence[int]], found: Sequence[FoundSegment], reading: Reading
) -> list[tuple[str, float] | None]:
    """The kind of item that each group is most distinctively of, and which part of it says so; None: of no one kind."""
    shares, usual, are = _shares(found, reading), reading.counted.share, are_kinds(found, reading)
    kinds: list[tuple[str, float] | None] = []
    for own in members:
        share, spread = shares[own].mean(axis=0), (shares[own] >= RAISED * usual).mean(axis=0)
        lift = share / np.maximum(usual, 1e-9)
        sure = np.flatnonzero(are & (share >= LEAST_SHARE) & (spread >= LEAST_SPREAD) & (lift >= LEAST_LIFT))
        worth = share[sure] * np.log(lift[sure])
        best = int(sure[np.argmax(worth)]) if len(sure) else None
        kinds.append(None if best is None else (reading.counted.terms[best].text, float(share[best])))
    return kinds


def _centred(likeness: Float64) -> Float64:
    """Less what a segment is like all others, on average."""
    others = max(len(likeness) - 1, 1)
    apart = likeness - np.diag(np.diag(likeness))
    means = apart.sum(axis=1, keepdims=True) / others
    centred: Float64 = apart - means - means.T + apart.sum() / (len(apart) * others)
    return centred


def _whole(parts: Sequence[FoundSegment]) -> FoundSegment:
    """A group as one segment, for its title: the first of all its segments are its strongest items."""
    items = np.concatenate([part.items[:READ_MEMBERS] for part in parts])
    ranks = np.concatenate([np.arange(len(part.items[:READ_MEMBERS])) for part in parts])
    strengths = (LEADING / (LEADING + ranks)).astype(np.float32)
    order = np.lexsort((items, -strengths))
    _, first = np.unique(items[order], return_index=True)
    kept = order[np.sort(first)]
    summed = np.sum([part.centroid for part in parts], axis=0)
    centroid: Float32 = (summed / max(float(np.linalg.norm(summed)), 1e-12)).astype(np.float32)
    return FoundSegment((), items[kept], strengths[kept], centroid)
