"""POST /v1/batch: each answer as it would be alone, one version, one round trip, and errors that are named."""

import random
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from app.store.connection import Call, Connection, Doing

pytestmark = pytest.mark.anyio

FILTER = {"must_not": [{"key": "shelf", "match": {"value": "Classics"}}]}


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def record(client: httpx.AsyncClient) -> None:
    noise = random.Random(4)
    events = [
        {"user_id": f"u{noise.randrange(4)}", "item_id": f"book-{noise.randrange(32)}", "kind": kind}
        for kind in ["like", "purchase", "view", "hide"] * 4
    ]
    assert (await client.post("/v1/events", json={"events": events})).status_code == 202


def some_call(noise: random.Random) -> dict[str, Any]:
    who: dict[str, Any] = {}
    if noise.random() < 0.7:
        who["user_id"] = f"u{noise.randrange(5)}"
    if noise.random() < 0.5:
        who["history"] = [{"item_id": f"book-{noise.randrange(34)}", "timestamp": 1.6e9} for _ in range(2)]
    if noise.random() < 0.3:
        who["steer"] = {"smystery": noise.uniform(-1, 1), "sgone": 1.0}
    some = {"filter": FILTER} if noise.random() < 0.4 else {}
    count = noise.randrange(1, 9)
    return noise.choice(
        [
            {"endpoint": "recommend", "body": {**who, **some, "count": count, "explain": noise.random() < 0.3}},
            {"endpoint": "homepage", "body": {**who, **some, "n_rows": 3, "row_size": count}},
            {"endpoint": "similar", "body": {"item_ids": [f"book-{noise.randrange(33)}"], **some, "count": count}},
            {"endpoint": "segments/recommend", "body": {**who, "count": count}},
            {"endpoint": "segments/items", "segment_id": "sfantasy", "body": {**who, "count": count, "diversity": 0.5}},
            {"endpoint": "explain", "body": {**who, "item_ids": ["book-1", "book-40"]}},
        ]
    )


PATHS = {"segments/items": "/v1/segments/sfantasy/items"}


def without_chance(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("recomm_id", "took_ms")}


def given(answers: Sequence[dict[str, Any]]) -> list[str]:
    items = [item for answer in answers for item in answer.get("items", ())]
    items += [item for answer in answers for row in answer.get("rows", ()) for item in row["items"]]
    return [item["item_id"] for item in items]


async def test_each_answer_is_as_it_would_be_alone(client: httpx.AsyncClient) -> None:
    await record(client)
    noise = random.Random(5)
    for _ in range(25):
        calls = [some_call(noise) for _ in range(noise.randrange(1, 9))]
        found = await post(client, "/v1/batch", requests=calls)
        alone = [
            await post(client, PATHS.get(one["endpoint"], f"/v1/{one['endpoint']}"), **one["body"]) for one in calls
        ]
        assert [without_chance(one) for one in found["answers"]] == [without_chance(one) for one in alone]
        assert {one["index_version"] for one in found["answers"]} == {found["index_version"]}
        assert len({one["recomm_id"] for one in found["answers"]}) == len(calls)


async def test_a_distinct_batch_gives_no_item_twice_and_is_in_order(client: httpx.AsyncClient) -> None:
    await record(client)
    noise = random.Random(6)
    for _ in range(25):
        calls = [some_call(noise) for _ in range(noise.randrange(2, 7))]
        found = (await post(client, "/v1/batch", requests=calls, distinct=True))["answers"]
        items = given(found)
        assert len(items) == len(set(items))
        if calls[0]["endpoint"] == calls[1]["endpoint"] == "recommend":
            body = {**calls[1]["body"], "exclude_ids": given(found[:1])}
            assert without_chance(found[1]) == without_chance(await post(client, "/v1/recommend", **body))


async def test_cursors_of_a_distinct_batch_stay_distinct(client: httpx.AsyncClient) -> None:
    body = {"history": [{"item_id": "book-0"}], "count": 3, "cursors": True}
    calls = [{"endpoint": "recommend", "body": body}] * 2
    first, second = (await post(client, "/v1/batch", requests=calls, distinct=True))["answers"]
    more = await post(client, "/v1/next", cursor=second["next_cursor"])
    assert not set(given([more])) & set(given([first, second]))


async def test_all_users_are_read_in_one_round_trip(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    application = create_app(settings)
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://sparrow") as client,
    ):
        await record(client)
        trips: list[int] = []
        run = Connection.run

        def counted(self: Connection, calls: Sequence[Call], doing: Doing, **how: bool) -> Any:
            trips.append(len(calls))
            return run(self, calls, doing, **how)

        monkeypatch.setattr(Connection, "run", counted)
        calls = [{"endpoint": "recommend", "body": {"user_id": f"u{number}"}} for number in (0, 1, 2, 3, 1, 9)]
        found = (await post(client, "/v1/batch", requests=calls))["answers"]
        assert len(trips) == 1
        assert [warning["code"] for warning in found[5]["warnings"]] == ["unknown_user", "popular_fallback"]
        await post(client, "/v1/batch", requests=[{"endpoint": "recommend", "body": {}}])
        assert len(trips) == 1


async def test_without_a_store_all_answers_are_degraded_but_those_that_need_none(
    settings: Settings, serving: Any, tmp_path: Any
) -> None:
    away = Settings.model_validate({**settings.model_dump(), "redis_url": f"unix://{tmp_path}/no.sock"})
    async with serving(away) as client:
        calls = [{"endpoint": "recommend", "body": body} for body in ({"user_id": "u1"}, {})]
        found = (await post(client, "/v1/batch", requests=calls))["answers"]
    assert [one["degraded"] for one in found] == [True, False]


RIGHT = {"endpoint": "recommend", "body": {}}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"endpoint": "recommend", "body": {"count": 0}}, "body.requests.1.recommend.body.count"),
        ({"endpoint": "songs", "body": {}}, "body.requests.1"),
        ({"body": {}}, "body.requests.1"),
        ({"endpoint": "similar", "body": {}}, "body.requests.1.similar.body.item_ids"),
        ({"endpoint": "recommend", "body": {"include_properties": ["colour"]}}, "body.requests.1"),
        (
            {"endpoint": "recommend", "body": {"filter": {"must": [{"key": "colour", "match": {"value": 1}}]}}},
            "body.requests.1.body.filter",
        ),
        ({"endpoint": "homepage", "body": {"max_per": {"colour": 1}}}, "body.requests.1.body.max_per"),
        ({"endpoint": "segments/items", "segment_id": "sgone", "body": {}}, "body.requests.1.segment_id"),
        ({"endpoint": "recommend", "body": {"deadline_ms": 5}}, "body.requests.1.body.deadline_ms"),
        (
            {"endpoint": "recommend", "body": {"index_version": "20261121T081200Z-3f9a2c1d"}},
            "body.requests.1.body.index_version",
        ),
    ],
)
async def test_what_is_wrong_refuses_the_whole_batch_and_is_named(
    client: httpx.AsyncClient, wrong: dict[str, Any], field: str
) -> None:
    answer = await client.post("/v1/batch", json={"requests": [RIGHT, wrong, RIGHT]})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["field"].startswith(field)
    assert problem["detail"].startswith(problem["errors"][0]["field"])


@pytest.mark.parametrize("requests", [[], [RIGHT] * 21, RIGHT])
async def test_batches_are_bounded(client: httpx.AsyncClient, requests: object) -> None:
    answer = await client.post("/v1/batch", json={"requests": requests})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.requests")
