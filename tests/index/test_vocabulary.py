"""Item ids <-> rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import reference, vocabulary
from index._kernel import rows_of_keys
from index.vocabulary import Vocabulary, hash_id

LISTS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), unique=True, max_size=40)


@given(LISTS, st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=20))
def test_it_is_a_dict_both_ways(ids: list[str], others: list[str]) -> None:
    items = Vocabulary.build(ids)
    rows = {item_id: row for row, item_id in enumerate(ids)}
    asked = ids[::-1] + others
    assert len(items) == len(ids)
    assert items.item_ids(range(len(ids))) == ids
    assert items.rows(asked).tolist() == [rows.get(item_id, -1) for item_id in asked]
    assert [items.row(item_id) for item_id in asked] == [rows.get(item_id) for item_id in asked]
    hashes = np.array([hash_id(item_id) for item_id in asked], dtype=np.uint64)
    assert items.rows_of_hashes(hashes).tolist() == list(range(len(ids)))
    vocabulary.check(items)


def test_hashes_of_unknown_ids_are_left_out() -> None:
    items = Vocabulary.build(["a", "b", "c"])
    hashes = np.array([hash_id(name) for name in ("x", "c", "a", "c")], dtype=np.uint64)
    assert items.rows_of_hashes(hashes).tolist() == [0, 2]
    assert items.rows_of_hashes(hashes[:1]).tolist() == []
    assert items.rows_of_hashes(hashes[:0]).tolist() == []
    assert items.row_of_each(hashes).tolist() == [-1, 2, 0, 2]
    assert items.row_of_each(hashes[:0]).tolist() == []
    assert Vocabulary.build([]).row_of_each(hashes).tolist() == [-1] * 4
    assert Vocabulary.build([]).rows_of_hashes(hashes).tolist() == []


KEYS = st.integers(0, 9) | st.integers(0, 2**64 - 1)


@given(st.lists(KEYS, max_size=40), st.lists(KEYS, max_size=40))
def test_keys_are_found_as_by_a_plain_search(known: list[int], wanted: list[int]) -> None:
    keys = np.array(sorted(known), dtype=np.uint64)
    rows = np.arange(len(keys), dtype=np.int32)[::-1].copy()
    asked = np.array([*wanted, *known], dtype=np.uint64)
    np.testing.assert_array_equal(rows_of_keys(keys, rows, asked), reference.rows_of_keys(keys, rows, asked))
    disordered = np.array(known, dtype=np.uint64)  # may find nothing, and nothing else
    found = rows_of_keys(disordered, np.arange(len(keys), dtype=np.int32), asked)
    np.testing.assert_array_equal(disordered[found[found >= 0]], asked[found >= 0])
    if known:
        with pytest.raises(ValueError, match="a row a key"):
            rows_of_keys(keys, rows[1:], asked)


def test_the_hash_is_the_same_on_every_machine_for_ever() -> None:
    assert hash_id("1") == 0x7637BA9F0342FCF6
    assert hash_id("b\u00fccher") == 0x9C7ED2C89E680454


def test_colliding_hashes_cost_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "hash_id", lambda item_id: len(item_id) % 2)
    ids = ["a", "bb", "c", "dd", "eee", "ffff"]
    items = Vocabulary.build(ids)
    assert items.rows([*ids, "g", "hh"]).tolist() == [0, 1, 2, 3, 4, 5, -1, -1]
    assert items.rows_of_hashes(np.array([1], dtype=np.uint64)).tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="given twice, in rows 2 and 6"):
        Vocabulary.build([*ids, "c"])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "id 'a' is given twice, in rows 0 and 2"),
        (["a", ""], r"id '' \(row 1\) has 0 bytes; 1 to 256"),
        (["\u00e9" * 129], r"\(row 0\) has 258 bytes; 1 to 256"),
        (["a\ud800"], r"\(row 0\) is not valid Unicode"),
    ],
)
def test_bad_ids_are_refused(ids: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary.build(ids)


def test_malformed_ids_can_be_looked_up_and_are_unknown() -> None:
    assert Vocabulary.build(["a"]).rows(["\ud800", "", "a" * 10_000]).tolist() == [-1, -1, -1]


def test_rows_outside_are_refused() -> None:
    items = Vocabulary.build(["a"])
    for row in (-1, 1):
        with pytest.raises(IndexError, match=f"item row {row} is not in 0..0"):
            items.item_id(row)


@pytest.mark.parametrize("n", [0, 1, 100])
def test_ids_of_several_rows_are_those_of_each(n: int) -> None:
    items = Vocabulary.build([f"item {number}" + "\u00e9" * (number % 3) for number in range(50)])
    rows = np.random.default_rng(n).integers(50, size=n).astype(np.int32)
    assert items.item_ids(rows) == items.item_ids(rows.tolist()) == [items.item_id(row) for row in rows.tolist()]
    for outside in (-1, 50):
        with pytest.raises(IndexError, match=r"not in 0\.\.49"):
            items.item_ids(np.append(rows, np.int32(outside)))


@pytest.mark.parametrize("starts", [[0, 5, 2], [-1, 1, 2], [3, 1, 2]])
def test_ids_that_lie_outside_their_bytes_are_refused(starts: list[int]) -> None:
    items = replace(Vocabulary.build(["a", "b"]), id_starts=np.array(starts, dtype=np.int64))
    with pytest.raises(ValueError, match="the text of row 0 lies outside the bytes"):
        items.item_ids([0])


def test_arrays_are_read_only() -> None:
    items = Vocabulary.build(["a", "b"])
    for array in (items.id_bytes, items.id_starts, items.sorted_hashes, items.hash_rows):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@given(LISTS, LISTS)
def test_rows_by_hash_are_rows_by_id(ids: list[str], others: list[str]) -> None:
    items = Vocabulary.build(ids)
    hashes = np.array([hash_id(one) for one in [*ids, *others]], dtype=np.uint64)
    assert items.row_of_each(hashes).tolist() == items.rows([*ids, *others]).tolist()
    assert items.row_of_each(hashes).dtype == np.int32
