"""What sets of items are worth as shelves: coverage, overlap, coherence, and how many are found again.

Coherence of a set: the mean cosine of two different members, in a space that the sets were not found in; members
without a vector there are left out. Co-reading: an item is the binary vector of the held-out users who have it. Text:
TF-IDF of its words, (1 + ln tf) ln(n / df), so that a word that is everywhere counts nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from index.segments import SAME
from index.types import JSON, Array, Float32, Int32, Int64
from training.pages.likeness import WORD, text_of

Sets: TypeAlias = Sequence[Int32]
"""Item rows of each set, no item twice in one; the most typical first."""
KNOWN = 5
"""Users that an item needs so that a model can know where it belongs."""


def co_reading(histories: csr_array) -> csr_array:
    """Items by users, unit rows or empty ones, from binary histories (n_users, n_items) that did not train."""
    return _unit(csr_array(histories.T))


def texts(properties: Sequence[Mapping[str, JSON]]) -> csr_array:
    """Items by words, unit rows or empty ones."""
    counted = [Counter(WORD.findall(text_of(each, "").casefold())) for each in properties]
    spread = Counter(word for each in counted for word in each)
    numbers = {word: number for number, word in enumerate(spread)}
    starts = np.cumsum([0, *map(len, counted)])
    words = np.fromiter((numbers[word] for each in counted for word in each), np.int64)
    tf = np.fromiter((count for each in counted for count in each.values()), np.float64)
    rarity = np.log(len(counted) / np.maximum(np.fromiter(spread.values(), np.float64), 1))
    return _unit(csr_array(((1 + np.log(tf)) * rarity[words], words, starts), shape=(len(counted), len(numbers))))


def _unit(rows: csr_array) -> csr_array:
    lengths = np.sqrt(np.asarray(rows.power(2).sum(axis=1)).ravel())
    unit = csr_array(diags_array(np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)) @ rows)
    unit.eliminate_zeros()
    return unit


def coherence(unit_rows: csr_array, sets: Sets) -> float:
    """The mean over sets of the mean cosine of two different members; sets with less than two vectors do not count.

    Nothing is held for pairs: the sum of all cosines is the squared length of the sum.
    """
    means = []
    for items in sets:
        own = items[np.diff(unit_rows.indptr)[items] > 0]
        if len(own) > 1:
            total = np.asarray(unit_rows[own].sum(axis=0)).ravel()
            means.append((total @ total - len(own)) / (len(own) * (len(own) - 1)))
    return float(np.mean(means)) if means else 0.0


def coverage(sets: Sets, popularity: Float32, least: float = KNOWN) -> float:
    """Share of the items with so many users that are in a set; 1 where there are none."""
    wanted = popularity >= least
    inside = np.zeros(len(popularity), bool)
    for items in sets:
        inside[items] = True
    return float(inside[wanted].mean()) if wanted.any() else 1.0


def jaccard(sets: Sets, others: Sets, n_items: int) -> Array:
    """|a and b| / |a or b| of each two, (len(sets), len(others))."""
    one, two = (_belongs(each, n_items) for each in (sets, others))
    shared = (one @ two.T).toarray()
    sizes, other_sizes = (np.array([len(items) for items in each], np.float64) for each in (sets, others))
    return np.asarray(shared / np.maximum(sizes[:, None] + other_sizes - shared, 1))


def _belongs(sets: Sets, n_items: int) -> csr_array:
    starts = np.cumsum([0, *map(len, sets)])
    items = np.concatenate([np.empty(0, np.int32), *sets])
    return csr_array((np.ones(len(items), np.float32), items, starts), shape=(len(sets), n_items))


def overlap(sets: Sets, n_items: int) -> dict[str, float]:
    """Jaccard index of sets: to the nearest other one, of all pairs, and of the pairs that share an item."""
    own = jaccard(sets, sets, n_items)
    np.fill_diagonal(own, 0)
    nearest, pairs = own.max(axis=1, initial=0), own[np.triu_indices(len(sets), 1)]
    sharing = pairs[pairs > 0]
    return {
        "nearest_median": _median(nearest),
        "nearest_maximum": float(nearest.max(initial=0)),
        "pairs_median": _median(pairs),
        "sharing_pairs_median": _median(sharing),
    }


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else 0.0


def found_again(sets: Sets, others: Sets, n_items: int) -> float:
    """How many sets have a partner with a Jaccard index of SAME or more, one to one, as a share of the larger number.

    By a maximum matching: with a greedy one a set could take the only partner of another.
    """
    alike = csr_array(jaccard(sets, others, n_items) >= SAME)
    n_matched = np.count_nonzero(maximum_bipartite_matching(alike, perm_type="column") >= 0)
    return n_matched / max(len(sets), len(others), 1)


def sizes(sets: Sets) -> dict[str, float]:
    """How large sets are: the least, quartiles, the largest."""
    lengths: Int64 = np.array([len(items) for items in sets], np.int64)
    told = np.quantile(lengths, [0, 0.25, 0.5, 0.75, 1]) if len(sets) else np.zeros(5)
    return dict(zip(("least", "quarter", "median", "three_quarters", "largest"), map(float, told), strict=True))
