"""Interactions of users with items, from a user's own file or a bundled one, cleaned and counted.

The order of the steps: rows of another time and rows below the minimum rating go, then repeated (user, item) pairs
(the newest row stays where there are timestamps, else the one with the largest weight), then users and items with too
little support, repeated to a fixed point: whoever is left has the support asked for. Users and items are numbered by
ascending id, rows are sorted by (user, item), so the order of the file changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from index.types import Int32
from index.vocabulary import Vocabulary
from training import tables
from training.errors import DataError
from training.numbering import Numbering
from training.tables import Column

IDS = ("user", "item")
"""The columns that hold ids."""


@dataclass(frozen=True)
class Columns:
    """Where a file keeps what."""

    user: str = "user_id"
    """Column of user ids."""
    item: str = "item_id"
    """Column of item ids."""
    timestamp: str | None = None
    """Column of dates and times, of these as ISO text, or of numbers; None: there are none."""
    timestamp_unit: tables.Unit = "s"
    """What the numbers of that column count since 1970."""
    weight: str | None = None
    """Column of positive weights; None: every interaction weighs 1."""
    rating: str | None = None
    """Column that `Filters.min_rating` looks at."""
    title: str | None = None
    """Column of what items are called, in the file of items; None: `title` or `name`, if there is one."""

    def named(self) -> dict[str, str]:
        """The columns that a file of interactions has, by what they are for."""
        named = {role: getattr(self, role) for role in ("user", "item", "timestamp", "weight", "rating")}
        return {role: name for role, name in named.items() if name is not None}


@dataclass(frozen=True)
class Filters:
    """What is left out."""

    drop_missing: bool = False
    """Whether rows with a missing value in a column that is read are dropped instead of refused."""
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
        lengths = np.bincount(self.user, minlength=len(self.users))
        # 32 bits where they suffice, or scipy makes 64 of the items as well
        kind = np.int32 if len(self.user) < 2**31 else np.int64
        starts = np.concatenate([[0], np.cumsum(lengths)], dtype=kind, casting="same_kind")
        ones = np.ones(len(self.user), np.float32)
        return csr_array((ones, self.item, starts), shape=(len(self.users), len(self.items)))

    def popularity(self) -> NDArray[np.float32]:
        """Users per item (n_items,)."""
        return np.bincount(self.item, minlength=len(self.items)).astype(np.float32)

    def parts(self) -> Iterator[bytes]:
        """The pairs of ids, to be hashed."""
        vocabularies = (own for each in (self.users, self.items) for own in (each.id_bytes, each.id_starts))
        for part in (self.user, self.item, *vocabularies):
            yield np.ascontiguousarray(part).tobytes()


@dataclass(frozen=True)
class Dropped:
    """One reason for leaving something out."""

    reason: str
    """In words."""
    rows: int
    """Rows that went."""
    users: int
    """Users who went with them; of rows with missing values, which are no users yet, 0."""
    items: int
    """Items that went with them; of rows with missing values 0."""


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
    notes: tuple[str, ...] = ()
    """What is allowed, but may not be meant."""


def load(
    path: Path, columns: Columns | None = None, filters: Filters | None = None, *, since: int | None = None
) -> tuple[Interactions, LoadReport]:
    """Read and clean a CSV, Parquet, JSONL or NPZ file of interactions. Raises DataError naming file, column and row.

    since: earlier rows (unix seconds) are dropped first, and of repeated pairs the oldest stays: how `Filters.before`
    goes on. A file is read part by part and only numbers are kept of it, so that it may be larger than memory.
    """
    columns, filters = columns or Columns(), filters or Filters()
    _refuse_contradictions(path, columns, filters, since)
    frame, ids, n_rows = _read(path, columns, filters)
    dropped = [Dropped("missing value", n_rows - len(frame), 0, 0)] if filters.drop_missing else []
    for reason, step in _steps(columns, filters, since):
        before, frame = _counts(frame), step(frame)
        dropped.append(Dropped(reason, *np.subtract(before, _counts(frame)).tolist()))
    if frame.is_empty():
        reasons = ", ".join(f"{d.rows} by {d.reason}" for d in dropped if d.rows)
        raise DataError(f"{path}: nothing is left of {n_rows} rows (dropped {reasons}); leave less out")
    report = LoadReport(path.name, n_rows, tuple(dropped), *_counts(frame), _notes(frame))
    return _interactions(frame, *ids), report


def _refuse_contradictions(path: Path, columns: Columns, filters: Filters, since: int | None) -> None:
    if filters.min_rating is not None and columns.rating is None:
        raise DataError(f"{path}: a minimum rating is asked for, but no column of ratings is named")
    if columns.timestamp is None and not (filters.before is None and since is None):
        raise DataError(f"{path}: a split by time is asked for, but no column of timestamps is named")
    if columns.user == columns.item:
        raise DataError(f"{path}: users and items are both read from column {columns.user!r}; name two columns")


def _read(path: Path, columns: Columns, filters: Filters) -> tuple[pl.DataFrame, tuple[pl.Series, pl.Series], int]:
    """What is needed of all rows, with numbers in the order of the ids; these ids; how many rows there are."""
    numberings, parts, n_rows = (Numbering(), Numbering()), [], 0
    for part in tables.batches(path, columns.named()):
        n_rows += len(part)
        here = _without_missing(part, columns) if filters.drop_missing else part
        if not here.is_empty():
            parts.append(_checked(path, here, columns, filters, *numberings))
    if not parts:
        raise DataError(f"{path}: each of {n_rows} rows has a missing value; name other columns")
    frame, ids = pl.concat(parts), []
    del parts
    for name, numbering in zip(("user", "item"), numberings, strict=True):
        found, places = numbering.sorted()
        ids.append(found)
        frame = frame.with_columns(pl.Series(name, places[frame[name].to_numpy()]))
    return frame, (ids[0], ids[1]), n_rows


def _without_missing(part: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    gone = [tables.missing(part[role], number=role not in IDS) for role in columns.named()]
    return part.filter(~reduce(or_, gone))


def _checked(
    path: Path, part: pl.DataFrame, columns: Columns, filters: Filters, users: Numbering, items: Numbering
) -> pl.DataFrame:
    """A part with ids as numbers, times that fit into 32 bits, and whether the rating is high enough."""
    cells = {role: Column(path, name, part[role], part[tables.ROW]) for role, name in columns.named().items()}
    for role, cell in cells.items():
        what = "id" if role in IDS else "value"
        cell.refuse_first(cell.values.is_null(), f"the {what} is missing; --drop-missing leaves such rows out")
    made = [users.number(cells["user"]).alias("user"), items.number(cells["item"]).alias("item")]
    if "timestamp" in cells:
        seconds = tables.timestamps(cells["timestamp"], columns.timestamp_unit)
        made.append(seconds.cast(pl.UInt32).alias("timestamp"))  # as MAX_TIMESTAMP does
    if "rating" in cells:
        least = -np.inf if filters.min_rating is None else filters.min_rating
        made.append((tables.numbers(cells["rating"]) >= least).alias("high"))
    if "weight" in cells:
        weight = tables.numbers(cells["weight"]).cast(pl.Float32)
        wrong = (weight <= 0) | weight.is_infinite()
        cells["weight"].refuse_first(wrong, "the weight is {}; weights are positive: leave such rows out")
        made.append(weight.alias("weight"))
    return pl.DataFrame(made)


Step = Callable[[pl.DataFrame], pl.DataFrame]


def _steps(columns: Columns, filters: Filters, since: int | None) -> list[tuple[str, Step]]:
    steps: list[tuple[str, Step]] = []
    if since is not None:
        steps.append((f"time before {moment(since)}", lambda f: f.filter(f["timestamp"] >= since)))
    if filters.before is not None:
        steps.append((f"time from {moment(filters.before)} on", lambda f: f.filter(f["timestamp"] < filters.before)))
    if filters.min_rating is not None:
        steps.append((f"rating below {filters.min_rating:g}", lambda f: f.filter(f["high"])))
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
    another = [ordered[name] != ordered[name].shift() for name in ("user", "item")]
    return ordered.filter((another[0] | another[1]).fill_null(value=True))  # the first has none before it


def _supported(frame: pl.DataFrame, filters: Filters) -> pl.DataFrame:
    least = {"user": filters.min_user_support, "item": filters.min_item_support}
    while True:
        enough = [np.bincount(frame[name]) >= minimum for name, minimum in least.items()]
        left = frame.filter(enough[0][frame["user"]] & enough[1][frame["item"]])
        if len(left) == len(frame):
            return left
        frame = left


def _counts(frame: pl.DataFrame) -> tuple[int, int, int]:
    """Rows, users and items."""
    return len(frame), frame["user"].n_unique(), frame["item"].n_unique()


def _notes(frame: pl.DataFrame) -> tuple[str, ...]:
    if "timestamp" not in frame.columns:
        return ()
    later = frame["timestamp"].filter(frame["timestamp"] > int(datetime.now(UTC).timestamp()))
    last = later.max()
    if not isinstance(last, int):
        return ()
    return (f"{len(later):,} rows are in the future, the last of {moment(last)}; they are kept",)


def _interactions(frame: pl.DataFrame, user_ids: pl.Series, item_ids: pl.Series) -> Interactions:
    user, users = _used(frame["user"].to_numpy(), user_ids)
    item, items = _used(frame["item"].to_numpy(), item_ids)
    timestamp = frame["timestamp"].cast(pl.Int64).to_numpy() if "timestamp" in frame.columns else None
    weight = frame["weight"].to_numpy() if "weight" in frame.columns else np.ones(len(frame), np.float32)
    return Interactions(user, item, weight, timestamp, users, items)


def _used(numbers: Int32, ids: pl.Series) -> tuple[Int32, Vocabulary]:
    """The ids that are used, and their numbers without gaps."""
    used = np.zeros(len(ids), bool)
    used[numbers] = True
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return places[numbers], Vocabulary.build(ids.filter(pl.Series(used)).to_list())
