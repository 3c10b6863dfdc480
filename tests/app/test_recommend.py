from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.popular import popular
from app.recommend import (
    MIN_UNSEEN,
    Profile,
    rank_segments,
    recommend,
    resolve,
    segment_items,
    segment_reasons,
    similar,
    titles,
)
from app.store.users import Interaction, UserState
from index.query import encode
from index.snapshot import Snapshot
from index.vocabulary import hash_id

MakeSnapshot = Callable[[int], Snapshot]


def hashes(*item_ids: str) -> NDArray[np.uint64]:
    return np.array([hash_id(item_id) for item_id in item_ids], dtype=np.uint64)


def did(item_id: str, weight: float = 1.0, kind: str = "like", at: float = 0.0) -> Interaction:
    return Interaction(item_id=item_id, kind=kind, weight=weight, timestamp=at)


def stored(*history: Interaction, seen: tuple[str, ...] = (), hidden: tuple[str, ...] = ()) -> UserState:
    return UserState(history=history, seen=hashes(*seen), hidden=hashes(*hidden))


NOBODY = stored()


def opinions(snapshot: Snapshot, profile: Profile) -> list[tuple[str, float]]:
    return [(snapshot.items.item_id(one.item), one.weight) for one in profile.opinions]


def ids(snapshot: Snapshot, items: NDArray[np.int32]) -> list[str]:
    return snapshot.items.item_ids(items)


def codes(profile: Profile) -> list[str]:
    return [notice.code for notice in profile.notices]


def ranked_titles(snapshot: Snapshot, profile: Profile) -> list[str]:
    return [snapshot.segments.segments[one.number].title for one in rank_segments(snapshot, profile, 9)]


def liking(snapshot: Snapshot, *item_ids: str) -> Profile:
    return resolve(snapshot, NOBODY, [did(item_id) for item_id in item_ids])


def test_the_history_of_a_request_is_added_to_the_stored_one_newest_first(planted: Snapshot) -> None:
    state = stored(did("a1", 0.5, at=30), did("a2", at=10))
    profile = resolve(planted, state, [did("b1", at=40), did("b2", at=20)])
    assert opinions(planted, profile) == [("b1", 1.0), ("a1", 0.5), ("b2", 1.0), ("a2", 1.0)]


@pytest.mark.parametrize(
    ("history", "weight"),
    [
        ([did("a1", 0.2, "view"), did("a1", 1.0)], 1.0),
        ([did("a1", 0.2, "view")] * 30, 0.2),
        ([did("a1", -1.0), did("a1", 1.0)], -1.0),
        ([did("a1", 1.0), did("a1", -1.0)], 1.0),
        ([did("a1", 0.2, "view"), did("a1", -1.0)], -1.0),
        ([did("a1", 0.0), did("a1", 0.5)], 0.5),
    ],
)
def test_of_several_interactions_with_an_item_the_strongest_counts_the_newest_of_equals(
    planted: Snapshot, history: list[Interaction], weight: float
) -> None:
    profile = resolve(planted, NOBODY, [*history, did("b1")])
    assert opinions(planted, profile) == [("a1", weight), ("b1", 1.0)]


def test_an_item_is_as_recent_as_its_newest_interaction(planted: Snapshot) -> None:
    profile = resolve(planted, NOBODY, [did("a1", 0.2), did("b1", 1.0), did("a1", 1.0)])
    assert opinions(planted, profile) == [("a1", 1.0), ("b1", 1.0)]


def test_a_weight_of_0_counts_as_seen_and_nothing_more(planted: Snapshot) -> None:
    profile = resolve(planted, NOBODY, [did("a1", 0.0, "view"), did("b1")])
    assert opinions(planted, profile) == [("b1", 1.0)]
    assert ids(planted, profile.exclude) == ["a1", "b1"]


def test_an_impression_does_not_make_an_item_seen(planted: Snapshot) -> None:
    profile = resolve(planted, NOBODY, [did("a1", 0.0, "impression"), did("b1")])
    assert ids(planted, profile.exclude) == ["b1"]


def test_a_hidden_item_never_speaks_for_itself(planted: Snapshot) -> None:
    history = [did("a1"), did("a1", -0.5, "dislike"), did("b1"), did("c1")]
    profile = resolve(planted, stored(hidden=("c1",)), history)
    assert opinions(planted, profile) == [("a1", -0.5), ("b1", 1.0)]


def test_seen_items_may_come_back_on_request_hidden_and_excluded_ones_never(planted: Snapshot) -> None:
    state = stored(seen=("a1", "a2"), hidden=("a3",))
    history = [did("a4"), did("a5", -1.0, "dislike"), did("a6", 0.0, "hide")]
    strict = resolve(planted, state, history, exclude_ids=["a7", "not an item"])
    assert set(ids(planted, strict.exclude)) == {"a1", "a2", "a3", "a4", "a5", "a6", "a7"}
    relaxed = resolve(planted, state, history, exclude_ids=["a7"], exclude_seen=False)
    assert set(ids(planted, relaxed.exclude)) == {"a3", "a5", "a6", "a7"}


def test_unknown_items_are_skipped_and_counted_once_each(planted: Snapshot) -> None:
    profile = resolve(planted, stored(did("gone")), [did("nope"), did("nope"), did("a1")])
    assert codes(profile) == ["unknown_items"]
    assert profile.notices[0].message.startswith("2 items of the history are unknown")
    assert opinions(planted, profile) == [("a1", 1.0)]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], ["popular_fallback"]),
        ([did("nope")], ["unknown_items", "popular_fallback"]),
        ([did("a1", -1.0)], ["popular_fallback"]),
        ([did("a1", 0.0)], ["popular_fallback"]),
    ],
)
def test_without_a_liking_the_answer_is_what_is_popular(
    planted: Snapshot, history: list[Interaction], expected: list[str]
) -> None:
    profile = resolve(planted, NOBODY, history)
    assert codes(profile) == expected
    assert not profile.personal
    hits = recommend(planted, profile, 5)
    best = [row for row in planted.popular.tolist() if row not in profile.exclude][:5]
    assert hits.items.tolist() == best
    assert hits.scores.tolist() == planted.popularity[best].tolist()


def test_a_liking_without_a_place_in_the_item_space_is_no_liking(planted: Snapshot) -> None:
    """The planted item `blank` was in no training user's history."""
    assert codes(liking(planted, "blank")) == ["popular_fallback"]


def test_popular_items_fill_up_behind_the_excluded(planted: Snapshot) -> None:
    exclude = np.sort(planted.popular[:3])
    assert popular(planted, exclude, 4).items.tolist() == planted.popular[3:7].tolist()
    # `blank` has no users: nothing speaks for it.
    assert len(popular(planted, exclude, 1000).items) == len(planted.items) - 4


@pytest.mark.parametrize("group", "abcd")
def test_a_planted_taste_is_found(planted: Snapshot, group: str) -> None:
    profile = liking(planted, f"{group}1", f"{group}2", f"{group}3")
    rest = {f"{group}{number}" for number in range(4, 21)}
    assert set(ids(planted, recommend(planted, profile, 17).items)) == rest
    first, *_ = rank_segments(planted, profile, 10)
    assert planted.segments.segments[first.number].title == f"Group {group}"
    assert set(ids(planted, segment_items(planted, profile, first.number, 17).items)) == rest


def test_a_dislike_pushes_its_group_down(planted: Snapshot) -> None:
    likes = [did("a1"), did("b1")]
    before = ids(planted, recommend(planted, resolve(planted, NOBODY, likes), 15).items)
    after = ids(planted, recommend(planted, resolve(planted, NOBODY, [*likes, did("b2", -1.0)]), 15).items)
    assert any(item_id.startswith("b") for item_id in before)
    assert all(item_id.startswith("a") for item_id in after)


def test_similar_items_are_of_the_same_group_and_never_the_items_themselves(planted: Snapshot) -> None:
    hits = similar(planted, planted.items.rows(["c1", "c2"]), 18)
    assert set(ids(planted, hits.items)) == {f"c{number}" for number in range(3, 21)}


def test_a_taste_tilts_similar_items_and_does_not_take_over(planted: Snapshot) -> None:
    taste = liking(planted, "a1", "a2")
    hits = similar(planted, planted.items.rows(["c1"]), 22, exclude=taste.exclude, taste=taste)
    found = ids(planted, hits.items)
    assert set(found[:19]) == {f"c{number}" for number in range(2, 21)}
    assert all(item_id.startswith("a") for item_id in found[19:])
    assert not {"a1", "a2"} & set(found)


def test_what_is_similar_to_an_item_without_a_place_is_nothing(planted: Snapshot) -> None:
    taste = liking(planted, "a1")
    assert len(similar(planted, planted.items.rows(["blank"]), 5, taste=taste).items) == 0


def test_a_segment_without_enough_unseen_items_is_left_out(planted: Snapshot) -> None:
    enough = liking(planted, *(f"a{number}" for number in range(1, 21 - MIN_UNSEEN)))
    assert "Group a" in ranked_titles(planted, enough)
    spent = liking(planted, *(f"a{number}" for number in range(1, 22 - MIN_UNSEEN)))
    assert "Group a" not in ranked_titles(planted, spent)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("like", "liked"), ("rating", "liked"), ("purchase", "bought"), ("view", "viewed"), ("cart", "chose")],
)
def test_a_segment_is_explained_by_the_item_that_speaks_most_for_it(planted: Snapshot, kind: str, reason: str) -> None:
    profile = resolve(planted, NOBODY, [did("b1"), did("a1", kind=kind), did("b2", -1.0)])
    numbers = [number for number, one in enumerate(planted.segments.segments) if one.title == "Group a"]
    assert segment_reasons(planted, profile, numbers) == [f"Because you {reason} Title a1"]


def test_segments_are_ranked_for_the_crowd_where_nobody_is_known(planted: Snapshot) -> None:
    nobody = resolve(planted, NOBODY, [])
    ranked = rank_segments(planted, nobody, 10)
    assert ranked_titles(planted, nobody)[0] == "Group a"
    assert set(segment_reasons(planted, nobody, [one.number for one in ranked])) == {"Liked by many people"}
    hits = segment_items(planted, nobody, ranked[0].number, 3)
    assert ids(planted, hits.items) == ["a1", "a2", "a3"]


def test_the_crowd_likes_what_is_popular_in_proportion(planted: Snapshot) -> None:
    crowd = planted.crowd
    assert crowd.items.tolist() == planted.popular.tolist()
    assert crowd.weights.tolist() == (planted.popularity[crowd.items] / planted.popularity.max()).tolist()
    assert crowd.query.tolist() == encode(planted.embeddings, crowd.items, crowd.weights).tolist()
    assert planted.crowd is crowd
    with pytest.raises(ValueError, match="read-only"):
        crowd.query[0] = 1


def test_segments_are_as_near_as_their_rows_are(planted: Snapshot) -> None:
    rows = planted.segments.rows
    dense = np.array([rows.dense_row(number) for number in range(rows.n_rows)], dtype=np.float64)
    lengths = np.linalg.norm(dense, axis=1)
    np.testing.assert_allclose(planted.segment_cosines, dense @ dense.T / np.outer(lengths, lengths), atol=1e-6)


def test_an_item_is_called_by_its_title_else_its_name_else_its_id(planted: Snapshot) -> None:
    rows = planted.items.rows(["a1", "b19", "b20", "blank"])
    assert titles(planted, rows) == ["Title a1", "Title b19", "Name b20", "blank"]


history = st.lists(
    st.tuples(st.integers(0, 45), st.sampled_from([-1.0, 0.0, 0.2, 1.0, 2.5])).map(
        lambda pair: did(f"i{pair[0]}", pair[1])
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 3), history=history, hidden=st.sets(st.integers(0, 39), max_size=9), count=st.integers(1, 60)
)
def test_recommendations_are_those_of_brute_force(
    make_snapshot: MakeSnapshot, seed: int, history: list[Interaction], hidden: set[int], count: int
) -> None:
    snapshot = make_snapshot(seed)
    state = stored(hidden=tuple(f"i{number}" for number in hidden))
    profile = resolve(snapshot, state, history)
    hits = recommend(snapshot, profile, count)
    everything = np.arange(len(snapshot.items), dtype=np.int32)
    scores = snapshot.searcher.score_items(profile.query, everything) if profile.personal else snapshot.popularity
    out = {snapshot.items.row(one.item_id) for one in history} | {snapshot.items.row(f"i{number}") for number in hidden}
    left = [row for row in everything.tolist() if row not in out and (scores[row] > 0 or not profile.personal)]
    expected = sorted(left, key=lambda row: (-scores[row], row))[:count]
    assert hits.items.tolist() == expected
    assert hits.scores.tolist() == scores[expected].tolist()
