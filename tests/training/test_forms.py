"""Which titles are taken: those that fit the segment and no rival; which items a word fits, against brute force."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.types import Float32
from training import forms
from training.forms import MAX_TITLE, Asked, Said
from training.terms import Terms
from training.themes import FAR, LIKE, NEAR, NEAR_ABOUT, SAID, Themes
from training.words import Term

ASKED = Asked(own=8, rivals=(8, 8))


def fits(own: int, rival: int = 0, near: float = 1.0) -> Float32:
    """The first `own` of 8 items, and the first `rival` of the second rival's."""
    found = np.zeros(24, np.float32)
    found[:own] = near
    found[16 : 16 + rival] = near
    return found


def best(*said: Said, names: tuple[str, ...] = ()) -> str | None:
    titles = forms.titles(said, ASKED, names)
    return titles[0].text if titles else None


@pytest.mark.parametrize(
    ("own", "rival", "title"), [(8, 0, "Ann"), (6, 0, "Ann"), (5, 0, None), (8, 4, "Ann"), (8, 5, None), (6, 4, None)]
)
def test_six_of_eight_and_few_of_a_rival(own: int, rival: int, title: str | None) -> None:
    assert best(Said("Ann", "entity", fits(own, rival))) == title


def test_an_example_tells_from_a_rival_of_the_same_author() -> None:
    assert best(Said("Ann", "entity", fits(8, 8)), names=("Emma",)) == "Ann: Emma"


def test_one_author_is_surer_than_two_and_two_than_three() -> None:
    halves = [Said(name, "entity", fits(0)) for name in ("Ann", "Bob", "Cid")]
    for number, each in enumerate(halves):
        each.fits[number * 3 : number * 3 + 3] = 1

    assert best(*halves[:2]) == "Ann, Bob"
    assert best(*halves) in ("Ann, Bob", "Ann, Bob, Cid")
    assert best(Said("Dan", "entity", fits(8)), *halves) == "Dan"


def test_a_series_whose_author_wrote_more_of_it_is_told_with_the_author() -> None:
    author, series = Said("Ann", "entity", fits(8)), Said("Saga", "series", fits(8))
    assert best(author, series) == "Ann: Saga"
    assert best(author, Said("Saga", "series", fits(5))) == "Ann"


def test_a_decade_tells_a_kind_of_item_from_that_of_a_rival() -> None:
    thrillers = Said("thrillers", "word", np.full(24, SAID, np.float32), 1.0, is_kind=True)
    recent = Said("2010s", "years", fits(8))
    assert best(thrillers, recent) == "Thrillers, 2010s"
    assert best(thrillers, names=("Gone Girl",)) == "Thrillers like Gone Girl"


def test_a_kind_of_item_needs_less_said_than_what_items_are_about() -> None:
    near = np.concatenate([np.full(4, SAID), np.full(2, NEAR), np.full(2, FAR), np.full(16, FAR)]).astype(np.float32)
    assert best(Said("horror", "word", near, 1.0, is_kind=True)) == "Horror"
    assert best(Said("houses", "word", near, 1.0)) is None


def test_examples_come_in_pairs_that_are_short_enough() -> None:
    names = ["Dune", "Foundation", "x" * 28]
    texts = [title.text for title in forms.examples(names)]
    assert texts[0] == "More like Dune and Foundation"
    assert "More like " + "x" * 28 in texts
    assert all(len(text) <= MAX_TITLE for text in texts)


SAYING = st.builds(
    Said,
    st.sampled_from(["Ann", "Bob", "Saga", "horror", "2010s", "vampires", "A Very Long Name Of Somebody Or Other"]),
    st.sampled_from(["entity", "series", "language", "years", "word"]),
    st.lists(st.sampled_from([0, FAR, NEAR, SAID, 1]), min_size=24, max_size=24).map(lambda x: np.array(x, np.float32)),
    st.floats(0, 1),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(SAYING, max_size=7), st.lists(st.text(max_size=30), max_size=3))
def test_any_terms_give_short_titles_the_surest_first(said: list[Said], names: list[str]) -> None:
    titles = forms.titles(said, ASKED, names)
    assert all(0 < len(title.text) <= MAX_TITLE for title in titles)
    assert [title.sureness for title in titles] == sorted((title.sureness for title in titles), reverse=True)


WORDS = ("apple", "cherry", "cherry pie", "pie", "elder", "fig")
ROWS = st.lists(st.sets(st.integers(0, len(WORDS) - 1)), min_size=3, max_size=12)


@settings(deadline=None)
@given(ROWS, st.sampled_from([0.0, 0.5]))
def test_what_a_word_fits_is_what_brute_force_finds(rows: list[set[int]], kinds: float) -> None:
    said_by = {number: [row for row, each in enumerate(rows) if number in each] for number in range(len(WORDS))}
    counted = Terms(
        tuple(Term(word, "word", kinds=kinds) for word in WORDS),
        np.concatenate([[0], np.cumsum([len(each) for each in rows])]).astype(np.int64),
        np.array([number for each in rows for number in sorted(each)], dtype=np.int32),
        np.array([len(said_by[number]) / len(rows) for number in range(len(WORDS))], dtype=np.float32),
    )
    themes, items = Themes(counted), np.arange(len(rows), dtype=np.int32)
    vectors = [_unit({number: -math.log(counted.share[number]) for number in each}) for each in rows]
    for number, said in said_by.items():
        if said:
            hidden = {n for n, word in enumerate(WORDS) if WORDS[number] in {word, *word.split()}}
            wanted = [_fit(row, said, vectors, hidden, NEAR if kinds else NEAR_ABOUT) for row in range(len(rows))]
            for found, fit in zip(themes.fits(number, items).tolist(), wanted, strict=True):
                assert fit is None or found == pytest.approx(fit)


def _fit(row: int, said: list[int], vectors: list[dict[int, float]], hidden: set[int], likely: float) -> float | None:
    """None where rounding decides."""

    def cosine(one: int, other: int) -> float:
        return sum(value * vectors[other].get(n, 0.0) for n, value in vectors[one].items() if n not in hidden)

    usual = [sum(cosine(one, other) for other in said if other != one) / max(len(said) - 1, 1) for one in said]
    least = max(float(np.quantile(usual, LIKE)), 1e-6)
    near = sum(cosine(other, row) for other in said) / len(said)
    if row in said:
        return SAID
    return None if abs(near - least) < 1e-5 else likely if near >= least else FAR


def _unit(values: dict[int, float]) -> dict[int, float]:
    size = math.sqrt(sum(value * value for value in values.values()))
    return {number: value / max(size, 1e-9) for number, value in values.items()}
