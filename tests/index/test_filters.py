"""Filters, against a slow reading of the same words over the properties of each item."""

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import coding, conditions, filters
from index.columns import Columns
from index.errors import FilterError
from index.filters import Filters

Filter = dict[str, Any]
Item = dict[str, Any]

NOW = datetime(2026, 11, 21, 12, 0, 59, tzinfo=UTC).timestamp()
MINUTE = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
BOOKS = Path(__file__).parents[2] / "training" / "datasets" / "goodbooks" / "items.parquet"

BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "gt": lambda x, bound: x > bound,
    "gte": lambda x, bound: x >= bound,
    "lt": lambda x, bound: x < bound,
    "lte": lambda x, bound: x <= bound,
}
DAY = re.compile(r"\d{4}-\d\d-\d\d")
SECONDS = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def plain(value: Any) -> Any:
    """Times as Unix seconds, all else as it is; enough for the few times these tests write."""
    if isinstance(value, dict):
        return MINUTE + int(value["now"][:-1]) * SECONDS[value["now"][-1]]
    if isinstance(value, str) and DAY.match(value):
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return value


def passes(item: Item, given: Filter) -> bool:
    """The oracle: what the docstring of index.conditions says, word by word, for one item."""
    must = [holds(item, each) for each in given.get("must", [])]
    should = [holds(item, each) for each in given.get("should", [])]
    must_not = [holds(item, each) for each in given.get("must_not", [])]
    return all(must) and (any(should) or not should) and not any(must_not)


def holds(item: Item, condition: Filter) -> bool:
    if "key" not in condition:
        return passes(item, condition)
    value = item.get(condition["key"])
    elements = [plain(each) for each in (value if isinstance(value, list) else [value]) if each is not None]
    if "range" in condition:
        bounds = {name: plain(bound) for name, bound in condition["range"].items()}
        return any(all(BOUNDS[name](each, bound) for name, bound in bounds.items()) for each in elements)
    ((name, wanted),) = condition["match"].items()
    wanted = [plain(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    return any((each in wanted) != (name == "except") for each in elements)


def check(properties: list[Item], columns: Columns, given: Filter) -> None:
    """Compiled, a filter keeps the items that the oracle keeps."""
    found = filters.evaluate(conditions.parse(given, columns, NOW), columns)
    assert found.n_items == len(properties)
    assert found.rows().tolist() == [row for row, item in enumerate(properties) if passes(item, given)]


SLOW_ITEMS = 1500
"""Books that the oracle reads."""


def filters_of(leaves: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Filters with filters inside, within the bounds."""

    def group(of: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        clause = st.lists(of, max_size=3)
        return st.fixed_dictionaries({}, optional={"must": clause, "should": clause, "must_not": clause})

    inner = group(leaves)
    return group(leaves | inner | group(leaves | inner))


def leaf(key: str, values: st.SearchStrategy[Any], bounds: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Filter]:
    many = st.lists(values, max_size=4)
    match = st.fixed_dictionaries({"value": values}) | st.fixed_dictionaries({"any": many})
    match |= st.fixed_dictionaries({"except": many})
    found: st.SearchStrategy[Filter] = st.fixed_dictionaries({"key": st.just(key), "match": match})
    if bounds is not None:
        ranges = st.dictionaries(st.sampled_from(sorted(BOUNDS)), bounds, min_size=1)
        found |= st.fixed_dictionaries({"key": st.just(key), "range": ranges})
    return found


WORDS = st.sampled_from(["", "a", "ab", "b", "\u00e9", "\ud800", "\U0001f426"])
NUMBERS = st.sampled_from([-1, 0, 0.5, 1, 1.0, 2, 10**15, -1e300])
MOMENTS = st.sampled_from(
    ["2026-11-20", "2026-11-21T12:00:00Z", "2026-11-21T12:00:30", "2026-11-21 13:00+01:00", "1969-07-20T20:17"]
)
NOWS = st.sampled_from([{"now": each} for each in ("0s", "-1d", "+30s", "-36h", "-52w", "5m")])
VALUES: Mapping[str, st.SearchStrategy[Any]] = {"w": WORDS, "n": NUMBERS, "b": st.booleans(), "t": MOMENTS}
LEAVES: Mapping[str, st.SearchStrategy[Filter]] = {
    "w": leaf("w", WORDS, None),
    "n": leaf("n", NUMBERS, NUMBERS | MOMENTS | NOWS),
    "b": leaf("b", st.booleans(), None),
    "t": leaf("t", MOMENTS | st.sampled_from([0, MINUTE]), NUMBERS | MOMENTS | NOWS),
}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Item], Columns, Filter]:
    """Items, their columns, and a filter on what they have."""
    values = {key: of | st.none() | st.lists(of | st.none(), max_size=3) for key, of in VALUES.items()}
    properties = draw(st.lists(st.fixed_dictionaries({}, optional=values), max_size=70))
    columns = coding.build(properties)
    leaves = [LEAVES[key] for key in columns.by_key]
    small = filters_of(st.one_of(leaves)).filter(lambda given: size(given) <= conditions.MAX_CONDITIONS)
    return properties, columns, draw(small) if leaves else {}


def size(group: Filter) -> int:
    """Conditions of a filter, nested filters and their conditions included."""
    return sum(1 + (0 if "key" in one else size(one)) for clause in group.values() for one in clause)


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_a_filter_keeps_what_the_oracle_keeps(world: tuple[list[Item], Columns, Filter]) -> None:
    check(*world)


@given(st.permutations([*"abcdefgh"]), st.permutations(range(8)))
def test_the_order_of_conditions_and_values_does_not_matter(words: list[str], order: list[int]) -> None:
    columns = coding.build([{"w": ["a", "b"], "n": 1}])
    ranges = [{"key": "n", "range": {"gte": number, "lt": number + 2}} for number in range(8)]
    any_of = {"key": "w", "match": {"any": words}}
    given: Filter = {"should": [*(ranges[number] for number in order), any_of, any_of]}
    expected: Filter = {"should": [{"key": "w", "match": {"any": sorted(words) * 2}}, *ranges]}
    parsed = [conditions.parse(each, columns, NOW) for each in (given, expected)]
    assert parsed[0] == parsed[1]
    assert repr(parsed[0]) == repr(parsed[1])


@pytest.fixture(scope="module")
def books() -> tuple[list[Item], Columns]:
    """The bundled books, with their authors as a list, too."""
    properties = [
        {key: value for key, value in book.items() if value is not None} | {"by": book["authors"].split(", ")}
        for book in pl.read_parquet(BOOKS).drop("item_id").iter_rows(named=True)
    ]
    return properties, coding.build(properties)


def test_the_books_have_the_columns_that_one_would_expect(books: tuple[list[Item], Columns]) -> None:
    columns = books[1]
    assert {key: column.kind for key, column in columns.by_key.items()} == {
        "authors": "text",
        "average_rating": "number",
        "by": "text",
        "language": "text",
        "ratings_count": "number",
        "title": "text",
        "year": "number",
    }
    assert columns.unfilterable["image_url"] == "its texts are addresses"
    assert "characters on average" in columns.unfilterable["description"]
    assert [key for key, column in columns.by_key.items() if column.starts is not None] == ["by"]


@pytest.fixture(scope="module")
def book_filters(books: tuple[list[Item], Columns]) -> st.SearchStrategy[Filter]:
    """Filters on what books have."""

    def one_of(values: list[Any]) -> st.SearchStrategy[Any]:
        # not sampled_from: hypothesis would write all values out, and warn of that
        return st.integers(0, len(values) - 1).map(lambda place: values[place])

    some = books[0][:SLOW_ITEMS:7]
    seen = {key: one_of([book[key] for book in some if key in book]) for key in books[1].by_key}
    leaves = [leaf(key, seen[key], None) for key in ("language", "title", "authors")]
    leaves += [leaf(key, seen[key], seen[key]) for key in ("year", "average_rating", "ratings_count")]
    leaves.append(leaf("by", one_of([book["by"][-1] for book in some]), None))
    return filters_of(st.one_of(leaves))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_filters_on_real_books(
    books: tuple[list[Item], Columns], book_filters: st.SearchStrategy[Filter], data: st.DataObject
) -> None:
    properties, columns = books
    given = data.draw(book_filters)
    found = filters.evaluate(conditions.parse(given, columns, NOW), columns)
    expected = [row for row, book in enumerate(properties[:SLOW_ITEMS]) if passes(book, given)]
    assert [row for row in found.rows().tolist() if row < SLOW_ITEMS] == expected


LIBRARY: list[Item] = [
    {"lang": "eng", "year": 1999, "tags": ["a", "b"], "new": True, "at": "2026-11-21", "odd": 1, "note": None},
    {"lang": "ger", "year": 2005, "tags": [], "new": False, "at": "2026-10-01", "odd": "x"},
    {"lang": "eng", "tags": "b", "at": ["2020-01-01", "2026-11-01"]},
    {},
]
LEAF = {"key": "lang", "match": {"value": "eng"}}


@pytest.fixture(scope="module")
def library() -> Filters:
    return Filters(coding.build(LIBRARY))


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"must": [], "should": [], "must_not": []}, [0, 1, 2, 3]),
        ({"must": [LEAF]}, [0, 2]),
        ({"must_not": [LEAF]}, [1, 3]),
        ({"should": [LEAF, {"key": "year", "range": {"gte": 2005}}]}, [0, 1, 2]),
        ({"must": [LEAF], "should": [{"key": "new", "match": {"value": False}}]}, []),
        ({"must": [{"key": "lang", "match": {"value": "fra"}}]}, []),
        ({"must": [{"key": "lang", "match": {"any": []}}]}, []),
        ({"must": [{"key": "lang", "match": {"any": ["ger", "eng", "fra", "eng"]}}]}, [0, 1, 2]),
        ({"must": [{"key": "lang", "match": {"except": ["ger", "fra"]}}]}, [0, 2]),
        ({"must": [{"key": "tags", "match": {"except": ["a"]}}]}, [0, 2]),
        ({"must": [{"key": "tags", "match": {"except": []}}]}, [0, 2]),
        ({"must_not": [{"key": "tags", "match": {"except": []}}]}, [1, 3]),
        ({"must": [{"key": "tags", "match": {"value": "b"}}]}, [0, 2]),
        ({"must": [{"key": "year", "range": {"gt": 1999, "lte": 2005}}]}, [1]),
        ({"must": [{"key": "year", "range": {"gt": 2005, "lt": 1999}}]}, []),
        ({"must_not": [{"key": "year", "range": {"lt": 2000}}]}, [1, 2, 3]),
        ({"must": [{"key": "at", "range": {"gte": {"now": "-30d"}}}]}, [0, 2]),
        ({"must": [{"key": "at", "range": {"gt": "2020-01-01", "lt": "2026-11-01"}}]}, [1]),
        ({"must": [{"key": "at", "match": {"value": "2026-11-21T01:00:00+01:00"}}]}, [0]),
        ({"must": [{"must_not": [LEAF]}]}, [1, 3]),
        ({"must": [{"should": [{"must": [{"must_not": [LEAF]}]}]}]}, [1, 3]),
        ({"must": [{}]}, [0, 1, 2, 3]),
        ({"must_not": [{}]}, []),
        ({"must": [LEAF], "should": [{}, {"key": "new", "match": {"value": False}}]}, [0, 2]),
    ],
)
def test_what_a_filter_means(library: Filters, given: Filter, rows: list[int]) -> None:
    assert library.compile(given, NOW).rows().tolist() == rows
    assert [row for row, item in enumerate(LIBRARY) if passes(item, given)] == rows


def nested(depth: int) -> Filter:
    return {"must": [LEAF if depth == 1 else nested(depth - 1)]}


def must(*given: Any) -> Filter:
    return {"must": list(given)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "filter is None; must be an object of must, should and must_not"),
        ([LEAF], r"filter is \[\{.*\}\]; must be an object of must, should and must_not"),
        (LEAF, "filter has 'key'; a filter has must, should and must_not"),
        ({"must": LEAF}, r"must is \{.*\}; must be a list"),
        ({"should": None}, "should is None; must be a list"),
        ({"min_should": []}, "filter has 'min_should'; a filter has must, should and must_not"),
        ({"must": [LEAF, {"must": [], "x": 1}]}, r"must\[1\] has 'x'; a filter has must"),
        (must(3), r"must\[0\] is 3; must be \{key, match\}, \{key, range\} or a filter"),
        (must({"keys": "x"}), r"must\[0\] is .*; must be \{key, match\}"),
        (must({"key": "lang"}), r"must\[0\] is .*; must be \{key, match\}"),
        (must({**LEAF, "range": {}}), r"must\[0\] is .*; must be \{key, match\}"),
        (must({"match": {"value": 1}}), r"must\[0\] is .*; must be \{key, match\}"),
        (
            {"must_not": [{"must": [LEAF, {"key": "langs", "match": {"value": "eng"}}]}]},
            r"must_not\[0\]\.must\[1\]\.key is 'langs', which no item has; "
            "known are 'at', 'lang', 'new', 'tags', 'year'$",
        ),
        (must({"key": 3, "match": {}}), r"must\[0\]\.key is 3, which no item has"),
        (
            must({"key": "odd", "match": {"value": 1}}),
            "key is 'odd', which cannot be filtered by: item row 1 has a text, others have a number",
        ),
        (
            must({"key": "note", "match": {"value": 1}}),
            "key is 'note', which cannot be filtered by: no item has a value",
        ),
        (must({"key": "lang", "match": "eng"}), r"must\[0\]\.match is 'eng'; must be \{value: V\}, \{any: \[V, "),
        (must({"key": "lang", "match": {"text": "eng"}}), r"match is \{'text': 'eng'\}; must be \{value: V\}"),
        (must({"key": "lang", "match": {"value": "eng", "any": []}}), r"match is \{.*\}; must be \{value: V\}"),
        (must({"key": "lang", "match": {"any": "eng"}}), r"must\[0\]\.match\.any is 'eng'; must be a list"),
        (must({"key": "lang", "match": {"any": ["eng", 3]}}), r"match\.any\[1\] is 3; 'lang' needs a text"),
        (must({"key": "lang", "match": {"value": None}}), r"match\.value is None; 'lang' needs a text"),
        (must({"key": "year", "match": {"value": "1999"}}), r"match\.value is '1999'; 'year' needs a number"),
        (must({"key": "year", "match": {"value": True}}), r"match\.value is True; 'year' needs a number"),
        (must({"key": "year", "match": {"value": float("nan")}}), r"match\.value is nan; 'year' needs a number"),
        (must({"key": "year", "match": {"value": 2**53 + 1}}), "is 9007199254740993; 'year' needs a number"),
        (must({"key": "new", "match": {"value": 1}}), r"match\.value is 1; 'new' needs true or false"),
        (must({"key": "at", "match": {"value": "soon"}}), "is 'soon'; 'at' needs an ISO 8601 date or time, or Unix"),
        (must({"key": "at", "match": {"value": {"now": "0s"}}}), r"is \{'now': '0s'\}; 'at' needs an ISO 8601"),
        (
            must({"key": "lang", "range": {"gte": 1}}),
            r"must\[0\]\.range: 'lang' holds texts, which have no range; use m",
        ),
        (must({"key": "new", "range": {"gte": 0}}), "range: 'new' holds booleans, which have no range; use match"),
        (must({"key": "year", "range": 3}), "range is 3; must be an object of gt, gte, lt or lte"),
        (must({"key": "year", "range": {}}), r"range is \{\}; must be an object of gt, gte, lt or lte"),
        (must({"key": "year", "range": {"from": 3}}), r"range is \{'from': 3\}; must be an object of gt"),
        (
            must(LEAF, LEAF, {"key": "year", "range": {"lt": 1, "gte": "soon"}}),
            r"^must\[2\]\.range\.gte is 'soon'; must be a number, an ISO 8601 date or time, or \{\"now\": \"-30d\"\}",
        ),
        (must({"key": "year", "range": {"gte": None}}), r"range\.gte is None; must be a number"),
        (must({"key": "year", "range": {"gte": float("inf")}}), r"range\.gte is inf; must be a number"),
        (must({"key": "year", "range": {"gte": 10**400}}), r"range\.gte is 1000.*000; must be a number"),
        (
            must({"key": "year", "range": {"gte": {"now": "-1y"}}}),
            r"gte is \{'now': '-1y'\}; must .*\(w, d, h, m or s\)",
        ),
        (must({"key": "year", "range": {"gte": {"now": 3}}}), r"gte is \{'now': 3\}; must be"),
        (must({"key": "year", "range": {"gte": {"now": "0s", "x": 1}}}), r"gte is \{.*\}; must be"),
        (nested(5), r"must\[0\]\.must\[0\]\.must\[0\]\.must\[0\] is a filter in 4 others; at most 4 may lie in each"),
        (must(*[LEAF] * 65), r"must\[64\] is one condition too many; a filter has at most 64"),
        (must(*[must(*[LEAF] * 12)] * 5), r"must\[4\]\.must\[12\]|must\[4\]\.must\[11\] is one condition too many"),
        (must({"key": "lang", "match": {"any": ["x"] * 1001}}), r"any\[1000\] is one value too many; .* at most 1000"),
        (must(*[{"key": "lang", "match": {"any": ["x"] * 501}}] * 2), r"must\[1\]\.match\.any\[499\] is one value too"),
        (must({"key": "x" * 10**6, "match": {}}), r"^.{1,300}$"),
        (must({"key": "lang", "match": {"value": ["x" * 10**6] * 1000}}), r"^.{1,800}$"),
    ],
)
def test_what_is_not_a_filter_is_refused(library: Filters, given: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        library.compile(given, NOW)


def test_filters_at_the_bounds_compile(library: Filters) -> None:
    assert library.compile(nested(4), NOW).count == 2
    assert library.compile(must(*[LEAF] * 64), NOW).count == 2
    assert library.compile(must({"key": "lang", "match": {"any": ["x"] * 999 + ["eng"]}}), NOW).count == 2


def test_deep_nests_are_refused_without_being_walked(library: Filters) -> None:
    deep: Any = LEAF
    for _ in range(100_000):
        deep = {"must": [deep]}
    with pytest.raises(FilterError, match="at most 4 may lie in each other"):
        library.compile(deep, NOW)
    value: Any = "eng"
    for _ in range(100_000):
        value = [value]
    with pytest.raises(FilterError, match="'lang' needs a text"):
        library.compile(must({"key": "lang", "match": {"value": value}}), NOW)


def test_a_long_list_of_keys_is_cut() -> None:
    many = Filters(coding.build([{f"k{number:03}": 1 for number in range(50)}]))
    with pytest.raises(FilterError, match=r"known are 'k000', .*'k029' and 20 more$"):
        many.compile(must({"key": "x", "match": {"value": 1}}))
    with pytest.raises(FilterError, match=r"known are none$"):
        Filters(coding.build([{}])).compile(must({"key": "x", "match": {"value": 1}}))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[conditions.Condition]:
    """Every condition that is evaluated from now on."""
    evaluated: list[conditions.Condition] = []
    evaluate = filters.evaluate

    def counting(condition: conditions.Condition, columns: Columns) -> Any:
        evaluated.append(condition)
        return evaluate(condition, columns)

    monkeypatch.setattr(filters, "evaluate", counting)
    return evaluated


def test_the_same_filter_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Filters(coding.build(LIBRARY))
    evaluated = counted(monkeypatch)
    year: Filter = {"key": "year", "range": {"gte": 1999, "lt": 2010.0}}
    any_of: Filter = {"key": "lang", "match": {"any": ["eng", "ger"]}}
    first = fresh.compile({"must": [year, any_of], "must_not": []}, NOW)
    n_evaluated = len(evaluated)
    assert n_evaluated == 3
    again: Filter = {"key": "lang", "match": {"any": ["ger", "eng", "ger"]}}
    assert fresh.compile({"must": [again, {"range": {"lt": 2010, "gte": 1999.0}, "key": "year"}, again]}, NOW) is first
    assert len(evaluated) == n_evaluated
    assert fresh.compile({"should": [year, any_of]}, NOW) is not first
    assert fresh.compile({"must": [year]}, NOW) is not first


def test_now_is_the_minute() -> None:
    fresh = Filters(coding.build(LIBRARY))
    recent = must({"key": "at", "range": {"gt": {"now": "-30d"}}})
    assert fresh.compile(recent, MINUTE) is fresh.compile(recent, MINUTE + 59.9)
    assert fresh.compile(recent, MINUTE) is not fresh.compile(recent, MINUTE + 60)
    assert fresh.compile(recent, MINUTE + 40 * 86_400).count == 0
    assert fresh.compile(must(LEAF), MINUTE) is fresh.compile(must(LEAF), MINUTE + 3600)


def test_without_a_time_now_is_the_clock(library: Filters) -> None:
    tomorrow = must({"key": "year", "range": {"lt": {"now": "+1d"}}})
    assert library.compile(tomorrow).rows().tolist() == [0, 1]


def test_the_filters_that_were_used_last_stay() -> None:
    fresh = Filters(coding.build([{"n": number} for number in range(80)]), max_cached_bytes=30)  # three of 10 bytes
    asked = [must({"key": "n", "range": {"lt": bound}}) for bound in range(4)]
    one, two, three = (fresh.compile(each) for each in asked[:3])
    assert fresh.compile(asked[0]) is one
    fresh.compile(asked[3])
    assert fresh.compile(asked[0]) is one
    assert fresh.compile(asked[2]) is three
    assert fresh.compile(asked[1]) is not two


def test_there_is_a_bound_on_the_number_of_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "MAX_CACHED", 2)
    fresh = Filters(coding.build([{"n": 1}]))
    asked = [must({"key": "n", "range": {"lt": bound}}) for bound in range(3)]
    first = fresh.compile(asked[0])
    assert fresh.compile(asked[0]) is first
    for each in asked:
        fresh.compile(each)
    assert fresh.compile(asked[0]) is not first


def test_threads_get_the_same_answers() -> None:
    properties: list[Item] = [{"n": number % 7, "w": str(number % 5)} for number in range(500)]
    shared = Filters(coding.build(properties), max_cached_bytes=500)  # room for 8 of the 40
    asked = [
        must({"key": "n", "range": {"lt": a}}, {"key": "w", "match": {"value": str(b)}})
        for a in range(8)
        for b in range(5)
    ]
    expected = [[row for row, item in enumerate(properties) if passes(item, each)] for each in asked]
    wrong: list[Filter] = []

    def ask(shift: int) -> None:
        for turn in range(200):
            number = (turn * 7 + shift) % len(asked)
            if shared.compile(asked[number]).rows().tolist() != expected[number]:
                wrong.append(asked[number])

    threads = [threading.Thread(target=ask, args=(shift,)) for shift in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
