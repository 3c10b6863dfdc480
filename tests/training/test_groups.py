"""Groups of segments: agglomeration is that of the plain definition, and books of a kind come together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.segments import FoundSegment
from index.types import Float64
from training import forms, groups
from training.groups import agglomerated
from training.labels import read


def plainly(affinity: Float64, n_groups: int) -> list[list[int]]:
    """Average linkage, every mean made anew."""
    sets = [[number] for number in range(len(affinity))]
    while len(sets) > n_groups:
        pairs = [(a, b) for a in range(len(sets)) for b in range(a + 1, len(sets))]
        one, other = max(pairs, key=lambda pair: affinity[np.ix_(sets[pair[0]], sets[pair[1]])].mean())
        sets[one] += sets.pop(other)
    return sorted((sorted(own) for own in sets), key=lambda own: (-len(own), own))


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 999))
def test_agglomeration_is_average_linkage(n: int, n_groups: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).normal(size=(n, n))
    affinity: Float64 = drawn + drawn.T
    made = agglomerated(affinity, n_groups)
    assert made == plainly(affinity, n_groups)
    assert sorted(number for own in made for number in own) == list(range(n))
    assert len(made) == min(n, n_groups)


def test_equal_affinities_are_joined_from_the_front() -> None:
    assert agglomerated(np.zeros((4, 4)), 2) == [[0, 1, 2], [3]]


def segments(n: int) -> list[FoundSegment]:
    """So many of ten items each, whose centroids have nothing in common."""
    strengths = np.linspace(1, 0.5, 10, dtype=np.float32)
    rows = np.eye(n, dtype=np.float32)
    return [
        FoundSegment(((0, 1),), np.arange(10 * s, 10 * s + 10, dtype=np.int32), strengths, rows[s]) for s in range(n)
    ]


def test_where_readers_say_nothing_makers_bring_segments_together() -> None:
    items = [{"title": f"Book {row}", "author": f"Author {row // 10 % 4}"} for row in range(160)]
    found = segments(16)
    reading = read(found, items, np.arange(160, 0, -1, dtype=np.float32))
    made, again = groups.find(found, reading), groups.find(found, reading)
    assert made == again
    assert len(made.members) == round(groups.PER_ROOT * 4)
    assert sorted(number for own in made.members for number in own) == list(range(16))
    assert all(len({number % 4 for number in own}) == 1 for own in made.members)
    assert len(set(made.titles)) == len(made.titles)
    assert all(0 < len(title) <= 40 for title in made.titles)


def test_few_segments_and_none() -> None:
    popularity = np.ones(20, np.float32)
    items = [{"title": "x"}] * 20
    assert groups.find([], read([], items, popularity)) == groups.Grouping((), ())
    assert groups.find(segments(1), read(segments(1), items, popularity)).members == ((0,),)


def test_a_group_is_called_by_its_kind_else_with_an_example() -> None:
    made = [title.text for title in forms.of_kind(("horror", 0.3), ["It", "x" * 40, "Carrie"])]
    assert made == ["Horror", "Horror like It", "Horror like Carrie"]
    assert list(forms.of_kind(None, ["It"])) == []


def test_groups_of_the_texts_that_say_what_they_are() -> None:
    """Each kind of text, of eight segments, is a group of that name."""
    rng = np.random.default_rng(7)
    words = ["a", "story", "of", "the", "people", "and", "world", "in", "it", "which", "is", "told", "with", "care"]
    kinds = ["thriller"] * 80 + ["memoir"] * 80
    texts = [f"{' '.join(rng.permutation(words))}. Fans of {kind} read this {kind}." for kind in kinds]
    texts += [" ".join(rng.permutation(words)) for _ in range(400)]
    items = [{"title": f"Book {row}", "text": text} for row, text in enumerate(texts)]
    found = segments(16)
    made = groups.find(found, read(found, items, np.ones(560, np.float32)))
    assert all(len({number // 8 for number in own}) == 1 for own in made.members)
    assert {"Thriller", "Memoir"} <= set(made.titles)
