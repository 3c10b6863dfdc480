"""Discovery of segments: from signed dimensions, over groups of dimensions that fire together, to sets of items.

One signed dimension of a k-sparse space mixes two or three tastes, holds few items, and is noisy where items have few
users. So (1) rows are projected on the leading groups of dimensions that fire together: the top eigenvectors of
A^T W A, with W the confidence c / (c + 5) of an item that has c users. (2) The centroid of each signed dimension
climbs to a dense place by mean shift (an anchor), and every item is described by its nearest anchors. (3) Centers are
chosen among the anchors greedily for one objective, facility location: sum_i w_i max_s cos(i, s), which rewards
coherence and coverage and gains nothing from a second center in the same place (Nemhauser, Wolsey and Fisher, 1978:
at least 1 - 1/e of the best). (4) They are refined as in spherical k-means. (5) An item joins every center that is
nearly as close as its closest. (6) Clusters are merged by overlap of their items. (7) Two tastes that the projection
laid upon each other share no dimension: members without support in the item space itself go last, or fall out.

Two models of the same data agree on the neighbours of little read items only in part. So that segments live on from
one model to the next, the known ones are where the search starts, and what an item belonged to is one more thing that
it has in common with others, the less, the more users it has gained since. On books, more than 9 of 10 segments keep
half of their items through another seed (without: 1 of 16), and held-out readers find them more coherent, since two
models know more than one; on three times the data, most are new (`sparrow-train segments`, training/RESULTS.md).

Deterministic; nothing is ever held for all pairs of items, and the time grows with the number of items.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.blockwise import BLOCK, blocks, largest, orthonormal, times, transposed, unit
from index.sparse import SparseRows
from index.types import Array, Float32, Int32, Int64


@dataclass(frozen=True)
class Discovery:
    """What decides which segments are found."""

    min_size: int = 20
    """Fewer items make no shelf."""
    max_size: int = 2000
    """More items are no taste: the weakest are left out."""
    items_per_segment: int = 25
    """One segment is sought for so many confident items."""
    max_segments: int = 400
    """Never more segments than this."""
    confident_users: float = 5.0
    """An item with so many users counts half as much as one with very many."""
    n_groups: int = 384
    """Groups of dimensions that fire together."""
    near: float = 0.75
    """An item joins a segment if its cosine to it is at least this part of the cosine to its closest one."""
    min_strength: float = 0.03
    """Least strength of a member."""
    min_coherence: float = 0.02
    """A segment whose strongest items have a lower mean cosine is no taste, but the place between all tastes."""
    max_overlap: float = 0.5
    """Segments are merged where the Jaccard index of their items is higher."""


@dataclass(frozen=True)
class Cluster:
    """Items that belong together."""

    items: Int32
    """(size,): item rows, by descending strength, ties by ascending row."""
    strengths: Float32
    """(size,): in (0, 1]: cosine to the center, shrunk where an item has few users."""


@dataclass(frozen=True)
class Memory:
    """What an earlier model found."""

    sets: Sequence[Int32] = ()
    """Items of each set, as rows of the new model; what is gone is left out."""
    popularity: Float32 | None = None
    """Users that each item of the new model had then, (n_items,); None: as many as now."""


MAX_ANCHORS = 4096  # the signed dimensions with the most items
MAX_SAMPLE = 8192  # anchors climb over the most read items, and the choice of centers counts these
SUBSPACE_STEPS = 2
CLIMB_STEPS = 2
CLIMB_ITEMS = 40  # an anchor moves to the mean of so many items
DESCRIBING_ANCHORS = 30  # an item moves to the mean of so many anchors
FAR = 0.2  # a cosine that is as good as none
LEAST_GAIN = 1.0  # a new center must be worth at least one confident item that had none
REFINE_STEPS = 8
SHARED = 0.95  # when refining, an item counts for centers as close as this part of its closest
STRONGEST = 20  # the members that must be coherent
JOIN = 0.05  # least strength of a member before its support is looked at
MEMORY = 1.6  # what an item belonged to before counts so much beside what it is near to now
HEAD = 60  # the members whose main taste is the taste of a cluster
SUPPORT_STEPS = 4
HALF_SUPPORT = 0.03  # a member with this cosine to that taste keeps half its strength
TRUST_USERS = 2.0  # strength = cosine * c / (c + 2): one user alone puts no item on a shelf


def clusters(rows: SparseRows, popularity: Float32, settings: Discovery, memory: Memory | None = None) -> list[Cluster]:
    """Find sets of items in rows (n_items, n_dims) with the users per item, (n_items,); none in fewer than min_size.

    What is remembered of an earlier model is where the search starts: so most of its sets live on.
    """
    if rows.n_rows < settings.min_size or not len(rows.values):
        return []
    memory = memory or Memory()
    before = [
        items for items in memory.sets if len(items) >= settings.min_size
    ]  # what else is left of them is no start
    weight, sample = confidence(popularity, settings), most_read(popularity)
    placed = unit(times(rows, leading_groups(rows, weight, settings.n_groups)))
    anchors = unit(times(signed_dims(rows), placed * weight[:, None]))
    anchors = climb(anchors, placed[sample], weight[sample])
    placed, anchors = describe(placed, anchors), describe(anchors, anchors)
    n_today = placed.shape[1]
    placed = remember(placed, before, lasting(memory.popularity, popularity))
    anchors = remember(anchors, [np.empty(0, np.int32)] * len(before), np.empty(0, np.float32))
    n_wanted = min(settings.max_segments, int(weight.sum() / settings.items_per_segment) + 1)
    known = middles(placed, weight, before)
    chosen = choose(anchors, placed[sample], weight[sample], n_wanted - len(known), known)
    centers = refine(np.concatenate([known, anchors[chosen]]), placed, weight)
    return gather(rows, placed, centers, popularity, settings, n_today)


def confidence(popularity: Float32, settings: Discovery) -> Float32:
    """What an item counts for, in 0..1, (n_items,)."""
    return np.asarray(popularity / (popularity + settings.confident_users), dtype=np.float32)


def most_read(popularity: Float32) -> Int64:
    """At most MAX_SAMPLE rows, ascending."""
    return np.sort(np.argsort(-popularity, kind="stable")[:MAX_SAMPLE])


def leading_groups(rows: SparseRows, weight: Float32, n_groups: int) -> Float32:
    """Top eigenvectors of A^T W A, each scaled by its eigenvalue, (n_dims, n_groups): subspace iteration."""
    n_groups = min(n_groups, rows.n_dims, rows.n_rows)
    columns = transposed(rows)
    groups = np.random.default_rng(0).standard_normal((rows.n_dims, n_groups), dtype=np.float32)
    for _ in range(SUBSPACE_STEPS):
        groups = orthonormal(times(columns, times(rows, groups) * weight[:, None]))
    projected = times(rows, groups)
    eigenvalues, turn = np.linalg.eigh(projected.T @ (projected * weight[:, None]))
    return np.asarray(groups @ (turn * np.maximum(eigenvalues, 0)), dtype=np.float32)


def signed_dims(rows: SparseRows) -> SparseRows:
    """The items of each signed dimension with the size of their values, (at most MAX_ANCHORS, n_items)."""
    signs = SparseRows(
        rows.row_starts, 2 * rows.dims.astype(np.int64) + (rows.values < 0), abs(rows.values), 2 * rows.n_dims
    )
    sets = transposed(signs)
    sizes = np.diff(sets.row_starts)
    fullest = np.sort(np.argsort(-sizes, kind="stable")[:MAX_ANCHORS])
    return sets.take(fullest[sizes[fullest] > 0].astype(np.int32))


def climb(anchors: Float32, placed: Float32, weight: Float32) -> Float32:
    """Mean shift: move each anchor (n_anchors, n_groups) to the weighted mean of the items nearest to it."""
    for _ in range(CLIMB_STEPS):
        nearest = (largest(anchors[block] @ placed.T * weight, CLIMB_ITEMS) for block in blocks(len(anchors)))
        anchors = np.concatenate([unit(near @ placed) for near in nearest])
    return anchors


def describe(placed: Float32, anchors: Float32) -> Float32:
    """Move each row to the weighted mean of the anchors nearest to it, which takes the noise of few users away."""
    nearest = (largest(placed[block] @ anchors.T, DESCRIBING_ANCHORS) for block in blocks(len(placed)))
    return np.concatenate([unit(near @ anchors) for near in nearest])


def lasting(before: Float32 | None, popularity: Float32) -> Float32:
    """What memory is worth of each item, in 0..1, (n_items,): by the share of its users that it had already."""
    if before is None:
        return np.ones(len(popularity), dtype=np.float32)
    return np.sqrt(np.minimum(before / np.maximum(popularity, 1), 1)).astype(np.float32)


def remember(placed: Float32, before: Sequence[Int32], worth: Float32) -> Float32:
    """Rows with one more dimension a known set, so that what belonged together is likely to stay together.

    worth: of each item's memory, (n_items,).
    """
    belongs = np.zeros((len(placed), len(before)), dtype=np.float32)
    for number, items in enumerate(before):
        belongs[items, number] = 1
    belongs = unit(belongs)
    belongs[: len(worth)] *= MEMORY * worth[:, None]
    return unit(np.concatenate([placed, belongs], axis=1))


def middles(placed: Float32, weight: Float32, before: Sequence[Int32]) -> Float32:
    """The weighted means of known sets, (len(before), n_groups)."""
    sums = [(placed[items] * weight[items, None]).sum(axis=0) for items in before]
    return unit(np.array(sums, dtype=np.float32).reshape(len(before), placed.shape[1]))


def choose(anchors: Float32, placed: Float32, weight: Float32, n_wanted: int, known: Float32) -> Int64:
    """Numbers of the anchors that greedy facility location takes, in that order, beside the known centers.

    Lazy: a gain only shrinks while centers are added, so that the old gain of an anchor bounds its new one.
    """
    near = np.concatenate([np.maximum(anchors[block] @ placed.T - FAR, 0) for block in blocks(len(anchors))])
    served = np.maximum((placed @ known.T).max(axis=1, initial=FAR) - FAR, 0)
    gains = [float(np.maximum(row - served, 0) @ weight) for row in near]
    queue = [(-gain, number, 0) for number, gain in enumerate(gains)]
    heapq.heapify(queue)
    chosen: list[int] = []
    while queue and len(chosen) < n_wanted and -queue[0][0] >= LEAST_GAIN:
        _, number, seen = heapq.heappop(queue)
        if seen == len(chosen):
            chosen.append(number)
            np.maximum(served, near[number], out=served)
        else:
            gain = float(np.maximum(near[number] - served, 0) @ weight)
            heapq.heappush(queue, (-gain, number, len(chosen)))
    return np.array(chosen, dtype=np.int64)


def refine(centers: Float32, placed: Float32, weight: Float32) -> Float32:
    """Spherical k-means, where an item between two centers counts for both."""
    for _ in range(REFINE_STEPS if len(centers) else 0):
        sums = np.zeros_like(centers)
        for block in blocks(len(placed)):
            near = placed[block] @ centers.T
            near[near < np.maximum(SHARED * near.max(axis=1, keepdims=True), FAR)] = 0
            sums += near.T @ (placed[block] * weight[block, None])
        centers = unit(sums)
    return centers


def gather(
    rows: SparseRows,
    placed: Float32,
    centers: Float32,
    popularity: Float32,
    settings: Discovery,
    n_today: int | None = None,
) -> list[Cluster]:
    """The clusters around centers. Small and incoherent ones are given up; where two overlap too much, they become one.

    n_today: so many leading columns are of today, the others of memory; None: all.
    """
    while True:
        n_before = len(centers)
        found, centers = members(placed, centers, popularity, settings, n_today)
        if len(found) < n_before:  # what was nearest to a small one has another that is nearest now
            continue
        coherent = np.array([coherence(rows, each.items[:STRONGEST]) for each in found]) >= settings.min_coherence
        into = merged(overlaps(found, len(placed)), settings.max_overlap)
        if coherent.all() and len(np.unique(into)) == len(found):
            pure = (supported(rows, each, settings) for each in found)
            return [each for each in pure if len(each.items) >= settings.min_size]
        sizes = np.array([cluster.strengths.sum() for cluster in found])
        sums = np.zeros_like(centers)
        np.add.at(sums, into[coherent], (centers * sizes[:, None])[coherent])
        centers = unit(sums[np.unique(into[coherent])])


def coherence(rows: SparseRows, items: Int32) -> float:
    """Mean cosine of two different items, in the item space itself."""
    members = rows.take(items)
    squares = np.add.reduceat(members.values**2, members.row_starts[:-1])
    unit_values = members.values / np.sqrt(np.repeat(squares, np.diff(members.row_starts)))
    total = np.bincount(members.dims, weights=unit_values, minlength=rows.n_dims)
    return float((total @ total - len(items)) / max(len(items) * (len(items) - 1), 1))


def supported(rows: SparseRows, cluster: Cluster, settings: Discovery) -> Cluster:
    """The members that share dimensions with the main taste of the strongest ones, weaker where they share less.

    A few steps of the power iteration on the strongest members let one of several tastes win.
    """
    inside = rows.take(cluster.items)
    owners = np.repeat(np.arange(len(cluster.items)), np.diff(inside.row_starts))
    strongest = np.where(np.arange(len(cluster.items)) < HEAD, cluster.strengths, 0)
    weights = strongest
    for _ in range(SUPPORT_STEPS):
        total = np.bincount(inside.dims, weights=inside.values * weights[owners], minlength=rows.n_dims)
        taste = total / max(float(np.linalg.norm(total)), 1e-12)
        cosines = np.bincount(owners, weights=inside.values * taste[inside.dims], minlength=len(cluster.items))
        weights = strongest * np.maximum(cosines, 0)
    support = np.maximum(cosines, 0)
    return _ordered(cluster.items, cluster.strengths * support / (support + HALF_SUPPORT), settings)


def members(
    placed: Float32, centers: Float32, popularity: Float32, settings: Discovery, n_today: int | None
) -> tuple[list[Cluster], Float32]:
    """The clusters of at least min_size items, and their centers.

    An item joins by what it is near to with memory, and is as strong as it is with or without: else one that nothing is
    remembered of would be weak in every known set.
    """
    trust = popularity / (popularity + TRUST_USERS)
    items, numbers, strengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    today = unit(centers[:, :n_today])
    for block in blocks(len(placed)) if len(centers) else ():
        near = placed[block] @ centers.T
        strength = np.maximum(near, unit(placed[block, :n_today]) @ today.T)
        strength = np.minimum(strength * trust[block, None], 1)
        close = near >= settings.near * near.max(axis=1, keepdims=True)
        item, number = np.nonzero(close & (strength >= JOIN))
        items.append(block.start + item)
        numbers.append(number)
        strengths.append(strength[item, number])
    joined = np.concatenate(items), np.concatenate(numbers), np.concatenate(strengths)
    return _cut(*joined, centers, settings)


def _cut(
    items: Int64, numbers: Int64, strengths: Float32, centers: Float32, settings: Discovery
) -> tuple[list[Cluster], Float32]:
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(centers)))
    parts = np.split(order, ends[:-1])
    kept = [number for number, part in enumerate(parts) if len(part) >= settings.min_size]
    return [_ordered(items[parts[n]].astype(np.int32), strengths[parts[n]], settings) for n in kept], centers[kept]


def _ordered(items: Int32, strengths: Array, settings: Discovery) -> Cluster:
    order = np.lexsort((items, -strengths))[: settings.max_size]
    order = order[strengths[order] >= settings.min_strength]
    return Cluster(items[order], strengths[order].astype(np.float32))


def overlaps(found: list[Cluster], n_items: int) -> Array:
    """Jaccard index of the items of each two clusters, (n, n)."""
    shared = np.zeros((len(found), len(found)))
    owners = np.repeat(np.arange(len(found)), [len(cluster.items) for cluster in found])
    items = np.concatenate([np.empty(0, np.int32), *(cluster.items for cluster in found)])
    for block in blocks(n_items):
        inside = (items >= block.start) & (items < block.stop)
        belongs = np.zeros((len(found), BLOCK), dtype=np.float32)
        belongs[owners[inside], items[inside] - block.start] = 1
        shared += belongs @ belongs.T
    sizes = np.diag(shared)
    return shared / np.maximum(sizes[:, None] + sizes - shared, 1)


def merged(overlap: Array, max_overlap: float) -> Int64:
    """For each cluster the one it goes into: itself, or the first that stays and overlaps too much."""
    into = np.arange(len(overlap))
    for number in range(1, len(overlap)):
        staying = np.flatnonzero((into[:number] == np.arange(number)) & (overlap[number, :number] > max_overlap))
        if len(staying):
            into[number] = staying[0]
    return into
