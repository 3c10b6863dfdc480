"""Dense vectors from files: in the order of the catalogue, refused by file, row and reason."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from index.vocabulary import Vocabulary
from training import vectors
from training.errors import DataError

ITEMS = Vocabulary.build(["b", "a", "c"])
IDS = ["c", "other", "b", "a"]
GIVEN = np.arange(8, dtype=np.float32).reshape(4, 2)
WANTED = GIVEN[[2, 3, 0]]


def npy(folder: Path, given: Any = GIVEN, ids: str = "c\nother\nb\na\n") -> tuple[Path, str]:
    path, names = folder / "vectors.npy", folder / "ids.txt"
    np.save(path, given, allow_pickle=True)
    names.write_bytes(ids.encode())
    return path, str(names)


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "vectors.parquet"
    pl.DataFrame(columns, strict=False).write_parquet(path)
    return path


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_a_matrix_with_a_file_of_ids(tmp_path: Path, kind: Any) -> None:
    found = vectors.load(*npy(tmp_path, GIVEN.astype(kind)), ITEMS)
    np.testing.assert_array_equal(found, WANTED)
    assert found.dtype == np.float32


@pytest.mark.parametrize("ids", ["c\nother\nb\na", "c\r\nother\r\nb\r\na\r\n", "\ufeffc\nother\nb\na\n"])
def test_ids_may_end_in_any_way(tmp_path: Path, ids: str) -> None:
    np.testing.assert_array_equal(vectors.load(*npy(tmp_path, ids=ids), ITEMS), WANTED)


def test_ids_are_lines_and_may_hold_what_else_separates_lines(tmp_path: Path) -> None:
    found = vectors.load(*npy(tmp_path, ids="c\nb\u2028\x0b\nb\na"), ITEMS)
    np.testing.assert_array_equal(found, WANTED)


@pytest.mark.parametrize(
    "columns",
    [
        {"vector": GIVEN.tolist()},
        {"vector": pl.Series(GIVEN.tolist(), dtype=pl.Array(pl.Float32, 2))},
        {"vector": pl.Series(GIVEN.astype(int).tolist(), dtype=pl.List(pl.Int16))},
        {"x": GIVEN[:, 0], "y": GIVEN[:, 1].astype(int)},
    ],
)
def test_tables(tmp_path: Path, columns: dict[str, Any]) -> None:
    np.testing.assert_array_equal(vectors.load(parquet(tmp_path, item_id=IDS, **columns), None, ITEMS), WANTED)


def test_the_column_of_ids_has_any_name_and_integers_are_text(tmp_path: Path) -> None:
    path = parquet(tmp_path, isbn=[7, 8], x=[0.5, 1.5])
    np.testing.assert_array_equal(vectors.load(path, "isbn", Vocabulary.build(["8", "7"])), [[1.5], [0.5]])


@pytest.mark.parametrize(
    ("given", "ids", "message"),
    [
        (GIVEN, "c\nb\na\n", r"ids.txt has 3 ids, .*vectors.npy 4 vectors; there must be one id for each"),
        (GIVEN, "c\nc\nb\na\n", "vectors.npy: .*'c'"),
        (GIVEN, "c\n\nb\na\n", "vectors.npy: id .* has 0 bytes; 1 to 256 are allowed"),
        (GIVEN, "c\nB\nd\na\n", "1 of 3 items have no vector, such as 'b'; add them, or leave these items out"),
        (GIVEN[0], "c\nother\nb\na\n", r"is float32 of \(2,\); must be floats of \(n_vectors, width\)"),
        (GIVEN[:, :0], "c\nother\nb\na\n", r"is float32 of \(4, 0\); must be floats"),
        (GIVEN.astype(int), "c\nother\nb\na\n", r"is int64 of \(4, 2\); must be floats"),
        (GIVEN.astype(object), "c\nother\nb\na\n", "cannot be read .*allow_pickle=False"),
        (
            np.where(GIVEN == 5, np.nan, GIVEN),
            "c\nother\nb\na\n",
            r"row 3 \(item 'b'\) holds a value that is NaN or inf",
        ),
        (GIVEN.astype(float) * 9e38, "c\nother\nb\na\n", r"row 1 \(item 'c'\) holds a value that is NaN or inf"),
    ],
)
def test_matrices_that_are_refused(tmp_path: Path, given: Any, ids: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        vectors.load(*npy(tmp_path, given, ids), ITEMS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"vector": [[1.0], [1.0, 2.0], [1.0], [1.0]]}, "'vector', row 1: holds 1 values where others hold 2"),
        ({"vector": [[1.0], None, [1.0], [1.0]]}, "'vector', row 2: holds 0 values where others hold 1"),
        ({"vector": [[], [], [], []]}, "'vector', row 1: holds 0 values"),
        ({"vector": [[1.0, 2.0], [1.0, None], [1.0, 1.0], [1.0, 1.0]]}, "'vector', row 2: a value is missing"),
        ({"vector": [["a"]] * 4}, "'vector', row 1: numbers are expected, the type is String"),
        ({"vector": [[1.0]] * 3 + [[float("nan")]]}, r"row 4 \(item 'a'\) holds a value that is NaN or infinite"),
        ({"vector": [[1.0]] * 4, "title": ["x"] * 4}, "has the columns vector, title; keep the vectors only"),
        ({"x": [1.0, 2.0, None, 4.0]}, "'x', row 3: the value is missing"),
        ({"x": ["1", "2", "3", "4"]}, "'x', row 1: numbers are expected"),
        ({}, "has no column but 'item_id'; the vectors are missing"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        vectors.load(parquet(tmp_path, item_id=IDS, **columns), None, ITEMS)


def test_files_that_are_no_vectors(tmp_path: Path) -> None:
    path, ids = npy(tmp_path)
    with pytest.raises(DataError, match=r"whose vectors these are is not said; name a file of ids"):
        vectors.load(path, None, ITEMS)
    with pytest.raises(DataError, match="cannot be read"):
        vectors.load(path, str(tmp_path / "none.txt"), ITEMS)
    with pytest.raises(DataError, match="cannot be read"):
        vectors.load(tmp_path / "none.npy", ids, ITEMS)
    with pytest.raises(DataError, match="there is no column 'isbn'; the columns are item_id, x"):
        vectors.load(parquet(tmp_path, item_id=IDS, x=[1.0] * 4), "isbn", ITEMS)
    with pytest.raises(DataError, match=r"read from .npy or .parquet, told by suffix; convert the file"):
        vectors.load(tmp_path / "vectors.txt", None, ITEMS)
    np.savez(tmp_path / "archive", a=GIVEN)
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    with pytest.raises(DataError, match="is an archive; must be floats"):
        vectors.load(tmp_path / "archive.npy", ids, ITEMS)
