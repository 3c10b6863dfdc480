"""What is refused when there is too much to do, and what never is."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.main import create_app
from app.settings import Settings
from app.shedding import FEWEST, STEP, Load

pytestmark = pytest.mark.anyio

HISTORY = [{"item_id": "book-1"}]


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 500))
def test_the_bound_stays_between_few_and_most(late: list[float], most: int) -> None:
    load = Load(most, 100)
    for seconds in late:
        before = load.limit
        load.adapt(seconds)
        assert min(FEWEST, most) <= load.limit <= most
        assert (load.limit <= before) if seconds > 0.1 else (load.limit >= before)


def test_a_late_loop_halves_the_bound_and_a_punctual_one_restores_it() -> None:
    load = Load(256, 100)
    for _ in range(3):
        load.adapt(0.2)
    assert load.limit == 32
    load.in_flight = 32
    assert load.refusal(0.0) == "in_flight"
    for _ in range(int(1 / STEP)):
        load.adapt(0.0)
    assert load.limit == 256
    assert load.refusal(0.0) is None


def test_a_burst_is_answered_and_a_queue_that_stays_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    load = Load(256, 100)
    refused = []
    for step in range(80):
        now = 0.1 * step
        late = 5 <= step < 8 or 10 <= step < 50  # of the second time, the first two seconds are let be
        refused.append(load.refusal(0.2 if late else 0.0) == "queue")
    assert refused == [31 <= step < 50 for step in range(80)]
    now += 0.1
    assert load.refusal(0.2) is None, "two seconds on time are forgiven"


async def test_what_comes_on_top_is_refused_at_once_and_nothing_is_done(
    settings: Settings, serving: Any, redis_server: Any
) -> None:
    update = {"redis_url": SecretStr(redis_server.url), "store_timeout_ms": 60_000, "max_in_flight": 3}
    async with serving(settings.model_copy(update=update)) as client:
        event = {"events": [{"user_id": "u", "item_id": "book-2", "kind": "like"}]}
        assert (await client.get("/v1/users/u")).status_code == 404
        redis_server.freeze()
        held = [asyncio.create_task(client.post("/v1/recommend", json={"user_id": "u"})) for _ in range(3)]
        application: Any = client._transport.app
        for _ in range(3000):
            if application.state.load.in_flight == 3:
                break
            await asyncio.sleep(0.01)
        refused = await client.post("/v1/recommend", json={"history": HISTORY})
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-request-id"] == refused.json()["request_id"]
        assert (await client.post("/v1/events", json=event)).status_code == 503
        for path in ("/livez", "/metrics"):
            assert (await client.get(path)).status_code == 200
        redis_server.thaw()
        assert [answer.status_code for answer in await asyncio.gather(*held)] == [200] * 3
        assert (await client.get("/v1/users/u")).status_code == 404, "the event was refused whole"
        assert (await client.post("/v1/recommend", json={"history": HISTORY})).status_code == 200
        exposition = (await client.get("/metrics")).text
        assert 'sparrow_shed_total{reason="in_flight"}' in exposition


async def test_a_request_that_waited_too_long_is_refused(settings: Settings) -> None:
    application = create_app(settings.model_copy(update={"max_queue_ms": 100}))
    application.state.load._shedding = True
    async with application.router.lifespan_context(application):

        async def arrived_a_minute_ago(scope: Any, receive: Any, send: Any) -> None:
            await application({**scope, "state": {"arrived": time.perf_counter() - 60}}, receive, send)

        transport = httpx.ASGITransport(arrived_a_minute_ago)
        async with httpx.AsyncClient(transport=transport, base_url="http://sparrow") as client:
            answer = await client.post("/v1/recommend", json={"history": HISTORY})
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            for path in ("/livez", "/readyz", "/metrics"):
                assert (await client.get(path)).status_code == 200


async def test_the_load_is_given_back_whatever_becomes_of_a_request(client: httpx.AsyncClient) -> None:
    application: Any = client._transport.app  # type: ignore[attr-defined]
    for body in ({"history": HISTORY}, {"count": 0}, {"index_version": "20200101T000000Z-00000000"}):
        await client.post("/v1/recommend", json=body)
        assert application.state.load.in_flight == 0


async def test_the_loop_is_watched(client: httpx.AsyncClient) -> None:
    application: Any = client._transport.app  # type: ignore[attr-defined]
    load: Load = application.state.load
    load.max_queue_seconds = 0.01
    limit = load.limit
    time.sleep(0.1)  # noqa: ASYNC251  (a loop that is late is what this is about)
    for _ in range(1000):
        await asyncio.sleep(0.001)
        if load.limit < limit:
            return
    pytest.fail("nobody noticed that the loop was late")
