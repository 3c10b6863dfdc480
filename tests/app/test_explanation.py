"""What a score is made of: parts that add up to it, over random histories, models, steering and boosts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import answers, explanation
from app.cursors import Cursors
from app.explanation import Account, accounts, reasons
from app.inquiry import Inquiry, KnownUser
from app.recommend import LIKED_BY_MANY, Profile, recommend, resolve
from app.schemas.retrieval import HomepageRequest, RecommendRequest
from app.settings import Settings
from app.store.users import Interaction, UserState
from app.telemetry import Timings
from index import query
from index.search import Searcher
from index.snapshot import Snapshot
from index.sparse import quantised

MakeSnapshot = Callable[[int], Snapshot]

NO_HASHES = np.empty(0, dtype=np.uint64)
EMPTY = UserState((), NO_HASHES, NO_HASHES)
KINDS = st.sampled_from(["plain", "scaled", "int8", "factor"])
HISTORIES = st.lists(
    st.builds(
        Interaction,
        st.integers(0, 39).map(lambda row: f"i{row}"),
        st.just("like"),
        st.floats(-1, 1, width=32),
        st.integers(0, 9).map(float),
    ),
    max_size=8,
)
STEERING = st.dictionaries(st.integers(0, 3), st.floats(-1, 1, width=32), max_size=3)


def variant(snapshot: Snapshot, kind: str, query_dims: int | None) -> Snapshot:
    model = replace(snapshot.embeddings, query_dims=query_dims)
    if kind == "scaled":
        model = replace(model, item_scale=np.linspace(0.25, 4, 40, dtype=np.float32))
    elif kind == "int8":
        model = replace(model, decoder=quantised(model.decoder))
    elif kind == "factor":
        factor = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
        model = replace(model, query_factor=factor)
    return replace(snapshot, embeddings=model, searcher=Searcher.of(model))


def profile_of(snapshot: Snapshot, history: list[Interaction], steering: dict[int, float]) -> Profile:
    steer = {snapshot.segments.segments[number].segment_id: strength for number, strength in steering.items()}
    return resolve(snapshot, EMPTY, history, steer=steer)


def likes(*item_ids: str) -> list[Interaction]:
    return [Interaction(item_id, "like", 1.0, 0.0) for item_id in item_ids]


def by_item(one: Account) -> float:
    return float(one.history.sum() + one.popularity + one.steering.sum() + one.boosts)


def by_dim(one: Account) -> float:
    return float(one.segments.sum() + one.other + one.steering.sum() + one.boosts)


@settings(deadline=None)
@given(
    st.integers(0, 20),
    KINDS,
    st.none() | st.integers(1, 6),
    HISTORIES,
    STEERING,
    st.integers(0, 39),
    st.sampled_from([1.0, 0.1, 7.3]),
)
def test_the_parts_add_up_to_the_score(
    make_snapshot: MakeSnapshot,
    seed: int,
    kind: str,
    query_dims: int | None,
    history: list[Interaction],
    steering: dict[int, float],
    item: int,
    factor: float,
) -> None:
    snapshot = variant(make_snapshot(seed), kind, query_dims)
    profile = profile_of(snapshot, history, steering)
    row, factors = np.array([item], dtype=np.int32), np.array([factor], dtype=np.float32)
    (one,) = accounts(snapshot, profile, row, factors)
    if profile.personal:
        score = snapshot.searcher.score_items(profile.query, row) * factors
    else:
        score = snapshot.popularity[row] * factors
    assert one.score == score[0]
    for total in (by_item(one), by_dim(one)):
        assert total == pytest.approx(one.score, rel=1e-5, abs=1e-12)
    # what was put into the largest part is no more than what float32 rounds
    parts = np.abs(np.concatenate([one.history, [one.popularity, one.other], one.segments, one.steering]))
    assert abs(one.rounding) <= 1e-5 * float(parts.sum()) + 1e-12
    assert (len(one.history), len(one.steering)) == (len(profile.opinions), len(profile.steering.strengths))


def test_what_no_segment_owns_is_counted_apart(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(15)
    assert (snapshot.segments.owners < 0).any()
    found = accounts(snapshot, profile_of(snapshot, likes("i0", "i1", "i2"), {}), np.arange(40, dtype=np.int32))
    assert any(one.other for one in found)
    assert [by_dim(one) for one in found] == pytest.approx([one.score for one in found], rel=1e-5, abs=1e-7)


@settings(deadline=None)
@given(st.integers(0, 20), st.none() | st.integers(1, 6), HISTORIES, STEERING, st.integers(0, 39))
def test_each_part_is_what_it_says(
    make_snapshot: MakeSnapshot,
    seed: int,
    query_dims: int | None,
    history: list[Interaction],
    steering: dict[int, float],
    item: int,
) -> None:
    snapshot = variant(make_snapshot(seed), "scaled", query_dims)
    profile = profile_of(snapshot, history, steering)
    if not profile.personal:
        return
    (found,) = accounts(snapshot, profile, np.array([item], dtype=np.int32))
    model, segments = snapshot.embeddings, snapshot.segments
    assert model.item_scale is not None
    kept = (profile.query != 0) * model.decoder.dense_row(item).astype(np.float64) * float(model.item_scale[item])
    encoded = [
        opinion.weight * model.decoder.dense_row(opinion.item).astype(np.float64) for opinion in profile.opinions
    ]
    np.testing.assert_allclose(found.history, [row @ kept for row in encoded], rtol=1e-4, atol=1e-5)
    before = query.whole(model, *explanation.ground(snapshot, profile)[:2]).astype(np.float64)
    for (number, strength), part in zip(profile.steering.strengths, found.steering, strict=True):
        push = strength * (np.linalg.norm(before) or 1.0) * segments.rows.dense_row(number)
        assert part == pytest.approx(push @ kept, rel=1e-4, abs=1e-5)
    for number, part in enumerate(found.segments):
        expected = sum(before[dim] * kept[dim] for dim in range(8) if owner(snapshot, dim, item) == number)
        assert part == pytest.approx(expected, rel=1e-4, abs=1e-5)


def owner(snapshot: Snapshot, dim: int, item: int) -> int | None:
    """The segment that is strongest in a dimension, on the side that the item is on."""
    side = np.sign(snapshot.embeddings.decoder.dense_row(item)[dim])
    if side == 0:
        return None
    strengths = [side * snapshot.segments.rows.dense_row(number)[dim] for number in range(len(snapshot.segments))]
    best = int(np.argmax(strengths))
    return best if strengths[best] > 0 else None


def test_reasons_name_what_spoke_for_an_item(planted: Snapshot) -> None:
    profile = resolve(planted, EMPTY, [*likes("a1"), Interaction("b19", "purchase", 0.5, -1.0)], steer={"s2": 0.5})
    items = planted.items.rows(["a2", "b2", "c1"])
    of_a, of_b, of_c = reasons(planted, profile, items)
    assert [(one.kind, one.text, one.item_id, one.segment_id) for one in of_a] == [
        ("history", "Because you liked Title a1", "a1", None),
        ("segment", "Fits Group a", None, "s0"),
    ]
    assert [one.text for one in of_b] == ["Because you bought Title b19", "Fits Group b"]
    assert "You asked for Group c" in [one.text for one in of_c]
    score = planted.searcher.score_items(profile.query, items[:1])[0]
    assert of_a[0].contribution == pytest.approx(float(score), rel=0.05)


def test_at_most_two_items_of_the_history_are_named_strongest_first(planted: Snapshot) -> None:
    profile = resolve(planted, EMPTY, [*likes("a3", "a9"), Interaction("a20", "view", 0.3, 0.0)])
    (found,) = reasons(planted, profile, planted.items.rows(["a1"]))
    named = [one.item_id for one in found if one.kind == "history"]
    assert named == ["a3", "a9"]


def test_nobody_hears_that_many_like_it(planted: Snapshot) -> None:
    profile = resolve(planted, EMPTY, ())
    found = reasons(planted, profile, recommend(planted, profile, 3).items)
    assert [[(one.kind, one.text) for one in each] for each in found] == [[("popular", LIKED_BY_MANY)]] * 3


def test_what_nothing_speaks_for_is_said_to_be_popular(planted: Snapshot) -> None:
    profile = resolve(planted, EMPTY, likes("a1"))
    assert [one.kind for one in reasons(planted, profile, planted.items.rows(["blank"]))[0]] == ["popular"]


def test_a_user_who_only_steers_is_explained_by_the_crowd_and_the_steering(planted: Snapshot) -> None:
    profile = resolve(planted, EMPTY, (), steer={"s2": 1.0})
    (one,) = accounts(planted, profile, planted.items.rows(["c1"]))
    assert len(one.history) == 0
    assert one.popularity > 0
    assert one.steering[0] > 0
    assert by_item(one) == pytest.approx(one.score, rel=1e-5)


def test_the_first_items_of_an_answer_have_reasons(planted: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_WITH_REASONS", 5)
    known = KnownUser(UserState((*likes("a1"),), NO_HASHES, NO_HASHES), (), degraded=False)
    settings_ = Settings.model_validate({"redis_url": "redis://nowhere"})
    inquiry = Inquiry(planted, settings_, Timings(), known, Cursors(b"a secret of the tests"))
    found = answers.items(inquiry, RecommendRequest(count=9, explain=True))
    assert [item.reasons is not None for item in found.items] == [True] * 5 + [False] * (len(found.items) - 5)
    page = answers.page(inquiry, HomepageRequest(row_size=3, explain=True))
    on_page = [item.reasons is not None for row in page.rows for item in row.items]
    assert on_page == [True] * 5 + [False] * (len(on_page) - 5)
