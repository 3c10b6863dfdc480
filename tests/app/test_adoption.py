"""State that version 0.1 stored is read, kept and added to."""

import asyncio
import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from redis import Redis

from app.metrics import Metrics
from app.settings import Settings
from app.store.keys import user_keys
from app.store.users import Event, Interaction, StoreUnavailable, Users
from index.vocabulary import hash_id

pytestmark = pytest.mark.anyio

HISTORY = [
    Interaction("book-1", "like", 1.0, 1e9),
    Interaction("b\u00fccher", "view", 0.3, 1e9 + 0.25),
    Interaction("book-3", "hide", -0.2, 1e9 + 0.25),
]
"""Oldest first."""


def store_as_before(redis: Redis, user_id: str, history: Sequence[Interaction]) -> None:
    """What 0.1 wrote: the arrival number stands in front of each entry, hashes are big-endian."""
    keys = user_keys(user_id)
    for number, one in enumerate(history):
        packed = json.dumps([one.item_id, one.kind, one.weight], separators=(",", ":")).encode()
        redis.zadd(keys.history, {struct.pack(">Q", number + 1) + packed: one.timestamp})
        redis.incr(keys.arrivals)
        redis.zadd(keys.seen, {hash_id(one.item_id).to_bytes(8, "big"): one.timestamp})
        if one.kind == "hide":
            redis.zadd(keys.hidden, {hash_id(one.item_id).to_bytes(8, "big"): one.timestamp})
    for key in keys:
        redis.expire(key, 1000)


@pytest.fixture
async def users(redis_url: str) -> Any:
    users = Users(Settings.model_validate({"redis_url": redis_url, "store_timeout_ms": 10_000}), Metrics())
    yield users
    await users.close()


async def check(users: Users, redis: Redis, *added: Interaction) -> None:
    state = await users.read("u")
    assert list(state.history) == [*added, *reversed(HISTORY)]
    assert set(state.seen.tolist()) == {hash_id(one.item_id) for one in [*HISTORY, *added]}
    assert state.hidden.tolist() == [hash_id("book-3")]
    keys = user_keys("u")
    assert {redis.type(key) for key in keys[:3]} == {b"string"}
    assert not redis.exists(keys.arrivals)
    assert all(redis.ttl(key) > 1000 for key in keys[:3])


async def test_it_is_read(users: Users, redis: Redis) -> None:
    store_as_before(redis, "u", HISTORY)
    for _ in range(2):
        await check(users, redis)


async def test_an_event_is_added_to_it(users: Users, redis: Redis) -> None:
    store_as_before(redis, "u", HISTORY)
    new = Interaction("new", "like", 1.0, 1e9 + 5)
    events = [Event("v", new, "1"), Event("u", new, "1"), Event("w", new, None)]
    assert await users.record(events) == ["accepted"] * 3
    assert await users.record(events[:2]) == ["duplicate"] * 2
    await check(users, redis, new)


async def test_many_at_once_adopt_it_once(users: Users, redis: Redis) -> None:
    store_as_before(redis, "u", HISTORY)
    new = Interaction("new", "like", 1.0, 1e9 + 5)
    reads = [users.read("u") for _ in range(10)]
    await asyncio.gather(*reads, users.record([Event("u", new, "1")]), users.read_many(["v", "u"]))
    await check(users, redis, new)


async def test_it_is_exported_and_merged(users: Users, redis: Redis) -> None:
    store_as_before(redis, "u", HISTORY)
    assert len((await users.everything("u")).history) == 3
    store_as_before(redis, "v", [Interaction("other", "like", 1.0, 1e9 + 9)])
    await users.merge("u", "v")
    assert (await users.read("u")).history[0].item_id == "other"
    assert (await users.read("v")).empty


async def test_users_who_only_saw_something_are_kept(users: Users, redis: Redis) -> None:
    redis.zadd(user_keys("u").seen, {hash_id("x").to_bytes(8, "big"): 1e9})
    assert (await users.read("u")).seen.tolist() == [hash_id("x")]


@pytest.mark.parametrize("field", ["history", "seen", "hidden", "steering"])
async def test_a_key_of_another_type_is_an_outage_of_one_user_who_can_be_deleted(
    users: Users, redis: Redis, field: str
) -> None:
    redis.rpush(getattr(user_keys("u"), field), "what is this")
    one = Event("u", Interaction("a", "like", 1.0, 1e9), None)
    with pytest.raises(StoreUnavailable):
        await users.read("u")
    if field != "steering":
        with pytest.raises(StoreUnavailable):
            await users.record([one])
    with pytest.raises(StoreUnavailable):
        await users.everything("u")
    assert (await users.read("v")).empty
    await users.delete("u")
    assert await users.record([one]) == ["accepted"]
    assert len((await users.read("u")).history) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("history", b"x"), ("history", b"\xff" * 40), ("seen", b"123"), ("hidden", b"1" * 17), ("steering", b"{")],
)
async def test_a_value_that_is_not_ours_is_an_outage_of_one_user(
    users: Users, redis: Redis, field: str, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(getattr(user_keys("u"), field), value)
    with pytest.raises(StoreUnavailable):
        await users.read("u")
    with pytest.raises(StoreUnavailable):
        await users.everything("u")
    assert "is not what this version writes" in caplog.text or "are not what this version writes" in caplog.text
    await users.delete("u")
    assert (await users.read("u")).empty
