"""Dropping from the event log the rows of users who were forgotten.

A deletion covers what was recorded about the user before it, and before their merge, about those who were merged into
the user. The row of the deletion itself stays, so that readers of copies and of older files obey it too.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from app import log_files

Moment = tuple[int, int]
"""When something was recorded: milliseconds, and a number within one."""


def erase(folder: Path) -> int:
    """Drop them from all files; how many rows that were."""
    entries = log_files.scan(folder)
    changes = log_files.in_order(entries.filter(pl.col("op").is_in(["delete", "merge"])))
    columns = ("op", "user_id", "source", "recorded_ms", "recorded_number")
    gone = forgotten(changes.select(columns).collect().iter_rows())
    if not gone:
        return 0
    bounds = pl.LazyFrame(
        [(user_id, *until) for user_id, until in gone.items()],
        schema={"user_id": pl.String, "until_ms": pl.Int64, "until_number": pl.Int64},
        orient="row",
    )
    ms, until = pl.col("recorded_ms"), pl.col("until_ms")
    before = (ms < until) | ((ms == until) & (pl.col("recorded_number") <= pl.col("until_number")))
    events = entries.filter(pl.col("op") == "event").join(bounds, on="user_id").filter(before)
    unwanted = events.select(log_files.KEY).collect()
    return log_files.drop(folder, unwanted) if len(unwanted) else 0


def forgotten(changes: Iterable[tuple[str, str, str | None, int, int]]) -> Mapping[str, Moment]:
    """Until when what is known of users was forgotten, of deletions and merges in order."""
    parts: dict[str, list[tuple[str, Moment]]] = {}
    gone: dict[str, Moment] = {}
    for op, user_id, source, *at in changes:
        moment = (at[0], at[1])
        if op == "merge" and source is not None:
            parts.setdefault(user_id, []).extend([*parts.pop(source, []), (source, moment)])
        elif op == "delete":
            for one, until in [*parts.pop(user_id, []), (user_id, moment)]:
                gone[one] = max(until, gone.get(one, until))
    return gone
