from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import rankings
from app.emphasis import PLAIN_EMPHASIS
from app.homepage import page
from app.placing import Size
from app.properties import about
from app.pursuit import SAME_TASTE
from app.rankings import FLOOR, FLOOR_RANK, pool_of
from app.recommend import Profile, best, recommend, resolve
from app.selection import EVERYTHING
from app.shelf import Row
from app.store.users import Interaction, UserState
from index.search import Searcher
from index.segments import TYPICAL, Segments
from index.snapshot import Snapshot

MakeSnapshot = Callable[[int], Snapshot]
NO_HASHES = np.empty(0, np.uint64)
NOBODY = UserState(history=(), seen=NO_HASHES, hidden=NO_HASHES)
DESKTOP = Size(n_rows=6, row_size=4, max_overlap=1.0)


def profile_of(snapshot: Snapshot, *item_ids: str, exclude_seen: bool = True) -> Profile:
    """Somebody who liked these, newest first."""
    history = [Interaction(item_id=item_id, kind="like", weight=1.0, timestamp=0.0) for item_id in item_ids]
    return resolve(snapshot, NOBODY, history, exclude_seen=exclude_seen)


def shown(rows: list[Row]) -> list[int]:
    return [item for row in rows for item in row.hits.items.tolist()]


def kinds(rows: list[Row]) -> list[str]:
    return [row.kind for row in rows]


def without_segments(snapshot: Snapshot) -> Snapshot:
    none = Segments(
        segments=(),
        starts=np.zeros(1, np.int64),
        items=np.empty(0, np.int32),
        strengths=np.empty(0, np.float32),
        rows=snapshot.segments.rows.take(np.empty(0, np.int32)),
        retired=frozenset(),
    )
    return replace(snapshot, segments=none)


history = st.lists(
    st.tuples(st.integers(0, 42), st.sampled_from([-1.0, 0.0, 0.2, 1.0])).map(
        lambda pair: Interaction(item_id=f"i{pair[0]}", kind="like", weight=pair[1], timestamp=0.0)
    ),
    max_size=10,
)
sizes = st.builds(
    Size,
    n_rows=st.integers(1, 8),
    row_size=st.integers(1, 8),
    max_overlap=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    reach=st.just(0),
    emphasis=st.just(PLAIN_EMPHASIS),
)


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 3),
    history=history,
    size=sizes,
    excluded=st.sets(st.integers(0, 42), max_size=6),
    exclude_seen=st.booleans(),
)
def test_what_holds_for_every_page(
    make_snapshot: MakeSnapshot,
    seed: int,
    history: list[Interaction],
    size: Size,
    excluded: set[int],
    exclude_seen: bool,
) -> None:
    snapshot = make_snapshot(seed)
    exclude_ids = [f"i{number}" for number in excluded]
    profile = resolve(snapshot, NOBODY, history, exclude_ids=exclude_ids, exclude_seen=exclude_seen)
    rows = page(snapshot, profile, size)
    assert len(rows) <= size.n_rows
    assert all(size.min_fill <= len(row.hits.items) <= size.row_size for row in rows)
    items = shown(rows)
    assert len(set(items)) == len(items)
    assert not set(items) & set(profile.exclude.tolist())
    assert not set(snapshot.items.item_ids(items)) & set(exclude_ids)
    if exclude_seen:
        assert not set(snapshot.items.item_ids(items)) & {one.item_id for one in history}
    for row in rows:
        assert row.hits.scores.tolist() == sorted(row.hits.scores.tolist(), reverse=True)
        assert row.hits.scores.min() > 0
        assert row.kind != "because" or row.key not in snapshot.items.item_ids(row.hits.items)
    assert len({row.row_id for row in rows}) == len({row.title for row in rows}) == len(rows)
    assert kinds(rows).count("popular") <= 1
    again = page(snapshot, profile, size)
    assert [(row[:4], row.score) for row in again] == [(row[:4], row.score) for row in rows]
    assert shown(again) == items


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 3), history=history, depth=st.integers(0, 45), most=st.integers(2, 45))
def test_a_pool_is_the_best_items_and_what_else_reaches_the_floor(
    make_snapshot: MakeSnapshot, seed: int, history: list[Interaction], depth: int, most: int
) -> None:
    snapshot = make_snapshot(seed)
    profile = resolve(snapshot, NOBODY, history)
    hits = best(snapshot, profile.query, len(snapshot.items), profile.exclude, EVERYTHING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rankings, "FLOOR_RANK", 2)
        patch.setattr(rankings, "POOL", most)
        pool = pool_of(snapshot, profile, depth, EVERYTHING)
    floor = FLOOR * float(hits.scores[:2][-1]) if len(hits.scores) else 0.0
    enough = int(np.count_nonzero(hits.scores >= np.float32(floor)))
    n = min(max(most, depth), max(depth, enough))
    assert (pool.hits.items.tolist(), pool.hits.scores.tolist()) == (hits.items[:n].tolist(), hits.scores[:n].tolist())
    assert pool.above.items.tolist() == hits.items[: min(n, enough)].tolist()


def ranking_of(snapshot: Snapshot, profile: Profile, row: Row) -> dict[int, float]:
    """The oracle: item -> score of everything that might be in a row, by the definition of its kind."""
    everything = np.arange(len(snapshot.items), dtype=np.int32)
    own = snapshot.searcher.score_items(profile.query, everything)
    best = sorted(
        (float(own[item]) for item in everything if item not in profile.exclude and own[item] > 0), reverse=True
    )
    floor = FLOOR * best[:FLOOR_RANK][-1] if best else 0.0
    if row.kind == "popular":
        return dict(enumerate(snapshot.popularity.tolist()))
    if row.kind == "top_picks":
        return dict(enumerate(own.tolist()))
    if row.kind == "property":
        key, value = about(row.key)
        passing = snapshot.filters.compile({"must": [{"key": key, "match": {"value": value}}]})
        return {item: float(own[item]) for item in passing.rows().tolist() if own[item] >= floor}
    if row.kind == "because":
        anchor = snapshot.items.row(row.key)
        assert anchor is not None
        likeness = snapshot.searcher.score_items(snapshot.embeddings.decoder.dense_row(anchor), everything)
        mean = np.sqrt(np.maximum(likeness, 0) * (np.maximum(own, 0) / np.linalg.norm(profile.query)))
        return {item: float(mean[item]) for item in everything.tolist() if own[item] >= floor and item != anchor}
    number = snapshot.segments.number(row.key)
    assert number is not None
    members = snapshot.segments.items_of(number).tolist()
    strengths = snapshot.segments.strengths_of(number)
    if row.reason == "Liked by many people":
        return {item: float(snapshot.popularity[item] * share) for item, share in zip(members, strengths, strict=True)}
    typical = [item for item, strength in zip(members, strengths, strict=True) if strength >= TYPICAL * strengths.max()]
    return {item: float(own[item]) for item in typical if own[item] >= floor}


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 3), history=history, size=sizes)
def test_a_row_is_its_ranking_less_what_other_rows_have(
    make_snapshot: MakeSnapshot, seed: int, history: list[Interaction], size: Size
) -> None:
    snapshot = make_snapshot(seed)
    profile = resolve(snapshot, NOBODY, history)
    rows = page(snapshot, profile, size)
    for number, row in enumerate(rows):
        scores = ranking_of(snapshot, profile, row)
        elsewhere = {*profile.exclude.tolist(), *shown([*rows[:number], *rows[number + 1 :]])}
        left = [item for item in scores if item not in elsewhere and scores[item] > 0]
        expected = sorted(left, key=lambda item: (-scores[item], item))[: size.row_size]
        assert row.hits.items.tolist() == expected
        assert row.hits.scores.tolist() == pytest.approx([scores[item] for item in expected], rel=1e-5)


def test_a_known_user_sees_top_picks_a_because_row_their_segments_and_what_is_popular(planted: Snapshot) -> None:
    rows = page(planted, profile_of(planted, "a1", "b1"), Size(n_rows=9, row_size=4, max_overlap=1.0))
    assert kinds(rows)[0] == "top_picks"
    top, because = rows[0], next(row for row in rows if row.kind == "because" and row.key == "a1")
    segments = [row for row in rows if row.kind == "segment" and not row.crowd]
    popular = next(row for row in rows if row.kind == "popular")
    assert (top.title, top.reason) == ("Top picks for you", "Picked from your whole history")
    assert (because.title, because.reason) == ("Because you liked Title a1", "Often liked by the same people")
    assert because.key == "a1"
    assert {(row.title, row.reason) for row in segments} == {
        ("Group a", "Because you liked Title a1"),
        ("Group b", "Because you liked Title b1"),
    }
    assert (popular.title, popular.reason) == ("Popular with everyone", "Liked by the most people")


def test_what_a_narrow_taste_does_not_fill_segments_of_the_crowd_do(planted: Snapshot) -> None:
    rows = page(planted, profile_of(planted, "a1"), Size(n_rows=7, row_size=3, max_overlap=1.0))
    assert kinds(rows)[:1] == ["top_picks"]
    below = [(row.kind, row.reason) for row in rows if row.crowd or row.kind == "popular"]
    assert set(below) == {("segment", "Liked by many people"), ("popular", "Liked by the most people")}
    assert {row.title for row in rows if row.crowd} <= {"Group b", "Group c", "Group d"}
    assert len([row for row in rows if row.crowd]) >= 2


def test_top_picks_alone_are_the_recommendations(planted: Snapshot) -> None:
    profile = profile_of(planted, "a1", "b1")
    (top,) = page(planted, profile, Size(n_rows=1, row_size=4, max_overlap=1.0))
    assert top.hits.items.tolist() == recommend(planted, profile, 4).items.tolist()
    assert top.score == pytest.approx(float(top.hits.scores.mean()))


def test_what_matters_most_stands_top_left(planted: Snapshot) -> None:
    """The best item is the first of all, and a narrower row that has the next ones is led by them."""
    profile = profile_of(planted, "a1", "b1")
    rows = page(planted, profile, DESKTOP)
    best = recommend(planted, profile, 24).items.tolist()
    leaders = [row.hits.items[0] for row in rows if row.kind != "popular"]
    assert leaders[0] == best[0]
    assert set(leaders[1:]) & set(best[:6])


def test_a_large_page_has_two_because_rows_of_items_that_are_not_alike(planted: Snapshot) -> None:
    rows = page(planted, profile_of(planted, "a1", "a2", "b1"), Size(n_rows=8, row_size=3, max_overlap=1.0))
    assert [row.key for row in rows if row.kind == "because"] == ["a1", "b1"]


def test_without_segments_because_rows_make_the_page(planted: Snapshot) -> None:
    bare = without_segments(planted)
    profile = profile_of(bare, "a1", "a9", "b1", "b9", "c1", "c9")  # the better known half heads rows
    rows = page(bare, profile, Size(n_rows=6, row_size=3, max_overlap=1.0))
    assert kinds(rows) == ["top_picks", "because", "because", "because", "popular"]
    assert [row.key for row in rows if row.kind == "because"] == ["a1", "b1", "c1"]


def test_an_item_that_few_know_heads_no_row_while_better_known_ones_are_there(planted: Snapshot) -> None:
    rows = page(planted, profile_of(planted, "a18", "b1", "c17", "d2"), Size(n_rows=8, row_size=3, max_overlap=1.0))
    assert {row.key for row in rows if row.kind == "because"} == {"b1", "d2"}


def test_a_newcomer_sees_what_is_popular_and_then_every_taste(planted: Snapshot) -> None:
    rows = page(planted, profile_of(planted), DESKTOP)
    assert kinds(rows) == ["popular", "segment", "segment", "segment", "segment"]
    assert {row.title for row in rows[1:]} == {f"Group {group}" for group in "abcd"}
    assert {row.reason for row in rows[1:]} == {"Liked by many people"}


def test_two_segments_of_the_same_taste_do_not_share_a_page(planted: Snapshot) -> None:
    """The planted snapshot has Group a twice: once more as `Twin of a`."""
    numbers = {one.title: number for number, one in enumerate(planted.segments.segments)}
    rows = planted.segments.rows
    assert rows.dense_row(numbers["Group a"]) @ rows.dense_row(numbers["Twin of a"]) > SAME_TASTE
    titles = [row.title for row in page(planted, profile_of(planted, "a1"), Size(8, 3, 1.0))]
    assert "Group a" in titles
    assert "Twin of a" not in titles


def test_a_row_whose_items_are_mostly_in_others_is_not_used(planted: Snapshot) -> None:
    """The because-row of a1 and group a have the same best items."""
    profile = profile_of(planted, "a1")
    generous = page(planted, profile, Size(n_rows=4, row_size=3, max_overlap=1.0))
    strict = page(planted, profile, Size(n_rows=4, row_size=3, max_overlap=0.0))
    both = {"Because you liked Title a1", "Group a"}
    assert both <= {row.title for row in generous}
    assert not both <= {row.title for row in strict}


def test_a_row_that_would_be_nearly_empty_is_not_used(planted: Snapshot) -> None:
    """Nineteen items of group a are left: they fill a row of 16, and 3 more are too few for another."""
    rows = page(planted, profile_of(planted, "a1"), Size(n_rows=2, row_size=16, max_overlap=1.0))
    assert all(len(row.hits.items) >= 8 for row in rows)


@pytest.mark.parametrize(("row_size", "fewest"), [(1, 1), (2, 2), (3, 3), (6, 3), (7, 4), (12, 6), (100, 50)])
def test_a_row_is_at_least_half_full(row_size: int, fewest: int) -> None:
    assert Size(n_rows=6, row_size=row_size, max_overlap=0.5).min_fill == fewest


def test_a_seen_item_may_be_on_the_page_on_request(planted: Snapshot) -> None:
    liked = planted.items.row("a1")
    profile = profile_of(planted, "a1", "a2", exclude_seen=False)
    assert liked in shown(page(planted, profile, DESKTOP))


def test_the_same_shelf_has_the_same_id_on_every_page(planted: Snapshot, make_snapshot: MakeSnapshot) -> None:
    one = page(planted, profile_of(planted, "a1", "b1"), DESKTOP)
    other = page(planted, profile_of(planted, "b1", "a1"), DESKTOP)
    ids = {(row.kind, row.title): row.row_id for row in one}
    assert all(ids.get((row.kind, row.title), row.row_id) == row.row_id for row in other)
    assert page(make_snapshot(0), profile_of(make_snapshot(0), "i1"), DESKTOP)[0].row_id == one[0].row_id


def test_one_scoring_pass_of_the_users_query_makes_the_page(
    make_snapshot: MakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = make_snapshot(0)
    profile = profile_of(snapshot, "i3", "i9", "i20")
    asked: list[str] = []

    def counted(verb: str) -> Callable[..., Any]:
        search = getattr(Searcher, verb)

        def ask(*given: Any, **named: Any) -> Any:
            asked.append(verb)
            return search(*given, **named)

        return ask

    for verb in ("top_n", "top_n_per_segment", "batch"):
        monkeypatch.setattr(Searcher, verb, counted(verb))
    assert {"top_picks", "segment"} <= set(kinds(page(snapshot, profile, DESKTOP)))
    assert asked == ["top_n"]
