"""Steering: what it does to a profile, and over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import homepage, steering
from app.metrics import Metrics
from app.placing import Size
from app.recommend import ASKED_FOR, Profile, rank_segments, recommend, resolve, segment_reasons
from app.settings import Settings
from app.store.users import Interaction, Steering, Users, UserState
from index.search import score_segments
from index.snapshot import Snapshot

MakeSnapshot = Callable[[int], Snapshot]

NO_HASHES = np.empty(0, dtype=np.uint64)
STRENGTHS = st.floats(-1, 1, width=32)
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


def state(*history: Interaction, steered: Steering | None = None) -> UserState:
    return UserState(history, NO_HASHES, NO_HASHES, steered or {})


def likes(*item_ids: str) -> list[Interaction]:
    return [Interaction(item_id, "like", 1.0, 0.0) for item_id in item_ids]


def mean_rank(snapshot: Snapshot, profile: Profile, number: int) -> float:
    items = np.arange(len(snapshot.items), dtype=np.int32)
    scores = snapshot.searcher.score_items(profile.query, items)
    ranks = np.empty(len(items))
    ranks[np.lexsort((items, -scores))] = items
    return float(ranks[snapshot.segments.items_of(number)].mean())


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


@hypothesis_settings(deadline=None)
@given(st.integers(0, 20), HISTORIES, st.lists(st.integers(0, 3), unique=True))
def test_a_strength_of_0_changes_nothing(
    make_snapshot: MakeSnapshot, seed: int, history: list[Interaction], numbers: list[int]
) -> None:
    snapshot = make_snapshot(seed)
    zeros = {snapshot.segments.segments[number].segment_id: 0.0 for number in numbers}
    plain, steered = resolve(snapshot, state(*history), ()), resolve(snapshot, state(*history), (), steer=zeros)
    np.testing.assert_array_equal(plain.query, steered.query)
    assert (plain.opinions, plain.personal, plain.notices) == (steered.opinions, steered.personal, steered.notices)
    np.testing.assert_array_equal(plain.exclude, steered.exclude)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 20), HISTORIES, st.dictionaries(st.integers(0, 3), STRENGTHS))
def test_the_query_is_the_users_and_its_length_times_the_rows_of_segments(
    make_snapshot: MakeSnapshot, seed: int, history: list[Interaction], wishes: dict[int, float]
) -> None:
    snapshot = make_snapshot(seed)
    plain = resolve(snapshot, state(*history), ()).query.astype(np.float64)
    given_ = {snapshot.segments.segments[number].segment_id: strength for number, strength in wishes.items()}
    profile = resolve(snapshot, state(*history), (), steer=given_)
    rows = snapshot.segments.rows
    push = sum((strength * rows.dense_row(number) for number, strength in wishes.items()), np.zeros(rows.n_dims))
    np.testing.assert_allclose(profile.query, plain + np.linalg.norm(plain) * push, atol=1e-5)


@hypothesis_settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=4), st.integers(0, 3), STRENGTHS, STRENGTHS)
def test_more_strength_ranks_a_segment_higher(
    planted: Snapshot, tastes: list[str], number: int, one: float, other: float
) -> None:
    weaker, stronger = sorted([one, other])
    history = likes(*(f"{taste}{place + 1}" for place, taste in enumerate(tastes)))
    segment_id = planted.segments.segments[number].segment_id
    profiles = [resolve(planted, state(), history, steer={segment_id: each}) for each in (weaker, stronger)]
    before, after = (mean_rank(planted, profile, number) for profile in profiles)
    assert after <= before
    less, more = (score_segments(planted.segments, profile.query)[number] for profile in profiles)
    assert more >= less


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_steering_alone_makes_a_personal_answer(planted: Snapshot, strength: float) -> None:
    profile = resolve(planted, state(), (), steer={"s2": strength})
    assert (profile.personal, profile.notices, list(profile.opinions)) == (True, (), [])
    best = planted.items.item_ids(recommend(planted, profile, 10).items)
    assert all(item_id.startswith("c") for item_id in best)
    assert rank_segments(planted, profile, 1)[0].number == 2
    assert segment_reasons(planted, profile, [2, 0]) == [ASKED_FOR, "Liked by many people"]
    rows = homepage.page(planted, profile, Size(4, 6, 0.5))
    assert rows[0].kind == "top_picks"
    assert {row.kind for row in rows} <= {"top_picks", "segment", "popular"}


def test_steering_away_alone_leaves_what_else_people_like(planted: Snapshot) -> None:
    profile = resolve(planted, state(), (), steer={"s2": -1.0})
    best = planted.items.item_ids(recommend(planted, profile, 80).items)
    assert profile.personal
    assert best
    assert not any(item_id.startswith("c") for item_id in best[:40])


def test_steering_moves_a_user_who_likes_something_else(planted: Snapshot) -> None:
    history = likes("a1")
    plain = resolve(planted, state(), history)
    profile = resolve(planted, state(), history, steer={"s1": 1.0})
    assert [one.number for one in rank_segments(planted, profile, 9)][:2] != [
        one.number for one in rank_segments(planted, plain, 9)
    ][:2]
    best = {planted.items.item_id(row)[0] for row in recommend(planted, profile, 20).items}
    assert "b" in best
    assert segment_reasons(planted, profile, [0, 1]) == ["Because you liked Title a1", ASKED_FOR]


def test_the_request_comes_before_what_is_stored(planted: Snapshot) -> None:
    stored: Steering = {"s0": 0.5, "s1": "never", "s2": -1.0}
    found = steering.resolve(planted, stored, {"s0": -0.25, "s2": 0.0, "s3": 1.0})
    assert found.strengths == ((0, -0.25), (3, 1.0))
    np.testing.assert_array_equal(found.never, np.sort(planted.segments.items_of(1)))
    overruled = steering.resolve(planted, stored, {"s1": 0.5})
    assert not len(overruled.never)
    assert (1, 0.5) in overruled.strengths


def test_never_leaves_out_the_items_and_the_row(planted: Snapshot) -> None:
    profile = resolve(planted, state(*likes("a1", "a2", "b1"), steered={"s0": "never"}), (), exclude_seen=False)
    gone = set(planted.segments.items_of(0).tolist())
    assert not gone & set(recommend(planted, profile, 100).items.tolist())
    assert 0 not in {one.number for one in rank_segments(planted, profile, 9)}
    for row in homepage.page(planted, profile, Size(9, 9, 1.0)):
        assert not gone & set(row.hits.items.tolist())
        assert row.key != "s0"
    nobody = resolve(planted, state(steered={"s0": "never"}), ())
    assert not nobody.personal
    assert not gone & set(recommend(planted, nobody, 100).items.tolist())


def test_unknown_segments_are_skipped_and_said(planted: Snapshot) -> None:
    profile = resolve(planted, state(*likes("a1"), steered={"gone": "never"}), (), steer={"nope": 1.0, "s0": 0.5})
    assert [notice.code for notice in profile.notices] == ["unknown_segments"]
    assert profile.notices[0].message.startswith("2 of the segments")
    assert profile.steering.strengths == ((0, 0.5),)


def test_what_cancels_all_taste_leaves_the_crowds(planted: Snapshot) -> None:
    """No answer may be made from a query of nothing."""
    whole = {segment.segment_id: -1.0 for segment in planted.segments.segments}
    profile = resolve(planted, state(), likes("a1"), steer=whole)
    homepage.page(planted, profile, Size(4, 6, 0.5))
    assert np.isfinite(profile.query).all()


@pytest.mark.anyio
async def test_the_wire_takes_steering_for_a_request(client: httpx.AsyncClient) -> None:
    async def ask(path: str, **body: object) -> dict[str, Any]:
        answer = await client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    history = [{"item_id": "book-0"}, {"item_id": "book-1"}]
    plain = await ask("/v1/recommend", history=history, count=6)
    steered = await ask("/v1/recommend", history=history, count=6, steer={"smystery": 1})
    assert set(ids(plain)) == {f"book-{number}" for number in range(2, 8)}
    assert set(ids(steered)) & {f"book-{number}" for number in range(16, 24)}
    alone = await ask("/v1/recommend", count=6, steer={"smystery": 1.0, "sgone": 1.0})
    assert set(ids(alone)) <= {f"book-{number}" for number in range(16, 24)}
    assert [one["code"] for one in alone["warnings"]] == ["unknown_segments"]
    page = await ask("/v1/homepage", steer={"smystery": 1.0})
    assert page["rows"][0]["kind"] == "top_picks"
    segments = await ask("/v1/segments/recommend", history=history, steer={"smystery": 1.0})
    assert segments["segments"][0]["segment_id"] == "smystery"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "steer",
    [
        {"s": 1.01},
        {"s": -1.01},
        {"s": "never"},
        {"s": None},
        {"s": True},
        {"": 1},
        {"s" * 257: 1},
        ["s"],
        {f"s{number}": 0.5 for number in range(101)},
    ],
)
async def test_bad_steering_is_refused(client: httpx.AsyncClient, steer: object) -> None:
    answer = await client.post("/v1/recommend", json={"steer": steer})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("body.steer")


@pytest.mark.anyio
async def test_stored_steering_is_obeyed_by_the_next_answer(client: httpx.AsyncClient, settings: Settings) -> None:
    users = Users(settings, Metrics())
    await users.steer("u1", {"smystery": "never", "sfantasy": 1.0})
    await users.close()
    answer = (await client.post("/v1/recommend", json={"user_id": "u1", "count": 32})).json()
    assert ids(answer)[0] in {f"book-{number}" for number in range(8)}
    assert not set(ids(answer)) & {f"book-{number}" for number in range(16, 24)}
    assert answer["warnings"] == []
    similar = (await client.post("/v1/similar", json={"user_id": "u1", "item_ids": ["book-20"], "count": 32})).json()
    assert not set(ids(similar)) & {f"book-{number}" for number in range(16, 24)}


@pytest.mark.anyio
async def test_steering_is_stored_replaced_and_forgotten_over_http(client: httpx.AsyncClient) -> None:
    async def put(steering: object) -> httpx.Response:
        return await client.put("/v1/users/u1/steering", json={"steering": steering})

    async def best() -> set[str]:
        return set(ids((await client.post("/v1/recommend", json={"user_id": "u1", "count": 8})).json()))

    stored = await put({"smystery": 1, "sfantasy": "never", "sgone": 0.5, "sclassics": 0})
    assert stored.status_code == 200
    assert stored.json() == {
        "user_id": "u1",
        "steering": {"smystery": 1.0, "sfantasy": "never", "sgone": 0.5},
        "unknown_segments": ["sgone"],
    }
    assert await best() == {f"book-{number}" for number in range(16, 24)}
    everything = (await client.post("/v1/homepage", json={"user_id": "u1"})).json()
    on_page = {item["item_id"] for row in everything["rows"] for item in row["items"]}
    assert on_page
    assert not on_page & {f"book-{number}" for number in range(8)}
    await put({"sfantasy": 1.0})
    assert await best() == {f"book-{number}" for number in range(8)}
    assert (await put({})).json()["steering"] == {}
    answer = (await client.post("/v1/recommend", json={"user_id": "u1"})).json()
    assert [one["code"] for one in answer["warnings"]] == ["unknown_user", "popular_fallback"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"steering": {"s": "always"}},
        {"steering": {"s": 2}},
        {"steering": {"s": True}},
        {"steering": {"": 1}},
        {"steering": {f"s{number}": 0.5 for number in range(101)}},
        {"steering": {}, "more": 1},
    ],
)
async def test_bad_steering_is_not_stored(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.put("/v1/users/u1/steering", json=body)
    assert answer.status_code == 422
    assert (await client.get("/v1/users/u1")).status_code == 404
