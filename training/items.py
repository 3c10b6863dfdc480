"""Item metadata: an id column and any other columns, aligned with the items of the interactions.

A missing value (null, NaN) is left out of an item's properties; an item without metadata has none at all.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from index.types import JSON
from index.vocabulary import Vocabulary
from training import tables
from training.errors import DataError
from training.tables import Column, FloatText

Properties = Mapping[str, JSON]
"""Property name -> JSON value."""


@dataclass(frozen=True)
class ItemsReport:
    """How a file of items covers the items of the interactions."""

    file: str
    """Name of the file."""
    rows: int
    """Rows of data in it."""
    used: int
    """Items of the interactions that have metadata."""
    without: int
    """Items of the interactions that have none."""
    unknown: int
    """Rows whose item nobody interacted with."""


def load(
    path: Path, items: Vocabulary, *, column: str = "item_id", title: str | None = None
) -> tuple[list[Properties], ItemsReport]:
    """Read the properties of `items`, row-aligned (n_items,); {} where the file has none.

    title: the column that becomes the property `title`; None: columns keep their names.
    Raises DataError for what `tables.ids` refuses, an item listed twice, a column that JSON cannot hold, and
    a file without any of `items`.
    """
    frame = tables.read(path, text={column: "--item-column, in all files"}, typed=True)
    told = Column(path, column, frame[column])
    ids = _ids(told)
    told.refuse_first(~ids.is_first_distinct(), "item {} is listed a second time; keep one row per item")
    _refuse_types(path, frame)
    if title is not None:
        frame = _titled(path, frame, column, title)
    properties: list[Properties] = [{} for _ in range(len(items))]
    rows = items.rows(ids.to_list())
    for row, record in zip(rows.tolist(), frame.drop(column).iter_rows(named=True), strict=True):
        if row >= 0:
            properties[row] = {name: value for name, value in record.items() if not _missing(value)}
    used = int((rows >= 0).sum())
    if not used:
        raise DataError(
            f"{path}: none of its {len(frame):,} items is among the {len(items):,} of the interactions; are their ids "
            "written alike?"
        )
    return properties, ItemsReport(path.name, len(frame), used, len(items) - used, len(frame) - used)


def _ids(column: Column) -> pl.Series:
    ids = tables.ids(column)
    if tables.is_csv(column.path):
        text = FloatText()
        text.look(column)
        text.refuse()
    return ids


def _titled(path: Path, frame: pl.DataFrame, column: str, title: str) -> pl.DataFrame:
    if title not in frame.columns:
        raise DataError(f"{path}: there is no column {title!r}; the columns are {', '.join(frame.columns)}")
    if title == column:
        return frame.with_columns(pl.col(column).alias("title"))
    if title == "title":
        return frame
    # what was called so before would be called the same as what is meant
    return frame.drop("title", strict=False).rename({title: "title"})


def save(path: Path, properties: Sequence[Properties]) -> None:
    """Write properties as JSONL, one item a line, in row order."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each, ensure_ascii=False, allow_nan=False) + "\n" for each in properties)


def reload(path: Path) -> list[Properties]:
    """Read what `save` wrote."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _refuse_types(path: Path, frame: pl.DataFrame) -> None:
    for name, kind in frame.schema.items():
        inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
        if not (inner.is_integer() or inner.is_float() or inner in (pl.String, pl.Boolean, pl.Null)):
            raise DataError(f"{path}: column {name!r} has type {kind}; write it as text, a number, or a list of these")


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
