"""Interactions of users with items, from a user's own file or a bundled one, cleaned and counted.

The order of the steps: rows of another time and rows below the minimum rating go, then repeated (user, item) pairs
(the newest row stays where there are timestamps, else the one with the largest weight), then users and items with too
little support, repeated to a fixed point: whoever is left has the support asked for. Users and items are numbered by
ascending id, rows are sorted by (user, item), so the order of the file changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from index.vocabulary import Vocabulary
from training import tables
from training.errors import DataError


@dataclass(frozen=True)
class Columns:
    """Where a file keeps what."""

    user: str = "user_id"
    """Column of user ids."""
    item: str = "item_id"
    """Column of item ids."""
    timestamp: str | None = None
    """Column of unix seconds; None: there are none."""
    weight: str | None = None
    """Column of positive weights; None: every interaction weighs 1."""
    rating: str | None = None
    """Column that `Filters.min_rating` looks at."""


@dataclass(frozen=True)
class Filters:
    """What is left out."""

    min_rating: float | None = None
    """Rows with a lower rating are dropped; None: all stay."""
    before: int | None = None
    """Rows of this moment (unix seconds) or later are dropped, before any other step; None: all stay."""
    min_user_support: int = 1
    """Users with fewer distinct items are dropped."""
    min_item_support: int = 1
    """Items with fewer distinct users are dropped."""


@dataclass(frozen=True)
class Interactions:
    """Distinct (user, item) pairs, sorted; all arrays have shape (n_interactions,)."""

    user: NDArray[np.int32]
    """Row of the user in `users`."""
    item: NDArray[np.int32]
    """Row of the item in `items`."""
    weight: NDArray[np.float32]
    """How much the interaction counts, > 0 (the models of this slice read it as 1)."""
    timestamp: NDArray[np.int64] | None
    """Unix seconds, or None."""
    users: Vocabulary
    """User ids."""
    items: Vocabulary
    """Item ids."""

    def matrix(self) -> csr_array:
        """The binary user-item matrix (n_users, n_items), float32."""
        ones = np.ones(len(self.user), np.float32)
        return csr_array((ones, (self.user, self.item)), shape=(len(self.users), len(self.items)))

    def popularity(self) -> NDArray[np.float32]:
        """Users per item (n_items,)."""
        return np.bincount(self.item, minlength=len(self.items)).astype(np.float32)


@dataclass(frozen=True)
class Dropped:
    """One reason for leaving something out."""

    reason: str
    """In words."""
    rows: int
    """Rows that went."""
    users: int
    """Users who went with them."""
    items: int
    """Items that went with them."""


@dataclass(frozen=True)
class LoadReport:
    """What was read, what was dropped and why, what is left."""

    file: str
    """Name of the file."""
    rows: int
    """Rows of data in it."""
    dropped: tuple[Dropped, ...]
    """In the order of the steps; a step that dropped nothing is listed with zeros."""
    interactions: int
    """Interactions left."""
    users: int
    """Users left."""
    items: int
    """Items left."""


def load(
    path: Path, columns: Columns | None = None, filters: Filters | None = None, *, since: int | None = None
) -> tuple[Interactions, LoadReport]:
    """Read and clean a CSV, Parquet, JSONL or NPZ file of interactions. Raises DataError naming file, column and row.

    since: earlier rows (unix seconds) are dropped first, and of repeated pairs the oldest stays: how `Filters.before`
    goes on.
    """
    columns, filters = columns or Columns(), filters or Filters()
    if filters.min_rating is not None and columns.rating is None:
        raise DataError(f"{path}: a minimum rating is asked for, but no column of ratings is named")
    if columns.timestamp is None and not (filters.before is None and since is None):
        raise DataError(f"{path}: a split by time is asked for, but no column of timestamps is named")
    frame = _columns(path, columns)
    n_rows, dropped = len(frame), []
    for reason, step in _steps(columns, filters, since):
        before, frame = frame, step(frame)
        dropped.append(_dropped(reason, before, frame))
    if frame.is_empty():
        reasons = ", ".join(f"{d.rows} by {d.reason}" for d in dropped if d.rows)
        raise DataError(f"{path}: nothing is left of {n_rows} rows (dropped {reasons}); lower the minimum")
    interactions = _number(frame)
    report = LoadReport(path.name, n_rows, tuple(dropped), len(frame), len(interactions.users), len(interactions.items))
    return interactions, report


def _columns(path: Path, columns: Columns) -> pl.DataFrame:
    names = [columns.user, columns.item, columns.timestamp, columns.weight, columns.rating]
    raw = tables.read(path, text=(columns.user, columns.item), columns=[name for name in names if name is not None])
    series = [
        tables.ids(raw, columns.user, path).alias("user"),
        tables.ids(raw, columns.item, path).alias("item"),
    ]
    if columns.timestamp is not None:
        series.append(tables.timestamps(raw, columns.timestamp, path).alias("timestamp"))
    if columns.rating is not None:
        series.append(tables.numbers(raw, columns.rating, path).alias("rating"))
    weight = pl.Series("weight", np.ones(len(raw)))
    if columns.weight is not None:
        weight = tables.numbers(raw, columns.weight, path).alias("weight")
        wrong = weight <= 0
        if wrong.any():
            tables.refuse(path, columns.weight, wrong.arg_max() or 0, "weights are positive; leave such rows out")
    return pl.DataFrame([*series, weight])


Step = Callable[[pl.DataFrame], pl.DataFrame]


def _steps(columns: Columns, filters: Filters, since: int | None) -> list[tuple[str, Step]]:
    steps: list[tuple[str, Step]] = []
    if since is not None:
        steps.append((f"time before {moment(since)}", lambda f: f.filter(f["timestamp"] >= since)))
    if filters.before is not None:
        steps.append((f"time from {moment(filters.before)} on", lambda f: f.filter(f["timestamp"] < filters.before)))
    if filters.min_rating is not None:
        steps.append((f"rating below {filters.min_rating:g}", lambda f: f.filter(f["rating"] >= filters.min_rating)))
    kept = "the largest weight" if columns.timestamp is None else "the newest" if since is None else "the oldest"
    steps.append((f"repeated user and item ({kept} stays)", lambda frame: _distinct(frame, oldest=since is not None)))
    reason = f"support below {filters.min_user_support} (users) or {filters.min_item_support} (items), to a fixed point"
    return [*steps, (reason, lambda frame: _supported(frame, filters))]


def moment(seconds: int) -> str:
    """Unix seconds for people, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _distinct(frame: pl.DataFrame, *, oldest: bool) -> pl.DataFrame:
    by = [name for name in ("timestamp", "weight") if name in frame.columns]
    descending = [False, False, *(name == "weight" or not oldest for name in by)]
    ordered = frame.sort(["user", "item", *by], descending=descending)
    return ordered.unique(["user", "item"], keep="first", maintain_order=True)


def _supported(frame: pl.DataFrame, filters: Filters) -> pl.DataFrame:
    enough = (pl.len().over("user") >= filters.min_user_support) & (pl.len().over("item") >= filters.min_item_support)
    while True:
        left = frame.filter(enough)
        if len(left) == len(frame):
            return left
        frame = left


def _dropped(reason: str, before: pl.DataFrame, after: pl.DataFrame) -> Dropped:
    users, items = (before[name].n_unique() - after[name].n_unique() for name in ("user", "item"))
    return Dropped(reason, len(before) - len(after), users, items)


def _number(frame: pl.DataFrame) -> Interactions:
    numbers, vocabularies = [], []
    for name in ("user", "item"):
        ids = frame[name].unique().sort()
        numbers.append(frame[name].cast(pl.Enum(ids)).to_physical().cast(pl.Int32).to_numpy())
        vocabularies.append(Vocabulary.build(ids.to_list()))
    order = np.lexsort((numbers[1], numbers[0]))
    timestamp = frame["timestamp"].to_numpy()[order] if "timestamp" in frame.columns else None
    weight = frame["weight"].to_numpy().astype(np.float32)[order]
    return Interactions(numbers[0][order], numbers[1][order], weight, timestamp, *vocabularies)
