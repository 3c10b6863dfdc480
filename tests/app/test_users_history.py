from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings

pytestmark = pytest.mark.anyio


async def record(client: httpx.AsyncClient, *item_ids: str) -> None:
    """One like each, oldest first."""
    events = [
        {"user_id": "u", "item_id": item_id, "kind": "like", "timestamp": 1_700_000_000 + n}
        for n, item_id in enumerate(item_ids)
    ]
    assert (await client.post("/v1/events", json={"events": events})).status_code == 202


async def history(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/v1/users/u{query}")).json()["history"]
    return found


async def test_properties_come_where_they_are_asked_for_and_known(client: httpx.AsyncClient) -> None:
    await record(client, "book-1", "not-in-the-index", "book-8")
    newest, unknown, oldest = await history(client, "?include_properties=true")
    catalogue = {n: (await client.get(f"/v1/items/book-{n}")).json()["properties"] for n in (1, 8)}
    assert (newest["properties"], oldest["properties"]) == (catalogue[8], catalogue[1])
    assert "properties" not in unknown
    assert not any("properties" in entry for entry in await history(client))


async def test_the_newest_of_a_history_can_be_asked_for(client: httpx.AsyncClient) -> None:
    await record(client, "book-1", "book-2", "book-3")
    answer = (await client.get("/v1/users/u?limit=2")).json()
    assert [entry["item_id"] for entry in answer["history"]] == ["book-3", "book-2"]
    assert answer["n_seen"] == 3
    assert await history(client, "?limit=0") == []


@pytest.mark.parametrize("query", ["limit=-1", "limit=10001", "limit=many", "include_properties=perhaps"])
async def test_other_wishes_are_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/users/u?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_history_can_be_read_before_anything_is_published(
    settings: Settings, serving: Any, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    await record(client, "book-1")
    async with serving(settings.model_copy(update={"snapshots": tmp_path / "none"})) as bare:
        entries = await history(bare, "?include_properties=true")
    assert [entry["item_id"] for entry in entries] == ["book-1"]
    assert "properties" not in entries[0]
