"""Example readers: a few users of a data set whose histories are telling and whose tastes differ.

Candidates have 30 to 120 interactions. The first is the one whose items are the most popular, a reader like many; each
next one is the candidate whose nearest chosen reader is the farthest (cosine over items weighed by rarity), so nobody
is much like another. The same data give the same readers.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, diags_array

from index.types import JSON, Int32
from training.errors import DataError
from training.interactions import Interactions

SHORTEST, LONGEST = 30, 120


def choose(data: Interactions, count: int) -> Int32:
    """Rows of `count` users of diverse tastes, ascending; DataError if too few have 30 to 120 interactions."""
    matrix = data.matrix()
    lengths = np.diff(matrix.indptr)
    candidates = np.flatnonzero((lengths >= SHORTEST) & (lengths <= LONGEST))
    if len(candidates) < count:
        raise DataError(
            f"{len(candidates)} users have {SHORTEST} to {LONGEST} interactions; {count} examples were asked for"
        )
    tastes = _tastes(matrix)[candidates]
    popular = matrix[candidates] @ data.popularity() / lengths[candidates]
    chosen = [int(np.argmax(popular))]
    nearest = np.full(len(candidates), -1.0)
    while len(chosen) < count:
        nearest = np.maximum(nearest, (tastes @ tastes[[chosen[-1]]].T).toarray()[:, 0])
        nearest[chosen] = np.inf
        chosen.append(int(np.argmin(nearest)))
    return np.sort(candidates[chosen]).astype(np.int32)


def events(data: Interactions, users: Int32) -> Iterator[dict[str, JSON]]:
    """Yield the interactions of some users as likes, in the form that POST /v1/events takes.

    Without event ids: a fixed one would turn posting again, after the user was deleted, into silent duplicates.
    """
    for user in users.tolist():
        user_id = data.users.item_id(user)
        for place in np.flatnonzero(data.user == user).tolist():
            item_id = data.items.item_id(int(data.item[place]))
            event: dict[str, JSON] = {"user_id": user_id, "item_id": item_id, "kind": "like"}
            if data.timestamp is not None:
                event["timestamp"] = int(data.timestamp[place])
            yield event


def _tastes(matrix: csr_array) -> csr_array:
    """Unit rows of items weighed by log(n_users / users of the item)."""
    n_users = matrix.shape[0]
    rarity = np.log(n_users / np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1))
    weighed = csr_array(matrix @ diags_array(rarity))
    length = np.sqrt(np.asarray(weighed.power(2).sum(axis=1)))
    return csr_array(diags_array(1 / np.maximum(length, 1e-12)) @ weighed)
