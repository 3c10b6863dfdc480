"""Files to columns: CSV, Parquet, JSONL and scipy's NPZ by suffix, and the three kinds of column that training reads.

Ids are text. In CSV they are taken verbatim ("007" stays "007"); integer columns of the typed formats become their
decimal form; floats are refused, because 1.0 is what becomes of 1 where a tool met a missing value, and 2^53 + 1 does
not survive it. A sparse matrix has the columns user_id and item_id, the numbers of its rows and columns, and weight,
its non-zeros. Every refusal is a `DataError` naming file, column and row, where row 1 is the first row of data.
"""

import codecs
import gzip
import json
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn, get_args

import polars as pl
from polars import selectors as cs
from scipy.sparse import coo_array, load_npz

from index.vocabulary import MAX_ID_BYTES
from training.errors import DataError

# 2100-01-01: a later moment is a unit error (milliseconds), not an interaction.
MAX_TIMESTAMP = 4_102_444_800

Unit = Literal["s", "ms", "us", "ns"]
"""What numbers of a column of times count since 1970."""
UNITS: Mapping[Unit, int] = dict(zip(get_args(Unit), (1, 10**3, 10**6, 10**9), strict=True))
"""How many of them are a second."""

NAMES: Mapping[Unit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
"""The units for people."""

READERS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet", ".npz")
ROW = "row"
"""The column of `batches` that numbers the rows of the file, from 0."""
PART = 1 << 19
"""Rows of a batch."""


class Column(NamedTuple):
    """A column of a file, or of a part of it."""

    path: Path
    """The file."""
    name: str
    """As the file calls it."""
    values: pl.Series
    """What is there."""
    rows: pl.Series | None = None
    """The row of the file that each value is of, from 0; None: 0, 1, ..."""

    def refuse(self, place: int, what: str) -> NoReturn:
        """Raise the DataError for the value at `place`."""
        row = place if self.rows is None else self.rows[place]
        raise DataError(f"{self.path}: column {self.name!r}, row {row + 1}: {what}")

    def refuse_first(self, wrong: pl.Series, what: str) -> None:
        """Raise the DataError for the first value that is wrong, if any is; {} in `what` becomes the value."""
        if wrong.any():
            place = wrong.arg_max() or 0
            self.refuse(place, what.replace("{}", repr(self.values[place])))


def read(path: Path, *, text: Mapping[str, str], typed: bool = False) -> pl.DataFrame:
    """Read a file into memory.

    text: columns that are there, kept verbatim, each with what names another one; typed: whether the types of the other
    CSV columns are inferred. Raises DataError when the file is absent, of another kind, damaged, empty, or lacks one of
    `text`.
    """
    with _reading(path):
        frame = _scan(path, text, typed=typed).collect()
    _refuse_absent(path, text, frame.columns)
    if frame.is_empty():
        raise DataError(f"{path}: has no rows of data")
    return frame


def batches(path: Path, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in order, in parts that fit into memory whatever the file's size.

    columns: the name of each column in the file, by what it is to be called, which is what its option begins with; what
    CSV holds stays text. With them comes ROW. Raises DataError as `read` does.
    """
    with _reading(path):
        scanned = _scan(path, list(columns.values()), typed=False)
        names = scanned.collect_schema().names()
    _refuse_absent(path, {name: f"--{called}-column" for called, name in columns.items()}, names)
    wanted = [pl.col(name).alias(called) for called, name in columns.items()]
    parts = scanned.select(wanted).with_row_index(ROW).collect_batches(chunk_size=PART)
    empty = True
    while True:
        with _reading(path):
            part = next(parts, None)
        if part is None:
            break
        empty = empty and part.is_empty()
        yield part
    if empty:
        raise DataError(f"{path}: has no rows of data")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        kind = _kind(path).removesuffix(".gz")[1:].upper()
        why = _first_line(error)
        if "utf-8" in why.lower():
            why += "; files are in UTF-8: convert it, as iconv -f LATIN1 -t UTF-8 does"
        elif kind == "JSONL" and (line := _damaged_line(path)):
            why = f"line {line} is no JSON object"
        elif kind == "CSV" and "more fields" in why:
            why = "a row has more cells than the header; put texts with a comma or a quote into quotes"
        raise DataError(f"{path}: cannot be read as {kind}: {why}") from error


def _damaged_line(path: Path) -> int | None:
    """The number of the first line that is no JSON object, from 1; None if each is one, or the file breaks off."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as lines:
        try:
            return next((number for number, line in enumerate(lines, 1) if line.strip() and not _is_object(line)), None)
        except (OSError, EOFError, zlib.error):
            return None


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def is_csv(path: Path) -> bool:
    """Whether the types of a file's columns are not written in it."""
    return _kind(path).startswith(".csv")


def _kind(path: Path) -> str:
    """The suffix, with .gz that of what is in there as well; of .CSV the same as of .csv."""
    packed = path.suffix.lower() == ".gz"
    return ("".join(path.suffixes[-2:]) if packed else path.suffix).lower()


def _refuse_absent(path: Path, wanted: Mapping[str, str], names: Collection[str]) -> None:
    """Raise the DataError if a column is not there, or twice; `wanted` says by what another one is named."""
    # a space at an end is not seen else
    listed = ", ".join(name if name == name.strip() else repr(name) for name in names)
    for name, option in wanted.items():
        if name not in names:
            hint = f"; another one is named by {option}"
            if len(names) == 1 and any(mark in listed for mark in ";\t|"):
                hint = "; CSV is separated by commas: convert the file"
            raise DataError(f"{path}: there is no column {name!r}; the columns are {listed}{hint}")
        # how polars calls the second of two columns of one name
        if f"{name}_duplicated_0" in names:
            raise DataError(f"{path}: there are two columns {name!r}; rename or remove one of them")


def _scan(path: Path, text: Collection[str], *, typed: bool) -> pl.LazyFrame:
    if path.is_dir():
        raise DataError(f"{path}: is a directory; name a file")
    kind = _kind(path)
    if kind not in READERS:
        raise DataError(f"{path}: files are read by suffix, one of {', '.join(READERS)}; rename or convert the file")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if not path.stat().st_size:
        raise DataError(f"{path}: has no rows of data; the file is empty")
    if kind == ".npz":
        return _matrix(path).lazy()
    if kind in (".csv", ".jsonl"):
        _refuse_mark(path, kind)
    if kind.startswith(".csv"):
        return _scan_csv(path, text, typed=typed)
    scanned = pl.scan_parquet(path) if kind == ".parquet" else pl.scan_ndjson(path, infer_schema_length=None)
    return scanned.with_columns(cs.by_dtype(pl.Categorical, pl.Enum).cast(pl.String))


def _refuse_mark(path: Path, kind: str) -> None:
    """Raise the DataError for a byte order mark that polars would take for text; of CSV it takes that of UTF-8 off."""
    with path.open("rb") as file:
        first = file.read(3)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: is in UTF-16; convert it, as iconv -f UTF-16 -t UTF-8 does")
    if kind == ".jsonl" and first == codecs.BOM_UTF8:
        raise DataError(f"{path}: begins with a byte order mark; remove it, as tail -c +4 does")


def _scan_csv(path: Path, text: Collection[str], *, typed: bool) -> pl.LazyFrame:
    verbatim = pl.scan_csv(path, infer_schema=False)
    if not typed:
        return verbatim
    overrides = {name: pl.String for name in text if name in verbatim.collect_schema()}
    return pl.scan_csv(path, infer_schema_length=None, schema_overrides=overrides)


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


def missing(values: pl.Series, *, number: bool) -> pl.Series:
    """Which values are not there: null, empty text, NaN, and for a column of numbers NaN as text."""
    if values.dtype == pl.String:
        left = values.str.strip_chars().str.to_lowercase() if number else values
        return left.is_null() | left.is_in(["", "nan"] if number else [""])
    return values.is_null() | values.is_nan() if values.dtype.is_float() else values.is_null()


def ids(column: Column) -> pl.Series:
    """The column as text ids. Raises DataError for floats, other types, and missing, empty or overlong ids."""
    values = column.values
    if values.dtype.is_float():
        column.refuse(0, f"ids are floats ({values.dtype}); write them as integers or text")
    if values.dtype.is_integer():
        values = values.cast(pl.String)
    if values.dtype != pl.String:
        if values.dtype == pl.Null:
            column.refuse(0, "the id is missing")
        column.refuse(0, f"ids have type {values.dtype}; write them as integers or text")
    column.refuse_first(values.is_null(), "the id is missing")
    n_bytes = values.str.len_bytes()
    column.refuse_first(n_bytes == 0, "the id is empty")
    too_long = f"the id is longer than {MAX_ID_BYTES} bytes of UTF-8; shorten or hash it"
    column.refuse_first(n_bytes > MAX_ID_BYTES, too_long)
    return values


class FloatText:
    """Whether a CSV column holds nothing but numbers, some of them fractions: integers that went through floats."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._numeric, self._where = True, ""

    def look(self, column: Column) -> None:
        """See a part of the column."""
        if not self._numeric:
            return
        fractional = column.values.str.contains(r"^[+-]?[0-9]*\.[0-9]*([eE][+-]?[0-9]+)?$")
        self._numeric = (fractional | column.values.str.contains(r"^[+-]?[0-9]+([eE][+-]?[0-9]+)?$")).all()
        if not self._where and fractional.any():
            try:
                column.refuse_first(fractional, "ids are floats; write them as integers or text")
            except DataError as error:
                self._where = str(error)

    def refuse(self) -> None:
        """Raise the DataError, now that all of the column was seen."""
        if self._numeric and self._where:
            raise DataError(self._where)


def numbers(column: Column) -> pl.Series:
    """The column as finite float64. Raises DataError for a missing value, NaN, infinity or anything not a number."""
    values = column.values
    if values.dtype == pl.String and is_csv(column.path):
        parsed = _parsed(values)
        column.refuse_first(parsed.is_null() & values.is_not_null(), "{} is not a number")
        values = parsed
    elif not values.dtype.is_numeric():
        column.refuse(0, f"numbers are expected, the type is {values.dtype}")
    values = values.cast(pl.Float64)
    column.refuse_first(values.is_null(), "the value is missing")
    column.refuse_first(~values.is_finite(), "the value is NaN or infinite")
    return values


def _parsed(values: pl.Series) -> pl.Series:
    return values.str.strip_chars().cast(pl.Float64, strict=False)


def timestamps(column: Column, unit: Unit = "s") -> pl.Series:
    """The column as int64 unix seconds: of numbers that count `unit`, of dates and times, or of these as ISO text.

    Times without a zone are in UTC. A part of a second is cut off, unless numbers count seconds: then it is refused.
    Raises DataError for a missing value, another type, and a moment outside 1970-2100, with the unit that may be right.
    """
    values, scale = column.values, UNITS[unit]
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        values = _seconds(values) * scale
    elif values.dtype == pl.String:
        counted = _parsed(values)
        if (counted.is_null() & values.is_not_null()).any():
            counted = counted.fill_null(_seconds(_moments(values)) * scale)
        wrong = counted.is_null() & values.is_not_null()
        column.refuse_first(wrong, "{} is neither a number nor a date or time in ISO form (2026-09-01T12:00:00Z)")
        values = counted
    counted = numbers(column._replace(values=values))
    seconds = (counted / scale).floor()
    out_of_range = (seconds < 0) | (seconds > MAX_TIMESTAMP)
    if out_of_range.any():
        place = out_of_range.arg_max() or 0
        what = f"{counted[place]:.0f} is not in unix {NAMES[unit]} between 1970 and 2100"
        column.refuse(place, what + _hint(counted[place], unit))
    if unit == "s":
        column.refuse_first(counted != seconds, "unix seconds are whole numbers")
    return seconds.cast(pl.Int64)


def _seconds(moments: pl.Series) -> pl.Series:
    return moments.cast(pl.Datetime("us")).dt.epoch("us") // UNITS["us"]


def _moments(text: pl.Series) -> pl.Series:
    """Dates and times of ISO text, in UTC; null where it is something else."""
    full = (
        text.str.strip_chars()
        .str.replace(" ", "T", literal=True)
        .str.replace("[zZ]$", "+00:00")
        .str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00")
        .str.replace(r"(T[^+-]*)$", "${1}+00:00")
    )
    to_minutes, to_seconds = (
        full.str.strptime(pl.Datetime("us", "UTC"), f"%Y-%m-%dT{clock}%#z", strict=False)
        for clock in ("%H:%M", "%H:%M:%S%.f")
    )
    return to_seconds.fill_null(to_minutes).dt.replace_time_zone(None)


def _hint(counted: float, unit: Unit) -> str:
    """Which unit it would be a moment of since 1973 in; nothing if it is none."""
    for other, scale in UNITS.items():
        if other != unit and 1e8 <= counted / scale <= MAX_TIMESTAMP:
            return f"; {NAMES[other]}? say --timestamp-unit {other}"
    return ""
