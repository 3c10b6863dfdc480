"""What may be in an answer and in which order, through the real application, store and snapshot."""

import json
from typing import Any

import httpx
import pytest
from redis import Redis

pytestmark = pytest.mark.anyio

LISTS = ["/v1/recommend", "/v1/segments/sfantasy/items"]
FANTASY = [f"book-{number}" for number in range(8)]
MYSTERY = [f"book-{number}" for number in range(16, 24)]


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def liked(*item_ids: str) -> list[dict[str, str]]:
    return [{"item_id": item_id} for item_id in item_ids]


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def scores(answer: dict[str, Any]) -> dict[str, float]:
    return {item["item_id"]: item["score"] for item in answer["items"]}


def on_page(page: dict[str, Any]) -> list[str]:
    return [item["item_id"] for row in page["rows"] for item in row["items"]]


def codes(answer: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in answer["warnings"]]


def of_shelf(*shelves: str) -> dict[str, Any]:
    return {"must": [{"key": "shelf", "match": {"any": list(shelves)}}]}


NOTHING = {"must": [{"key": "year", "range": {"gt": 3000}}]}


@pytest.mark.parametrize("who", [{}, {"history": liked("book-16")}])
async def test_a_filter_holds_wherever_it_is_asked(client: httpx.AsyncClient, who: dict[str, Any]) -> None:
    wanted = {
        "must": [{"key": "shelf", "match": {"value": "Fantasy"}}],
        "must_not": [{"key": "year", "match": {"value": 1903}}],
    }
    expected = {item_id for item_id in FANTASY if item_id != "book-3"}
    found = await post(client, "/v1/recommend", filter=wanted, count=30, candidate_ids=FANTASY + MYSTERY, **who)
    assert set(ids(found)) == expected
    page = await post(client, "/v1/homepage", filter=wanted, row_size=3, **who)
    assert set(on_page(page)) <= expected
    assert page["rows"]
    assert "nothing_left" not in codes(found) + codes(page)
    alike = await post(client, "/v1/similar", item_ids=["book-0"], filter=wanted, count=30)
    assert set(ids(alike)) == expected - {"book-0"}
    of_segment = await post(client, "/v1/segments/sfantasy/items", filter=wanted, **who)
    assert set(ids(of_segment)) == expected


@pytest.mark.parametrize("who", [{}, {"history": liked("book-16")}])
@pytest.mark.parametrize("path", [*LISTS, "/v1/homepage", "/v1/similar"])
async def test_what_leaves_nothing_is_empty_and_says_so(
    client: httpx.AsyncClient, path: str, who: dict[str, Any]
) -> None:
    body = {"item_ids": ["book-0"]} if path == "/v1/similar" else who
    found = await post(client, path, filter=NOTHING, **body)
    assert found["rows" if path == "/v1/homepage" else "items"] == []
    assert codes(found)[-1] == "nothing_left"
    unfiltered = await post(client, path, **body)
    assert "nothing_left" not in codes(unfiltered)


@pytest.mark.parametrize("path", [*LISTS, "/v1/homepage", "/v1/similar"])
@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"must": [{"key": "colour", "match": {"value": "red"}}]}, "'shelf', 'title', 'year'"),
        ({"must": [{"key": "year", "match": {"value": "1900"}}]}, "needs a number"),
        ({"must": [{"key": "year", "range": {"gte": {"now": "-3x"}}}]}, "must be a number"),
        ({"any": []}, "must, should and must_not"),
        ({"must": {}}, "must be a list"),
        ({"must": [{"must": [{"must": [{"must": [{"must": []}]}]}]}]}, "at most 4"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused(
    client: httpx.AsyncClient, path: str, wanted: dict[str, Any], told: str
) -> None:
    body = {"item_ids": ["book-0"]} if path == "/v1/similar" else {}
    answer = await client.post(path, json={"filter": wanted, **body})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["field"] == "body.filter"
    assert told in error["message"]


async def test_a_filter_as_deep_as_json_goes_is_refused(client: httpx.AsyncClient) -> None:
    for depth in (100, 5000, 100_000):
        body = '{"filter": ' + '{"must": [' * depth + "]}" * depth + "}"
        answer = await client.post("/v1/recommend", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        nested = await client.get("/v1/items", params={"filter": body[11:-1][:2900]})
        assert nested.status_code == 422


async def test_boosts_multiply_scores_and_turn_the_order(client: httpx.AsyncClient) -> None:
    history = liked("book-0", "book-16")
    plain = scores(await post(client, "/v1/recommend", history=history, count=14))
    boost = [
        {"filter": of_shelf("Mystery"), "factor": 4},
        {"filter": {"must": [{"key": "year", "match": {"value": 1917}}]}, "factor": 2},
    ]
    boosted = await post(client, "/v1/recommend", history=history, count=14, boost=boost)
    assert set(ids(boosted)[:7]) == set(MYSTERY[1:])
    factors = {item_id: 4.0 if item_id in MYSTERY else 1.0 for item_id in plain} | {"book-17": 8.0}
    assert scores(boosted) == pytest.approx({item_id: plain[item_id] * factors[item_id] for item_id in plain})
    page = await post(client, "/v1/homepage", history=history, boost=boost, row_size=3)
    assert set(on_page(page)[:3]) <= set(MYSTERY)
    popular = await post(client, "/v1/recommend", boost=boost, count=8)
    assert set(ids(popular)) == set(MYSTERY)


async def test_segments_and_candidates_restrict(client: httpx.AsyncClient) -> None:
    history = liked("book-0", "book-16")
    found = await post(client, "/v1/recommend", history=history, count=30, segment_ids=["smystery", "gone"])
    assert set(ids(found)) == set(MYSTERY[1:])
    assert codes(found) == ["unknown_segments"]
    listed = await post(client, "/v1/recommend", history=history, candidate_ids=["book-9", "book-0", "book-1", "gone"])
    assert ids(listed) == ["book-1", "book-9"]  # book-0 is seen, book-9 nothing speaks for
    assert codes(listed) == ["unknown_items"]
    both = await post(client, "/v1/recommend", segment_ids=["smystery"], candidate_ids=["book-1", "book-17"])
    assert ids(both) == ["book-17"]
    assert codes(both) == ["popular_fallback"]
    path = await post(client, "/v1/segments/sfantasy/items", segment_ids=["smystery"])
    assert (ids(path), codes(path)) == ([], ["popular_fallback", "nothing_left"])


@pytest.mark.parametrize("fields", [{"segment_ids": []}, {"candidate_ids": []}, {"candidate_ids": ["gone"]}])
async def test_an_empty_list_of_the_callers_is_not_everything(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    found = await post(client, "/v1/recommend", history=liked("book-0"), **fields)
    assert ids(found) == []
    assert codes(found)[-1] == "nothing_left"


async def test_a_least_score_cuts_the_list(client: httpx.AsyncClient) -> None:
    whole = await post(client, "/v1/recommend", history=liked("book-0"), count=20)
    least = whole["items"][3]["score"]
    cut = await post(client, "/v1/recommend", history=liked("book-0"), count=20, min_score=least)
    assert ids(cut) == [item["item_id"] for item in whole["items"] if item["score"] >= least]
    assert codes(await post(client, "/v1/recommend", history=liked("book-0"), min_score=1e6)) == ["nothing_left"]
    assert ids(await post(client, "/v1/recommend", min_score=99)) == ids(await post(client, "/v1/recommend", count=2))


@pytest.mark.parametrize("who", [{}, {"history": liked("book-0", "book-8", "book-16", "book-24")}])
async def test_caps_hold_in_each_list_and_row(client: httpx.AsyncClient, who: dict[str, Any]) -> None:
    body = {"max_per": {"shelf": 1}, "include_properties": ["shelf"], **who}
    found = await post(client, "/v1/recommend", **body)
    assert len({item["properties"]["shelf"] for item in found["items"]}) == len(found["items"]) == 4
    page = await post(client, "/v1/homepage", row_size=3, **body)
    assert page["rows"]
    for row in page["rows"]:
        assert len({item["properties"]["shelf"] for item in row["items"]}) == len(row["items"])
    assert len(set(on_page(page))) == len(on_page(page))


async def test_diversity_keeps_the_first_and_spreads_the_rest(client: httpx.AsyncClient) -> None:
    history = [{"item_id": "book-0"}, {"item_id": "book-16", "weight": 0.3}]
    plain = await post(client, "/v1/recommend", history=history, count=4)
    assert set(ids(plain)) <= set(FANTASY)
    spread = await post(client, "/v1/recommend", history=history, count=4, diversity=0.9)
    assert ids(spread)[0] == ids(plain)[0]
    assert set(ids(spread)) & set(MYSTERY)
    whole = scores(await post(client, "/v1/recommend", history=history, count=30))
    assert scores(spread) == {item_id: whole[item_id] for item_id in ids(spread)}
    assert ids(await post(client, "/v1/recommend", history=history, count=4, diversity=0)) == ids(plain)


async def test_a_seed_gives_one_list_and_another_another(client: httpx.AsyncClient) -> None:
    lists = [ids(await post(client, "/v1/recommend", seed=seed, count=8)) for seed in (1, 1, 2)]
    assert lists[0] == lists[1] != lists[2]
    pages = [on_page(await post(client, "/v1/homepage", seed=seed, row_size=4)) for seed in (1, 1, 2)]
    assert pages[0] == pages[1] != pages[2]


@pytest.mark.parametrize("path", [*LISTS, "/v1/homepage"])
async def test_rotation_gives_something_else_the_next_time(client: httpx.AsyncClient, path: str) -> None:
    events = [{"user_id": "u1", "item_id": "book-0", "kind": "view", "weight": 1, "timestamp": 1e9}]
    assert (await client.post("/v1/events", json={"events": events})).status_code == 202

    async def top(**fields: object) -> list[str]:
        if path == "/v1/homepage":
            return on_page(await post(client, path, user_id="u1", n_rows=1, row_size=3, **fields))
        return ids(await post(client, path, user_id="u1", count=3, **fields))

    plain = await top()
    assert await top() == plain  # nothing was noted
    first = await top(rotation_rate=1.0)
    assert first == plain
    second = await top(rotation_rate=1.0)
    assert not set(second) & set(first)
    assert await top() == plain


async def test_rotation_is_remembered_for_its_user_and_scores_stay(client: httpx.AsyncClient, redis: Redis) -> None:
    body = {"history": liked("book-0"), "count": 7}
    plain = scores(await post(client, "/v1/recommend", **body))
    keys = redis.dbsize()
    await post(client, "/v1/recommend", user_id="u1", **body)
    assert redis.dbsize() == keys
    await post(client, "/v1/recommend", user_id="u1", rotation_rate=0.5, history=liked("book-0"), count=2)
    assert redis.dbsize() > keys
    rotated = await post(client, "/v1/recommend", user_id="u1", rotation_rate=0.5, **body)
    assert ids(rotated)[-2:] == list(plain)[:2]
    assert scores(rotated) == plain
    other = await post(client, "/v1/recommend", user_id="u2", rotation_rate=0.5, **body)
    assert ids(other) == list(plain)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/recommend", {"boost": [{"filter": {}, "factor": 17}]}, "body.boost.0.factor"),
    ("/v1/recommend", {"boost": [{"filter": {}, "factor": 0.01}]}, "body.boost.0.factor"),
    ("/v1/recommend", {"boost": [{"filter": {}, "factor": -1}]}, "body.boost.0.factor"),
    ("/v1/recommend", {"boost": [{"factor": 2}]}, "body.boost.0.filter"),
    ("/v1/recommend", {"boost": [{"filter": {}, "factor": 2}] * 9}, "body.boost"),
    (
        "/v1/recommend",
        {"boost": [{"filter": {}, "factor": 2}, {"filter": {"x": []}, "factor": 2}]},
        "body.boost.1.filter",
    ),
    ("/v1/recommend", {"filter": []}, "body.filter"),
    ("/v1/recommend", {"filter": "shelf"}, "body.filter"),
    ("/v1/recommend", {"filter": {str(n): [] for n in range(9)}}, "body.filter"),
    ("/v1/recommend", {"max_per": {"colour": 1}}, "body.max_per"),
    ("/v1/recommend", {"max_per": {"shelf": 0}}, "body.max_per.shelf"),
    ("/v1/recommend", {"max_per": {"shelf": 1.5}}, "body.max_per.shelf"),
    ("/v1/recommend", {"max_per": {str(n): 1 for n in range(9)}}, "body.max_per"),
    ("/v1/recommend", {"diversity": 1.1}, "body.diversity"),
    ("/v1/recommend", {"rotation_rate": 0.1}, "body.rotation_rate"),
    ("/v1/recommend", {"rotation_rate": 2, "user_id": "u"}, "body.rotation_rate"),
    ("/v1/recommend", {"rotation_time": 0, "user_id": "u"}, "body.rotation_time"),
    ("/v1/recommend", {"seed": -1}, "body.seed"),
    ("/v1/recommend", {"seed": 2**53}, "body.seed"),
    ("/v1/recommend", {"segment_ids": ["s"] * 101}, "body.segment_ids"),
    ("/v1/recommend", {"candidate_ids": ["i"] * 1001}, "body.candidate_ids"),
    ("/v1/homepage", {"rotation_rate": 0.1}, "body.rotation_rate"),
    ("/v1/homepage", {"candidate_ids": []}, "body.candidate_ids"),
    ("/v1/similar", {"item_ids": ["book-0"], "boost": []}, "body.boost"),
]


@pytest.mark.parametrize(("path", "body", "field"), REFUSED)
async def test_bad_fields_are_refused_by_name(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


async def test_items_are_searched_within_a_filter(client: httpx.AsyncClient) -> None:
    async def search(**parameters: str | int) -> list[str]:
        answer = await client.get("/v1/items", params=parameters)
        assert answer.status_code == 200, answer.text
        return [item["properties"]["title"] for item in answer.json()["items"]]

    classics = json.dumps(of_shelf("Classics"))
    everything = await search(limit=100)
    inside = await search(limit=100, filter=classics)
    assert len(inside) == 8
    assert inside == [title for title in everything if title in inside]
    assert await search(limit=3, offset=4, filter=classics) == inside[4:7]
    fantasy = await search(limit=100, filter=json.dumps(of_shelf("Fantasy")))
    found = await search(query="the", limit=100)
    chosen = await search(query="the", limit=100, filter=json.dumps(of_shelf("Fantasy", "Classics")))
    assert chosen == [title for title in found if title in inside + fantasy]
    assert chosen != found
    assert await search(query="dune", filter=classics) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "it is not JSON"),
        ("", "it is not JSON"),
        ("[" * 2900, "it is not JSON"),
        ('{"must": [{"key": "year", "match": {"value": NaN}}]}', "needs a number"),
        ("[]", "must be an object"),
        ('{"must": [{"key": "colour", "match": {"value": 1}}]}', "known are 'shelf', 'title', 'year'"),
    ],
)
async def test_a_filter_in_a_url_that_cannot_be_is_refused(client: httpx.AsyncClient, text: str, told: str) -> None:
    answer = await client.get("/v1/items", params={"filter": text})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "query.filter"
    assert told in error["message"]
