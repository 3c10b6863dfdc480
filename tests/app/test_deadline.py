"""Deadlines: what is given up rather than late, in which order, and that the answer says so."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from app import deadline
from app.deadline import NEVER, Deadline
from app.homepage import page
from app.inquiry import NOBODY
from app.placing import Size
from app.recommend import recommend, resolve
from app.settings import Settings
from app.shelf import Row
from app.store.users import Interaction
from index.snapshot import Snapshot

pytestmark = pytest.mark.anyio

HISTORY = [{"item_id": "book-1"}, {"item_id": "book-9"}]
PASSED = Deadline(0.0)


def codes(answer: httpx.Response) -> list[str]:
    return [warning["code"] for warning in answer.json()["warnings"]]


def told(row: Row) -> tuple[str, list[int]]:
    return row.row_id, row.hits.items.tolist()


@hypothesis_settings(deadline=None)
@given(seed=st.integers(0, 5), after=st.integers(0, 3), liked=st.lists(st.integers(0, 39), max_size=5))
def test_a_page_cut_short_is_a_page(
    make_snapshot: Callable[[int], Snapshot], seed: int, after: int, liked: list[int]
) -> None:
    snapshot = make_snapshot(seed)
    history = [Interaction(f"i{item}", "like", 1.0, float(number)) for number, item in enumerate(liked)]
    profile = resolve(snapshot, NOBODY, history)
    size = Size(5, 3, 0.5)
    whole = [told(row) for row in page(snapshot, profile, size)]
    asked = itertools.count()
    found = page(snapshot, profile, size, in_time=lambda: next(asked) < after)
    assert 1 <= len(found) <= len(whole)
    assert found[0].row_id == whole[0][0]
    if not after:
        best = recommend(snapshot, profile, 3).items.tolist()
        assert [told(row) for row in found] == [(whole[0][0], best)]
    if next(asked) < after:
        assert [told(row) for row in found] == whole
    items = [item for row in found for item in row.hits.items.tolist()]
    assert len(items) == len(set(items))


def test_the_store_gets_a_share_of_what_is_left() -> None:
    assert PASSED.passed
    assert PASSED.for_state == 0
    assert not NEVER.passed
    soon = Deadline(time.perf_counter() + 60)
    assert not soon.passed
    assert 20 < soon.for_state <= 60 * deadline.STATE_SHARE


async def test_a_slow_store_costs_the_state_and_not_the_answer(
    settings: Settings, serving: Any, redis_server: Any
) -> None:
    changed = settings.model_copy(update={"redis_url": SecretStr(redis_server.url), "store_timeout_ms": 60_000})
    async with serving(changed) as client:
        body = {"user_id": "u", "history": HISTORY}
        assert not (await client.post("/v1/recommend", json=body)).json()["degraded"]
        redis_server.freeze()
        for path in ("/v1/recommend", "/v1/homepage", "/v1/segments/recommend"):
            answer = await client.post(path, json={**body, "deadline_ms": 50})
            assert answer.status_code == 200
            assert answer.json()["degraded"] is True
            assert "store_unavailable" in codes(answer)
        assert answer.json()["segments"]


async def test_the_server_has_a_deadline_of_its_own(settings: Settings, serving: Any, redis_server: Any) -> None:
    update = {"redis_url": SecretStr(redis_server.url), "store_timeout_ms": 60_000, "deadline_ms": 50}
    async with serving(settings.model_copy(update=update)) as client:
        await client.post("/v1/recommend", json={"user_id": "u"})
        redis_server.freeze()
        assert (await client.post("/v1/recommend", json={"user_id": "u"})).json()["degraded"] is True


async def test_a_page_is_partial_and_a_list_plain_rather_than_late(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await client.post("/v1/homepage", json={"history": HISTORY})).json()["rows"]
    plain = (await client.post("/v1/recommend", json={"history": HISTORY})).json()["items"]
    diverse = (await client.post("/v1/recommend", json={"history": HISTORY, "diversity": 0.9})).json()["items"]
    assert plain != diverse
    monkeypatch.setattr(Deadline, "passed", property(lambda _: True))
    answer = await client.post("/v1/homepage", json={"history": HISTORY})
    rows = answer.json()["rows"]
    assert 1 <= len(rows) < len(whole)
    assert [row["kind"] for row in rows] == ["top_picks"]
    assert rows[0]["items"][: len(plain)] == plain
    assert codes(answer) == ["deadline"]
    assert answer.json()["degraded"] is False
    answer = await client.post("/v1/recommend", json={"history": HISTORY, "diversity": 0.9})
    assert answer.json()["items"] == plain
    assert codes(answer) == ["deadline"]
    answer = await client.post("/v1/recommend", json={"history": HISTORY})
    assert answer.json()["items"] == plain
    assert codes(answer) == [], "nothing was left out"


@pytest.mark.parametrize("wrong", [0, -1, 60_001, 1.5, "50", None])
async def test_a_deadline_is_a_number_of_milliseconds(client: httpx.AsyncClient, wrong: object) -> None:
    answer = await client.post("/v1/recommend", json={"deadline_ms": wrong})
    assert answer.status_code == (200 if wrong is None else 422)
