"""Columns: what they hold is what the properties say, and what does not fit is refused."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import coding, columns, times
from index.bitmap import Bitmap
from index.columns import Column, Columns, Numbers, Texts
from index.errors import CorruptSnapshot, InvalidEmbeddings

Properties = list[dict[str, Any]]

WORDS = st.text(st.characters(), max_size=5) | st.sampled_from(["eng", "\u00e9", "\ud800", "\uffff", "\U00010000", ""])
NUMBERS = (
    st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 0.0, -0.0, 1, 1.0])
)
DAYS = st.dates().map(str)
KINDS = {"word": WORDS, "number": NUMBERS, "flag": st.booleans(), "day": DAYS}


def values_of(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return of | st.none() | st.lists(of | st.none(), max_size=4)


PROPERTIES: st.SearchStrategy[Properties] = st.lists(
    st.fixed_dictionaries({}, optional={key: values_of(of) for key, of in KINDS.items()}), max_size=12
)


def elements(value: Any) -> list[Any]:
    """What an item has, in the way it is written."""
    return [each for each in (value if isinstance(value, list) else [value]) if each is not None]


def decoded(values: Texts | Numbers) -> list[Any]:
    """The distinct values as texts or floats."""
    if isinstance(values, Numbers):
        return list(values.numbers.tolist())
    ends = values.text_starts.tolist()
    raw = values.text_bytes.tobytes()
    return [str(raw[one:other], "utf-8", "surrogatepass") for one, other in pairwise(ends)]


def codes_of(column: Column, row: int) -> list[int]:
    if column.starts is not None:
        return list(column.codes[column.starts[row] : column.starts[row + 1]].tolist())
    return [int(column.codes[row])] if column.codes[row] != column.n_values else []


def stored(value: Any) -> Any:
    """A written value as a column holds it."""
    moment = times.seconds(value) if isinstance(value, str) else None
    return moment if moment is not None else value if isinstance(value, str) else float(value)


@given(PROPERTIES)
def test_columns_hold_what_the_properties_say(properties: Properties) -> None:
    built = coding.build(properties)
    assert built.n_items == len(properties)
    assert list(built.by_key) == sorted(built.by_key)
    for key in {key for own in properties for key in own}:
        expected = [sorted({stored(each) for each in elements(own.get(key))}) for own in properties]
        if not any(expected):
            assert built.unfilterable[key] == "no item has a value"
            continue
        column = built.by_key[key]
        values = decoded(column.values)
        assert column.kind == {"word": "text", "number": "number", "flag": "boolean", "day": "time"}[key]
        assert values == sorted({each for own in expected for each in own})
        assert [[values[code] for code in codes_of(column, row)] for row in range(len(properties))] == expected
        assert column.n_present == sum(map(bool, expected))
        assert (column.starts is None) == all(len(own) <= 1 for own in expected)
        assert [column.values.place(value) for value in values] == list(range(column.n_values))


@pytest.mark.parametrize("n_values", [255, 256, 65_535, 65_536])
def test_codes_are_as_narrow_as_they_can_be(n_values: int) -> None:
    built = coding.build([{"n": number} for number in range(n_values)] + [{}])
    column = built.by_key["n"]
    assert column.codes.dtype == {255: "u1", 256: "u2", 65_535: "u2", 65_536: "u4"}[n_values]
    assert column.codes.tolist() == list(range(n_values + 1))
    assert column.having([(0, n_values)]).count == n_values
    assert column.having([(n_values - 1, n_values)]).rows().tolist() == [n_values - 1]


@given(PROPERTIES, st.integers(1, 4))
def test_reading_in_chunks_changes_nothing(properties: Properties, chunk: int) -> None:
    whole = coding.build(properties)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coding, "CHUNK_ITEMS", chunk)
        coding.check(whole, iter(properties))


def test_equal_numbers_are_one_value_in_one_form() -> None:
    spellings: list[Any] = [0, 0.0, -0.0]
    for first in spellings:
        built = coding.build([{"x": each} for each in (first, *spellings)])
        assert columns.to_arrays(built)["column_0_values"].tobytes() == bytes(8)


def test_equal_texts_with_other_bytes_are_other_values() -> None:
    built = coding.build([{"x": "\u00e9"}, {"x": "e\u0301"}, {"x": "E"}])
    assert built.by_key["x"].n_values == 3


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, "a"], "item row 1 has a text, others have a number"),
        (["a", None, 1.5], "item row 2 has a number, others have a text"),
        ([True, 1], "item row 1 has a number, others have a boolean"),
        ([["a", 1]], "item row 0 has a number, others have a text"),
        (["2020-01-01", 3], "item row 1 has a number, others have a text"),
        ([{"a": 1}], "item row 0 has a nested object"),
        (["a", {}], "item row 1 has a nested object, others have a text"),
        ([[["a"]]], "item row 0 has a list in a list"),
        ([2**53 + 1], "a 64-bit float does not hold 9007199254740993; write such numbers as texts"),
        ([-(2**60)], "a 64-bit float does not hold -1152921504606846976; write such numbers as texts"),
        ([10**400], f"a 64-bit float does not hold {10**39}; write such numbers as texts"),
        ([float("inf")], "a 64-bit float does not hold inf; write such numbers as texts"),
        (["x" * 129], "its texts have 129 characters on average; up to 128 can be matched"),
        (["http://a", "s3://b"], "its texts are addresses"),
        ([None, []], "no item has a value"),
    ],
)
def test_what_cannot_be_filtered_by_says_why(values: list[Any], reason: str) -> None:
    built = coding.build([{"x": value, "y": 1} for value in values])
    assert built.unfilterable == {"x": reason}
    assert list(built.by_key) == ["y"]


def test_the_first_reason_stays_however_much_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "CHUNK_ITEMS", 2)
    values: list[Any] = [1, "a", "b", {}, 2**99]
    built = coding.build([{"x": each} for each in values])
    assert built.unfilterable == {"x": "item row 1 has a text, others have a number"}


def test_long_texts_and_addresses_among_others_are_values() -> None:
    built = coding.build([{"x": "x" * 200, "y": "http://a"}, {"x": "x", "y": "none"}])
    assert built.unfilterable == {}
    assert decoded(built.by_key["x"].values) == ["x", "x" * 200]


def test_only_the_keys_of_most_items_have_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "MAX_COLUMNS", 2)
    built = coding.build([{"c": 1, "b": 1, "a": 1}, {"c": 1, "d": 1}])
    assert list(built.by_key) == ["a", "c"]
    reason = "2 other keys, which more items have, have columns already"
    assert built.unfilterable == {"b": reason, "d": reason}


@given(PROPERTIES, st.data())
def test_items_having_codes(properties: Properties, data: st.DataObject) -> None:
    for column in coding.build(properties).by_key.values():
        wanted = sorted(data.draw(st.sets(st.integers(0, column.n_values - 1))))
        expected = [row for row in range(len(properties)) if set(codes_of(column, row)) & set(wanted)]
        runs = [(code, code + 1) for code in wanted]
        assert column.having(runs).rows().tolist() == expected
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, column.n_values)] * 2)))
        expected = [row for row in range(len(properties)) if set(codes_of(column, row)) & set(range(first, last))]
        assert column.having([(first, last)]).rows().tolist() == expected


@given(PROPERTIES, st.data())
def test_elements_of_items(properties: Properties, data: st.DataObject) -> None:
    for column in coding.build(properties).by_key.values():
        rows = data.draw(st.lists(st.integers(0, len(properties) - 1), max_size=20))
        owners, codes = column.elements(np.array(rows, dtype=np.int32))
        expected = [(place, code) for place, row in enumerate(rows) for code in codes_of(column, row)]
        assert list(zip(owners.tolist(), codes.tolist(), strict=True)) == expected


@pytest.mark.parametrize("single", [True, False])
def test_many_runs_few_hits_and_many_hits(single: bool) -> None:
    rng = np.random.default_rng(5)
    lists = [[int(each) for each in rng.integers(0, 300, 1 if single else rng.integers(0, 4))] for _ in range(2000)]
    column = coding.build([{"x": each} for each in lists]).by_key["x"]
    assert (column.starts is None) == single
    for n_runs in (1, 2, 8, 9, 100):
        codes = rng.permutation(column.n_values // 2)[:n_runs] * 2
        expected = Bitmap.from_mask(
            np.array([bool({*codes.tolist()} & {*codes_of(column, row)}) for row in range(2000)])
        )
        assert 0 < expected.count < 2000
        found = column.having([(code, code + 1) for code in codes.tolist()])
        np.testing.assert_array_equal(found.words, expected.words)


BOUNDS = st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from([-1.0, 0.0, 1.0, 1.5, 2.0, 3.0]))


@given(BOUNDS)
def test_a_run_of_numbers_keeps_all_bounds(bounds: Mapping[str, float]) -> None:
    numbers = [0.0, 1.0, 2.0]
    keeps: dict[str, Callable[[float, float], bool]] = {
        "gt": float.__gt__,
        "gte": float.__ge__,
        "lt": float.__lt__,
        "lte": float.__le__,
    }
    expected = [x for x in numbers if all(keeps[name](x, bound) for name, bound in bounds.items())]
    first, last = Numbers(np.array(numbers)).run(bounds)
    assert numbers[first:last] == expected


def same(one: Columns, other: Columns) -> bool:
    left, right = columns.to_arrays(one), columns.to_arrays(other)
    return (
        columns.to_json(one) == columns.to_json(other)
        and left.keys() == right.keys()
        and all(np.array_equal(left[name], right[name]) and left[name].dtype == right[name].dtype for name in left)
    )


SOME: Properties = [
    {"lang": "eng", "tags": ["b", "a"], "year": 1999, "when": "2020-01-01", "sold": True, "odd": 1},
    {"lang": "ger", "tags": ["a"], "when": "2021-01-01T10:00:00Z", "odd": "x"},
    {"lang": "\u65e5", "year": 2001.5, "sold": False},
    {},
]


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    built = coding.build(SOME)
    columns.save(tmp_path, built)
    loaded = columns.load(tmp_path, 4)
    assert same(built, loaded)
    assert list(loaded.by_key) == ["lang", "sold", "tags", "when", "year"]
    assert loaded.unfilterable == {"odd": "item row 1 has a text, others have a number"}
    for array in columns.to_arrays(loaded).values():
        assert not array.flags.writeable
    coding.check(loaded, SOME)
    other = tmp_path / "again"
    other.mkdir()
    columns.save(other, coding.build(SOME))
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    }


def test_no_items_and_no_properties_are_fine(tmp_path: Path) -> None:
    nothing: list[Properties] = [[], [{}, {}]]
    for properties in nothing:
        columns.save(tmp_path, coding.build(properties))
        loaded = columns.load(tmp_path, len(properties))
        assert not loaded.by_key
        coding.check(loaded, properties)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("column_0_codes", 0, 2),
        ("column_0_text_bytes", 0, ord("f")),
        ("column_0_text_starts", 1, 2),
        ("column_1_values", 0, 1.0),
        ("column_2_codes", 0, 1),
        ("column_2_starts", 1, 0),
        ("column_3_values", 1, 0.0),
        ("column_4_values", 1, np.nan),
    ],
)
def test_columns_that_are_not_of_the_properties_are_refused(
    tmp_path: Path, name: str, place: int, value: float
) -> None:
    columns.save(tmp_path, coding.build(SOME))
    array = np.load(tmp_path / f"{name}.npy")
    array[place] = value
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(InvalidEmbeddings, match=f"{name} does not belong to the properties"):
        coding.check(columns.load(tmp_path, 4), SOME)


@pytest.mark.parametrize("properties", [SOME[:3], [*SOME[:3], {"more": 1}], [{"lang": "eng"}, *SOME[1:]]])
def test_columns_of_other_properties_are_refused(properties: Properties) -> None:
    with pytest.raises(InvalidEmbeddings, match=r"columns\.json does not belong to the properties"):
        coding.check(coding.build(SOME), properties)


def test_columns_that_another_sparrow_chose_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    properties: Properties = [{"prose": "x" * 999, "at": "http://a", "when": "2020-01-01", "rare": 1}, {"when": None}]
    with monkeypatch.context() as patch:
        patch.setattr(coding, "MAX_MEAN_CHARACTERS", 1000)
        patch.setattr(coding, "MAX_COLUMNS", 2)
        chosen = coding.build(properties)
    assert list(chosen.by_key) == ["prose", "rare"]
    kinds: dict[str, columns.Kind] = {"at": "text", "when": "text"}
    others = coding.build(properties, kinds)
    assert {key: column.kind for key, column in others.by_key.items()} == kinds
    assert others.unfilterable.keys() == {"prose", "rare"}
    for stored_before in (chosen, others, coding.build(properties)):
        coding.check(stored_before, properties)


@pytest.mark.parametrize(
    ("properties", "kind"), [([{"x": "a"}], "time"), ([{"x": 1}], "boolean"), ([{"x": True}], "number"), ([{}], "text")]
)
def test_columns_of_a_kind_that_the_properties_are_not_are_refused(properties: Properties, kind: columns.Kind) -> None:
    (column,) = coding.build([{"x": "a" if kind == "text" else 1 if kind == "number" else True}]).by_key.values()
    with pytest.raises(InvalidEmbeddings, match=r"columns\.json does not belong to the properties"):
        coding.check(Columns(1, {"x": replace(column, kind=kind)}, {}), properties)


@pytest.mark.parametrize("unfilterable", [{}, {"odd": "it is", "more": "it is"}])
def test_every_key_has_a_column_or_a_reason(unfilterable: Mapping[str, str]) -> None:
    built = coding.build(SOME)
    coding.check(replace(built, unfilterable={"odd": "it is"}), SOME)
    with pytest.raises(InvalidEmbeddings, match=r"columns\.json does not belong to the properties"):
        coding.check(replace(built, unfilterable=unfilterable), SOME)


GOOD = {"key": "lang", "kind": "text", "multiple": False, "n_present": 3, "n_values": 3}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "3",
        "{}",
        "[" * 100_000,
        {"columns": [GOOD]},
        {"columns": 3, "unfilterable": {}},
        {"columns": [GOOD], "unfilterable": []},
        {"columns": [GOOD, GOOD], "unfilterable": {}},
        {"columns": [{**GOOD, "kind": "date"}], "unfilterable": {}},
        {"columns": [{**GOOD, "kind": []}], "unfilterable": {}},
        {"columns": [{**GOOD, "key": 3}], "unfilterable": {}},
        {"columns": [{**GOOD, "multiple": 1}], "unfilterable": {}},
        {"columns": [{**GOOD, "n_values": 0}], "unfilterable": {}},
        {"columns": [{**GOOD, "n_values": True}], "unfilterable": {}},
        {"columns": [{**GOOD, "n_present": -1}], "unfilterable": {}},
        {"columns": [{**GOOD, "more": 1}], "unfilterable": {}},
        {"columns": [{"key": "lang"}], "unfilterable": {}},
    ],
)
def test_what_is_not_a_list_of_columns_is_refused(tmp_path: Path, document: Any) -> None:
    columns.save(tmp_path, coding.build(SOME))
    (tmp_path / "columns.json").write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(CorruptSnapshot, match=r"columns\.json cannot be read: "):
        columns.load(tmp_path, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_values": 2}, r"column_0_text_starts\.npy holds 4 values; expected 3"),
        ({"kind": "number"}, r"column_0_values\.npy is missing"),
        ({"multiple": True}, r"column_0_starts\.npy is missing"),
        ({"n_values": 300}, r"column_0_text_starts\.npy holds 4 values; expected 301"),
    ],
)
def test_columns_that_contradict_their_arrays_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    columns.save(tmp_path, coding.build(SOME))
    document = json.loads((tmp_path / "columns.json").read_text())
    document["columns"][0] |= change
    (tmp_path / "columns.json").write_text(json.dumps(document))
    with pytest.raises(CorruptSnapshot, match=message):
        columns.load(tmp_path, 4)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("column_0_codes", np.zeros(4, dtype=np.uint16), r"column_0_codes\.npy holds uint16; expected uint8"),
        ("column_0_codes", np.zeros(5, dtype=np.uint8), r"column_0_codes\.npy holds 5 values; expected 4"),
        ("column_0_text_bytes", np.zeros(1, dtype=np.uint8), r"column_0_text_bytes\.npy holds 1 values; expected 9"),
        ("column_0_text_starts", np.array([1, 2, 3, 9]), "must start at 0"),
        ("column_2_starts", np.array([0, 2, 3, 3, 2]), r"column_2_codes\.npy holds 3 values; expected 2"),
        ("column_2_starts", np.array([0, 2, 3, 3, -3]), "must start at 0"),
        ("column_1_values", np.zeros(2, dtype=np.float32), r"column_1_values\.npy holds float32; expected float64"),
        ("column_1_values", np.zeros((2, 1)), r"column_1_values\.npy is not an array of one dimension"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, name: str, array: Any, message: str) -> None:
    columns.save(tmp_path, coding.build(SOME))
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(CorruptSnapshot, match=message):
        columns.load(tmp_path, 4)


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_texts_are_found_by_their_bytes(count: int) -> None:
    words: Sequence[str] = ["", "a", "ab", "b", "\u00e9", "\ud800", "\uffff", "\U00010000", "\U0010ffff"][:count]
    built = coding.build([{"x": word} for word in words]).by_key
    if words:
        values = built["x"].values
        assert isinstance(values, Texts)
        assert [values.place(word) for word in sorted(words)] == list(range(count))
        assert [values.place(word) for word in ("aa", "zz", "\U0010fffe", "abc")] == [None] * 4
