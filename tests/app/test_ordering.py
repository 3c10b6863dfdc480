"""From a ranking to a list, against an oracle in plain Python over the whole ranking."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.caps import Cap, Tally
from app.errors import Invalid
from app.ordering import PLAIN, SHUFFLE, Likeness, Ordering, listed, order, ordering_of, pool_size, uniform
from app.schemas.selection import Ordered
from app.selection import EVERYTHING, Selection
from app.store.state import Marks
from index.bitmap import Bitmap
from index.columns import Column
from index.search import Hits
from index.snapshot import Snapshot
from index.vocabulary import hash_id

MakeSnapshot = Callable[[int], Snapshot]
NOW = 1_000_000.0
NOTHING = Marks(np.empty(0, np.uint64), np.empty(0))


def int32(rows: Any) -> NDArray[np.int32]:
    return np.array(list(rows), dtype=np.int32)


def ranking(scores: NDArray[np.float32]) -> Hits:
    """All items, best first."""
    rows = np.lexsort((np.arange(len(scores)), -scores)).astype(np.int32)
    return Hits(rows, scores[rows])


def given_ago(**ages: float) -> Marks:
    hashes = np.array([hash_id(item_id) for item_id in ages], dtype=np.uint64)
    return Marks(hashes, np.array([NOW - age for age in ages.values()], dtype=np.float64))


def values_of(column: Column, item: int) -> set[int]:
    return set(column.elements(int32([item]))[1].tolist())


class Oracle:
    """The formula of the module, item by item."""

    def __init__(self, snapshot: Snapshot, scores: NDArray[np.float32], ordering: Ordering) -> None:
        self.snapshot, self.scores, self.ordering = snapshot, scores, ordering
        self.counts: list[Counter[int]] = [Counter() for _ in ordering.caps]

    def held(self, item: int) -> np.float32:
        score = self.scores[item]
        held = np.float32(1)
        given_lately = dict(zip(self.ordering.served.tolist(), self.ordering.held, strict=True))
        held = given_lately.get(item, held)
        if self.ordering.seed is not None:
            held = held * (np.float32(1) - np.float32(SHUFFLE) * uniform(self.ordering.seed, int32([item]))[0])
        return np.float32(score * held) if score > 0 else score

    def admits(self, item: int) -> bool:
        return all(
            counts[code] < cap.most
            for cap, counts in zip(self.ordering.caps, self.counts, strict=True)
            for code in values_of(cap.column, item)
        )

    def count(self, item: int) -> None:
        for cap, counts in zip(self.ordering.caps, self.counts, strict=True):
            counts.update(values_of(cap.column, item))

    def cosine(self, one: int, other: int) -> float:
        a, b = (self.snapshot.embeddings.decoder.dense_row(item).astype(np.float64) for item in (one, other))
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return float(a @ b / lengths) if lengths else 0.0

    def list_of(self, allowed: set[int], count: int) -> list[int]:
        whole = sorted(allowed, key=lambda item: (-self.held(item), item))
        chosen: list[int] = []
        if self.ordering.diversity:
            pool = whole[: pool_size(count)]
            greatest = max((abs(float(self.held(item))) for item in pool), default=0.0) or 1.0
            while len(chosen) < count:
                left = [item for item in pool if item not in chosen and self.admits(item)]
                if not left:
                    break
                best = max(left, key=lambda item: self.merit(item, greatest, chosen))
                chosen.append(best)
                self.count(best)
        for item in whole:
            if len(chosen) < count and item not in chosen and self.admits(item):
                chosen.append(item)
                self.count(item)
        return chosen

    def merit(self, item: int, greatest: float, chosen: list[int]) -> float:
        share = self.ordering.diversity
        nearest = max((self.cosine(item, one) for one in chosen), default=-1.0)
        return round((1 - share) * float(self.held(item)) / greatest - share * nearest, 5)


def whole_list(snapshot: Snapshot, scores: NDArray[np.float32], allowed: set[int], count: int, how: Ordering) -> Hits:
    hits = ranking(scores)
    within = Bitmap.from_rows(int32(allowed), len(snapshot.items))
    return order(snapshot, listed(hits), count, Selection(within=within), how)


@st.composite
def orderings(draw: st.DrawFn, snapshot: Snapshot, diversity: st.SearchStrategy[float]) -> Ordering:
    columns = snapshot.filters.columns.by_key
    keys = draw(st.sets(st.sampled_from(["shelf", "tags", "year"]), max_size=3))
    served = draw(st.dictionaries(st.integers(0, 39), st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.999]), max_size=20))
    return Ordering(
        caps=tuple(Cap(columns[key], draw(st.integers(1, 4))) for key in sorted(keys)),
        diversity=draw(diversity),
        served=int32(sorted(served)),
        held=np.array([served[row] for row in sorted(served)], dtype=np.float32),
        seed=draw(st.none() | st.integers(0, 2**53 - 1)),
    )


SCORES = st.lists(
    st.sampled_from([1.0, 1.0, 0.99, 0.97, 0.9, 0.5, 0.25, 1e-6, 0.0, -0.5]), min_size=40, max_size=40
).map(lambda scores: np.array(scores, dtype=np.float32))


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 3), scores=SCORES, allowed=st.sets(st.integers(0, 39)), count=st.integers(1, 50), data=st.data()
)
def test_a_list_is_that_of_the_formula(
    make_snapshot: MakeSnapshot,
    seed: int,
    scores: NDArray[np.float32],
    allowed: set[int],
    count: int,
    data: st.DataObject,
) -> None:
    snapshot = make_snapshot(seed)
    how = data.draw(orderings(snapshot, st.just(0.0)))
    hits = whole_list(snapshot, scores, allowed, count, how)
    assert hits.items.tolist() == Oracle(snapshot, scores, how).list_of(allowed, count)
    assert hits.scores.tolist() == scores[hits.items].tolist()


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 3), scores=SCORES, allowed=st.sets(st.integers(0, 39)), count=st.integers(1, 50), data=st.data()
)
def test_a_diverse_list_is_that_of_the_formula(
    make_snapshot: MakeSnapshot,
    seed: int,
    scores: NDArray[np.float32],
    allowed: set[int],
    count: int,
    data: st.DataObject,
) -> None:
    """Merits that are equal but for rounding may fall either way: each choice is checked against the best left."""
    snapshot = make_snapshot(seed)
    how = data.draw(orderings(snapshot, st.sampled_from([0.1, 0.5, 0.9, 1.0])))
    hits = whole_list(snapshot, scores, allowed, count, how)
    oracle = Oracle(snapshot, scores, how)
    whole = sorted(allowed, key=lambda item: (-oracle.held(item), item))
    greatest = max((abs(float(oracle.held(item))) for item in whole[: pool_size(count)]), default=0.0) or 1.0
    chosen: list[int] = []
    for item in hits.items.tolist():
        left = [one for one in whole[: pool_size(count)] if one not in chosen and oracle.admits(one)]
        assert item in left
        best = max(oracle.merit(one, greatest, chosen) for one in left)
        assert oracle.merit(item, greatest, chosen) >= best - 1e-4
        oracle.count(item)
        chosen.append(item)
    assert len(chosen) == count or not [one for one in whole if one not in chosen and oracle.admits(one)]
    assert hits.scores.tolist() == scores[hits.items].tolist()


@settings(deadline=None, max_examples=100)
@given(count=st.integers(1, 40), scores=SCORES, data=st.data())
def test_however_little_is_looked_at_first_the_list_is_the_same(
    make_snapshot: MakeSnapshot, count: int, scores: NDArray[np.float32], data: st.DataObject
) -> None:
    """With small pools diversity ends before the list does, and caps go on behind it."""
    snapshot = make_snapshot(0)
    how = data.draw(orderings(snapshot, st.sampled_from([0.0, 0.7])))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("app.ordering.CAPPED_FACTOR", 1)
        patched.setattr("app.caps.LOOK", 3)
        patched.setattr("app.ordering.DIVERSE_LEAST", 1)
        patched.setattr("app.ordering.DIVERSE_MOST", 5)
        hits = whole_list(snapshot, scores, set(range(40)), count, how)
        oracle = Oracle(snapshot, scores, how)
        if not how.diversity:
            assert hits.items.tolist() == Oracle(snapshot, scores, how).list_of(set(range(40)), count)
        items = hits.items.tolist()
        assert len(set(items)) == len(items) <= count
        for item in items:
            assert oracle.admits(item)
            oracle.count(item)
        assert len(items) == count or not [one for one in range(40) if one not in items and oracle.admits(one)]


def test_without_anything_the_ranking_is_the_list(make_snapshot: MakeSnapshot) -> None:
    hits = ranking(np.linspace(0, 1, 40, dtype=np.float32))
    assert ordering_of(make_snapshot(0), Ordered(), None, NOTHING, NOW) is PLAIN
    assert order(make_snapshot(0), listed(hits), 3, EVERYTHING, PLAIN).items.tolist() == [39, 38, 37]


def test_no_more_is_searched_than_it_takes(make_snapshot: MakeSnapshot) -> None:
    """A cap that one value fills at once."""
    snapshot = make_snapshot(0)
    column = snapshot.filters.columns.by_key["shelf"]
    asked: list[tuple[int, int]] = []
    hits = ranking(np.linspace(0, 1, 40, dtype=np.float32))

    def rank(n: int, selection: Selection) -> Hits:
        found = listed(hits)(n, selection)
        asked.append((n, len(found.items)))
        return found

    found = order(snapshot, rank, 40, EVERYTHING, Ordering(caps=(Cap(column, 1),)))
    free = [row for row in range(39, -1, -1) if not values_of(column, row)]
    assert len(found.items) == 3 + len(free)
    assert asked == [(160, 40)]
    asked.clear()
    shelves = np.array([min(values_of(column, row), default=9) for row in range(40)], dtype=np.float32)
    hits = ranking(9 - shelves)  # all of one shelf, then all of the next: 10 of the first
    assert np.count_nonzero(shelves == 0) >= 10
    found = order(snapshot, rank, 2, EVERYTHING, Ordering(caps=(Cap(column, 1),)))
    assert shelves[found.items].tolist() == [0, 1]
    assert [n for n, _ in asked] == [8, 16]  # what is used up is not searched again


@pytest.mark.parametrize(
    ("rate", "seconds", "age", "expected"),
    [(1.0, 100, 0, 0.0), (1.0, 100, 50, 0.5), (0.5, 100, 0, 0.5), (0.5, 100, 75, 0.875), (1.0, 100, -30, 0.0)],
)
def test_what_was_given_lately_counts_less_and_more_again_with_time(
    make_snapshot: MakeSnapshot, rate: float, seconds: float, age: float, expected: float
) -> None:
    asked = Ordered(rotation_rate=rate, rotation_time=seconds)
    found = ordering_of(make_snapshot(0), asked, "u", given_ago(i7=age, i3=100, gone=0), NOW)
    assert found.served.tolist() == [7]
    assert found.held.tolist() == pytest.approx([expected])


def test_rotation_needs_a_user_and_caps_need_properties(make_snapshot: MakeSnapshot) -> None:
    with pytest.raises(Invalid, match=r"^body\.rotation_rate: rotation needs a user_id"):
        ordering_of(make_snapshot(0), Ordered(rotation_rate=0.1), None, NOTHING, NOW)
    with pytest.raises(Invalid, match=r"^body\.max_per: the property is 'colour'.*known are 'shelf', 'tags', 'year'"):
        ordering_of(make_snapshot(0), Ordered(max_per={"year": 1, "colour": 1}), None, NOTHING, NOW)


def test_a_seed_moves_items_of_nearly_equal_scores_only(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(0)
    scores = np.repeat(np.array([1.0, 0.9], dtype=np.float32), 20)
    lists = [
        order(snapshot, listed(ranking(scores)), 30, EVERYTHING, Ordering(seed=seed)).items.tolist()
        for seed in range(8)
    ]
    assert all(set(one[:20]) == set(range(20)) for one in lists)
    assert len({tuple(one) for one in lists}) == 8
    assert lists[0] == order(snapshot, listed(ranking(scores)), 30, EVERYTHING, Ordering(seed=0)).items.tolist()
    drawn = np.array([uniform(seed, int32(range(40))) for seed in range(500)])
    assert 0 <= drawn.min() < drawn.max() < 1
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 0.06
    assert np.abs(np.corrcoef(drawn.T) - np.eye(40)).max() < 0.25


@pytest.mark.parametrize("scaled", [False, True])
def test_likeness_is_the_cosine_whatever_the_scale(make_snapshot: MakeSnapshot, scaled: bool) -> None:
    snapshot = make_snapshot(1)
    if scaled:
        scale = np.linspace(-1, 3, 40, dtype=np.float32)
        embeddings = replace(snapshot.embeddings, item_scale=scale)
        snapshot = replace(snapshot, embeddings=embeddings)
    rows = int32(range(40))
    likeness, oracle = Likeness(snapshot, rows), Oracle(snapshot, np.zeros(40, np.float32), PLAIN)
    for item in range(40):
        expected = [oracle.cosine(item, other) for other in range(40)]
        assert likeness.to(item).tolist() == pytest.approx(expected, abs=1e-6)


def test_items_without_a_row_are_like_nothing(planted: Snapshot) -> None:
    blank = int(planted.items.rows(["blank"])[0])
    rows = int32([0, blank, 1])
    likeness = Likeness(planted, rows)
    assert likeness.to(1).tolist() == [0, 0, 0]
    assert likeness.to(0)[1] == 0


def test_a_tally_tells_what_is_used_up(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(2)
    columns = snapshot.filters.columns.by_key
    tally = Tally([Cap(columns["shelf"], 2), Cap(columns["tags"], 3)])
    assert tally.all_full() is None
    rows = int32(range(40))
    taken = [int(rows[place]) for place in tally.admitted(rows)]
    full = tally.all_full()
    assert full is not None
    assert full.rows().tolist() == np.flatnonzero(tally.full(rows)).tolist()
    assert all(item in full for item in set(range(40)) - set(taken))
