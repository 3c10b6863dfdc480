from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.settings import Settings

pytestmark = pytest.mark.anyio


def path(user_id: str) -> str:
    return f"/v1/users/{quote(user_id, safe='')}"


async def like(client: httpx.AsyncClient, user_id: str, item_id: str = "book-1", kind: str = "like") -> None:
    body = {"events": [{"user_id": user_id, "item_id": item_id, "kind": kind}]}
    assert (await client.post("/v1/events", json=body)).status_code == 202


async def test_what_is_stored_is_shown(client: httpx.AsyncClient) -> None:
    await like(client, "u", "book-1")
    await like(client, "u", "book-2", kind="hide")
    answer = (await client.get("/v1/users/u")).json()
    assert answer["user_id"] == "u"
    assert [(one["item_id"], one["kind"]) for one in answer["history"]] == [("book-2", "hide"), ("book-1", "like")]
    assert (answer["n_seen"], answer["n_hidden"]) == (2, 1)


async def test_a_deleted_user_is_forgotten_and_may_come_back(client: httpx.AsyncClient) -> None:
    await like(client, "u")
    await like(client, "other")
    answer = await client.delete("/v1/users/u")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/v1/users/u")).status_code == 404
    assert (await client.get("/v1/users/other")).status_code == 200
    await like(client, "u")
    assert (await client.get("/v1/users/u")).status_code == 200


async def test_deleting_a_stranger_is_done_already(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/v1/users/stranger")).status_code == 204


async def test_a_stranger_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/users/stranger")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "nothing is stored about this user"


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.text("/.%?#:{}\0 ", min_size=1))
async def test_any_id_can_be_asked_for_and_forgotten(client: httpx.AsyncClient, user_id: str) -> None:
    assume(user_id not in (".", ".."))
    await like(client, user_id)
    answer = await client.get(path(user_id))
    assert answer.status_code == 200
    assert answer.json()["user_id"] == user_id
    assert (await client.delete(path(user_id))).status_code == 204
    assert (await client.get(path(user_id))).status_code == 404


@pytest.mark.parametrize("user_id", ["", "x" * 257, "\u00e9" * 129])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_cannot_be_an_id_is_refused(client: httpx.AsyncClient, method: str, user_id: str) -> None:
    answer = await client.request(method, path(user_id))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "user_id" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_without_a_store_users_are_unavailable(settings: Settings, serving: Any, method: str) -> None:
    gone = Settings.model_validate({**settings.model_dump(), "redis_url": "unix:///nowhere/redis.sock"})
    async with serving(gone) as client:
        answer = await client.request(method, "/v1/users/u")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
