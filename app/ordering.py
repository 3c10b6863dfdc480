"""From a ranking to a list: rotation and shuffling hold items back, caps leave items out, diversity picks apart.

Let R be the whole ranking: every item that may be in the answer, by descending score, ties by row. R' is R by
descending score * held(i), ties by row, where

    held(i) = (1 - rotation_rate * max(0, 1 - age(i) / rotation_time)) * (1 - SHUFFLE * u(seed, i))

age(i) is how long ago the user was given i, and u a hash in [0, 1). Scores up to 0 are not held back. The list is what
`max_per` admits of R', first come, first served. With diversity d it starts by maximal marginal relevance (Carbonell
and Goldstein, SIGIR 1998): of those items of R' from its first `pool_size` that the caps still admit, the next one has
the largest

    (1 - d) * score(i) held(i) / max |score held| - d * max over j chosen before of cosine(row i, row j)

the first in R' among equals. All of this is exact: as much of R is fetched as it takes. Answers carry score(i).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.caps import Cap, Tally
from app.errors import Invalid
from app.schemas.selection import Ordered
from app.selection import Selection
from index.conditions import column_of
from index.errors import FilterError
from index.search import NONE, Hits, products
from index.snapshot import Snapshot
from index.types import Float32, Int32, UInt64

SHUFFLE = 0.05
"""How much a seed holds an item back at most."""

DIVERSE_FACTOR, DIVERSE_LEAST, DIVERSE_MOST = 5, 100, 1000
"""Diversity picks from so many times the length of the list, at least and at most so many items."""

CAPPED_FACTOR = 4
"""Where caps leave items out, so many times the length of the list is looked at first."""

Rank = Callable[[int, Selection], Hits]
"""The n best items of a selection by score, ties by row; fewer only where there are no more."""


class Given(Protocol):
    """What a user was given lately, as the store tells it."""

    @property
    def hashes(self) -> UInt64:
        """Of item ids, (n,)."""

    @property
    def times(self) -> NDArray[np.float64]:
        """Unix seconds, (n,)."""


class Ordering(NamedTuple):
    """How one list, or each row of a page, is made of a ranking."""

    caps: tuple[Cap, ...] = ()
    diversity: float = 0.0
    served: Int32 = NONE
    """Rows of what the user was given lately, ascending."""
    held: Float32 = np.empty(0, dtype=np.float32)
    """(len(served),): what the score of each is multiplied by."""
    seed: int | None = None

    @property
    def holds(self) -> bool:
        """Whether R' may differ from R."""
        return len(self.served) > 0 or self.seed is not None


PLAIN = Ordering()

NO_HITS = Hits(NONE, PLAIN.held)


def ordering_of(snapshot: Snapshot, asked: Ordered, user_id: str | None, served: Given, now: float) -> Ordering:
    """The ordering that a request asks for; Invalid names a property that items do not have, or a user_id missing."""
    if not (asked.max_per or asked.diversity or asked.rotation_rate or asked.seed is not None):
        return PLAIN
    if asked.rotation_rate and user_id is None:
        raise Invalid("rotation needs a user_id: what the user was given is remembered", "body.rotation_rate")
    rows, held = NONE, PLAIN.held
    if asked.rotation_rate:
        rows, held = _held(snapshot, served, asked.rotation_rate, asked.rotation_time, now)
    return Ordering(_caps(snapshot, asked.max_per), asked.diversity, rows, held, asked.seed)


def order(
    snapshot: Snapshot, rank: Rank, count: int, selection: Selection, ordering: Ordering, lead: Int32 = NONE
) -> Hits:
    """The list of at most `count` items: see the formula above. Scores are those of `rank`, and may not descend.

    Caps count the items of `lead`, which stand before the list.
    """
    if ordering is PLAIN:
        return rank(count, selection)
    tally = Tally(ordering.caps)
    for item in lead.tolist():
        tally.add(item)
    chosen, complete = NO_HITS, False
    if ordering.diversity:
        chosen, complete = _diverse(snapshot, rank, count, selection, ordering, tally)
    asked = count * CAPPED_FACTOR if ordering.caps else count
    while len(chosen.items) < count and not complete:
        hits, _, complete = _first(rank, asked, selection.without(tally.all_full()), ordering)
        fresh = np.flatnonzero(~np.isin(hits.items, chosen.items))
        places = fresh[list(islice(tally.admitted(hits.items[fresh]), count - len(chosen.items)))]
        items, scores = zip(chosen, (hits.items[places], hits.scores[places]), strict=True)
        chosen = Hits(np.concatenate(items), np.concatenate(scores))
        asked *= 2
    return chosen


def listed(hits: Hits) -> Rank:
    """The ranking that a list is: that of a row of a page goes no further."""

    def rank(n: int, selection: Selection) -> Hits:
        left = selection.allows(hits.items)
        return Hits(hits.items[left][:n], hits.scores[left][:n])

    return rank


def pool_size(count: int) -> int:
    """How many items diversity picks a list of `count` from."""
    return min(max(DIVERSE_FACTOR * count, DIVERSE_LEAST), DIVERSE_MOST)


def uniform(seed: int, items: Int32) -> Float32:
    """A number from [0, 1) for each item, (len(items),): the 24 highest bits of SplitMix64 (Steele et al., 2014)."""
    mixed: UInt64 = items.astype(np.uint64) + np.uint64(1)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed += _mixed(np.array([seed], dtype=np.uint64))
    return ((_mixed(mixed) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)).astype(np.float32)


def _mixed(bits: UInt64) -> UInt64:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def held_scores(ordering: Ordering, hits: Hits) -> Float32:
    """The score of each hit times how much it is held, (n,)."""
    if not ordering.holds:
        return hits.scores
    held = np.ones(len(hits.items), dtype=np.float32)
    if len(ordering.served):
        places = np.minimum(np.searchsorted(ordering.served, hits.items), len(ordering.served) - 1)
        known = ordering.served[places] == hits.items
        held[known] = ordering.held[places[known]]
    if ordering.seed is not None:
        held *= np.float32(1) - np.float32(SHUFFLE) * uniform(ordering.seed, hits.items)
    held[hits.scores <= 0] = 1
    return hits.scores * held


def _first(rank: Rank, n: int, selection: Selection, ordering: Ordering) -> tuple[Hits, Float32, bool]:
    """At least the first n of R', their held scores, and whether that is all of it.

    What was not fetched scores at most what the last of the fetched does, and nothing is held up: so those of the
    fetched that are held above it are the first of R'.
    """
    asked = 2 * n if ordering.holds else n
    while True:
        hits = rank(asked, selection)
        complete = len(hits.items) < asked
        held = held_scores(ordering, hits)
        if not ordering.holds:
            return hits, held, complete
        by_held = np.lexsort((hits.items, -held))
        certain = len(held) if complete else int(np.count_nonzero(held > hits.scores[-1]))
        if complete or certain >= n:
            first = by_held[:certain]
            return Hits(hits.items[first], hits.scores[first]), held[first], complete
        asked *= 2


def _diverse(
    snapshot: Snapshot, rank: Rank, count: int, selection: Selection, ordering: Ordering, tally: Tally
) -> tuple[Hits, bool]:
    """What diversity picks, counted in `tally`, and whether it picked from all there is."""
    n = pool_size(count)
    hits, held, complete = _first(rank, n, selection, ordering)
    items, worth = hits.items[:n], held[:n]
    greatest = float(np.abs(worth).max(initial=0)) or 1.0
    share = ordering.diversity
    merit = (1 - share) * worth.astype(np.float64) / greatest
    likeness = Likeness(snapshot, items)
    nearest = np.full(len(items), -1.0, dtype=np.float32)
    open_ = ~tally.full(items)
    places: list[int] = []
    while len(places) < count and open_.any():
        place = int(np.argmax(np.where(open_, merit - share * nearest, -np.inf)))
        places.append(place)
        open_[place] = False
        if tally.add(int(items[place])):
            open_ &= ~tally.full(items)
        np.maximum(nearest, likeness.to(place), out=nearest)
    return Hits(items[places], hits.scores[places]), complete and len(hits.items) <= n


class Likeness:
    """Cosines between the sparse rows of some items; of a row without a value they are 0."""

    def __init__(self, snapshot: Snapshot, items: Int32) -> None:
        rows = snapshot.embeddings.decoder.take(items)
        owners = np.repeat(np.arange(len(items)), np.diff(rows.row_starts))
        lengths = np.sqrt(np.bincount(owners, rows.values.astype(np.float64) ** 2, minlength=len(items)))
        lengths[lengths == 0] = 1
        self._rows = replace(rows, values=(rows.values / lengths[owners]).astype(np.float32))

    def to(self, place: int) -> Float32:
        """The cosine of each item to the one at a place, (len(items),)."""
        return products(self._rows, self._rows.dense_row(place))


def _caps(snapshot: Snapshot, max_per: Mapping[str, int]) -> tuple[Cap, ...]:
    columns = snapshot.filters.columns
    try:
        return tuple(Cap(column_of(columns, key, "the property"), most) for key, most in sorted(max_per.items()))
    except FilterError as error:
        raise Invalid(str(error), "body.max_per") from error


def _held(snapshot: Snapshot, served: Given, rate: float, seconds: float, now: float) -> tuple[Int32, Float32]:
    """What was given lately, by row, and what the score of each is multiplied by."""
    ages = np.maximum(now - served.times, 0.0)
    rows = snapshot.items.row_of_each(served.hashes)
    late = np.flatnonzero((rows >= 0) & (ages < seconds))
    late = late[np.argsort(rows[late], kind="stable")]
    held = 1.0 - rate * (1.0 - ages[late] / seconds)
    return rows[late], held.astype(np.float32)
