"""The event log on disk: Parquet files by day, each written once.

    LOG/date=2026-11-21/<first>-<last>-<hash>.parquet      first and last: Unix milliseconds of its entries

A file appears whole and forced to disk, or not at all. An entry is known by its partition and its id (`KEY`), and its
day by the id, so the folder itself tells what has been written: a collector that was killed anywhere writes nothing
twice. Compacting makes one file of an hour's: a reader that lists the folder meanwhile sees each entry once or twice,
and tells by its key.
"""

import io
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

import polars as pl

from app.store.streams import Entry
from index.disk import TEMPORARY, make_folder, remove, replace

KEY = ("partition", "recorded_ms", "recorded_number")
"""What tells entries apart."""

SCHEMA: dict[str, type[pl.DataType]] = {
    "partition": pl.UInt8,
    "recorded_ms": pl.Int64,
    "recorded_number": pl.Int64,
    "op": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "kind": pl.String,
    "weight": pl.Float64,
    "timestamp": pl.Float64,
    "event_id": pl.String,
    "recomm_id": pl.String,
    "source": pl.String,
}

HOUR_MS = 3_600_000

DAMAGED = pl.exceptions.PolarsError
"""What reading raises, besides OSError, where a disk did not keep what was written."""

DAY = re.compile(r"date=(\d{4}-\d\d-\d\d)")

NAME = re.compile(r"(\d{13})-(\d{13})-[0-9a-f]{16}\.parquet")


def day_of(entry: Entry) -> date:
    """Of its recording, in UTC."""
    return datetime.fromtimestamp(entry.recorded_ms / 1000, UTC).date()


def add(log: Path, entries: Sequence[Entry]) -> int:
    """Write the entries of one day, but for those that are there already; how many that were. Durable on return."""
    folder = _folder(log, day_of(entries[0]))
    new = frame_of(entries).unique(KEY, maintain_order=True)
    known = _files(folder, min(one.recorded_ms for one in entries), max(one.recorded_ms for one in entries))
    if known:
        written = pl.scan_parquet(known).select(KEY)
        new = new.lazy().join(written, on=KEY, how="anti").collect()
    if len(new):
        make_folder(log)
        make_folder(folder)
        _write(folder, new)
    return len(new)


def days(log: Path) -> list[date]:
    """That there are files of, in order."""
    found = (DAY.fullmatch(path.name) for path in log.iterdir()) if log.is_dir() else ()
    return sorted(date.fromisoformat(match[1]) for match in found if match)


def files(log: Path) -> list[Path]:
    """All of them."""
    return [path for day in days(log) for path in _files(_folder(log, day))]


def scan(log: Path) -> pl.LazyFrame:
    """All entries; one may be there twice. FileNotFoundError, when it is used, where a file was compacted meanwhile."""
    found = files(log)
    return pl.scan_parquet(found) if found else pl.LazyFrame(schema=SCHEMA)


def frame_of(entries: Sequence[Entry]) -> pl.DataFrame:
    """As they are in files."""
    rows = [{**one.said, **dict(zip(KEY, one[:3], strict=True))} for one in entries]
    # Not strict: what somebody else put on a stream must not hold up what is behind it.
    columns = (pl.Series(name, [row.get(name) for row in rows], kind, strict=False) for name, kind in SCHEMA.items())
    return pl.DataFrame(columns)


def in_order(entries: pl.LazyFrame) -> pl.LazyFrame:
    """As they were recorded, each once.

    Of what was recorded in one millisecond in several partitions nobody knows the order: deletions are taken for the
    last, so that who was forgotten stays so.
    """
    deleting = (pl.col("op") == "delete").any().over("recorded_ms", "partition")
    by = (pl.col("recorded_ms"), deleting, pl.col("partition"), pl.col("recorded_number"))
    return entries.unique(KEY).sort(by)


def tidy(log: Path) -> None:
    """Remove what a collector that was killed left half-written."""
    for path in log.glob(f"date=*/{TEMPORARY}*"):
        remove(path)


def compact(log: Path, now: float) -> None:
    """Make one file of the files that begin in the same hour, of each hour that is over (Unix seconds).

    So it does where it was killed before the old ones were removed: the new one begins in that hour too.
    """
    for day in days(log):
        folder = _folder(log, day)
        by_hour = groupby(sorted(_spans(folder), key=lambda span: span[1]), lambda span: span[1] // HOUR_MS)
        for hour, spans in by_hour:
            found = [path for path, _, _ in spans]
            if len(found) > 1 and (hour + 1) * HOUR_MS <= 1000 * now:
                _supersede(folder, found, in_order(pl.scan_parquet(found)).collect())


def keep(log: Path, n_days: int, today: date) -> None:
    """Remove the days before the last `n_days` full ones."""
    for day in days(log):
        if day < today - timedelta(days=n_days):
            shutil.rmtree(_folder(log, day))


def drop(log: Path, unwanted: pl.DataFrame) -> int:
    """Write files that hold entries of these keys anew, without them; how many entries that were."""
    n_gone, keys = 0, unwanted.lazy()
    for path in files(log):
        own = pl.scan_parquet(path)
        if len(own.select(KEY).join(keys, on=KEY, how="semi").collect()):
            before, after = pl.read_parquet(path), own.join(keys, on=KEY, how="anti").collect()
            n_gone += len(before) - len(after)
            _supersede(path.parent, [path], after)
    return n_gone


def _supersede(folder: Path, old: Sequence[Path], frame: pl.DataFrame) -> None:
    """Replace files by one: first it is there, then they are not."""
    made = _write(folder, frame) if len(frame) else None
    for path in old:
        if path != made:
            path.unlink()


def _write(folder: Path, frame: pl.DataFrame) -> Path:
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd")
    digest = blake2b(frame.select(KEY).to_numpy().tobytes(), digest_size=8).hexdigest()
    times = frame["recorded_ms"].to_numpy()
    path = folder / f"{times.min():013d}-{times.max():013d}-{digest}.parquet"
    replace(path, lambda file: file.write(content.getbuffer()))
    return path


def _files(folder: Path, first: int = 0, last: int = 10**13) -> list[Path]:
    """Of a day, with entries that may have been recorded in this time."""
    return [path for path, a, b in sorted(_spans(folder)) if a <= last and b >= first]


def _spans(folder: Path) -> Iterator[tuple[Path, int, int]]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = NAME.fullmatch(path.name)
        if match:
            yield path, int(match[1]), int(match[2])


def _folder(log: Path, day: date) -> Path:
    return log / f"date={day}"
