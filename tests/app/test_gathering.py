"""Readers of one moment share a command, and nothing else: neither values nor clocks nor cancellations."""

import asyncio
from math import ceil
from typing import Any

import pytest
from redis import Redis

from app.store.gathering import MOST
from app.store.users import Event, Interaction, StoreUnavailable, Users
from tests.app.stores import opened, settings_of

pytestmark = pytest.mark.anyio

READERS = [f"u{number}" for number in range(20)]


async def known(users: Users) -> None:
    """Every other reader has one item, named like them."""
    await users.record([Event(one, Interaction(f"of-{one}", "like", 1.0, 1e9), None) for one in READERS[::2]])


def n_commands(redis: Redis) -> int:
    found: dict[str, Any] = redis.info("commandstats")
    return int(found.get("cmdstat_mget", {"calls": 0})["calls"])


async def test_readers_of_one_moment_share_a_command_and_each_gets_their_own(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await known(users)
        before = n_commands(redis)
        states = await asyncio.gather(*(users.read(one) for one in READERS))
        assert n_commands(redis) == before + 1
        items = [[act.item_id for act in state.history] for state in states]
        assert items == [[f"of-{one}"] if place % 2 == 0 else [] for place, one in enumerate(READERS)]


async def test_one_may_ask_for_more_than_another(redis_url: str) -> None:
    async with opened(settings_of(redis_url)) as users:
        await known(users)
        alone = await users.read("u2", served=True)
        plain, served, other = await asyncio.gather(
            users.read("u0"), users.read("u2", served=True), users.read("u4", served=False)
        )
        assert served.history == alone.history
        assert [one.history[0].item_id for one in (plain, served, other)] == ["of-u0", "of-u2", "of-u4"]


async def test_who_comes_later_is_read_later(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await known(users)
        before = n_commands(redis)
        for one in READERS:
            await users.read(one)
        assert n_commands(redis) == before + len(READERS)


async def test_a_command_has_a_bound(redis_url: str, redis: Redis) -> None:
    n_readers = 2 * MOST + 1
    async with opened(settings_of(redis_url)) as users:
        await known(users)
        before = n_commands(redis)
        states = await asyncio.gather(*(users.read("u0") for _ in range(n_readers)))
        assert n_commands(redis) == before + ceil(n_readers / MOST)
        assert all(len(state.history) == 1 for state in states)


async def test_each_reader_has_a_clock_of_their_own(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await known(users)
        redis.client_pause(300)
        hasty, patient, late = await asyncio.gather(
            users.read("u0", within=0.01), users.read("u0", within=10.0), users.read("u0"), return_exceptions=True
        )
        assert type(hasty) is TimeoutError
        assert not isinstance(patient, BaseException)
        assert not isinstance(late, BaseException)
        assert len(patient.history) == len(late.history) == 1
        assert users.connection.left_alone == 0, "that somebody was in a hurry is no failure of the store"


async def test_one_failure_is_everybodys_and_counts_once(redis_server: Any) -> None:
    async with opened(settings_of(redis_server.url)) as users:
        await known(users)
        redis_server.kill()
        before = users._metrics.store_errors._value.get()
        found = await asyncio.gather(*(users.read(one) for one in READERS), return_exceptions=True)
        assert all(type(one) is StoreUnavailable for one in found)
        assert len(set(map(id, found))) == len(READERS)
        assert users._metrics.store_errors._value.get() == before + 1


async def test_who_gives_up_takes_nobody_along(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await known(users)
        redis.client_pause(100)
        gone, left = asyncio.create_task(users.read("u0")), asyncio.create_task(users.read("u2"))
        await asyncio.sleep(0.02)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert [act.item_id for act in (await left).history] == ["of-u2"]


async def test_nobody_waits_for_ever_for_a_store_that_is_closed(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        redis.client_pause(500)
        waiting = asyncio.create_task(users.read("u0"))
        await asyncio.sleep(0.02)
    with pytest.raises(StoreUnavailable, match="closed"):
        await waiting
