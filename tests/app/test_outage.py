"""Redis is killed while requests run: each is answered, says that it is degraded, and recovers by itself."""

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.settings import Settings

pytestmark = pytest.mark.anyio

HISTORY = [{"item_id": "book-1"}, {"item_id": "book-9"}]


class Load:
    """Requests of several callers, one after the other, until it is stopped."""

    def __init__(self, client: httpx.AsyncClient, n_callers: int) -> None:
        self.answers: list[httpx.Response] = []
        self._client = client
        self._running = True
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(n_callers)]

    async def _call(self, number: int) -> None:
        body = {"user_id": f"user-{number}", "history": HISTORY}
        while self._running:
            self.answers.append(await self._client.post("/v1/recommend", json=body))
            await asyncio.sleep(0)  # in one process, a request that needs no store never lets another task run

    async def until(self, degraded: bool) -> None:
        """Wait for an answer of this sort that began from now on."""
        start = len(self.answers) + len(self._tasks)
        for _ in range(2000):
            if any(one.json()["degraded"] is degraded for one in self.answers[start:]):
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"no answer was {'degraded' if degraded else 'whole'}")

    async def stop(self) -> None:
        self._running = False
        await asyncio.gather(*self._tasks)


async def test_redis_is_killed_under_load_and_comes_back(settings: Settings, serving: Any, redis_server: Any) -> None:
    changed = settings.model_copy(update={"redis_url": SecretStr(redis_server.url)})
    async with serving(changed) as client:
        load = Load(client, n_callers=8)
        await load.until(degraded=False)
        for _ in range(3):
            redis_server.kill()
            await load.until(degraded=True)
            assert (await client.post("/v1/events", json=LIKE)).status_code == 503
            redis_server.start()
            await load.until(degraded=False)
            assert (await client.post("/v1/events", json=LIKE)).status_code == 202
        await load.stop()
    assert {one.status_code for one in load.answers} == {200}
    for one in load.answers:
        body = one.json()
        assert body["items"], "a history that was sent along is answered, store or not"
        assert body["degraded"] is ("store_unavailable" in [warning["code"] for warning in body["warnings"]])


LIKE = {"events": [{"user_id": "somebody", "item_id": "book-2", "kind": "like"}]}
