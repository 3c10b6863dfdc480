"""What the kernel must answer, in plain NumPy: the oracle of a search, and of a history on its way to a query.

score(i) = step(i) * sum over the non-zeros of row i, in stored order, of value * query[dim]

Only quantised rows have steps (index.sparse): the sum is that of their codes. Every product and every partial sum is
rounded to float32 (no fused multiply-add, no reordering), so that another implementation can be compared bit for bit.
Hits are totally ordered: descending score, ties by ascending item row.

query[dim] = sum over a history, in its order, of weight * value of the item at dim

Here the sum is of float64 and only its end is rounded to float32; the value of a code is float32, code * step.
"""

from typing import NamedTuple

import numpy as np

from index.embeddings import SparseRows
from index.types import Float32, Float64, Int32, Int64, UInt64


class Hits(NamedTuple):
    """Items found, best first."""

    items: Int32
    """(n,): item rows."""
    scores: Float32
    """(n,): their scores, descending; may be negative."""


class Floor(NamedTuple):
    """A score that hits must reach, told by the best of them."""

    rank: int
    """At least 1. There is no floor where fewer are found, or the rank-th scores 0 or less."""
    share: float
    """Of what the rank-th best scores: a hit that scores less is left out; above 0, at most 1, as float32."""
    spared: int = 0
    """So many of the best stay, whatever they score."""


def score_rows(rows: SparseRows, query: Float32) -> Float32:
    """Score every row against a dense query of (n_dims,): float32 (n_rows,)."""
    products = rows.values * query.take(rows.dims)  # query[rows.dims] takes longer where dims are uint16
    lengths = np.diff(rows.row_starts)
    scores = np.zeros(rows.n_rows, dtype=np.float32)
    filled = np.flatnonzero(lengths)
    if len(filled):
        scores[filled] = _sums(products, rows.row_starts[filled], lengths[filled])
    return scores if rows.steps is None else scores * rows.steps


def sum_rows(rows: SparseRows, items: Int32, weights: Float32) -> Float32:
    """The sum of weighted rows, float32 (n_dims,); existing rows, may repeat."""
    chosen = rows.take(items)
    spread = np.repeat(weights.astype(np.float64), np.diff(chosen.row_starts))
    return np.bincount(chosen.dims, weights=chosen.values * spread, minlength=rows.n_dims).astype(np.float32)


def strongest(rows: Int32, times: Float64, weights: Float64, hidden: Int32, least: float) -> Int64:
    """The places of what counts of a history, as `index.query.strongest` tells it."""
    found: dict[int, int] = {}
    left_out = set(hidden.tolist())
    for place in np.argsort(-times, kind="stable").tolist():
        row, weight = int(rows[place]), float(weights[place])
        if row < 0 or not abs(weight) >= least or (row in left_out and not weight < 0):
            continue
        if row not in found or abs(weight) > abs(weights[found[row]]):
            found[row] = place
    return np.array(list(found.values()), dtype=np.int64)


def rows_of_keys(keys: UInt64, rows: Int32, wanted: UInt64) -> Int32:
    """The row of each wanted key, the first where ascending `keys` have it several times; -1 where they do not."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int32)
    places = np.searchsorted(keys, wanted)
    return np.where(keys.take(places, mode="clip") == wanted, rows.take(places, mode="clip"), np.int32(-1))


def candidates(n_items: int, exclude: Int32, within: Int32 | None) -> Int32:
    """The item rows that may be answered, ascending and unique; ValueError for a row outside 0..n_items-1."""
    allowed = np.full(n_items, fill_value=within is None)
    if within is not None:
        allowed[_checked(within, n_items)] = True
    allowed[_checked(exclude, n_items)] = False
    return np.flatnonzero(allowed).astype(np.int32)


def best(scores: Float32, items: Int32, n: int) -> Hits:
    """The n best of the given (unique) items, fewer if there are fewer; `scores` is by item row, (n_items,)."""
    if n < 0:
        raise ValueError(f"n is {n}; it must not be negative")
    own = scores[items]
    if n < len(items):
        last = np.partition(own, len(own) - n)[len(own) - n] if n else np.float32(np.inf)
        above = items[own > last]
        tied = np.sort(items[own == last])[: n - len(above)]
        items = np.concatenate([above, tied])
        own = scores[items]
    order = np.lexsort((items, -own))
    return Hits(items[order], own[order])


def select(scores: Float32, n: int, exclude: Int32, within: Int32 | None, floor: Floor | None = None) -> Hits:
    """The n best items that are not excluded and, if they are given, lie `within` and reach the floor."""
    hits = best(scores, candidates(len(scores), exclude, within), n)
    return hits if floor is None else down_to(hits, floor)


def down_to(hits: Hits, floor: Floor) -> Hits:
    """The hits that reach a floor, and those that it spares."""
    if len(hits.scores) < floor.rank or not hits.scores[floor.rank - 1] > 0:
        return hits
    least = np.float32(floor.share) * hits.scores[floor.rank - 1]
    kept = hits.scores >= least
    kept[: floor.spared] = True
    return Hits(hits.items[kept], hits.scores[kept])


def _sums(products: Float32, starts: Int64, lengths: Int64) -> Float32:
    """Sums of rows, none of them empty, that lie one behind the other; where all are equally long, by columns."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest:
        return _sum_columns(products.reshape(len(lengths), longest))
    return _sum_ragged(products, starts, lengths, shortest, longest)


def _sum_columns(products: Float32) -> Float32:
    total = np.zeros(len(products), dtype=np.float32)
    for column in products.T:
        total += column
    return total


def _sum_ragged(products: Float32, starts: Int64, lengths: Int64, shortest: int, longest: int) -> Float32:
    total = np.zeros(len(starts), dtype=np.float32)
    for j in range(shortest):
        total += products[starts + j]
    for j in range(shortest, longest):
        alive = np.flatnonzero(lengths > j)
        total[alive] += products[starts[alive] + j]
    return total


def _checked(items: Int32, n_items: int) -> Int32:
    """NumPy would take -1 (the row of an unknown id) for the last item."""
    if len(items) and (items.min() < 0 or items.max() >= n_items):
        raise ValueError(f"item rows {items.min()}..{items.max()} given, of 0..{n_items - 1}: leave out unknown items")
    return items
