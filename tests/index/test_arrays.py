"""Array files: opened without evaluating or trusting anything in them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import arrays
from index.errors import CorruptSnapshot

DTYPES: list[type[np.generic]] = [np.uint8, np.uint16, np.uint32, np.int32, np.int64, np.uint64, np.float32]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5))))
def test_ranges_are_those_of_python(pairs: list[tuple[int, int]]) -> None:
    starts, counts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    places = arrays.ranges(starts, counts)
    assert places.dtype == np.int64
    assert places.tolist() == [place for start, count in pairs for place in range(start, start + count)]


@given(st.lists(st.integers(-3, 9)), st.lists(st.integers(-3, 6)))
def test_what_is_among_others(values: list[int], wanted: list[int]) -> None:
    found = arrays.among(np.array(values, dtype=np.int32), np.array(wanted, dtype=np.int32))
    assert found.tolist() == [value in wanted for value in values]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [0, 1, 1000])
def test_what_is_saved_is_loaded(tmp_path: Path, dtype: type[np.generic], length: int) -> None:
    given = np.arange(length).astype(dtype)
    arrays.save(tmp_path, {"x": given})
    loaded = arrays.load(tmp_path, "x", dtype, length=length)
    assert type(loaded) is np.ndarray
    assert loaded.dtype == given.dtype
    assert not loaded.flags.writeable
    np.testing.assert_array_equal(loaded, given)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy", allow_pickle=False), given)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, dtype=np.float64), "holds float64; expected float32"),
        (np.zeros(3, dtype=">f4"), "begins with"),
        (np.zeros(4, dtype=np.float32), "holds 4 values; expected 3"),
        (np.zeros((3, 1), dtype=np.float32), "begins with"),
        (np.zeros((), dtype=np.float32), "begins with"),
        (np.zeros(3, dtype=[("x", np.float32)]), "begins with"),
        (np.zeros(3, dtype="S4"), "begins with"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: Any, message: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(CorruptSnapshot, match=message):
        arrays.load(tmp_path, "x", np.float32, length=3)


def test_objects_are_refused_unread(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptSnapshot, match="begins with"):
        arrays.load(tmp_path, "x", np.float32)


@given(st.integers(0, 139), st.integers(1, 255), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_refused_or_in_the_values(tmp_path: Path, place: int, mask: int, cut: bool) -> None:
    arrays.save(tmp_path, {"x": np.arange(3, dtype=np.float32)})
    raw = bytearray((tmp_path / "x.npy").read_bytes())
    assert len(raw) == 140
    raw[place] ^= mask
    (tmp_path / "x.npy").write_bytes(raw[:place] if cut else raw)
    if cut or place < 128:
        with pytest.raises(CorruptSnapshot, match=r"x\.npy"):
            arrays.load(tmp_path, "x", np.float32, length=3)
    else:
        assert len(arrays.load(tmp_path, "x", np.float32, length=3)) == 3


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptSnapshot, match=r"x\.npy is missing"):
        arrays.load(tmp_path, "x", np.float32)
    (tmp_path / "x.npy").mkdir()
    with pytest.raises(CorruptSnapshot, match=r"x\.npy is not an array"):
        arrays.load(tmp_path, "x", np.float32)


def test_starts_begin_at_zero(tmp_path: Path) -> None:
    arrays.save(tmp_path, {"good": np.array([0, 2]), "late": np.array([1, 2]), "below": np.array([0, -2])})
    assert arrays.load_starts(tmp_path, "good", 1).tolist() == [0, 2]
    for name in ("late", "below"):
        with pytest.raises(CorruptSnapshot, match="must start at 0"):
            arrays.load_starts(tmp_path, name, 1)


@given(st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 3)))
def test_distinct_is_what_numpy_finds(values: list[int]) -> None:
    array = np.array(values, dtype=np.int32)
    found = arrays.distinct(array)
    assert found.tolist() == np.unique(array).tolist()
    assert found.dtype == np.int32


def resident_kib(path: Path) -> int:
    """How much of a file this process has mapped and in its page table."""
    _, _, mapping = Path("/proc/self/smaps").read_text().partition(f"{path}\n")
    return int(mapping.partition("Rss:")[2].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell, and page_in does nothing there")
def test_paging_in_maps_all_of_an_array(tmp_path: Path) -> None:
    given = np.arange(2**20, dtype=np.int64)
    arrays.save(tmp_path, {"x": given})
    found = arrays.load(tmp_path, "x", np.int64)
    path = tmp_path / "x.npy"
    assert resident_kib(path) < 1024
    arrays.page_in(found)
    assert resident_kib(path) >= 8192
    np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize("there", [np.arange(3), np.arange(6).reshape(2, 3)[1], 7, None])
def test_paging_in_leaves_alone_what_is_in_memory(there: object) -> None:
    arrays.page_in(there)
