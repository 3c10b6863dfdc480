"""POST /v1/explain, and explain: true, through the real application."""

import random
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

HISTORY = [{"item_id": "book-0"}, {"item_id": "book-16", "kind": "purchase"}, {"item_id": "book-9", "weight": -0.5}]
FANTASY = {"must": [{"key": "shelf", "match": {"value": "Fantasy"}}]}


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def total(parts: list[dict[str, Any]]) -> float:
    return float(sum(part["contribution"] for part in parts))


async def test_the_parts_add_up_to_what_recommend_says(client: httpx.AsyncClient) -> None:
    """Within 0.00001 of the score, over random histories, steering and boosts."""
    noise = random.Random(3)
    for _ in range(40):
        history = [
            {"item_id": f"book-{noise.randrange(32)}", "weight": noise.uniform(-1, 1)}
            for _ in range(noise.randrange(6))
        ]
        steer = {one: noise.uniform(-1, 1) for one in ("sfantasy", "smystery", "sgone") if noise.random() < 0.4}
        boost = [{"filter": FANTASY, "factor": noise.choice([0.5, 3.0])}] if noise.random() < 0.5 else []
        who = {"history": history, "steer": steer, "boost": boost, "exclude_seen": False}
        answer = await post(client, "/v1/recommend", **who, count=20)
        scores = {item["item_id"]: item["score"] for item in answer["items"]}
        if not scores:
            continue
        found = await post(client, "/v1/explain", **who, item_ids=list(scores))
        assert [one["item_id"] for one in found["explanations"]] == list(scores)
        assert found["warnings"] == answer["warnings"]
        for one in found["explanations"]:
            assert one["score"] == scores[one["item_id"]]
            rest = total(one["steering"]) + one["boosts"]
            sums = (total(one["history"]) + one["popularity"] + rest, total(one["segments"]) + one["other"] + rest)
            assert sums == pytest.approx((one["score"],) * 2, rel=1e-5)
            assert one["may_be_shown"]


async def test_an_account_names_its_parts(client: httpx.AsyncClient) -> None:
    found = await post(
        client,
        "/v1/explain",
        history=HISTORY,
        steer={"smystery": 0.5},
        boost=[{"filter": FANTASY, "factor": 2.0}],
        item_ids=["book-1", "book-0", "no such book", "book-1"],
    )
    assert [warning["code"] for warning in found["warnings"]] == ["unknown_items"]
    one, seen = found["explanations"]
    assert (one["item_id"], one["title"], one["may_be_shown"]) == ("book-1", "A Wizard of Earthsea", True)
    assert (seen["item_id"], seen["may_be_shown"]) == ("book-0", False)
    assert one["history"][0] | {"contribution": 0} == {
        "item_id": "book-0",
        "title": "The Fellowship of the Ring",
        "kind": "like",
        "weight": 1.0,
        "contribution": 0,
    }
    assert one["segments"][0]["segment_id"] == "sfantasy"
    assert one["segments"][0]["title"] == "Fantasy"
    assert [(part["segment_id"], part["strength"]) for part in one["steering"]] == [("smystery", 0.5)]
    assert one["boosts"] == pytest.approx(one["score"] / 2)
    assert one["popularity"] == 0


async def test_where_nothing_is_known_the_score_is_the_number_of_users(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/explain", item_ids=["book-0"])
    (one,) = found["explanations"]
    assert (one["score"], one["popularity"], one["other"], one["history"]) == (100.0, 100.0, 100.0, [])
    assert [warning["code"] for warning in found["warnings"]] == ["popular_fallback"]


async def test_what_is_filtered_excluded_or_hidden_is_explained_and_said_to_be_left_out(
    client: httpx.AsyncClient,
) -> None:
    event = {"user_id": "u1", "item_id": "book-2", "kind": "hide"}
    await client.post("/v1/events", json={"events": [event]})
    found = await post(
        client,
        "/v1/explain",
        user_id="u1",
        history=[{"item_id": "book-0"}],
        filter=FANTASY,
        exclude_ids=["book-3"],
        item_ids=["book-1", "book-2", "book-3", "book-20"],
    )
    assert [one["may_be_shown"] for one in found["explanations"]] == [True, False, False, False]


async def test_reasons_come_where_they_are_asked_for(client: httpx.AsyncClient) -> None:
    items = (await post(client, "/v1/recommend", history=HISTORY, count=3, explain=True))["items"]
    for item in items:
        assert item["reasons"]
        assert all(reason["text"] for reason in item["reasons"])
    assert items[0]["reasons"][0]["text"].startswith("Because you ")
    page = await post(client, "/v1/homepage", history=HISTORY, explain=True)
    assert all(item["reasons"] for row in page["rows"] for item in row["items"])
    members = await post(client, "/v1/segments/sfantasy/items", history=HISTORY, explain=True, include_properties=True)
    assert all(item["reasons"] and item["properties"] for item in members["items"])
    plain = await post(client, "/v1/recommend", history=HISTORY)
    assert all("reasons" not in item for item in plain["items"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.item_ids"),
        ({"item_ids": []}, "body.item_ids"),
        ({"item_ids": ["x"] * 21}, "body.item_ids"),
        ({"item_ids": ["x"], "count": 3}, "body.count"),
        ({"item_ids": ["x"], "steer": {"s": 2}}, "body.steer"),
        ({"item_ids": ["x"], "filter": {"must": [{"key": "colour", "match": {"value": "red"}}]}}, "body.filter"),
    ],
)
async def test_bad_input_is_refused_by_name(client: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await client.post("/v1/explain", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(field)
