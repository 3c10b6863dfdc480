"""What the streams hold: what changed the state of users, in the order in which it did."""

import json
from typing import Any

import pytest
from redis import Redis
from redis.crc import key_slot

from app.settings import Settings
from app.store.events import keys_and_records
from app.store.keys import PARTITIONS, gone_key, log_key, partition, user_keys
from app.store.users import Event, Interaction, LogFull
from tests.app.conftest import RedisServer, Serving
from tests.app.stores import logging_of, opened, settings_of

pytestmark = pytest.mark.anyio


def event(item_id: str, *, user: str = "u", event_id: str | None = None, recomm_id: str | None = None) -> Event:
    return Event(user, Interaction(item_id, "like", 1.0, 1e9 + 0.25), event_id, recomm_id)


def logged(redis: Redis, user_id: str) -> list[dict[str, Any]]:
    entries: Any = redis.xrange(log_key(partition(user_id)))
    return [json.loads(fields[b"e"]) for _, fields in entries]


def content(redis: Redis) -> dict[bytes, bytes | None]:
    return {key: redis.dump(key) for key in redis.scan_iter()}


def said(item_id: str, **more: str) -> dict[str, Any]:
    known = {"op": "event", "user_id": "u", "item_id": item_id, "kind": "like", "weight": 1.0, "timestamp": 1e9 + 0.25}
    return known | more


async def test_what_changes_state_is_on_the_stream_and_nothing_else_is(redis_url: str, redis: Redis) -> None:
    async with opened(logging_of(redis_url)) as users:
        await users.record([event("a", event_id="1"), event("\u00e9\n", recomm_id="r"), event("a", event_id="1")])
        await users.steer("u", {"s": 1.0})
        await users.read("u")
        await users.delete("u")
        await users.merge("t", "u")
    assert logged(redis, "u") == [
        said("a", event_id="1"),
        said("\u00e9\n", recomm_id="r"),
        {"op": "delete", "user_id": "u"},
        {"op": "merge", "user_id": "t", "source": "u"},
    ]


async def test_without_the_setting_there_are_no_streams(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await users.record([event("a")])
        await users.merge("t", "u")
        await users.delete("t")
    assert redis.keys() == []


async def test_a_full_log_refuses_events_and_changes_nothing(redis_url: str, redis: Redis) -> None:
    async with opened(logging_of(redis_url, max_undrained=3 * PARTITIONS)) as users:
        await users.record([event(name, event_id=name) for name in "abc"])
        before = content(redis)
        with pytest.raises(LogFull, match="nothing drains it"):
            await users.record([event("d", event_id="d")])
        assert content(redis) == before
        # Whoever wants to be forgotten is, up to twice the bound.
        await users.delete("u")
        assert (await users.read("u")).empty
        redis.xtrim(log_key(partition("u")), maxlen=0)
        assert await users.record([event("d", event_id="d")]) == ["accepted"]


async def test_deletions_are_bounded_too(redis_url: str, redis: Redis) -> None:
    async with opened(logging_of(redis_url, max_undrained=PARTITIONS)) as users:
        await users.record([event("a")])
        await users.delete("u")
        with pytest.raises(LogFull):
            await users.merge("t", "u")
        with pytest.raises(LogFull):
            await users.delete("u")
    assert redis.xlen(log_key(partition("u"))) == 2


async def test_a_full_log_is_503_with_its_reason(serving: Serving, settings: Settings) -> None:
    body = {"events": [{"user_id": "u", "item_id": "book-1", "kind": "like"}]}
    full = settings.model_copy(update={"event_log": True, "max_undrained": PARTITIONS})
    async with serving(full) as client:
        assert (await client.post("/v1/events", json=body)).status_code == 202
        answer = await client.post("/v1/events", json=body)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert "the event log is full because nothing drains it" in answer.json()["detail"]
        assert (await client.delete("/v1/users/u")).status_code == 204
        assert (await client.delete("/v1/users/u")).status_code == 503
        assert "sparrow_log_full_total 2.0" in (await client.get("/metrics")).text
        assert (await client.post("/v1/recommend", json={"user_id": "u"})).json()["degraded"] is False


async def test_a_full_redis_records_and_logs_nothing_and_forgets(any_redis: RedisServer) -> None:
    async with opened(logging_of(any_redis.url)) as users:
        await users.record([event("a")])
        with any_redis.client() as redis:
            redis.config_set("maxmemory", 1)
            with pytest.raises(Exception, match="does not answer"):
                await users.record([event("b")])
            assert logged(redis, "u") == [said("a")]
            await users.delete("u")
            assert logged(redis, "u")[1:] == [{"op": "delete", "user_id": "u"}]
            assert (await users.read("u")).empty


async def test_all_keys_of_a_script_are_in_one_slot() -> None:
    for number in range(200):
        user_id = f"{{x}}{number}"
        keys, _ = keys_and_records([event("a", user=user_id, event_id="1")], logged=True)
        keys += [gone_key(user_id), *user_keys(user_id)]
        assert len({key_slot(key) for key in keys}) == 1
