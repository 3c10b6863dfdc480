"""User state from the event log, for a Redis that lost it: by `sparrow-serve rebuild`, while it serves.

The undrained streams are read first and the files then, for a collector moves entries only in that direction. Users go
by in passes, by the hash of the id, so that memory holds `ROWS` rows of the log at a time, some 450 MB; users who were
merged go together. Nothing that Redis holds is lost by it, and it may be repeated.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl
from pydantic import SecretStr

from app import log_files
from app.metrics import Metrics
from app.replay import Row, lost, replay
from app.settings import Settings
from app.store import streams
from app.store.clients import open_store, store_url
from app.store.connection import Connection
from app.store.merging import Bounds
from app.store.restoring import Lost, Outcome, restore
from app.store.state import KINDS

ROWS = 500_000
"""Of the log in one pass, about."""

BATCH = 100
"""Users in one round trip."""

TRIES = 10
"""Of reading files, which a collector may be compacting."""

TIMEOUT_MS = 10_000


class Rebuilt(NamedTuple):
    """What a rebuild did."""

    events: int
    """In the log and on the streams."""
    undrained: int
    """Of all entries, those on the streams."""
    users: Outcome


async def rebuild(settings: Settings, log: Path, progress: Callable[[float], None]) -> Rebuilt:
    """Add to the store what the log says; `progress` hears of shares of the work. StoreUnavailable, NoStore."""
    settings = settings.model_copy(update={"redis_url": SecretStr(store_url(settings)), "store_timeout_ms": TIMEOUT_MS})
    with open_store(settings) as client:
        waiting = streams.read(client, None)
    undrained = log_files.frame_of(waiting).lazy()

    def entries() -> pl.LazyFrame:
        return pl.concat([log_files.scan(log), undrained])

    counts = _read(lambda: entries().select(pl.len(), events=(pl.col("op") == "event").sum()))
    n_rows, n_events = counts.row(0)
    together = groups(_read(lambda: entries().filter(pl.col("op") == "merge").select("user_id", "source")).iter_rows())
    bounds, ttl = Bounds(settings.history_limit, settings.seen_limit, settings.hidden_limit), settings.user_ttl_days
    n_passes = max(1, math.ceil(n_rows / ROWS))
    outcome, connection = Outcome(), Connection(settings, Metrics())
    try:
        for number in range(n_passes):
            rows = _read(lambda number=number: _share(entries(), together, number, n_passes))  # type: ignore[misc]
            users = replay(map(Row._make, rows.iter_rows()), bounds, ttl * 86_400)
            share = 1 / n_passes / max(1, len(users))
            left = 1 / n_passes
            for batch in _batches(lost(users, bounds, ttl * 86_400, time.time())):
                outcome += await restore(connection, batch, bounds)
                progress(share * len(batch))
                left -= share * len(batch)
            progress(left)  # of users whose time is over
    finally:
        await connection.close()
    return Rebuilt(n_events, len(waiting), outcome)


def groups(merges: Iterator[tuple[str, str]]) -> dict[str, str]:
    """One name for all users who were merged with each other, by user."""
    names: dict[str, str] = {}

    def name(user_id: str) -> str:
        while (above := names.get(user_id, user_id)) != user_id:
            user_id = above
        return user_id

    for target, source in merges:
        one, other = name(target), name(source)
        if one != other:
            names[other] = one
    return {user_id: name(user_id) for user_id in names}


def _share(entries: pl.LazyFrame, together: Mapping[str, str], number: int, n_passes: int) -> pl.LazyFrame:
    """The rows of one pass, in order, as `Row` has them."""
    group = pl.col("user_id").replace(together) if together else pl.col("user_id")
    whole = pl.all_horizontal(pl.col("item_id", "kind", "weight", "timestamp").is_not_null())
    event = (pl.col("op") == "event") & whole & pl.col("kind").is_in(KINDS)
    known = pl.col("user_id").is_not_null() & (event | pl.col("op").is_in(["delete", "merge"]))
    own = entries.filter(known & (group.hash(seed=0) % n_passes == number))
    return log_files.in_order(own).select(Row._fields)


def _read(make: Callable[[], pl.LazyFrame]) -> pl.DataFrame:
    """Of files that may be replaced by others meanwhile: then of those."""
    for _ in range(TRIES - 1):
        try:
            return make().collect()
        except FileNotFoundError:
            continue
    return make().collect()


def _batches(users: Iterator[Lost]) -> Iterator[list[Lost]]:
    while batch := list(islice(users, BATCH)):
        yield batch
