from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

TITLES = ["Fantasy", "Science fiction", "Mystery", "Classics"]


async def get(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_all_segments_are_listed(client: httpx.AsyncClient) -> None:
    found = await get(client, "/v1/segments")
    assert [one["title"] for one in found["segments"]] == TITLES
    assert found["segments"][2] == {
        "segment_id": "smystery",
        "title": "Mystery",
        "size": 8,
        "terms": ["Mystery"],
        "found_title": "Mystery",
        "hidden": False,
        "merged_into": None,
        "group_id": found["groups"][1]["group_id"],
    }
    assert found["index_version"] == (await client.get("/info")).json()["index"]["version"]


async def test_groups_are_listed_and_each_segment_is_of_one(client: httpx.AsyncClient) -> None:
    found = await get(client, "/v1/segments")
    assert [(group["title"], group["size"]) for group in found["groups"]] == [("Wonders", 2), ("This world", 2)]
    wonders, world = (group["group_id"] for group in found["groups"])
    assert [one["group_id"] for one in found["segments"]] == [wonders, wonders, world, world]
    assert (await get(client, "/v1/segments/smystery"))["group_id"] == world


async def test_a_merged_segment_is_of_the_group_of_where_it_went(client: httpx.AsyncClient) -> None:
    wonders, world = (group["group_id"] for group in (await get(client, "/v1/segments"))["groups"])
    for segment_id, edit in (("smystery", {"merged_into": "sfantasy"}), ("sclassics", {"hidden": True})):
        assert (await client.patch(f"/v1/segments/{segment_id}", json=edit)).status_code == 200
    listed = await get(client, "/v1/segments")
    assert [(group["group_id"], group["size"]) for group in listed["groups"]] == [(wonders, 2)]
    every = await get(client, "/v1/segments?hidden=true")
    assert {one["segment_id"]: one["group_id"] for one in every["segments"]} == {
        "sfantasy": wonders,
        "ssciencefiction": wonders,
        "smystery": wonders,
        "sclassics": world,
    }
    assert [(group["group_id"], group["size"]) for group in every["groups"]] == [(wonders, 3), (world, 1)]


async def test_a_segment_shows_its_most_typical_items(client: httpx.AsyncClient) -> None:
    found = await get(client, "/v1/segments/smystery")
    assert {key: found[key] for key in ("segment_id", "title", "size", "terms")} == {
        "segment_id": "smystery",
        "title": "Mystery",
        "size": 8,
        "terms": ["Mystery"],
    }
    strengths = [item["strength"] for item in found["top_items"]]
    assert strengths == sorted(strengths, reverse=True)
    assert {item["item_id"] for item in found["top_items"]} == {f"book-{number}" for number in range(16, 24)}
    assert {"Rebecca", "The Big Sleep"} <= {item["title"] for item in found["top_items"]}


async def test_segments_are_ranked_by_taste_with_a_reason(client: httpx.AsyncClient) -> None:
    history = [{"item_id": "book-16"}, {"item_id": "book-17"}, {"item_id": "book-0"}]
    found = await post(client, "/v1/segments/recommend", history=history, count=2)
    assert [one["title"] for one in found["segments"]] == ["Mystery", "Fantasy"]
    mystery, fantasy = found["segments"]
    assert set(mystery) == {"segment_id", "title", "score", "size", "reason"}
    assert mystery["score"] > fantasy["score"] > 0
    assert mystery["reason"] in {"Because you liked The Big Sleep", "Because you liked Gaudy Night"}
    assert fantasy["reason"] == "Because you liked The Fellowship of the Ring"
    assert found["warnings"] == []


async def test_items_of_a_segment_are_ranked_for_the_user(client: httpx.AsyncClient) -> None:
    body = {"events": [{"user_id": "u1", "item_id": "book-16", "kind": "like"}]}
    await client.post("/v1/events", json=body)
    found = await post(client, "/v1/segments/smystery/items", user_id="u1", count=20, include_properties=True)
    assert {item["item_id"] for item in found["items"]} == {f"book-{number}" for number in range(17, 24)}
    assert {item["properties"]["shelf"] for item in found["items"]} == {"Mystery"}
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)


async def test_items_of_a_segment_are_the_popular_ones_for_nobody(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/segments/smystery/items", count=3)
    assert len(found["items"]) == 3
    assert [warning["code"] for warning in found["warnings"]] == ["popular_fallback"]


@pytest.mark.parametrize("path", ["/v1/segments/nope", "/v1/segments/nope/items"])
async def test_an_unknown_segment_in_a_path_is_404(client: httpx.AsyncClient, path: str) -> None:
    answer = await (client.post(path, json={}) if path.endswith("items") else client.get(path))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "GET /v1/segments lists them" in answer.json()["detail"]
