"""What follows the id of a user in a path: export, steering, merging."""

import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.settings import Settings
from index.vocabulary import hash_id

pytestmark = pytest.mark.anyio

WITH_REDIS = hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def path(user_id: str, *rest: str) -> str:
    return "/".join(["/v1/users", *(quote(part, safe="") for part in (user_id, *rest))])


async def record(client: httpx.AsyncClient, user_id: str, *item_ids: str, kind: str = "like", at: float = 1e9) -> None:
    events = [
        {"user_id": user_id, "item_id": item_id, "kind": kind, "timestamp": at + n}
        for n, item_id in enumerate(item_ids)
    ]
    assert (await client.post("/v1/events", json={"events": events})).status_code == 202


async def ids(client: httpx.AsyncClient, user_id: str) -> list[str]:
    return [one["item_id"] for one in (await client.get(path(user_id))).json()["history"]]


async def test_the_export_is_everything(client: httpx.AsyncClient) -> None:
    before = time.time()
    await record(client, "u", "book-1", "nobody knows it")
    await record(client, "u", "book-2", kind="hide", at=2e9 - 1e9 + 7)
    await client.put(path("u", "steering"), json={"steering": {"sfantasy": 0.5, "gone": "never"}})
    answer = await client.post("/v1/recommend", json={"user_id": "u", "count": 2, "rotation_rate": 0.5})
    served = [item["item_id"] for item in answer.json()["items"]]
    export = (await client.get(path("u", "export"))).json()
    assert before <= export.pop("exported_at") <= time.time()
    assert all(before <= one.pop("timestamp") <= time.time() for one in export["served"])
    assert sorted(one["item_id"] for one in export.pop("served")) == sorted(served)
    hide = {"item_id": "book-2", "kind": "hide", "weight": -0.2, "timestamp": 1e9 + 7, "properties": None}
    likes = [
        {"item_id": item_id, "kind": "like", "weight": 1.0, "timestamp": 1e9 + n, "properties": None}
        for n, item_id in ((1, "nobody knows it"), (0, "book-1"))
    ]
    marked = [
        {"item_hash": f"{hash_id(item_id):016x}", "item_id": item_id, "timestamp": 1e9 + n}
        for n, item_id in ((7, "book-2"), (1, "nobody knows it"), (0, "book-1"))
    ]
    assert export == {
        "user_id": "u",
        "history": [hide, *likes],
        "seen": marked,
        "hidden": marked[:1],
        "steering": {"sfantasy": 0.5, "gone": "never"},
    }


async def test_what_nobody_knows_any_more_is_exported_by_its_hash(settings: Settings, serving: Any) -> None:
    async with serving(settings.model_copy(update={"history_limit": 1})) as client:
        await record(client, "u", "long gone", "book-1")
        newest, oldest = (await client.get(path("u", "export"))).json()["seen"]
        assert (newest["item_id"], oldest["item_id"]) == ("book-1", None)
        assert int(oldest["item_hash"], 16) == hash_id("long gone")


async def test_users_can_be_exported_and_steered_before_anything_is_published(
    settings: Settings, serving: Any, tmp_path: Any
) -> None:
    async with serving(settings.model_copy(update={"snapshots": tmp_path / "none"})) as client:
        answer = await client.put(path("u", "steering"), json={"steering": {"s": 1}})
        assert answer.json() == {"user_id": "u", "steering": {"s": 1.0}, "unknown_segments": []}
        assert (await client.get(path("u", "export"))).json()["steering"] == {"s": 1.0}


async def test_steering_replaces_what_was_stored_and_names_what_the_index_does_not_have(
    client: httpx.AsyncClient,
) -> None:
    put = {"steering": {"sfantasy": 0.5, "nowhere": "never", "smystery": 0}}
    answer = (await client.put(path("u", "steering"), json=put)).json()
    kept = {"sfantasy": 0.5, "nowhere": "never"}
    assert answer == {"user_id": "u", "steering": kept, "unknown_segments": ["nowhere"]}
    assert (await client.get(path("u"))).json()["steering"] == kept
    await client.put(path("u", "steering"), json={"steering": {"smystery": -1}})
    assert (await client.get(path("u"))).json()["steering"] == {"smystery": -1.0}
    assert (await client.put(path("u", "steering"), json={"steering": {}})).status_code == 200
    assert (await client.get(path("u"))).status_code == 404


@pytest.mark.parametrize(
    "steering", [{"s": 1.1}, {"s": "always"}, {"s": None}, {"": 1}, {str(n): 1 for n in range(101)}, []]
)
async def test_other_steering_is_refused_and_changes_nothing(client: httpx.AsyncClient, steering: Any) -> None:
    await client.put(path("u", "steering"), json={"steering": {"sfantasy": 1}})
    answer = await client.put(path("u", "steering"), json={"steering": steering})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get(path("u"))).json()["steering"] == {"sfantasy": 1.0}


async def test_a_merged_user_is_known_by_the_other_name(client: httpx.AsyncClient) -> None:
    await record(client, "anonymous", "book-1", "book-2")
    await record(client, "anonymous", "book-3", kind="dislike", at=1e9 + 10)
    await record(client, "known", "book-4", at=1e9 + 1.5)
    for user_id, steering in (("anonymous", {"sfantasy": 1, "smystery": "never"}), ("known", {"sfantasy": -1})):
        await client.put(path(user_id, "steering"), json={"steering": steering})
    for _ in range(2):  # repeating it is no harm
        answer = await client.put(path("known", "merge", "anonymous"))
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get(path("anonymous"))).status_code == 404
        user = (await client.get(path("known"))).json()
        assert [one["item_id"] for one in user["history"]] == ["book-3", "book-4", "book-2", "book-1"]
        assert (user["n_seen"], user["n_hidden"]) == (4, 1)
        assert user["steering"] == {"sfantasy": -1.0, "smystery": "never"}
    body = {"user_id": "known", "count": 1000}
    found = {item["item_id"] for item in (await client.post("/v1/recommend", json=body)).json()["items"]}
    assert not found & {f"book-{n}" for n in range(1, 5)}


async def test_nobody_is_merged_into_themselves(client: httpx.AsyncClient) -> None:
    await record(client, "u", "book-1")
    answer = await client.put(path("u", "merge", "u"))
    assert answer.status_code == 422
    assert "source" in answer.json()["detail"]
    assert await ids(client, "u") == ["book-1"]


async def test_merging_strangers_is_done_already(client: httpx.AsyncClient) -> None:
    await record(client, "u", "book-1")
    assert (await client.put(path("u", "merge", "stranger"))).status_code == 204
    assert (await client.put(path("stranger", "merge", "other"))).status_code == 204
    assert await ids(client, "u") == ["book-1"]
    assert (await client.get(path("stranger"))).status_code == 404


AWKWARD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.lists(
    st.sampled_from(["a", "/", "export", "/export", "steering", "/merge/", "%2F", "?", "#", "..", " ", "\n"]),
    min_size=1,
    max_size=5,
).map("".join)


@WITH_REDIS
@given(one=AWKWARD, other=AWKWARD)
async def test_no_id_is_mistaken_for_what_follows_an_id(client: httpx.AsyncClient, one: str, other: str) -> None:
    assume(one != other and not {one, other} & {".", ".."})
    await record(client, one, "book-1")
    await record(client, other, "book-2", at=2e9 - 1e9 + 5)
    export = (await client.get(path(one, "export"))).json()
    assert (export["user_id"], [item["item_id"] for item in export["history"]]) == (one, ["book-1"])
    assert (await client.get(path(one))).json()["user_id"] == one
    steered = await client.put(path(one, "steering"), json={"steering": {"s": 1}})
    assert steered.json()["user_id"] == one
    assert (await client.put(path(other, "merge", one))).status_code == 204
    assert await ids(client, other) == ["book-2", "book-1"]
    assert (await client.get(path(one))).status_code == 404
    assert (await client.delete(path(other))).status_code == 204
    assert (await client.get(path(other, "export"))).status_code == 404


CALLS = {
    "export": ("GET", path("u", "export"), None),
    "steering": ("PUT", path("u", "steering"), {"steering": {"s": 1}}),
    "merge": ("PUT", path("u", "merge", "v"), None),
}


@pytest.mark.parametrize(("method", "url", "body"), CALLS.values(), ids=CALLS)
async def test_without_a_store_they_are_unavailable(
    settings: Settings, serving: Any, method: str, url: str, body: Any
) -> None:
    gone = Settings.model_validate({**settings.model_dump(), "redis_url": "unix:///nowhere/redis.sock"})
    async with serving(gone) as client:
        answer = await client.request(
            method, url, content=json.dumps(body), headers={"content-type": "application/json"}
        )
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("user_id", ["x" * 257, "\u00e9" * 129])
@pytest.mark.parametrize(("method", "rest"), [("GET", "export"), ("PUT", "steering"), ("PUT", "merge/v")])
async def test_what_cannot_be_an_id_is_refused(client: httpx.AsyncClient, method: str, rest: str, user_id: str) -> None:
    answer = await client.request(method, f"{path(user_id)}/{rest}", json={"steering": {}} if method == "PUT" else None)
    assert answer.status_code == 422
    assert "user_id" in answer.json()["detail"] or "target" in answer.json()["detail"]


async def test_other_methods_are_not_allowed(client: httpx.AsyncClient) -> None:
    for rest in ("steering", "merge/v"):
        answer = await client.post(f"/v1/users/u/{rest}", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")


@pytest.mark.parametrize("rest", ["export", "steering", "merge/v", "nothing"])
async def test_what_follows_an_id_is_never_part_of_it(client: httpx.AsyncClient, rest: str) -> None:
    """Who means to forget a user's steering alone must not be told that something was forgotten."""
    await record(client, f"u/{rest}", "book-1")
    answer = await client.delete(f"/v1/users/u/{rest}")
    assert answer.status_code == (404 if rest == "nothing" else 405)
    assert await ids(client, f"u/{rest}") == ["book-1"]
