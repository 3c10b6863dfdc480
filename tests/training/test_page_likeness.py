"""Likeness of items: cosines against dense ones, coherence and diversity against loops, text by hand."""

from itertools import combinations
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from index.types import JSON, Array
from training.interactions import Interactions
from training.pages.likeness import Likeness, coherence, diversity, likeness_of, text_of, tf_idf


def cosine(one: Array, other: Array) -> float:
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length else 0.0


def of(read: csr_array) -> Likeness:
    return likeness_of(read, [{}] * read.shape[1], [f"item {number}" for number in range(read.shape[1])])


def test_co_reading_is_the_cosine_without_who_is_asked(books: Interactions) -> None:
    histories = books.matrix()[:60]
    items = np.argsort(-books.popularity(), kind="stable")[:25].astype(np.int32)
    user = 7
    dense = histories.toarray()[:, items].astype(np.float64)
    dense[user] = 0
    expected = [[cosine(dense[:, one], dense[:, other]) for other in range(25)] for one in range(25)]
    found = of(histories).by_reading(items, user)
    assert found == pytest.approx(np.array(expected))
    assert not np.allclose(found, of(histories).by_reading(items, 8))


def test_an_item_that_nobody_else_has_is_like_nothing() -> None:
    alike = of(csr_array(np.array([[1, 1, 0], [0, 1, 1]], np.float32)))
    assert alike.by_reading(np.array([0, 1, 2], np.int32), 0).tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]


def test_text_by_hand() -> None:
    rows = tf_idf(["red red bag", "red mug", "x"]).toarray()
    red, bag, mug = 1 + log(4 / 3), 1 + log(4 / 2), 1 + log(4 / 2)
    lengths = sqrt((2 * red) ** 2 + bag**2), sqrt(red**2 + mug**2)
    expected = np.array([[2 * red / lengths[0], bag / lengths[0], 0], [red / lengths[1], 0, mug / lengths[1]], [0] * 3])
    assert rows == pytest.approx(expected)


def test_what_is_said_of_an_item() -> None:
    said: dict[str, JSON] = {
        "title": "Dune",
        "image_url": "https://a.example/x.jpg",
        "year": 1965,
        "tags": ["desert", "spice"],
    }
    assert text_of(said, "126").split() == ["Dune", "desert", "spice"]
    assert text_of({"year": 1965}, "RED MUG") == "RED MUG"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=24), st.integers(0, 2**32 - 1))
def test_coherence_and_diversity_are_those_of_pairs(owners: list[int], seed: int) -> None:
    vectors = np.random.default_rng(seed).random((len(owners), 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = {owner: [vectors[at] for at, other in enumerate(owners) if other == owner] for owner in set(owners)}
    means = [np.mean([one @ other for one, other in combinations(own, 2)]) for own in rows.values() if len(own) > 1]
    between = [
        cosine(np.mean(one, axis=0), np.mean(other, axis=0)) for one, other in combinations(list(rows.values()), 2)
    ]
    cosines, places = vectors @ vectors.T, np.array(owners, np.int32)
    assert coherence(cosines, places) == pytest.approx(np.mean(means) if means else 0.0)
    assert diversity(cosines, places) == pytest.approx(1 - np.mean(between) if between else 0.0)
