"""Item metadata: aligned with the items of the interactions, JSON values only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from index.vocabulary import Vocabulary
from training import datasets, interactions, items
from training.errors import DataError

Write = Callable[[str, Any], Path]
BOOKS = Vocabulary.build(["10", "9", "none"])
ROWS = [
    {"item_id": 9, "title": "Nine", "year": 1999, "price": 9.5, "new": True},
    {"item_id": 10, "title": "Ten", "year": None, "price": 10.0, "new": False},
    {"item_id": 11, "title": "Unread", "year": 2011, "price": 11.0, "new": False},
]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_properties_are_aligned(write: Write, suffix: str) -> None:
    properties, report = items.load(write(f"items.{suffix}", ROWS), BOOKS)
    assert properties == [
        {"title": "Ten", "price": 10.0, "new": False},
        {"title": "Nine", "year": 1999, "price": 9.5, "new": True},
        {},
    ]
    assert (report.rows, report.used, report.without, report.unknown) == (3, 2, 1, 1)


def test_lists_are_kept_and_what_json_cannot_say_is_left_out(write: Write) -> None:
    rows = [{"item_id": "9", "tags": ["a", "b"], "score": float("nan")}]
    properties, _ = items.load(write("items.parquet", rows), BOOKS)
    assert properties[1] == {"tags": ["a", "b"]}


def test_written_and_read_again(write: Write, tmp_path: Path) -> None:
    properties, _ = items.load(write("items.jsonl", ROWS), BOOKS)
    items.save(tmp_path / "saved.jsonl", [*properties, {"title": "\u2028 \u00e9\n"}])
    assert items.reload(tmp_path / "saved.jsonl") == [*properties, {"title": "\u2028 \u00e9\n"}]


def test_another_id_column(write: Write) -> None:
    properties, _ = items.load(write("items.csv", "isbn,title\n9,Nine\n"), BOOKS, column="isbn")
    assert properties[1] == {"title": "Nine"}


def test_a_column_may_be_the_title(write: Write) -> None:
    rows = [{"item_id": "9", "label": "Nine", "title": "PhD"}, {"item_id": "10", "label": None, "title": "x"}]
    path = write("items.csv", rows)
    assert items.load(path, BOOKS, title="label")[0] == [{}, {"title": "Nine"}, {}]
    assert items.load(path, BOOKS, title="title")[0][1] == {"label": "Nine", "title": "PhD"}
    assert items.load(path, BOOKS, title="item_id")[0][1]["title"] == "9"
    with pytest.raises(DataError, match="there is no column 'name'; the columns are item_id, label, title"):
        items.load(path, BOOKS, title="name")


REFUSED = [
    (
        [{"title": "Nine"}],
        "there is no column 'item_id'; the columns are title; another one is named by --item-column, in all files",
    ),
    ([{"item_id": "9"}, {"item_id": "9"}], "column 'item_id', row 2: item '9' is listed a second time; keep one row"),
    ([{"item_id": 9.0}], "column 'item_id', row 1: ids are floats"),
    ([{"item_id": None}], "column 'item_id', row 1: the id is missing"),
    ([{"item_id": "9", "x": {"a": 1}}], r"column 'x' has type Struct"),
    ([{"item_id": "9", "x": b"1"}], "column 'x' has type Binary; write it as text, a number, or a list of these"),
]


@pytest.mark.parametrize(("rows", "message"), REFUSED)
def test_refused(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame(rows).write_parquet(path)
    with pytest.raises(DataError) as caught:
        items.load(path, BOOKS)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_file_about_other_items_is_refused(write: Write) -> None:
    path = write("items.csv", "item_id,title\n009,Nine\n010,Ten\n")
    with pytest.raises(
        DataError, match=r"none of its 2 items is among the 3 of the interactions; are their ids written"
    ):
        items.load(path, BOOKS)


def test_ids_that_went_through_floats_are_refused_in_csv(write: Write) -> None:
    with pytest.raises(DataError, match="column 'item_id', row 2: ids are floats; write them as integers or text"):
        items.load(write("items.csv", "item_id,title\n9,Nine\n10.0,Ten\n"), BOOKS)


def test_the_bundled_books_are_all_described() -> None:
    files = datasets.bundled("goodbooks")
    data, _ = interactions.load(files.interactions)
    properties, report = items.load(files.items, data.items)
    assert (report.used, report.without, report.unknown) == (9882, 0, 118)
    row = data.items.row("1")
    assert row is not None
    assert properties[row]["title"] == "The Hunger Games (The Hunger Games, #1)"
    assert properties[row]["year"] == 2008
