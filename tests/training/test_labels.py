"""Titles: what is planted in the properties is what the segments are called, whatever else the properties hold."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training
from index.segments import FoundSegment
from index.types import JSON
from training import language, terms, words
from training.labels import MAX_TITLE, Label, read, titles

Properties = Mapping[str, JSON]
FILLER = [
    *("a", "story", "about", "the", "world", "and", "people", "in", "it", "which", "is", "told", "with", "great"),
    *("care", "for", "all", "who", "like", "to", "read", "of", "the", "and", "a", "in", "of", "to"),
]
SIZE = 30


def segment(items: Sequence[int]) -> FoundSegment:
    strengths = np.linspace(1, 0.5, len(items), dtype=np.float32)
    return FoundSegment(((0, 1),), np.array(items, dtype=np.int32), strengths, np.ones(1, dtype=np.float32))


def blocks(n: int) -> list[FoundSegment]:
    return [segment(range(b * SIZE, (b + 1) * SIZE)) for b in range(n)]


def label(properties: Sequence[Properties], found: Sequence[FoundSegment]) -> list[Label]:
    return titles(found, read(found, properties, np.arange(len(properties), 0, -1, dtype=np.float32)))


def described(rng: np.random.Generator, *planted: str) -> str:
    """A text of the catalogue's common words, each with some left out, and the planted ones."""
    words = [word for word in FILLER if rng.random() < 0.9]
    for word in planted:
        words.insert(int(rng.integers(1, len(words))), f"of the {word} .")
    return " ".join(words)


def catalogue(n: int, *, per_block: Sequence[Mapping[str, JSON]], words: Sequence[Sequence[str]]) -> list[Properties]:
    """Blocks of SIZE items with the given properties and words, then items of none of them."""
    rng = np.random.default_rng(4)
    items: list[Properties] = []
    for row in range(n):
        block = row // SIZE
        inside = block < len(per_block)
        text = described(rng, *(words[block] if inside else ()))
        items.append(
            {"title": f"Item {row}", "description": text, **(per_block[block] if inside else {"by": f"Nr {row}"})}
        )
    return items


def test_one_entity_names_its_segment() -> None:
    items = catalogue(200, per_block=[{"by": "Ada Lovelace"}, {"by": "Alan Turing"}], words=[[], []])

    assert [each.title for each in label(items, blocks(2))] == ["Ada Lovelace", "Alan Turing"]


def test_a_series_is_told_with_its_maker() -> None:
    items = [
        {
            "title": f"Volume {row} (Discworld, #{row})" if row < SIZE else f"Volume {row}",
            "author": "Terry Pratchett" if row < SIZE else f"A {row}",
        }
        for row in range(200)
    ]

    assert label(items, blocks(1))[0].title == "Terry Pratchett: Discworld"


def test_two_entities_name_a_segment_that_both_share() -> None:
    items = [
        {"name": f"n{row}", "brand": ["Acme", "Zenith"][row % 2] if row < SIZE else f"b{row}"} for row in range(300)
    ]

    (found,) = label(items, blocks(1))

    assert set(found.title.split(", ")) == {"Acme", "Zenith"}


def test_words_of_texts_name_a_segment_of_many_makers() -> None:
    items = catalogue(300, per_block=[{}, {}], words=[["vampires", "romance"], ["gardening"]])

    first, second = label(items, blocks(2))

    assert set(first.title.casefold().split(" & ")) == {"vampires", "romance"}
    assert second.title == "Gardening"


def test_words_of_names_do_where_there_are_no_texts() -> None:
    items = [{"name": f"{'red lantern' if row < SIZE else 'blue'} nr {row} {row}x"} for row in range(200)]

    assert label(items, blocks(1))[0].title == "Red lantern"


def test_lists_and_joined_strings_are_taken_apart() -> None:
    listed = [{"name": f"n{row}", "genres": ["Jazz", f"g{row}"] if row < SIZE else [f"g{row}"]} for row in range(200)]
    joined = [{"name": f"n{row}", "genres": f"Jazz; g{row}" if row < SIZE else f"g{row}"} for row in range(200)]

    assert label(listed, blocks(1))[0].title == label(joined, blocks(1))[0].title == "Jazz"


def test_a_language_is_written_out() -> None:
    items = [{"title": f"t{row}", "language": "ara" if row < SIZE else "en-US"} for row in range(300)]

    assert label(items, blocks(1))[0].title == "In Arabic"


def test_examples_name_a_segment_of_which_nothing_else_is_sure() -> None:
    names = ["Dune: the Novel (Dune, #1)", "Foundation", *(f"{letter}lmnopqrst" * 9 for letter in "abcdefghij")]
    items = [{"title": names[row] if row < 12 else f"Other {row}"} for row in range(100)]

    found_segment = [segment(range(12))]
    popularity = np.array([9, 8, *[1] * 98], dtype=np.float32)
    (found,) = titles(found_segment, read(found_segment, items, popularity))

    assert found.title == "More like Dune and Foundation"
    assert found.terms == ()


def test_the_surer_segment_has_the_title_and_the_other_its_next_best() -> None:
    items = [{"name": f"Item{row}x", "by": "Ada" if row < SIZE or row % 2 else f"b{row}"} for row in range(2 * SIZE)]
    items += [{"name": f"Rest{row}x", "by": f"c{row}"} for row in range(200)]

    sure, other = label(items, [segment(range(SIZE)), segment(range(SIZE, 2 * SIZE))])

    assert sure.title == "Ada"
    assert other.title != "Ada"
    assert other.title


def test_words_that_distinguish_many_segments_title_none() -> None:
    words = [[f"topic{'abcdefghijklmnopqrstuvwxyz'[block]}", "heartwarming"] for block in range(8)]
    items = catalogue(3000, per_block=[{}] * 8, words=words)

    for number, each in enumerate(label(items, blocks(8))):
        assert each.title.casefold() == words[number][0]
        assert "heartwarming" not in each.terms


SPANISH = [
    *("el", "libro", "de", "la", "casa", "que", "no", "se", "puede", "leer", "en", "un", "dia", "y", "por", "eso"),
    *("autor", "lo", "ha", "escrito", "para", "los", "son", "aqui"),
]


def test_stop_words_of_another_language_make_no_title() -> None:
    rng = np.random.default_rng(2)
    items: list[Properties] = [
        {"title": f"T{row}", "description": " ".join(rng.permutation(SPANISH)) if row < SIZE else described(rng)}
        for row in range(400)
    ]

    (found,) = label(items, blocks(1))

    assert found.title.startswith("More like")
    assert not set(found.terms) & set(SPANISH)


def test_common_words_of_the_catalogue_are_no_terms() -> None:
    items = catalogue(200, per_block=[{}], words=[["dragons"]])

    (found,) = label(items, blocks(1))

    assert not {term.casefold() for term in found.terms} & (set(FILLER) | language.STOP_WORDS)
    assert found.terms == ("dragons",)


@pytest.mark.parametrize(
    "items",
    [
        [{} for _ in range(60)],
        [{"price": 3.5, "stock": None, "sold": True} for _ in range(60)],
        [{"title": None, "by": ""} for _ in range(60)],
        [{"title": "The", "url": "https://example.org/1"} for _ in range(60)],
        [{"title": "x" * 300} for _ in range(60)],
    ],
)
def test_poor_properties_still_give_unique_titles(items: list[Properties]) -> None:
    found = label(items, blocks(2))

    assert len({each.title for each in found}) == 2
    assert all(0 < len(each.title) <= MAX_TITLE for each in found)


def test_there_is_no_label_without_a_segment() -> None:
    assert label([{"title": "a"}], []) == []


KEYS = ["title", "by", "year", "language", "text"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False),
    st.text(max_size=60),
    st.lists(st.text(max_size=9), max_size=3),
    st.sampled_from(["Ann", "Bob & Sons", "the", "Ms. \u00df", "vampires in love"]),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["title", "by", "year", "language", "text"]), VALUES), min_size=40, max_size=60
    )
)
def test_any_properties_give_short_unique_titles_that_two_runs_agree_on(items: list[Properties]) -> None:
    found = [segment(range(20)), segment(range(10, 40)), segment(range(20, 40))]

    first, second = label(items, found), label(items, found)

    assert first == second
    assert len({each.title.casefold() for each in first}) == 3
    assert all(0 < len(each.title) <= MAX_TITLE and each.title == " ".join(each.title.split()) for each in first)
    assert all(len(each.terms) <= 8 for each in first)


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("Vampires", "vampire"),
        ("vampire's", "vampire"),
        ("Cities", "city"),
        ("boxes", "box"),
        ("glass", "glass"),
        ("bus", "bus"),
        ("gas", "gas"),
    ],
)
def test_words_are_counted_without_case_and_plural(word: str, folded: str) -> None:
    assert language.fold(word) == folded


def test_terms_are_counted_by_item() -> None:
    items: list[Properties] = [
        {"title": f"t{row}", "by": "Ann" if row < 3 else "Bob", "year": 1968 if row else 1850} for row in range(8)
    ]

    counted = terms.read(items)

    share = {term.text: float(part) for term, part in zip(counted.terms, counted.share, strict=True)}
    assert share == {"Ann": 3 / 8, "Bob": 5 / 8, "1960s": 7 / 8}
    inside = counted.shares_in(np.array([0, 3], dtype=np.int32), np.array([3, 1], dtype=np.float32))
    assert dict(zip(share, inside.tolist(), strict=True)) == {"Ann": 0.75, "Bob": 0.25, "1960s": 0.25}


def books() -> list[dict[str, JSON]]:
    path = Path(str(training.__file__)).parent / "datasets" / "goodbooks" / "items.parquet"
    frame = pl.read_parquet(path, columns=["title", "authors", "year", "language", "description"])
    loaded: list[dict[str, JSON]] = json.loads(frame.write_json())
    return loaded


def test_known_shelves_of_the_bundled_books_are_told() -> None:
    every = books()
    wanted = {
        "Terry Pratchett": "(Discworld",
        "Agatha Christie": "(Hercule Poirot",
        "Jim Butcher": "(The Dresden Files",
    }
    # every shelf and each fourth of the other books: enough to compare with
    items = [
        book for row, book in enumerate(every) if row % 4 == 0 or any(m in str(book["title"]) for m in wanted.values())
    ]
    shelves = [[row for row, book in enumerate(items) if mark in str(book["title"])] for mark in wanted.values()]

    found = label(items, [segment(shelf) for shelf in shelves])

    for each, (author, mark) in zip(found, wanted.items(), strict=True):
        assert author in each.title or mark[1:] in each.title
        assert author in each.terms


def test_kinds_of_items_are_learnt_from_how_texts_speak() -> None:
    texts = [
        "This gripping ghost story keeps the fans of horror awake at night .",
        "A castle , and a ghost story that no reader of horror leaves .",
        "The castle is haunted in this ghost story . It begins in the castle .",
    ]
    filler = [f"It begins with a man , word{'abcdefghij'[row % 10]}{'abcdefghij'[row // 10]} ." for row in range(60)]
    items: list[Properties] = [{"title": "", "text": text} for text in [*texts * 2, *filler]]
    items = [{**item, "text": f"{item['text']} {'and so on ' * 4}"} for item in items]

    kinds = {term.text: term.kinds > 0 for term in terms.read(items).terms if term.kind == "word"}

    assert kinds["ghost story"]
    assert kinds["horror"]
    assert not kinds["castle"]


def test_kinds_of_the_bundled_books_tell_shelves() -> None:
    every = books()
    items = [book for row, book in enumerate(every) if row % 2 == 0]
    named = {term.text for term in terms.read(items).terms if term.kinds > 0 and term.stands >= words.LEAST_NOUN}

    assert {"romance", "memoir", "graphic novel", "science fiction", "children's book", "cookbook"} <= named
    assert not {"literary", "haunting", "swept", "streets", "hope"} & named
