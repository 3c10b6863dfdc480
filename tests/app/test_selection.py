"""What may be in an answer: every list and row against an oracle in plain Python over all items."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app import popular
from app.emphasis import PLAIN_EMPHASIS
from app.errors import Invalid
from app.homepage import page
from app.ordering import PLAIN, ordering_of
from app.placing import Size
from app.recommend import Profile, recommend, resolve, segment_items, similar
from app.schemas.selection import Boost, Ordered
from app.selection import EVERYTHING, nothing_left, select
from app.store.state import NOTHING_SERVED, UserState
from app.store.users import Interaction
from index.snapshot import Snapshot
from index.vocabulary import hash_id

MakeSnapshot = Callable[[int], Snapshot]
ITEM_IDS = [f"i{row}" for row in range(40)]

CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "north": ({"key": "shelf", "match": {"value": "north"}}, lambda own: own["shelf"] == "north"),
    "some shelf": ({"key": "shelf", "match": {"except": []}}, lambda own: own["shelf"] is not None),
    "a or b": ({"key": "tags", "match": {"any": ["a", "b"]}}, lambda own: bool({"a", "b"} & set(own["tags"]))),
    "late": ({"key": "year", "range": {"gte": 1997}}, lambda own: own["year"] >= 1997),
    "nothing": ({"key": "year", "range": {"gt": 3000}}, lambda own: own["year"] > 3000),
}


class Asked:
    """A random selection: as it is asked for, and which items it leaves."""

    def __init__(self, draw: st.DrawFn, snapshot: Snapshot, *, alone: bool = False) -> None:
        self.properties = snapshot.catalogue.properties(range(40))
        self.fields: dict[str, Any] = {}
        self.allowed = set(range(40))
        self.factors = np.ones(40, dtype=np.float32)
        self.least = -np.inf
        if draw(st.booleans()):
            self._filter(draw(st.sets(st.sampled_from(sorted(CONDITIONS)), max_size=2)))
        self._boost(draw(st.lists(st.tuples(st.sampled_from(sorted(CONDITIONS)), FACTORS), max_size=3)))
        if not alone and draw(st.booleans()):
            self._segments(snapshot, draw(st.lists(st.integers(-1, len(snapshot.segments) - 1), max_size=3)))
        if not alone and draw(st.booleans()):
            self._candidates(draw(st.lists(st.integers(0, 45), max_size=30)))
        if not alone and draw(st.booleans()):
            self.least = self.fields["min_score"] = draw(st.sampled_from([0.0, 0.1, 0.5, 2.0, 1e39]))

    def _filter(self, names: set[str]) -> None:
        self.fields["filter"] = {"must": [CONDITIONS[name][0] for name in names]}
        self.allowed &= {row for row in range(40) if all(CONDITIONS[name][1](self.properties[row]) for name in names)}

    def _boost(self, boosts: list[tuple[str, float]]) -> None:
        self.fields["boost"] = [Boost(filter={"must": [CONDITIONS[name][0]]}, factor=by) for name, by in boosts]
        for name, factor in boosts:
            rows = [row for row in range(40) if CONDITIONS[name][1](self.properties[row])]
            self.factors[rows] *= np.float32(factor)

    def _segments(self, snapshot: Snapshot, numbers: list[int]) -> None:
        segments = snapshot.segments
        self.fields["segment_ids"] = [segments.segments[n].segment_id if n >= 0 else "unknown" for n in numbers]
        self.allowed &= {item for n in numbers if n >= 0 for item in segments.items_of(n).tolist()}

    def _candidates(self, numbers: list[int]) -> None:
        self.fields["candidate_ids"] = [f"i{number}" for number in numbers]
        self.allowed &= set(numbers)

    def best(self, scores: NDArray[np.float32], exclude: set[int], *, named: bool = False) -> list[int]:
        """Everything that may be in an answer, best first; `scores` are not boosted."""
        boosted = scores * self.factors
        named = named or "candidate_ids" in self.fields
        scores = boosted.astype(np.float64)  # the least may lie beyond float32
        left = [row for row in self.allowed - exclude if scores[row] >= self.least and (named or scores[row] > 0)]
        return sorted(left, key=lambda row: (-boosted[row], row))


@st.composite
def selections(draw: st.DrawFn, snapshot: Snapshot, *, alone: bool = False) -> Asked:
    """`alone`: without what only lists of items know."""
    return Asked(draw, snapshot, alone=alone)


FACTORS = st.sampled_from([1 / 16, 0.5, 1.0, 2.0, 16.0])
HISTORY = st.lists(
    st.tuples(st.integers(0, 45), st.sampled_from([-1.0, 0.0, 0.2, 1.0])).map(
        lambda pair: Interaction(item_id=f"i{pair[0]}", kind="like", weight=pair[1], timestamp=0.0)
    ),
    max_size=8,
)


@st.composite
def people(draw: st.DrawFn, snapshot: Snapshot) -> tuple[Profile, set[int]]:
    """Somebody, and the items that they must not be shown."""
    history = draw(HISTORY)
    seen, hidden, excluded = (draw(st.sets(st.integers(0, 45), max_size=6)) for _ in range(3))
    exclude_seen = draw(st.booleans())
    state = UserState(history=(), seen=hashes(seen), hidden=hashes(hidden))
    exclude_ids = [f"i{number}" for number in excluded]
    profile = resolve(snapshot, state, history, exclude_ids=exclude_ids, exclude_seen=exclude_seen)
    shown_before = {int(one.item_id[1:]) for one in history} | seen
    return profile, hidden | excluded | (shown_before if exclude_seen else set())


def hashes(numbers: set[int]) -> NDArray[np.uint64]:
    return np.array([hash_id(f"i{number}") for number in numbers], dtype=np.uint64)


def scores_of(snapshot: Snapshot, profile: Profile) -> NDArray[np.float32]:
    if not profile.personal:
        return snapshot.popularity
    return snapshot.searcher.score_items(profile.query, np.arange(40, dtype=np.int32))


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 3), count=st.integers(1, 50), data=st.data())
def test_an_answer_is_that_of_brute_force(
    make_snapshot: MakeSnapshot, seed: int, count: int, data: st.DataObject
) -> None:
    snapshot = make_snapshot(seed)
    profile, never = data.draw(people(snapshot))
    asked = data.draw(selections(snapshot))
    scores = scores_of(snapshot, profile)
    hits = recommend(snapshot, profile, count, select(snapshot, **asked.fields))
    expected = asked.best(scores, never)[:count]
    assert hits.items.tolist() == expected
    assert hits.scores.tolist() == (scores * asked.factors)[expected].tolist()


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 3), count=st.integers(1, 50), data=st.data())
def test_a_segment_is_that_of_brute_force(
    make_snapshot: MakeSnapshot, seed: int, count: int, data: st.DataObject
) -> None:
    snapshot = make_snapshot(seed)
    profile, never = data.draw(people(snapshot))
    asked = data.draw(selections(snapshot))
    number = data.draw(st.integers(0, len(snapshot.segments) - 1))
    members = snapshot.segments.items_of(number)
    scores = scores_of(snapshot, profile)
    if not profile.personal:
        scores = scores.copy()
        scores[members] *= snapshot.segments.strengths_of(number)
    asked.allowed &= set(members.tolist())
    hits = segment_items(snapshot, profile, number, count, select(snapshot, **asked.fields))
    assert hits.items.tolist() == asked.best(scores, never, named=profile.personal)[:count]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 3), likes=st.sets(st.integers(0, 39), min_size=1, max_size=3), data=st.data())
def test_similar_items_pass_the_filter(
    make_snapshot: MakeSnapshot, seed: int, likes: set[int], data: st.DataObject
) -> None:
    snapshot = make_snapshot(seed)
    asked = data.draw(selections(snapshot, alone=True))
    chosen = select(snapshot, filter=asked.fields.get("filter"))
    everything = similar(snapshot, np.array(sorted(likes), np.int32), 40)
    hits = similar(snapshot, np.array(sorted(likes), np.int32), 40, selection=chosen)
    assert hits.items.tolist() == [item for item in everything.items.tolist() if item in asked.allowed]


ORDERED = st.builds(
    Ordered,
    max_per=st.dictionaries(st.sampled_from(["shelf", "tags", "year"]), st.integers(1, 3), max_size=2),
    diversity=st.sampled_from([0.0, 0.4, 1.0]),
    seed=st.none() | st.integers(0, 9),
)


def values(properties: dict[str, Any], key: str) -> list[Any]:
    own = properties[key]
    return own if isinstance(own, list) else [] if own is None else [own]


def keeps(snapshot: Snapshot, items: list[int], how: Ordered) -> bool:
    """Whether a list has no more of a value than its caps allow."""
    properties = snapshot.catalogue.properties(items)
    counts = {key: Counter(value for own in properties for value in values(own, key)) for key in how.max_per}
    return all(max(counts[key].values(), default=0) <= most for key, most in how.max_per.items())


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 3),
    size=st.builds(
        Size,
        n_rows=st.integers(1, 6),
        row_size=st.integers(1, 8),
        max_overlap=st.just(1.0),
        reach=st.just(0),
        emphasis=st.just(PLAIN_EMPHASIS),
    ),
    how=ORDERED,
    data=st.data(),
)
def test_every_row_of_a_page_obeys(
    make_snapshot: MakeSnapshot, seed: int, size: Size, how: Ordered, data: st.DataObject
) -> None:
    snapshot = make_snapshot(seed)
    profile, never = data.draw(people(snapshot))
    asked = data.draw(selections(snapshot, alone=True))
    chosen, ordering = select(snapshot, **asked.fields), ordering_of(snapshot, how, None, NOTHING_SERVED, 0.0)
    rows = page(snapshot, profile, size, chosen, ordering)
    items = [item for row in rows for item in row.hits.items.tolist()]
    assert len(set(items)) == len(items)
    assert set(items) <= asked.allowed - never
    assert all(keeps(snapshot, row.hits.items.tolist(), how) for row in rows)
    assert all(size.min_fill <= len(row.hits.items) <= size.row_size for row in rows)
    scores = scores_of(snapshot, profile) * asked.factors
    for row in rows:
        if row.kind == "top_picks":
            assert row.hits.scores.tolist() == scores[row.hits.items].tolist()
        if row.kind == "popular":
            boosted = snapshot.popularity * asked.factors
            assert row.hits.scores.tolist() == boosted[row.hits.items].tolist()
    if rows and rows[0].kind == "top_picks" and ordering is PLAIN:
        best = asked.best(scores_of(snapshot, profile), never)
        elsewhere = {item for row in rows[1:] for item in row.hits.items.tolist()}
        assert rows[0].hits.items.tolist() == [item for item in best if item not in elsewhere][: size.row_size]


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 3), count=st.integers(1, 20), how=ORDERED, data=st.data())
def test_all_of_it_together_never_shows_what_must_not_be(
    make_snapshot: MakeSnapshot, seed: int, count: int, how: Ordered, data: st.DataObject
) -> None:
    snapshot = make_snapshot(seed)
    profile, never = data.draw(people(snapshot))
    asked = data.draw(selections(snapshot))
    ordering = ordering_of(snapshot, how, None, NOTHING_SERVED, 0.0)
    hits = recommend(snapshot, profile, count, select(snapshot, **asked.fields), ordering)
    items = hits.items.tolist()
    assert len(set(items)) == len(items) <= count
    assert set(items) <= set(asked.best(scores_of(snapshot, profile), never))
    assert keeps(snapshot, items, how)
    if not how.max_per:
        assert len(items) == min(count, len(asked.best(scores_of(snapshot, profile), never)))


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 3), count=st.integers(1, 45), excluded=st.sets(st.integers(0, 39)), data=st.data())
def test_popular_items_are_walked_to_as_far_as_it_takes(
    make_snapshot: MakeSnapshot, seed: int, count: int, excluded: set[int], data: st.DataObject
) -> None:
    """With a first look of two items, boosts turn the order over far behind it."""
    snapshot = make_snapshot(seed)
    asked = data.draw(selections(snapshot, alone=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(popular, "LOOK", 2)
        exclude = np.array(sorted(excluded), dtype=np.int32)
        hits = popular.popular(snapshot, exclude, count, select(snapshot, **asked.fields))
    assert hits.items.tolist() == asked.best(snapshot.popularity, excluded)[:count]


def test_nothing_asked_for_is_everything(make_snapshot: MakeSnapshot) -> None:
    assert select(make_snapshot(0)) is EVERYTHING
    assert not EVERYTHING.restricts
    unboosted = select(make_snapshot(0), boost=[Boost(filter={}, factor=1.0)])
    assert unboosted == EVERYTHING


def test_what_is_unknown_is_skipped_and_counted_once_each(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(0)
    known = snapshot.segments.segments[0].segment_id
    found = select(snapshot, segment_ids=[known, "x", "x", "y"], candidate_ids=["i1", "gone", "gone"])
    assert [(one.code, one.message[:20]) for one in found.notices] == [
        ("unknown_segments", "2 of segment_ids are"),
        ("unknown_items", "1 of candidate_ids a"),
    ]


@pytest.mark.parametrize(
    "fields", [{"segment_ids": []}, {"segment_ids": ["x"]}, {"candidate_ids": []}, {"candidate_ids": ["gone"]}]
)
def test_a_list_that_names_nothing_leaves_nothing(make_snapshot: MakeSnapshot, fields: dict[str, Any]) -> None:
    """Never unfiltered items, where a caller's list happens to be empty."""
    snapshot = make_snapshot(0)
    found = select(snapshot, **fields)
    assert found.restricts
    for profile in (resolve(snapshot, NOBODY, ()), resolve(snapshot, NOBODY, [LIKE])):
        assert len(recommend(snapshot, profile, 10, found).items) == 0
    (notice,) = nothing_left(found, empty=True)
    assert notice.code == "nothing_left"
    assert nothing_left(found, empty=False) == nothing_left(EVERYTHING, empty=True) == ()


NOBODY = UserState(history=(), seen=hashes(set()), hidden=hashes(set()))
LIKE = Interaction(item_id="i1", kind="like", weight=1.0, timestamp=0.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filter": {"must": [{"key": "colour", "match": {"value": "red"}}]}}, r"^body\.filter: must\[0\]\.key is"),
        ({"boost": [Boost(filter={"all": []}, factor=2.0)]}, r"^body\.boost\.0\.filter: filter has 'all'"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_place(
    make_snapshot: MakeSnapshot, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(Invalid, match=message) as caught:
        select(make_snapshot(0), **fields)
    assert caught.value.errors[0].field in message.replace("\\", "")


def test_items_that_are_named_are_ranked_whatever_their_score(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(0)
    profile = resolve(snapshot, NOBODY, [LIKE])
    scores = scores_of(snapshot, profile)
    expected = [row for row in sorted(range(40), key=lambda row: (-scores[row], row)) if row != 1]
    assert scores.min() < 0
    hits = recommend(snapshot, profile, 40, select(snapshot, candidate_ids=ITEM_IDS))
    assert hits.items.tolist() == expected
    floor = float(scores[expected[20]])
    some = recommend(snapshot, profile, 40, select(snapshot, candidate_ids=ITEM_IDS, min_score=floor))
    assert some.items.tolist() == [row for row in expected if scores[row] >= floor]
