"""Interactions that nothing was fitted to, in the numbers of those that something was.

Of one file with a moment that cuts it in two, or of two files. Users and items are matched by id. A user that training
does not know is numbered from n_users on, an item from n_items on: no model can answer with such an item, but it was
wanted, so it stays a target and counts as not found.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from index.types import Array, Int32, Int64
from index.vocabulary import Vocabulary
from training import interactions
from training.errors import DataError
from training.interactions import Columns, Filters, Interactions, LoadReport


@dataclass(frozen=True)
class Later:
    """What is asked for; all arrays (n_interactions,), sorted by (user, item)."""

    user: Int32
    """Row of the user, of those that train or from `n_users` on."""
    item: Int32
    """Row of the item, of those that train or from `n_items` on."""
    timestamp: Int64 | None
    """Unix seconds, or None."""
    n_users: int
    """Users that training knows."""
    n_items: int
    """Items that training knows."""

    def matrix(self) -> csr_array:
        """Users by items, both with the new ones, binary."""
        return csr_array((np.ones(len(self.user), np.float32), (self.user, self.item)))


@dataclass(frozen=True)
class Data:
    """What trains and what tests."""

    known: Interactions
    """Interactions to fit to."""
    loaded: LoadReport
    """How they were cleaned."""
    later: Later | None
    """Interactions to ask for; None: users are held out of `known`."""

    def fingerprint(self) -> str:
        """Of all interactions, by the ids of users and items."""
        arrays: list[Array | None] = [self.known.timestamp]
        if self.later is not None:
            arrays += [self.later.user, self.later.item, self.later.timestamp]
        hashed = hashlib.sha256()
        for part in (*self.known.parts(), *(b"-" if each is None else each.tobytes() for each in arrays)):
            hashed.update(part)
        return hashed.hexdigest()


def load(train: Path, test: Path | None, columns: Columns, filters: Filters, *, until: int | None = None) -> Data:
    """Read the file that trains, and what tests: a file of its own, or from `filters.before` on the rest of the same.

    Filters are those of training; what tests is only filtered by rating, and ends at the moment `until`. Raises
    DataError as interactions.load does, and if the two have no item in common.
    """
    if test is not None and filters.before is not None:
        raise DataError(f"{test} tests, and so does what follows the moment in {train}; name one of the two")
    known, loaded = interactions.load(train, columns, filters)
    if test is None and filters.before is None:
        return Data(known, loaded, None)
    wanted = Filters(drop_missing=filters.drop_missing, min_rating=filters.min_rating, before=until)
    found, _ = interactions.load(test or train, columns, wanted, since=filters.before)
    return Data(known, loaded, align(known, found))


def align(known: Interactions, found: Interactions) -> Later:
    """Number what was found as training does. Raises DataError if no item is known."""
    users, items = _rows(known.users, found.users), _rows(known.items, found.items)
    if not (items < len(known.items)).any():
        raise DataError(
            f"none of the {len(found.items):,} items to test with is among the {len(known.items):,} that train; are "
            "their ids written alike?"
        )
    user, item = users[found.user], items[found.item]
    order = np.lexsort((item, user))
    timestamp = None if found.timestamp is None else found.timestamp[order]
    return Later(user[order], item[order], timestamp, len(known.users), len(known.items))


def _rows(known: Vocabulary, found: Vocabulary) -> Int32:
    """The rows of all found ids among the known; those that are not are numbered behind."""
    rows = known.rows(found.item_ids(np.arange(len(found))))
    unknown = rows < 0
    return np.where(unknown, len(known) + np.cumsum(unknown) - 1, rows).astype(np.int32)
