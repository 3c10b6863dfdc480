"""Files to columns: CSV, Parquet, JSONL and scipy's NPZ by suffix, and the three kinds of column that training reads.

Ids are text. In CSV they are taken verbatim ("007" stays "007"); integer columns of the typed formats become their
decimal form; floats are refused, because 1.0 is what becomes of 1 where a tool met a missing value, and 2^53 + 1 does
not survive it. A sparse matrix has the columns user_id and item_id, the numbers of its rows and columns, and weight,
its non-zeros. Every refusal is a `DataError` naming file, column and row, where row 1 is the first row of data.
"""

import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NoReturn

import polars as pl
from polars import selectors as cs
from scipy.sparse import coo_array, load_npz

from index.vocabulary import MAX_ID_BYTES
from training.errors import DataError

# 2100-01-01: a later moment is a unit error (milliseconds), not an interaction.
MAX_TIMESTAMP = 4_102_444_800

READERS = (".csv", ".parquet", ".jsonl", ".npz")


def read(
    path: Path, *, text: Collection[str], columns: Sequence[str] | None = None, typed: bool = False
) -> pl.DataFrame:
    """Read `columns` (None: all) of a file.

    text: columns kept verbatim; typed: whether the types of the other CSV columns are inferred. Raises DataError when
    the file is absent, of another kind, damaged, empty, or lacks one of `columns` or `text`.
    """
    if path.suffix not in READERS:
        raise DataError(f"{path}: files are read by suffix, one of {', '.join(READERS)}; rename or convert the file")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if not path.stat().st_size:
        raise DataError(f"{path}: has no rows of data; the file is empty")
    try:
        frame = _read(path, text, typed=typed).with_columns(cs.by_dtype(pl.Categorical, pl.Enum).cast(pl.String))
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix[1:].upper()}: {_first_line(error)}") from error
    missing = [name for name in [*text, *(columns or ())] if name not in frame.columns]
    if missing:
        raise DataError(f"{path}: there is no column {missing[0]!r}; the columns are {', '.join(frame.columns)}")
    if frame.is_empty():
        raise DataError(f"{path}: has no rows of data")
    return frame if columns is None else frame.select(list(dict.fromkeys(columns)))


def _read(path: Path, text: Collection[str], *, typed: bool) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if path.suffix == ".jsonl":
        return pl.read_ndjson(path, infer_schema_length=None)
    if path.suffix == ".npz":
        return _matrix(path)
    if not typed:
        return pl.read_csv(path, infer_schema=False)
    names = pl.read_csv(path, infer_schema=False, n_rows=0).columns
    overrides = {name: pl.String for name in text if name in names}
    return pl.read_csv(path, infer_schema_length=None, schema_overrides=overrides)


def _matrix(path: Path) -> pl.DataFrame:
    try:
        with path.open("rb") as file:  # numpy leaves a damaged file open that it opened itself
            matrix = coo_array(load_npz(file))
    except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a sparse matrix of scipy: {_first_line(error)}") from error
    matrix.eliminate_zeros()
    rows, columns = matrix.coords
    return pl.DataFrame({"user_id": rows, "item_id": columns, "weight": matrix.data})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def ids(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """The column as text ids. Raises DataError for floats, other types, and missing, empty or overlong ids."""
    values = frame[column]
    if values.dtype.is_float():
        refuse(path, column, 0, f"ids are floats ({values.dtype}); write them as integers or text")
    if values.dtype.is_integer():
        values = values.cast(pl.String)
    if values.dtype != pl.String:
        if values.dtype == pl.Null:
            refuse(path, column, 0, "the id is missing")
        refuse(path, column, 0, f"ids have type {values.dtype}; write them as integers or text")
    _refuse_first(path, column, values.is_null(), "the id is missing")
    _refuse_first(path, column, values.str.len_bytes() == 0, "the id is empty")
    too_long = values.str.len_bytes() > MAX_ID_BYTES
    _refuse_first(path, column, too_long, f"the id is longer than {MAX_ID_BYTES} bytes of UTF-8; shorten or hash it")
    if path.suffix == ".csv":
        _refuse_float_text(values, column, path)
    return values


def _refuse_float_text(values: pl.Series, column: str, path: Path) -> None:
    """Refuse a CSV column of nothing but decimal fractions: an integer column that went through floats."""
    fractional = values.str.contains(r"^[+-]?[0-9]*\.[0-9]*([eE][+-]?[0-9]+)?$")
    numeric = fractional | values.str.contains(r"^[+-]?[0-9]+([eE][+-]?[0-9]+)?$")
    if numeric.all():
        _refuse_first(path, column, fractional, "ids are floats; write them as integers or text")


def numbers(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """The column as finite float64. Raises DataError for a missing value, NaN, infinity or anything not a number."""
    values = frame[column]
    if values.dtype == pl.String and path.suffix == ".csv":
        parsed = values.str.strip_chars().cast(pl.Float64, strict=False)
        wrong = parsed.is_null() & values.is_not_null()
        if wrong.any():
            row = wrong.arg_max() or 0
            refuse(path, column, row, f"{values[row]!r} is not a number")
        values = parsed
    elif not values.dtype.is_numeric():
        refuse(path, column, 0, f"numbers are expected, the type is {values.dtype}")
    values = values.cast(pl.Float64)
    _refuse_first(path, column, values.is_null(), "the value is missing")
    _refuse_first(path, column, ~values.is_finite(), "the value is NaN or infinite")
    return values


def timestamps(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """The column as int64 unix seconds. Raises DataError for a fraction of a second, or a moment outside 1970-2100."""
    if frame[column].dtype.is_temporal():
        refuse(path, column, 0, f"the type is {frame[column].dtype}; write unix seconds (integers)")
    values = numbers(frame, column, path)
    out_of_range = (values < 0) | (values > MAX_TIMESTAMP)
    if out_of_range.any():
        row = out_of_range.arg_max() or 0
        hint = "; milliseconds? divide by 1000" if values[row] > MAX_TIMESTAMP else ""
        refuse(path, column, row, f"{values[row]:.0f} is not in unix seconds between 1970 and 2100{hint}")
    _refuse_first(path, column, values != values.floor(), "unix seconds are whole numbers")
    return values.cast(pl.Int64)


def refuse(path: Path, column: str, row: int, what: str) -> NoReturn:
    """Raise the DataError for a cell; `row` counts from 0 here and from 1 in the message."""
    raise DataError(f"{path}: column {column!r}, row {row + 1}: {what}")


def _refuse_first(path: Path, column: str, wrong: pl.Series, what: str) -> None:
    if wrong.any():
        refuse(path, column, wrong.arg_max() or 0, what)
