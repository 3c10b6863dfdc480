"""The loader: one meaning in three formats, every refusal by its sentence, every dropped row accounted for."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, save_npz

from training import datasets, interactions, tables
from training.errors import DataError
from training.interactions import Columns, Dropped, Filters, Interactions

Write = Callable[[str, Any], Path]
FULL = Columns(timestamp="at", weight="w", rating="stars")


def pairs(data: Interactions) -> dict[tuple[str, str], tuple[float, int | None]]:
    """(user id, item id) -> (weight, timestamp)."""
    when = data.timestamp.tolist() if data.timestamp is not None else [None] * len(data.user)
    users, items = (v.item_ids(r.tolist()) for v, r in ((data.users, data.user), (data.items, data.item)))
    return dict(zip(zip(users, items, strict=True), zip(data.weight.tolist(), when, strict=True), strict=True))


ROWS = [
    {"user_id": "ann", "item_id": 7, "at": 1000, "w": 1.0, "stars": 5},
    {"user_id": "bob", "item_id": 11, "at": 1001, "w": 2.5, "stars": 4},
    {"user_id": "ann", "item_id": 11, "at": 1002, "w": 1.0, "stars": 1},
    {"user_id": "ann", "item_id": 7, "at": 1003, "w": 0.5, "stars": 4},
]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_the_formats_mean_the_same(write: Write, suffix: str) -> None:
    data, report = interactions.load(write(f"likes.{suffix}", ROWS), FULL, Filters(min_rating=2))
    assert pairs(data) == {("ann", "7"): (0.5, 1003), ("bob", "11"): (2.5, 1001)}
    assert (report.file, report.rows, report.interactions) == (f"likes.{suffix}", 4, 2)
    assert [(each.rows, each.users, each.items) for each in report.dropped] == [(1, 0, 0), (1, 0, 0), (0, 0, 0)]
    assert [each.reason.split()[0] for each in report.dropped] == ["rating", "repeated", "support"]
    assert data.user.dtype == data.item.dtype == np.int32
    assert data.weight.dtype == np.float32
    assert data.timestamp is not None
    assert data.timestamp.dtype == np.int64


def test_columns_of_any_name_and_none_that_is_not_asked_for(write: Write) -> None:
    path = write("a.csv", "reader,book,junk\nx,1,not a number\n")
    data, _ = interactions.load(path, Columns(user="reader", item="book"))
    assert pairs(data) == {("x", "1"): (1.0, None)}


def test_without_timestamps_the_largest_weight_stays(write: Write) -> None:
    data, report = interactions.load(write("a.parquet", ROWS), Columns(weight="w"))
    assert pairs(data)["ann", "7"] == (1.0, None)
    assert "the largest weight stays" in report.dropped[0].reason


def test_support_is_asked_for_to_a_fixed_point(write: Write) -> None:
    """Bob goes for lack of items, then item 3 for lack of users, then Cid for lack of items."""
    liked = {"ann": [1, 2], "dan": [1, 2], "bob": [3], "cid": [3, 1]}
    rows = [{"user_id": user, "item_id": item} for user, items in liked.items() for item in items]
    data, report = interactions.load(write("a.csv", rows), filters=Filters(min_user_support=2, min_item_support=2))
    assert set(pairs(data)) == {("ann", "1"), ("ann", "2"), ("dan", "1"), ("dan", "2")}
    assert (report.dropped[-1].rows, report.dropped[-1].users, report.dropped[-1].items) == (3, 2, 1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_against_a_slow_loader(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int]], min_user: int, min_item: int
) -> None:
    newest: dict[tuple[str, int], int] = {}
    for user, item, at in rows:
        newest[user, item] = max(at, newest.get((user, item), 0))
    kept, n_before = set(newest), -1
    while len(kept) != n_before:
        n_before = len(kept)
        users, items = Counter(user for user, _ in kept), Counter(item for _, item in kept)
        kept = {(user, item) for user, item in kept if users[user] >= min_user and items[item] >= min_item}
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pl.DataFrame(rows, schema=["user_id", "item_id", "at"], orient="row").write_parquet(path)
    filters = Filters(min_user_support=min_user, min_item_support=min_item)
    if not kept:
        with pytest.raises(DataError, match="nothing is left"):
            interactions.load(path, Columns(timestamp="at"), filters)
        return
    data, report = interactions.load(path, Columns(timestamp="at"), filters)
    assert pairs(data) == {(user, str(item)): (1.0, newest[user, item]) for user, item in kept}
    assert report.interactions + sum(each.rows for each in report.dropped) == report.rows == len(rows)
    order = list(zip(data.user.tolist(), data.item.tolist(), strict=True))
    assert order == sorted(order)
    ids = data.items.item_ids(range(len(data.items)))
    assert ids == sorted(ids)
    assert data.matrix().sum() == len(kept)
    assert data.popularity().sum() == len(kept)


def test_the_order_of_the_file_changes_nothing(write: Write) -> None:
    one, other = (
        interactions.load(write(name, rows), FULL)[0] for name, rows in (("a.csv", ROWS), ("b.csv", ROWS[::-1]))
    )
    assert pairs(one) == pairs(other)
    assert np.array_equal(one.item, other.item)


@pytest.mark.parametrize("kind", [pl.Int8, pl.UInt8, pl.Int16, pl.Int32, pl.UInt32, pl.Int64, pl.UInt64, pl.Int128])
def test_integers_of_any_width_become_their_decimal_form(tmp_path: Path, kind: type[pl.DataType]) -> None:
    bits = int(kind.__name__.lstrip("UInt"))
    largest = 2 ** (bits - (not kind.__name__.startswith("U"))) - 1
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": pl.Series([largest, 0], dtype=kind), "item_id": ["x", "y"]}).write_parquet(path)
    data, _ = interactions.load(path)
    assert set(pairs(data)) == {(str(largest), "x"), ("0", "y")}


def test_categories_are_text(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]})
    frame.cast({"user_id": pl.Categorical, "item_id": pl.Enum(["y", "x"])}).write_parquet(tmp_path / "a.parquet")
    data, _ = interactions.load(tmp_path / "a.parquet")
    assert set(pairs(data)) == {("a", "x"), ("b", "y")}


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id\na,1\n", encoding="utf-8-sig")
    assert set(pairs(interactions.load(tmp_path / "a.csv")[0])) == {("a", "1")}


def test_csv_ids_are_taken_verbatim(write: Write) -> None:
    data, _ = interactions.load(write("a.csv", "user_id,item_id\n007,1e5\n7,99999999999999999999\n+7,a b\n"))
    assert set(pairs(data)) == {("007", "1e5"), ("7", "99999999999999999999"), ("+7", "a b")}


def test_an_id_of_256_bytes_is_the_longest(write: Write) -> None:
    data, _ = interactions.load(write("a.jsonl", [{"user_id": "\u00e9" * 128, "item_id": "i" * 256}]))
    assert data.users.item_id(0) == "\u00e9" * 128


AT = Columns(timestamp="at")
WEIGHTED = Columns(weight="w")
REFUSED: list[tuple[str, Any, Columns, str]] = [
    # name, content, columns, message after the path
    (
        "a.txt",
        "user_id\n",
        Columns(),
        "files are read by suffix, one of .csv, .csv.gz, .jsonl, .jsonl.gz, .parquet, .npz",
    ),
    ("a.csv", "", Columns(), "has no rows of data; the file is empty"),
    ("a.csv", "user_id,item_id\n", Columns(), "has no rows of data"),
    ("a.jsonl", "", Columns(), "has no rows of data; the file is empty"),
    ("a.parquet", "no parquet", Columns(), "cannot be read as PARQUET"),
    ("a.jsonl", "{\n", Columns(), "cannot be read as JSONL: line 1 is no JSON object"),
    (
        "a.jsonl",
        '{"user_id": "a", "item_id": 1}\n{"user_id"\n',
        Columns(),
        "cannot be read as JSONL: line 2 is no JSON",
    ),
    (
        "a.csv",
        "user_id,item_id\na,b\na,b,c\n",
        Columns(),
        "cannot be read as CSV: a row has more cells than the header; put texts with a comma or a quote into quotes",
    ),
    (
        "a.csv",
        "user,item_id\na,1\n",
        Columns(),
        "there is no column 'user_id'; the columns are user, item_id; another one is named by --user-column",
    ),
    (
        "a.csv",
        "user_id,item_id\na,1\n",
        AT,
        "there is no column 'at'; the columns are user_id, item_id; another one is named by --timestamp-column",
    ),
    (
        "a.csv",
        "user_id,item_id\na,1\n,2\n",
        Columns(),
        "column 'user_id', row 2: the id is missing; --drop-missing leaves such rows out",
    ),
    ("a.csv", 'user_id,item_id\na,1\n"",2\n', Columns(), "column 'user_id', row 2: the id is empty"),
    ("a.jsonl", [{"user_id": "a"}], Columns(), "there is no column 'item_id'"),
    (
        "a.jsonl",
        [{"user_id": "a", "item_id": 1}, {"user_id": "a"}],
        Columns(),
        "column 'item_id', row 2: the id is missing",
    ),
    ("a.jsonl", [{"user_id": None, "item_id": 1}], Columns(), "column 'user_id', row 1: the id is missing"),
    ("a.jsonl", [{"user_id": "", "item_id": 1}], Columns(), "column 'user_id', row 1: the id is empty"),
    (
        "a.jsonl",
        [{"user_id": "a", "item_id": 1}, {"user_id": "a", "item_id": 1.5}],
        Columns(),
        "column 'item_id', row 1: ids are floats (Float64); write them as integers or text",
    ),
    ("a.parquet", [{"user_id": 1.0, "item_id": 1}], Columns(), "column 'user_id', row 1: ids are floats (Float64)"),
    ("a.parquet", [{"user_id": float("nan"), "item_id": 1}], Columns(), "column 'user_id', row 1: ids are floats"),
    (
        "a.csv",
        "user_id,item_id\n1,1\n2,2.0\n",
        Columns(),
        "column 'item_id', row 2: ids are floats; write them as integers or text",
    ),
    (
        "a.parquet",
        [{"user_id": True, "item_id": 1}],
        Columns(),
        "column 'user_id', row 1: ids have type Boolean; write them as integers or text",
    ),
    ("a.jsonl", [{"user_id": ["a"], "item_id": 1}], Columns(), "column 'user_id', row 1: ids have type List(String)"),
    (
        "a.jsonl",
        [{"user_id": "a", "item_id": "x"}, {"user_id": "\u00e9" * 129, "item_id": "x"}],
        Columns(),
        "column 'user_id', row 2: the id is longer than 256 bytes of UTF-8; shorten or hash it",
    ),
    ("a.csv", "user_id,item_id,w\na,1,1\na,2,many\n", WEIGHTED, "column 'w', row 2: 'many' is not a number"),
    ("a.csv", "user_id,item_id,w\na,1,1\na,2,\n", WEIGHTED, "column 'w', row 2: the value is missing; --drop-missing"),
    ("a.csv", "user_id,item_id,w\na,1,1\na,2,NaN\n", WEIGHTED, "column 'w', row 2: the value is NaN or infinite"),
    (
        "a.parquet",
        [{"user_id": "a", "item_id": 1, "w": float("inf")}],
        WEIGHTED,
        "column 'w', row 1: the value is NaN or infinite",
    ),
    (
        "a.parquet",
        [{"user_id": "a", "item_id": 1, "w": "1"}],
        WEIGHTED,
        "column 'w', row 1: numbers are expected, the type is String",
    ),
    (
        "a.csv",
        "user_id,item_id,w\na,1,1\na,2,0\n",
        WEIGHTED,
        "column 'w', row 2: the weight is '0'; weights are positive: leave such rows out",
    ),
    ("a.jsonl", [{"user_id": 1, "item_id": 1, "w": -2}], WEIGHTED, "column 'w', row 1: the weight is -2; weights are"),
    ("a.csv", "user_id,item_id,w\na,1,1e-60\n", WEIGHTED, "column 'w', row 1: the weight is '1e-60'; weights are"),
    ("a.csv", "user_id,item_id,user_id\na,1,b\n", Columns(), "there are two columns 'user_id'; rename or remove one"),
    (
        "a.csv",
        "user_id;item_id\na;1\n",
        Columns(),
        "there is no column 'user_id'; the columns are user_id;item_id; CSV",
    ),
    ("a.csv", "user_id,item_id\na,1\n", Columns(item="user_id"), "users and items are both read from column 'user_id'"),
    (
        "a.csv",
        "user_id, item_id\na,1\n",
        Columns(),
        "there is no column 'item_id'; the columns are user_id, ' item_id'; another one is named by --item-column",
    ),
    ("a.csv.gz", "no archive", Columns(), "there is no column 'user_id'"),
    ("a.tsv.gz", "user_id", Columns(), "files are read by suffix"),
    (
        "a.csv",
        "user_id,item_id,at\na,1,1700000000\na,2,1700000000000\n",
        AT,
        "column 'at', row 2: 1700000000000 is not in unix seconds between 1970 and 2100; milliseconds? say "
        "--timestamp-unit ms",
    ),
    (
        "a.csv",
        "user_id,item_id,at\na,1,1700000000000000\n",
        AT,
        "column 'at', row 1: 1700000000000000 is not in unix "
        "seconds between 1970 and 2100; microseconds? say --timestamp-unit us",
    ),
    (
        "a.csv",
        "user_id,item_id,at\na,1,1e30\n",
        AT,
        f"column 'at', row 1: {1e30:.0f} is not in unix seconds between 1970 and 2100",
    ),
    (
        "a.csv",
        "user_id,item_id,at\na,1,1700000000000000\n",
        Columns(timestamp="at", timestamp_unit="ms"),
        "column 'at', row 1: 1700000000000000 is not in unix milliseconds between 1970 and 2100; microseconds? say",
    ),
    ("a.csv", "user_id,item_id,at\na,1,2150-01-01\n", AT, "column 'at', row 1: 5680281600 is not in unix seconds"),
    (
        "a.jsonl",
        [{"user_id": "a", "item_id": 1, "at": True}],
        AT,
        "column 'at', row 1: numbers are expected, the type is",
    ),
    (
        "a.csv",
        "user_id,item_id,at\na,1,-5\n",
        AT,
        "column 'at', row 1: -5 is not in unix seconds between 1970 and 2100",
    ),
    ("a.csv", "user_id,item_id,at\na,1,5.5\n", AT, "column 'at', row 1: unix seconds are whole numbers"),
    (
        "a.csv",
        "user_id,item_id,at\na,1,2024-01-01\na,2,1.1.2024\n",
        AT,
        "column 'at', row 2: '1.1.2024' is neither a number nor a date or time in ISO form (2026-09-01T12:00:00Z)",
    ),
    ("a.csv", "user_id,item_id,at\na,1,\n", AT, "column 'at', row 1: the value is missing"),
    ("a.csv", "user_id,item_id,stars\na,1,x\n", Columns(rating="stars"), "column 'stars', row 1: 'x' is not a number"),
]


@pytest.mark.parametrize(("name", "content", "columns", "message"), REFUSED, ids=[case[3][:60] for case in REFUSED])
def test_refused(write: Write, name: str, content: Any, columns: Columns, message: str) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as caught:
        interactions.load(path, columns)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


NOON = 1_704_110_400  # 2024-01-01 12:00:00 in UTC
MOMENTS = [
    ("2024-01-01T12:00:00Z", NOON),
    ("2024-01-01 12:00:00", NOON),
    (" 2024-01-01T14:00:00.75+02:00 ", NOON),
    ("2024-01-01t12:00".upper(), NOON),
    ("2024-01-01T09:30-0230", NOON),
    ("2024-01-01", NOON - 12 * 3600),
    (str(NOON), NOON),
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_times_as_text_are_in_iso_form_and_in_utc_without_a_zone(write: Write, suffix: str) -> None:
    rows = [{"user_id": str(row), "item_id": "x", "at": text} for row, (text, _) in enumerate(MOMENTS)]
    data, _ = interactions.load(write(f"a.{suffix}", rows), AT)
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [seconds for _, seconds in MOMENTS]


@pytest.mark.parametrize(
    "kind", [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns"), pl.Datetime("us", "Europe/Prague"), pl.Date]
)
def test_dates_and_times_become_unix_seconds(tmp_path: Path, kind: Any) -> None:
    zone = getattr(kind, "time_zone", None)
    moments = pl.Series([NOON * 1000 + 999, None]).cast(pl.Datetime("ms", zone)).cast(kind)
    frame = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["b", "b"], "at": moments})
    frame.write_parquet(tmp_path / "a.parquet")
    data, _ = interactions.load(tmp_path / "a.parquet", AT, Filters(drop_missing=True))
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [NOON - 12 * 3600 if kind == pl.Date else NOON]
    with pytest.raises(DataError, match="column 'at', row 2: the value is missing"):
        interactions.load(tmp_path / "a.parquet", AT)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("unit", "scale"), tables.UNITS.items())
def test_numbers_of_other_units_are_cut_to_seconds(write: Write, suffix: str, unit: Any, scale: int) -> None:
    rows = [{"user_id": "a", "item_id": 1, "at": NOON * scale + scale // 2}]
    data, _ = interactions.load(write(f"a.{suffix}", rows), Columns(timestamp="at", timestamp_unit=unit))
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [NOON]


def test_times_in_the_future_are_kept_and_told(write: Write) -> None:
    rows = [{"user_id": "a", "item_id": 1, "at": 4_000_000_000}, {"user_id": "a", "item_id": 2, "at": 1_000_000_000}]
    data, report = interactions.load(write("a.csv", rows), AT)
    assert pairs(data)["a", "1"] == (1, 4_000_000_000)
    assert report.notes == ("1 rows are in the future, the last of 2096-10-02 07:06:40; they are kept",)
    assert interactions.load(write("a.csv", rows[1:]), AT)[1].notes == ()


def test_ids_that_are_negative_or_zero_are_ids(write: Write) -> None:
    rows = [{"user_id": -1, "item_id": 0}, {"user_id": 0, "item_id": -7}]
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert set(pairs(interactions.load(write(name, rows))[0])) == {("-1", "0"), ("0", "-7")}


HOLES = [
    {"user_id": "a", "item_id": "x", "at": 1, "w": 1.0, "stars": 3.0},
    {"user_id": None, "item_id": "x", "at": 2, "w": 1.0, "stars": 3.0},
    {"user_id": "a", "item_id": None, "at": 3, "w": 1.0, "stars": 3.0},
    {"user_id": "a", "item_id": "y", "at": None, "w": 1.0, "stars": 3.0},
    {"user_id": "a", "item_id": "z", "at": 4, "w": None, "stars": 3.0},
    {"user_id": "a", "item_id": "z", "at": 5, "w": 1.0, "stars": None},
    {"user_id": "b", "item_id": "y", "at": 6, "w": 1.0, "stars": 3.0},
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_rows_with_missing_values_are_dropped_where_that_is_asked_for(write: Write, suffix: str) -> None:
    path = write(f"a.{suffix}", HOLES)
    data, report = interactions.load(path, FULL, Filters(drop_missing=True))
    assert set(pairs(data)) == {("a", "x"), ("b", "y")}
    assert (report.rows, report.dropped[0]) == (7, Dropped("missing value", 5, 0, 0))
    # a column that is not read may have holes
    data, report = interactions.load(path, filters=Filters(drop_missing=True))
    assert (report.dropped[0].rows, report.interactions) == (2, 4)
    with pytest.raises(DataError, match="each of 1 rows has a missing value; name other columns"):
        interactions.load(write(f"b.{suffix}", HOLES[:2][1:]), filters=Filters(drop_missing=True))


def test_a_number_that_is_none_is_missing_and_an_id_of_that_name_is_an_id(write: Write) -> None:
    path = write("a.csv", "user_id,item_id,w\nNaN,1,1\nb,2,NaN\nc,3,\n")
    data, _ = interactions.load(path, WEIGHTED, Filters(drop_missing=True))
    assert set(pairs(data)) == {("NaN", "1")}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_compressed_files_are_read(write: Write, suffix: str) -> None:
    plain = write(f"likes.{suffix}", ROWS)
    packed = plain.with_name(f"likes.{suffix}.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert pairs(interactions.load(packed, FULL)[0]) == pairs(interactions.load(plain, FULL)[0])
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(DataError, match=rf"likes.{suffix}.gz: cannot be read as {suffix.upper()}: "):
        interactions.load(packed, FULL)


def test_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "likes.csv"
    path.write_bytes("user_id,item_id\na,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"likes.csv: cannot be read as CSV: .*; files are in UTF-8: convert it, as iconv"
    ):
        interactions.load(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_utf_16_is_told(write: Write, suffix: str) -> None:
    path = write(f"likes.{suffix}", ROWS)
    path.write_text(path.read_text(), encoding="utf-16")
    with pytest.raises(DataError, match=rf"likes.{suffix}: is in UTF-16; convert it, as iconv"):
        interactions.load(path, FULL)


def test_a_byte_order_mark_before_json_is_told(write: Write) -> None:
    path = write("likes.jsonl", ROWS)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    with pytest.raises(DataError, match=r"likes.jsonl: begins with a byte order mark; remove it"):
        interactions.load(path, FULL)


@pytest.mark.parametrize("name", ["LIKES.CSV", "likes.Csv.GZ", "likes.JSONL", "likes.Parquet"])
def test_suffixes_may_be_in_capitals(write: Write, tmp_path: Path, name: str) -> None:
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    plain = write(f"plain.{suffix}", ROWS)
    packed = gzip.compress(plain.read_bytes()) if name.endswith(".GZ") else plain.read_bytes()
    (tmp_path / name).write_bytes(packed)
    assert pairs(interactions.load(tmp_path / name, FULL)[0]) == pairs(interactions.load(plain, FULL)[0])


def test_a_byte_order_mark_and_crlf_are_no_part_of_names_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "likes.csv"
    path.write_bytes(b'\xef\xbb\xbfCustomer ID,Stock Code\r\n007,"a ""b""\nc"\r\n')
    data, _ = interactions.load(path, Columns(user="Customer ID", item="Stock Code"))
    assert set(pairs(data)) == {("007", 'a "b"\nc')}


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"a.csv: is a directory; name a file$"):
        interactions.load(tmp_path / "a.csv")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=40),
    st.integers(1, 9),
)
def test_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch, write: Write, rows: list[Any], size: int) -> None:
    path = write("a.csv", [{"user_id": user, "item_id": item, "at": at} for user, item, at in rows])
    whole = interactions.load(path, AT)
    with monkeypatch.context() as patched:
        patched.setattr(tables, "PART", size)
        parts = interactions.load(path, AT)
    assert pairs(parts[0]) == pairs(whole[0])
    assert parts[1] == whole[1]
    for array in ("user", "item", "timestamp", "weight"):
        assert np.array_equal(getattr(parts[0], array), getattr(whole[0], array))


def test_a_row_of_a_later_part_is_called_by_its_number_in_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART", 2)
    body = "".join(f"{row},{row}\n" for row in range(1, 7))
    with pytest.raises(DataError, match="column 'user_id', row 7: the id is missing"):
        interactions.load(write("a.csv", f"user_id,item_id\n{body},7\n"))
    with pytest.raises(DataError, match="column 'item_id', row 7: ids are floats; write them as integers or text"):
        interactions.load(write("a.csv", f"user_id,item_id\n{body}7,7.0\n8,8\n"))
    # one text anywhere, and the others are text, too
    data, _ = interactions.load(write("a.csv", f"user_id,item_id\n{body}7,7.0\n8,eight\n"))
    assert ("7", "7.0") in pairs(data)
    # rows that were dropped before count
    with pytest.raises(DataError, match="column 'w', row 5: 'x' is not a number"):
        interactions.load(
            write("a.csv", "user_id,item_id,w\n,1,1\na,1,1\n,2,1\n,3,1\nb,2,x\n"), WEIGHTED, Filters(drop_missing=True)
        )


READ = """
import re, sys
from pathlib import Path
from training import interactions
from training.interactions import Columns
def peak():  # not ru_maxrss: that begins with the peak of the process that started this one
    return int(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0])
before = peak()
_, report = interactions.load(Path(sys.argv[1]), Columns(timestamp="at"))
print(report.rows, report.interactions, (peak() - before) * 1024)
"""


def test_a_file_may_be_larger_than_the_memory_that_reading_it_takes(tmp_path: Path) -> None:
    n_rows, path = 500_000, tmp_path / "large.csv"
    ids = np.random.default_rng(0).integers(0, [[100_000], [5_000]], (2, n_rows))
    frame = pl.DataFrame({"user_id": ids[0], "item_id": ids[1], "at": np.arange(n_rows)})
    frame.with_columns(note=pl.lit("what nobody reads " * 60)).write_csv(path)
    line = [sys.executable, "-c", READ, str(path)]
    run = subprocess.run(
        line, capture_output=True, text=True, check=True, env={**os.environ, "POLARS_MAX_THREADS": "2"}
    )
    rows, kept, memory = map(int, run.stdout.split())
    assert (rows, kept) == (n_rows, len(np.unique(ids[0] * 5_000 + ids[1])))
    assert memory < 0.75 * path.stat().st_size


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        interactions.load(tmp_path / "a.csv")


def test_nothing_left_says_what_took_it(write: Write) -> None:
    with pytest.raises(DataError, match=r"nothing is left of 4 rows \(dropped 1 by repeated .*, 3 by support below 3"):
        interactions.load(write("a.csv", ROWS), filters=Filters(min_user_support=3))


def test_a_minimum_rating_needs_a_column(write: Write) -> None:
    with pytest.raises(DataError, match="a minimum rating is asked for, but no column of ratings is named"):
        interactions.load(write("a.csv", ROWS), filters=Filters(min_rating=4))


def test_the_bundled_books_go_through_the_same_loader() -> None:
    data, report = interactions.load(datasets.bundled("goodbooks").interactions)
    assert (len(data.users), len(data.items), len(data.item)) == (2500, 9882, 192357)
    assert report.interactions == report.rows
    assert json.dumps(pairs(data).get(("u0000", "1007"))) == "[1.0, null]"


def test_an_unknown_bundled_set() -> None:
    with pytest.raises(DataError, match=r"no bundled data set 'movies'; there is goodbooks"):
        datasets.bundled("movies")


TIMED = [
    {"user_id": "a", "item_id": "x", "t": 100},
    {"user_id": "a", "item_id": "x", "t": 300},
    {"user_id": "a", "item_id": "x", "t": 400},
    {"user_id": "a", "item_id": "y", "t": 200},
    {"user_id": "b", "item_id": "x", "t": 199},
]


def test_a_moment_cuts_the_file_in_two_before_anything_else(write: Write) -> None:
    path, columns = write("timed.csv", TIMED), Columns(timestamp="t")
    past, report = interactions.load(path, columns, Filters(before=200))
    assert [(past.users.item_id(u), past.items.item_id(i)) for u, i in zip(past.user, past.item, strict=True)] == [
        ("a", "x"), ("b", "x"),
    ]  # fmt: skip
    assert past.timestamp is not None
    assert past.timestamp.tolist() == [100, 199]  # that x was bought again later is not known yet
    assert (report.dropped[0].reason, report.dropped[0].rows) == ("time from 1970-01-01 00:03:20 on", 3)
    future, report = interactions.load(path, columns, since=200)
    assert future.timestamp is not None
    assert future.timestamp.tolist() == [300, 200]  # the oldest of the repeated
    assert report.dropped[0].reason == "time before 1970-01-01 00:03:20"
    assert report.dropped[1].reason == "repeated user and item (the oldest stays)"


def test_no_time_no_split(write: Write) -> None:
    path = write("timed.csv", TIMED)
    for cut in ({"filters": Filters(before=200)}, {"since": 200}):
        with pytest.raises(DataError, match="a split by time is asked for, but no column of timestamps is named"):
            interactions.load(path, **cut)
    with pytest.raises(DataError, match="nothing is left of 5 rows"):
        interactions.load(path, Columns(timestamp="t"), Filters(before=50))


def test_a_sparse_matrix_is_a_file_of_interactions(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    save_npz(path, csr_array(np.array([[0, 2, 0], [0, 0, 0], [1, 3, 0]], np.float32)))
    data, report = interactions.load(path, Columns(weight="weight"))
    assert pairs(data) == {("0", "1"): (2, None), ("2", "0"): (1, None), ("2", "1"): (3, None)}
    assert (report.rows, report.users, report.items) == (3, 2, 2)
    zeros = csr_array((np.zeros(1, np.float32), np.array([0]), np.array([0, 1])), shape=(1, 1))
    save_npz(path, zeros)
    with pytest.raises(DataError, match=r"train.npz: has no rows of data"):
        interactions.load(path)
    for damaged in (b"no archive", path.read_bytes()[:-40]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"train.npz: cannot be read as a sparse matrix of scipy"):
            interactions.load(path)
    np.savez(path, indices=np.array([1]))
    with pytest.raises(DataError, match=r"train.npz: cannot be read as a sparse matrix of scipy"):
        interactions.load(path)
    np.savez(path, format=np.array(b"csr"), shape=(1, 1), data=np.array([object()]))
    with pytest.raises(DataError, match=r"train.npz: cannot be read as a sparse matrix of scipy"):
        interactions.load(path)
