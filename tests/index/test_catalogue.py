"""Properties and text search."""

import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import arrays, catalogue, texts
from index.bitmap import Bitmap
from index.catalogue import Catalogue
from index.errors import CorruptSnapshot, InvalidEmbeddings
from index.types import JSON, Int32

BOOKS: list[dict[str, JSON]] = [
    {"title": "The \u00c9migr\u00e9", "authors": ["Ann O'Brien", "Bob"], "year": 1999, "link": "https://books/plain"},
    {},
    {"title": "Plain tales", "authors": ["Rudyard Kipling"], "tags": {"plainly": "nested"}},
    {"title": "PLAIN\ntruth", "rating": 4.5, "sold": None, "new": True},
    {"title": "\u65e5\u672c\u306e\u672c", "link": "https://books/3"},
]
POPULAR = np.array([3, 0, 4, 2, 1], dtype=np.int32)


def opened(directory: Path, properties: Sequence[Mapping[str, JSON]], popular: Any = None) -> Catalogue:
    order = np.arange(len(properties), dtype=np.int32) if popular is None else popular
    write(directory, properties, order)
    found = catalogue.open_catalogue(directory, order)
    catalogue.check(found, directory)
    return found


def write(directory: Path, properties: Sequence[Mapping[str, JSON]], popular: Int32) -> None:
    catalogue.write(directory, properties)
    texts.write(directory, properties, popular)


@pytest.fixture
def books(tmp_path: Path) -> Catalogue:
    return opened(tmp_path, BOOKS, POPULAR)


def test_properties_come_back(books: Catalogue) -> None:
    assert books.properties([4, 1, 4, 0]) == [BOOKS[4], {}, BOOKS[4], BOOKS[0]]
    assert books.properties(np.array([3], dtype=np.int32)) == [BOOKS[3]]
    assert books.keys == ("authors", "link", "new", "rating", "sold", "tags", "title", "year")
    for row in (-1, 5):
        with pytest.raises(IndexError, match=rf"item row {row} is not in 0\.\.4"):
            books.properties([row])


def test_titles_are_without_asides_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "REMEMBERED_TITLES", 2)
    named: list[dict[str, JSON]] = [
        {"title": "Dune (Dune #1)"},
        {"title": "", "name": "Solaris"},
        {"title": ["no text"]},
        {"title": "(untitled)"},
    ]
    books = opened(tmp_path, named)
    for _ in range(2):
        assert books.titles([3, 0, 1, 2, 0]) == ["(untitled)", "Dune", "Solaris", None, "Dune"]
    with pytest.raises(IndexError, match=r"item row 4 is not in 0\.\.3"):
        books.titles([0, 4])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("plain", [3, 2]),
        ("PLAIN ta", [2]),
        ("plai", [3, 2]),
        ("plai tales", []),  # only the last word is a prefix
        ("tales plai", [2]),
        ("emigre", [0]),
        ("\u00e9MIGR\u00c9", [0]),
        ("E\u0301migre\u0301", [0]),
        ("o'br", [0]),
        ("brien ann", [0]),
        ("bob", [0]),
        ("\u65e5", [4]),
        ("https", []),
        ("nested", []),
        ("1999", []),
        ("!!! ...", []),
        ("plain ! -- tales", [2]),
        ("", [3, 0, 4, 2, 1]),
        (" \t\n", [3, 0, 4, 2, 1]),
    ],
)
def test_words_find_items_by_popularity(books: Catalogue, text: str, rows: list[int]) -> None:
    found = books.search(text, 10)
    assert found.dtype == np.int32
    assert found.tolist() == rows


@pytest.mark.parametrize(
    "text",
    ['"', "plain AND tales", "NOT plain", "title:plain", "plain*", "(plain", "NEAR(plain tales)", "^plain", "a\0b"],
)
def test_query_syntax_is_only_text(books: Catalogue, text: str) -> None:
    words = {word.strip('*()^"').lower() for word in text.replace(":", " ").replace("(", " ").split()}
    known = {"plain", "tales"}
    assert books.search(text, 10).tolist() == ([2] if words == known else [3, 2] if words == {"plain"} else [])


@given(st.text(max_size=60), st.integers(0, 7), st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_raises_and_pages_fit_together(books: Catalogue, text: str, limit: int, offset: int) -> None:
    everything = books.search(text, 100).tolist()
    assert len(set(everything)) == len(everything)
    assert books.search(text, limit, offset).tolist() == everything[offset : offset + limit]


@given(
    st.sampled_from(["", " ", "plain", "p", "the", "nothing", '"']),
    st.sets(st.integers(0, 4)),
    st.integers(0, 7),
    st.integers(0, 7),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_what_is_found_only_what_a_set_holds_is_asked_for(
    books: Catalogue, text: str, rows: set[int], limit: int, offset: int
) -> None:
    within = Bitmap.from_rows(np.array(sorted(rows), dtype=np.int32), len(BOOKS))
    expected = [row for row in books.search(text, 100).tolist() if row in rows]
    assert books.search(text, limit, offset, within).tolist() == expected[offset : offset + limit]


def test_a_set_is_searched_however_many_words_are_found(tmp_path: Path) -> None:
    many = opened(tmp_path, [{"title": f"plain {number}"} for number in range(3000)])
    within = Bitmap.from_rows(np.array([5, 1500, 2999], dtype=np.int32), 3000)
    assert many.search("plain", 2, 1, within).tolist() == [1500, 2999]


def test_surrogates_and_huge_texts_and_windows_raise_nothing(books: Catalogue) -> None:
    assert books.search("\ud800plain", 10).tolist() == [3, 2]
    assert books.search("plain " * 5000, 10).tolist() == [3, 2]
    assert books.search("x" * 100_000, 10).tolist() == []
    assert books.search("plain", 1 << 80, 1 << 80).tolist() == []


def test_negative_windows_are_refused(books: Catalogue) -> None:
    for limit, offset in ((-1, 0), (1, -1)):
        with pytest.raises(ValueError, match="must not be negative"):
            books.search("plain", limit, offset)


def test_items_without_any_property(tmp_path: Path) -> None:
    found = opened(tmp_path, [{}, {}])
    assert found.keys == ()
    assert found.properties([1, 0]) == [{}, {}]
    assert found.search("", 5).tolist() == [0, 1]
    assert found.search("a", 5).tolist() == []


def test_texts_that_sqlite_cannot_take_are_stored_and_searched_around(tmp_path: Path) -> None:
    found = opened(tmp_path, [{"title": "lone \ud800 surrogate"}])
    assert found.properties([0]) == [{"title": "lone \ud800 surrogate"}]
    assert found.search("surrogate lone", 5).tolist() == [0]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, [dict(sorted(book.items(), reverse=name == "one")) for book in BOOKS], POPULAR)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    assert len(files[0]) == 4


def test_it_can_be_shared_by_threads_and_not_written(books: Catalogue) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: (books.search("plain", 9).tolist(), books.properties([2])), range(200)))
    assert answers == [([3, 2], [BOOKS[2]])] * 200
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        books.connection.execute("DROP TABLE texts")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes"])
def test_what_is_not_json_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InvalidEmbeddings, match="properties of item row 1 cannot be stored as JSON"):
        write(tmp_path, [{}, {"x": value}], np.array([0, 1], dtype=np.int32))


def test_circles_are_refused(tmp_path: Path) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for own in (circle, {"deep": deep}):
        with pytest.raises(InvalidEmbeddings, match="properties of item row 0 cannot be stored as JSON"):
            write(tmp_path, [own], np.array([0], dtype=np.int32))


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text() | st.lists(st.text() | st.integers())), max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_any_properties_come_back(tmp_path: Path, properties: list[dict[str, JSON]]) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    found = opened(tmp_path, properties)
    assert found.properties(range(len(properties))) == properties
    assert list(found.all_properties()) == properties
    assert found.keys == tuple(sorted({key for own in properties for key in own}))


def test_all_texts_are_found_however_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_CHUNK_CHARACTERS", 50)
    properties: list[dict[str, JSON]] = [{"title": f"book number{row}"} if row % 3 else {} for row in range(100)]
    order = np.random.default_rng(0).permutation(100).astype(np.int32)
    found = opened(tmp_path, properties, order)
    assert found.search("book", 100).tolist() == [row for row in order.tolist() if row % 3]
    for row in range(100):
        assert found.search(f"number{row} book", 9).tolist() == ([row] if row % 3 else [])


def test_nul_and_zero_are_not_mixed_up(tmp_path: Path) -> None:
    found = opened(tmp_path, [{"title": "one\0two 0"}, {"title": "0"}])
    assert found.search("two", 5).tolist() == [0]
    assert found.search("0", 5).tolist() == [0, 1]


@pytest.mark.parametrize("raw", [b"", b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_what_is_not_a_text_index_is_refused(tmp_path: Path, raw: bytes) -> None:
    write(tmp_path, BOOKS, POPULAR)
    (tmp_path / texts.FILE_NAME).write_bytes(raw)
    with pytest.raises(CorruptSnapshot, match=r"texts\.sqlite cannot be read"):
        catalogue.open_catalogue(tmp_path, POPULAR)


def test_a_text_index_with_a_damaged_page_or_without_its_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, BOOKS, POPULAR)
    path = tmp_path / texts.FILE_NAME
    raw = path.read_bytes()
    for first in range(0, len(raw), 4096):
        path.write_bytes(raw[:first] + bytes(4096) + raw[first + 4096 :])
        with pytest.raises(CorruptSnapshot, match=r"texts\.sqlite"):
            catalogue.check(catalogue.open_catalogue(tmp_path, POPULAR), tmp_path)
    path.write_bytes(raw)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE texts")
    connection.close()
    with pytest.raises(CorruptSnapshot, match="no such table: texts"):
        catalogue.open_catalogue(tmp_path, POPULAR)


@pytest.mark.parametrize(
    "document", ["", "[]", "{}", '{"keys": 3}', '{"keys": [3]}', '{"keys": ["b", "a"]}', '{"keys": ["a", "a"]}']
)
def test_keys_that_cannot_be_read_are_refused(tmp_path: Path, document: str) -> None:
    write(tmp_path, BOOKS, POPULAR)
    (tmp_path / catalogue.KEYS).write_text(document)
    with pytest.raises(CorruptSnapshot, match=r"properties\.json cannot be read"):
        catalogue.open_catalogue(tmp_path, POPULAR)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([b"{}", b"{", b"{}"], "property_bytes.*Expecting property name"),
        ([b"{}", b"[]", b"{}"], r"item row 1 holds '\[\]', which is not one JSON object"),
        ([b"{}", b"", b"{}{}"], "item row 1 holds '', which is not one JSON object"),
        ([b"{}", b"{} ", b"{}"], "item row 1 holds '{} ', which is not one JSON object"),
        ([b"{}", b'{"a":', b"1}"], "item row 1 holds"),
        ([b"{}", b'{"\xc3\xa4":1}', b"{}"], "'ascii' codec"),
        ([b"{}", b'{"more":1}', b"{}"], r"properties\.json lists \[\]; the items have \['more'\]"),
        ([b"{}", b'{"a":' + b"[" * 100_000, b"{}"], "recursion"),
    ],
)
def test_properties_that_are_not_whole_are_refused(tmp_path: Path, stored: list[bytes], message: str) -> None:
    rows = np.arange(3, dtype=np.int32)
    write(tmp_path, [{}, {}, {}], rows)
    starts = np.concatenate([[0], np.cumsum([len(raw) for raw in stored])])
    text = np.frombuffer(b"".join(stored), dtype=np.uint8)
    arrays.save(tmp_path, {"property_bytes": text, "property_starts": starts})
    with pytest.raises(CorruptSnapshot, match=message):
        catalogue.check(catalogue.open_catalogue(tmp_path, rows), tmp_path)


def test_starts_that_step_back_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    rows = np.arange(3, dtype=np.int32)
    write(tmp_path, [{}, {}, {}], rows)
    arrays.save(tmp_path, {"property_starts": np.array([0, 4, 2, 6])})
    with pytest.raises(CorruptSnapshot, match="property_starts steps back from 4 to 2"):
        catalogue.check(catalogue.open_catalogue(tmp_path, rows), tmp_path)
    arrays.save(tmp_path, {"property_starts": np.array([0, 2, 4, 5])})
    with pytest.raises(CorruptSnapshot, match=r"property_bytes\.npy holds 6 values; expected 5"):
        catalogue.open_catalogue(tmp_path, rows)
