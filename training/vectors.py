"""Dense item vectors from a file, in the order of a catalogue: of a language model, an image model, any other trainer.

    NAME.npy        a matrix of floats (n_vectors, width); `ids` names a text file with one item id a line, in its order
    NAME.parquet    one row a vector: a column of ids (`ids`, by default item_id), and either one other column of lists
                    or all others numbers, a column a dimension

The file may hold more items than the catalogue, not fewer. A vector of zeros says nothing of its item.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from index.types import Array, Float32
from index.vocabulary import Vocabulary
from training import tables
from training.errors import DataError
from training.tables import Column

ID_COLUMN = "item_id"


def load(path: Path, ids: str | None, items: Vocabulary) -> Float32:
    """The vectors of all `items`, (n_items, width), as they are in the file.

    Raises DataError naming the file, the row (1 is the first) or the item, and what is wrong.
    """
    if path.suffix == ".npy":
        names, given = _npy(path, ids)
    elif path.suffix == ".parquet":
        names, given = _parquet(path, ids or ID_COLUMN)
    else:
        raise DataError(f"{path}: vectors are read from .npy or .parquet, told by suffix; convert the file")
    known = _vocabulary(path, names)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        vectors = given.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise DataError(f"{path}: row {wrong[0] + 1} (item {names[wrong[0]]!r}) holds a value that is NaN or infinite")
    return np.ascontiguousarray(vectors[_rows(path, known, items)])


def _npy(path: Path, ids: str | None) -> tuple[Sequence[str], Array]:
    if ids is None:
        raise DataError(f"{path}: whose vectors these are is not said; name a file of ids, one a line, as vector_ids")
    try:
        given = np.load(path, allow_pickle=False)
        names = Path(ids).read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}, {ids}: cannot be read ({error})") from error
    if not isinstance(given, np.ndarray) or given.ndim != 2 or given.dtype.kind != "f" or not given.size:
        found = f"{given.dtype} of {given.shape}" if isinstance(given, np.ndarray) else "an archive"
        raise DataError(f"{path}: is {found}; must be floats of (n_vectors, width)")
    if len(names) != len(given):
        raise DataError(f"{ids} has {len(names)} ids, {path} {len(given)} vectors; there must be one id for each")
    return names, given


def _parquet(path: Path, id_column: str) -> tuple[Sequence[str], Array]:
    frame = tables.read(path, text={id_column: "model.vector_ids"})
    names = tables.ids(Column(path, id_column, frame[id_column])).to_list()
    values = frame.drop(id_column)
    nested = [name for name, kind in values.schema.items() if isinstance(kind, pl.List | pl.Array)]
    if nested:
        if len(values.columns) > 1:
            raise DataError(
                f"{path}: has the columns {', '.join(values.columns)}; keep the vectors only, beside the ids"
            )
        return names, _lists(path, values[nested[0]])
    if not values.columns:
        raise DataError(f"{path}: has no column but {id_column!r}; the vectors are missing")
    return names, np.stack(
        [tables.numbers(Column(path, name, values[name])).to_numpy() for name in values.columns], axis=1
    )


def _lists(path: Path, column: pl.Series) -> Array:
    told = Column(path, column.name, column)
    lists = column.cast(pl.List(column.dtype.inner))  # type: ignore[attr-defined]  # a list or an array has an inner
    lengths = lists.list.len().fill_null(0).to_numpy()
    width = int(lengths.max())
    wrong = np.flatnonzero((lengths != width) | (lengths == 0))
    if len(wrong):
        what = f"holds {lengths[wrong[0]]} values where others hold {width}; all must have as many"
        told.refuse(int(wrong[0]), what)
    flat = lists.explode()
    if not flat.dtype.is_numeric():
        told.refuse(0, f"numbers are expected, the type is {flat.dtype}")
    if flat.null_count():
        told.refuse((flat.is_null().arg_max() or 0) // width, "a value is missing")
    return flat.to_numpy().reshape(len(column), width)


def _vocabulary(path: Path, names: Sequence[str]) -> Vocabulary:
    try:
        return Vocabulary.build(names)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _rows(path: Path, known: Vocabulary, items: Vocabulary) -> Array:
    wanted = items.item_ids(np.arange(len(items), dtype=np.int32))
    rows = known.rows(wanted)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        raise DataError(
            f"{path}: {len(missing):,} of {len(items):,} items have no vector, such as {wanted[missing[0]]!r}; "
            "add them, or leave these items out of the interactions"
        )
    return rows
